"""Fashion-MNIST: the same data from every door, the originals known, and one sentence for whatever is bad."""

import gzip
import os
import shutil
import struct
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from small_data import IMAGES, LABELS, fashion, idx, put_fashion

from rdu_bench import _paths, registry
from rdu_bench.conformance import check
from rdu_bench.data import DataError

INSTALLED = Path("/usr/share/datasets/fashion-mnist")  # by Debian's package dataset-fashion-mnist
ASKED_FOR = "fashion_mnist" in os.environ.get("RDU_BENCH_TEST_REAL", "")  # then its absence is a failure
full_size = pytest.mark.skipif(
    not (INSTALLED.is_dir() or ASKED_FOR), reason="dataset-fashion-mnist is not installed (apt-get install)"
)

# ---- the same data from every door ---------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["fashion-mnist", "fashion_mnist", "FashionMNIST/raw"])
@pytest.mark.parametrize(("pack", "end"), [(bytes, ""), (gzip.compress, ".gz")])
def test_every_place_and_packing_gives_the_same_data(place, pack, end, tmp_path, no_system):
    put_fashion(tmp_path / "usual")
    put_fashion(tmp_path / "other", place=place, pack=pack, end=end)
    assert fashion(tmp_path / "other").hash == fashion(tmp_path / "usual").hash


def test_what_the_system_has_needs_no_data_folder(tmp_path, no_system, monkeypatch):
    assert "name the folder that holds them with --data-dir" in registry.missing_files("fashion_mnist")
    put_fashion(no_system / "share" / "datasets")
    put_fashion(tmp_path / "named")
    assert registry.missing_files("fashion_mnist") == ""
    assert fashion().hash == fashion(tmp_path / "named").hash
    monkeypatch.setenv("RDU_BENCH_DATA", str(tmp_path))  # which has none
    assert fashion().hash == fashion(tmp_path / "named").hash


def test_the_data_folder_comes_before_the_system(tmp_path, no_system, monkeypatch):
    put_fashion(no_system / "share" / "datasets")
    put_fashion(tmp_path, labels=LABELS[::-1])
    system, named = fashion(), fashion(tmp_path)
    assert system.hash != named.hash
    monkeypatch.setenv("RDU_BENCH_DATA", str(tmp_path))
    assert fashion().hash == named.hash


def test_files_of_a_set_come_from_one_place(tmp_path, no_system):
    put_fashion(tmp_path)
    put_fashion(tmp_path, place="FashionMNIST/raw", labels=LABELS[::-1])
    whole = fashion(tmp_path).hash
    next((tmp_path / "fashion-mnist").glob("t10k-labels*")).unlink()
    other = fashion(tmp_path).hash
    shutil.rmtree(tmp_path / "fashion-mnist")
    assert fashion(tmp_path).hash == other != whole


def test_splits(tmp_path):
    put_fashion(tmp_path)
    sizes = {part: len(split) for part, split in fashion(tmp_path).splits.items()}
    assert sizes == {"train": 36, "val": 4, "test": 40}
    few, full = fashion(tmp_path, limit=5), fashion(tmp_path)
    assert {part: len(split) for part, split in few.splits.items()} == {"train": 5, "val": 4, "test": 5}
    assert torch.equal(few.splits["train"].take(), full.splits["train"].take()[:5])
    test = fashion(tmp_path, images="t10k")
    assert {part: len(split) for part, split in test.splits.items()} == {"train": 28, "val": 4, "test": 8}


def test_binary_is_grey_binarised_row_by_row(tmp_path):
    """A pixel is 1 with the probability of its level, and the rows and labels of both are the same."""
    put_fashion(tmp_path)
    binary, grey = fashion(tmp_path), fashion(tmp_path, pixels="grey")
    for part, split in binary.splits.items():
        level = np.floor(grey.splits[part].take().numpy())
        x = split.take().numpy()
        assert torch.equal(split.factors["article"], grey.splits[part].factors["article"])
        assert (x[level == 0] == 0).all() and (x[level == 255] == 1).all()
        assert abs((x - level / 255).mean()) < 5 * 0.5 / np.sqrt(x.size)
        assert np.corrcoef(x.ravel(), level.ravel())[0, 1] > 0.5


# ---- whatever is bad -----------------------------------------------------------------------------------------------


def write(name, content):
    """A fault: one of the files is `content`, under that name alone."""

    def damage(place):
        stem = name.removesuffix(".gz")
        for path in place.glob(f"{stem}*"):
            path.unlink()
        if content is not None:
            (place / name).write_bytes(content)

    return damage


