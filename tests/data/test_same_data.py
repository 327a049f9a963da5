"""The same images and labels are the same data, whatever type, chunks or file they are stored in."""

import h5py
import numpy as np
import pytest
from hdf5_files import BITS, LABELS, N

from rdu_bench import registry
from rdu_bench.data import Examples
from rdu_bench.data.content import content_hash
from rdu_bench.training.loop import labelled

IMAGES = np.tile(BITS, (1, 2, 1))  # (N, 8, 5), so that no side can be a number of channels
PARTS = ("train", "val", "test")
PART = np.arange(N) % 7 // 3  # 0, 1 and 2
NAMES = np.array(PARTS)[PART]
WORDS = NAMES.astype(object)
TEXT = h5py.string_dtype()
RANKS = np.unique(LABELS, return_inverse=True)[1].reshape(-1).astype(np.int64)


def stored(path, images=IMAGES, labels=LABELS, split=WORDS, **how):
    """A file of these, whose data set is given."""
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=images, **how)
        file.create_dataset("labels", data=labels)
        if split is not None:
            file.create_dataset("split", data=split)
    return registry.dataset(f"hdf5:{path}")


@pytest.fixture(scope="module")
def wanted():
    """The hash of examples in memory, as the class of a data set has them."""
    rows = {part: np.flatnonzero(part == NAMES) for part in PARTS}
    return content_hash({p: Examples(IMAGES[:, None], {"labels": RANKS[r]}, rows=r) for p, r in rows.items()})


WAYS = {
    **{kind: {"images": IMAGES.astype(kind)} for kind in ("bool", "int64", "float16", "float64", ">f4")},
    "black and white": {"images": IMAGES.astype(np.uint8) * 255},
    "channels first": {"images": IMAGES[:, None]},
    "channels last": {"images": IMAGES[..., None]},
    "one chunk each": {"chunks": (1, *IMAGES.shape[1:])},
    "gzip": {"chunks": (16, *IMAGES.shape[1:]), "compression": "gzip", "shuffle": True},
    "gzip, one chunk": {"chunks": IMAGES.shape, "compression": "gzip"},
    "split as numbers": {"split": PART.astype(np.uint8)},
    "split as bytes": {"split": NAMES.astype("S5")},
    "split in capitals": {"split": np.char.upper(NAMES).astype(object)},
    "split with spaces": {"split": np.char.ljust(NAMES, 8).astype(object)},
    "split in other words": {"split": np.where(PART == 1, "validation", NAMES).astype(object)},
    **{f"labels {kind}": {"labels": RANKS.astype(kind)} for kind in ("uint8", "int8", ">i8")},
    "labels from 1": {"labels": RANKS + 1},
    "labels in a column": {"labels": RANKS[:, None]},
    **{f"labels one-hot, {kind}": {"labels": np.eye(3)[RANKS].astype(kind)} for kind in ("uint8", "bool", "float32")},
    "labels as texts": {"labels": RANKS.astype(str).astype(object)},
    "labels as bytes": {"labels": RANKS.astype("S2")},
    "labels as texts of two lengths": {"labels": (RANKS + 8).astype(str).astype(object)},
    "labels below zero as texts": {"labels": (RANKS - 2).astype(str).astype(object)},
}


@pytest.mark.parametrize("way", WAYS)
def test_however_it_is_stored_it_is_the_same_data(tmp_path, wanted, way):
    data = stored(tmp_path / "a.h5", **WAYS[way])
    assert data.hash == wanted and data.likelihood == "bernoulli" and data.shape == (1, *IMAGES.shape[1:])


@pytest.mark.parametrize("split", [WORDS, None])
def test_bytes_have_the_same_noise_whatever_the_file_calls_them(tmp_path, split):
    grey = np.random.default_rng(1).integers(0, 256, IMAGES.shape).astype(np.uint8)
    found = []
    for name in ("images", "x"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file[name], file["labels"] = grey, LABELS
            if split is not None:
                file["split"] = split
        found.append(registry.dataset(f"hdf5:{tmp_path / f'{name}.h5'}"))
    assert found[0].hash == found[1].hash and found[0].likelihood == "gaussian"


def test_a_hundred_classes_may_be_a_table(tmp_path):
    y = np.arange(300) % 100
    for name, labels in (("one", y), ("two", np.eye(100, dtype=np.uint8)[y])):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["x"], file["labels"] = np.eye(300, 5), labels
    one, two = (registry.dataset(f"hdf5:{tmp_path / name}.h5") for name in ("one", "two"))
    assert one.hash == two.hash and two.factor("labels").size == 100
    assert two.notes[0] == "labels has a 1 in one column of each row, and is the number of that column, from 0"


def test_two_classes_are_the_same_as_flags_numbers_and_texts(tmp_path):
    flags = LABELS > 0
    kinds = [
        flags,
        flags.astype(np.uint8),
        flags.astype(str).astype(object),
        np.where(flags, "true", "false").astype("S"),
    ]
    found = [stored(tmp_path / f"{i}.h5", labels=labels) for i, labels in enumerate(kinds)]
    assert len({data.hash for data in found}) == 1 and found[0].factor("labels").size == 2


def test_whole_numbers_as_floats_are_real_and_a_note_says_so(tmp_path):
    data = stored(tmp_path / "a.h5", labels=RANKS.astype(np.float32))
    assert data.factor("labels").kind == "real"
    assert "labels holds whole numbers as floats and is real; store integers for classes" in data.notes
    assert not stored(tmp_path / "b.h5", labels=RANKS + 0.5).notes


def test_a_file_by_another_name_shows_the_same_labels(tmp_path):
    one, other = stored(tmp_path / "one.h5"), stored(tmp_path / "other.h5")
    assert one.name != other.name and one.drawn_by == other.drawn_by == "hdf5"
    model = registry.model("m2", one.spec(), labelled=9)
    kept = [labelled(data, model, 3).factors["labels"] for data in (one, other)]
    assert (kept[0] >= 0).sum() == 9 and kept[0].equal(kept[1])
