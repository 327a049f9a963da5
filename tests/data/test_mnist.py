"""MNIST: the parts that are asked for, fixed splits, and content that stays what it was."""

import numpy as np
import pytest
import torch
from small_data import IMAGES, LABELS, mnist, mnist_folder, put

from rdu_bench import registry
from rdu_bench.data import DataError

MNIST = mnist_folder()
needs_mnist = pytest.mark.skipif(MNIST is None, reason="RDU_BENCH_DATA names no folder with mnist/")


def test_all_images_are_in_one_split(tmp_path):
    put(tmp_path)
    data = mnist(tmp_path)
    assert {part: len(split) for part, split in data.splits.items()} == {"test": 8, "val": 4, "train": 28}
    order = np.concatenate([data.splits[part].factors["digit"].numpy() for part in ("test", "val", "train")])
    assert sorted(order) == sorted(LABELS)
    assert [w for w in data.verify() if "not MNIST's" not in w] == []


def test_the_folder_itself_may_hold_the_files(tmp_path):
    put(tmp_path)
    assert mnist(tmp_path / "mnist").hash == mnist(tmp_path).hash


def test_with_all_images_the_official_test_set_is_the_test_set(tmp_path):
    put(tmp_path)
    put(tmp_path, part="train", images=np.repeat(IMAGES, 2, 0), labels=np.repeat(LABELS, 2))
    data = mnist(tmp_path, images="all")
    assert {part: len(split) for part, split in data.splits.items()} == {"train": 72, "val": 8, "test": 40}
    assert data.splits["test"].factors["digit"].tolist() == LABELS.tolist()
    # the same settings give the same data whether or not further files are there
    alone = mnist(tmp_path).hash
    for path in (tmp_path / "mnist").glob("train*"):
        path.unlink()
    assert mnist(tmp_path).hash == alone


def test_a_limit_keeps_the_first_of_each_split(tmp_path):
    put(tmp_path)
    few, full = mnist(tmp_path, limit=5), mnist(tmp_path)
    assert [len(few.splits[part]) for part in ("train", "val", "test")] == [5, 4, 5]
    assert torch.equal(few.splits["train"].take(), full.splits["train"].take()[:5])


def test_what_is_missing_is_named_with_its_place(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"mnist needs .* with --data-dir, RDU_BENCH_DATA or DISENTANGLEMENT_LIB_DATA"):
        registry.dataset("mnist")
    with pytest.raises(DataError, match="nowhere does not exist"):
        mnist(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no t10k-images-idx3-ubyte or .*put MNIST's IDX files there"):
        mnist(tmp_path)
    put(tmp_path)
    with pytest.raises(DataError, match="no train-images-idx3-ubyte"):
        mnist(tmp_path, images="all")
    monkeypatch.setenv("RDU_BENCH_DATA", str(tmp_path))
    assert len(registry.dataset("mnist").splits["train"]) == 28


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"images": "train"}, "images is 'train'; it must be 't10k' or 'all'"),
        ({"images": ["all"]}, r"images is \['all'\]"),
        ({"pixels": "gray"}, "pixels is 'gray'; it must be 'binary' or 'grey'"),
        ({"limit": 0}, "limit is 0"),
    ],
)
def test_bad_parameters_of_mnist_are_named(params, message, tmp_path):
    put(tmp_path)
    with pytest.raises(DataError, match=message):
        mnist(tmp_path, **params)
    if "limit" not in params:  # before anything is looked for
        with pytest.raises(DataError, match=message):
            registry.missing_files("mnist", **params)


def test_another_set_of_the_same_format_is_noticed(tmp_path):
    put(tmp_path)
    put(tmp_path, part="train")
    for images, files in (("t10k", 2), ("all", 4)):
        wrong = mnist(tmp_path, images=images).verify()
        assert len(wrong) == files and all("is not MNIST's (another set of that format?)" in w for w in wrong)


@needs_mnist
def test_the_ten_thousand_are_what_they_were():
    data = mnist(MNIST)
    assert data.verify() == [] and data.hash == "61b84a749bd0ec59"
    assert set(registry.card("datasets", "mnist")["provides"]) == data.provides
    assert {part: len(split) for part, split in data.splits.items()} == {"train": 7000, "val": 1000, "test": 2000}