def instead(name, make):
    """A fault: `make(path)` is where the file was."""

    def damage(place):
        (place / name).unlink()
        make(place / name)

    return damage


def swapped(place):
    images, labels = place / TEST, place / LABEL
    aside = images.rename(place / "aside")
    labels.rename(images), aside.rename(labels)


TEST, LABEL = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
TRAIN, TRAIN_LABEL = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
X, Y = idx(IMAGES), idx(LABELS)
PACKED = gzip.compress(X)
HUGE = struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 28, 28)
CUTS = np.random.default_rng(11).integers(1, len(X), 6)
DAMAGE = {
    "an empty file": (write(TEST, b""), "is empty"),
    "an empty packed file": (write(TRAIN + ".gz", b""), "is empty"),
    "three bytes": (write(TEST, X[:3]), "do not even hold the header of 16"),
    "half a header": (write(TRAIN, X[:10]), "do not even hold the header of 16"),
    "half a header of labels": (write(LABEL, Y[:6]), "do not even hold the header of 8"),
    "one byte too few": (write(TRAIN, X[:-1]), "is truncated: 31375 bytes where its header says 31376"),
    "one byte too many": (write(TEST, X + b"0"), "is too long: 31377 bytes"),
    "labels that end early": (write(TRAIN_LABEL, Y[:-1]), "is truncated: 47 bytes where its header says 48"),
    "a picture": (write(TEST, b"\x89PNG" + bytes(100)), "starts with 89504e47"),
    "a page that says 404": (write(TEST + ".gz", b"<html>404</html>"), "is named .gz but is not gzipped"),
    "a page that says 404, unpacked": (write(TEST, b"<html>" + b"404" * 99), "starts with 3c68746d"),
    "a file of zeros": (write(TEST, bytes(len(X))), "of IDX type 0x00"),
    "floats": (write(TEST, idx(IMAGES, kind=13)), "of IDX type 0x0d"),
    "integers": (write(LABEL, idx(LABELS, kind=12)), "of IDX type 0x0c"),
    "labels in place of images": (write(TRAIN, Y), "has 1 dimensions; expected 3"),
    "images in place of labels": (write(LABEL, X), "has 3 dimensions; expected 1"),
    "images and labels swapped": (swapped, "are images and labels mixed up"),
    "four dimensions": (write(TEST, idx(IMAGES[..., None])), "has 4 dimensions; expected 3"),
    "images of another width": (write(TEST, idx(IMAGES[:, :, :27])), "examples of 28×27 numbers; expected 28×28"),
    "images of 64 pixels": (write(TEST, idx(np.zeros((2, 64, 64)))), "examples of 64×64 numbers"),
    "no width": (write(TEST, idx(IMAGES[:, :, :0])), "examples of 28×0 numbers"),
    "no images": (write(TEST, idx(IMAGES[:0])), "has 0 images, but"),
    "fewer labels": (write(LABEL, idx(LABELS[:39])), "has 40 images, but"),
    "more labels": (write(TRAIN_LABEL, idx(np.arange(41) % 10)), "has 41 labels; they must be of one set"),
    "a label of ten": (write(LABEL, idx(LABELS + 1)), "holds the label 10; Fashion-MNIST's are 0 to 9"),
    "a label of 255": (write(TRAIN_LABEL, idx(LABELS * 0 + 255)), "holds the label 255"),
    "3·10¹² numbers declared": (write(TEST, HUGE + bytes(9)), "its header says 3367254359296"),
    "3·10¹² numbers declared and packed": (write(TEST + ".gz", gzip.compress(HUGE)), "says 3,367,254,359,296 bytes"),
    "more packed than declared": (write(TEST + ".gz", gzip.compress(X + bytes(2**24))), "and more follow"),
    "less packed than declared": (write(TEST + ".gz", gzip.compress(X[:999])), "is truncated: 999 bytes"),
    "a packed file cut short": (write(TEST + ".gz", PACKED[:-20]), "does not unpack"),
    "a packed file's header alone": (write(TRAIN + ".gz", PACKED[:10]), "does not unpack"),
    "another checksum": (write(TEST + ".gz", PACKED[:-8] + b"12345678"), "does not unpack (CRC"),
    "another length": (write(LABEL + ".gz", gzip.compress(Y)[:-4] + b"1234"), "does not unpack (Incorrect length"),
    "packed noise": (write(TEST + ".gz", PACKED[:10] + b"\xff" * 500), "does not unpack"),
    "more behind what is packed": (write(TEST + ".gz", PACKED + b"more"), "does not unpack (Not a gzipped file"),
    "packed twice": (write(TEST + ".gz", gzip.compress(PACKED)), "starts with 1f8b"),
    "a folder": (instead(TEST, Path.mkdir), "is a folder"),
    "a pipe": (instead(TEST, os.mkfifo), "is no file"),
    "a link to itself": (instead(TEST, lambda path: path.symlink_to(path.name)), "Too many levels of symbolic links"),
    "a link to nowhere": (instead(TRAIN, lambda path: path.symlink_to("gone")), "No such file"),
    "no test images": (write(TEST, None), f"there is no {TEST} or {TEST}.gz"),
    "no labels": (write(TRAIN_LABEL, None), f"there is no {TRAIN_LABEL} or"),
    "no file at all": (
        lambda place: [path.unlink() for path in place.iterdir()],
        "put Fashion-MNIST's IDX files there",
    ),
    "no data folder": (lambda place: shutil.rmtree(place.parent), "is not a folder"),
    "a file in place of the data folder": (
        lambda place: (shutil.rmtree(place.parent), place.parent.write_bytes(b"")),
        "is not a folder",
    ),
    **{f"cut at {n}": (write(TRAIN, X[:n]), "is truncated") for n in map(int, CUTS)},
    **{f"packed, cut at {n}": (write(TRAIN + ".gz", PACKED[:n]), "does not unpack") for n in map(int, CUTS)},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_one_sentence_and_exit_code_2(damage, command, tmp_path, no_system):
    data, here = tmp_path / "data", tmp_path / "here"
    here.mkdir()
    put_fashion(data)
    harm, message = DAMAGE[damage]
    harm(data / "fashion-mnist")
    before = sorted(tmp_path.rglob("*"))
    done = command("data", "verify", "fashion_mnist", "--data-dir", data, cwd=here)
    assert done.returncode == 2 and done.stdout == ""
    assert message in done.stderr and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


@contextmanager
def nobody(folder):
    """As a user who may do nothing in particular, who can enter `folder`."""
    os.chmod(folder, 0o755)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.skipif(os.name != "posix", reason="permissions are posix")
def test_files_that_may_not_be_read_are_named(no_system):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        put_fashion(folder)
        place = folder / "fashion-mnist"
        for path, mode, other in ((place / TEST, 0, 0o644), (place, 0, 0o755)):
            path.chmod(mode)
            with nobody(folder), pytest.raises(DataError, match=rf"{TEST} cannot be read \(Permission denied\)"):
                fashion(folder)
            path.chmod(other)


# ---- the originals -------------------------------------------------------------------------------------------------


def test_another_set_is_told_from_the_original(tmp_path, command):
    put_fashion(tmp_path)
    done = command("data", "verify", "fashion_mnist", "--data-dir", tmp_path, cwd=tmp_path)
    wrong = [line for line in done.stdout.splitlines() if line.startswith("wrong: ")]
    assert done.returncode == 1 and len(wrong) == 4 and all("is not Fashion-MNIST's" in line for line in wrong)


@full_size
def test_the_seventy_thousand_are_what_they_were():
    data = fashion()
    assert data.verify() == [] and data.hash == "828cf462bff2d0f5"
    assert {part: len(split) for part, split in data.splits.items()} == {"train": 54000, "val": 6000, "test": 10000}
    assert set(registry.card("datasets", "fashion_mnist")["provides"]) == data.provides
    assert np.bincount(data.splits["test"].factors["article"]).tolist() == [1000] * 10


@full_size
def test_the_seventy_thousand_in_grey_are_what_they_were():
    data = fashion(pixels="grey")
    assert data.verify() == [] and data.hash == "c66d8929181fa1a1"
    assert data.pixels.low >= 0 and data.pixels.high < 256 and abs(data.pixels.mean.mean() - 73.45) < 0.01


@full_size
def test_one_changed_pixel_or_label_is_noticed(tmp_path):
    for name in (TEST, LABEL):
        place = tmp_path / name / "fashion-mnist"
        place.mkdir(parents=True)
        for path in INSTALLED.iterdir():
            (place / path.name).symlink_to(path)
        unpacked = bytearray(gzip.decompress((INSTALLED / f"{name}.gz").read_bytes()))
        unpacked[-1] ^= 1
        (place / name).write_bytes(unpacked)  # read before the packed one
        [wrong] = fashion(tmp_path / name, images="t10k", limit=10).verify()
        assert wrong.startswith(f"{place / name} is not Fashion-MNIST's")


@full_size
def test_the_file_keeps_every_law_of_data_sets():
    found = check(Path(_paths.builtin("datasets")) / "fashion_mnist.py")
    assert [f.words for f in found if not f.ok] == []
