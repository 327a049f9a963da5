"""The lines that CONTRIBUTING has for pictures, arrays and frames take those of many, and name what they do not."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from rdu_bench import registry

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
[LINES] = re.findall(r"## Your own data\n.*?```python\n(.*?)```", TEXT, re.S)
GIVEN: dict = {}
exec(compile(LINES, "CONTRIBUTING.md", "exec"), GIVEN)
write, of_folder, of_torch, of_frame = (GIVEN[name] for name in ("write", "of_folder", "of_torch", "of_frame"))

DRAW = np.random.default_rng(0)
N = 24
LABELS = np.arange(N) % 3
GREY = DRAW.integers(0, 256, (N, 5, 4), dtype=np.uint8)
COLOUR = DRAW.integers(0, 256, (N, 5, 4, 4), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def folder(pictures, ending="png", names=("big cat", "Äffchen", "-1")):
    """A folder of pictures in three classes, in the order of their names, and what lies in such folders too."""
    names = sorted(names)
    for name in (*names, ".ipynb_checkpoints"):
        Path("mine", name).mkdir(parents=True)
    for i, picture in enumerate(pictures):
        picture.save(Path("mine", names[LABELS[i]], f"{i:03}.{ending}"))
    Path("mine", names[0], "notes.txt").write_text("none")
    Path("mine", names[0], "._000.png").write_text("none")
    return "mine", np.argsort(LABELS, kind="stable")


def stored(*arrays):
    """x as it lies in the file, and y, of all examples in their order, after `write`."""
    write("mine.h5", *arrays)
    data = registry.dataset("hdf5", file="mine.h5")
    assert data.verify() == []
    rows = np.argsort(np.concatenate([split.rows for split in data.splits.values()]))
    source = data.splits["train"].source
    x = getattr(source, "levels", source)[np.arange(len(rows))]
    return x, np.concatenate([split.factors["y"] for split in data.splits.values()])[rows], data


@pytest.mark.parametrize("ending", ["png", "PNG", "bmp"])
def test_pictures_of_a_folder_are_bytes_as_they_are(ending):
    place, order = folder(map(Image.fromarray, GREY), ending)
    x, y, data = stored(*of_folder(place, "L"))
    assert np.array_equal(x[:, 0], GREY[order]) and np.array_equal(y, LABELS[order]) and data.likelihood == "gaussian"
    x, _, data = stored(*of_folder(place))
    assert data.shape == (3, 5, 4) and np.array_equal(x[:, 2], GREY[order])


def test_pictures_with_a_palette_or_alpha_have_their_colours():
    half = [Image.fromarray(c[..., :3]).quantize(256) for c in COLOUR[: N // 2]]
    place, order = folder([*half, *map(Image.fromarray, COLOUR[N // 2 :])])
    x, _, _ = stored(*of_folder(place))
    assert np.array_equal(x, np.moveaxis(COLOUR[order][..., :3], -1, 1))


def test_pictures_that_do_not_fit_are_named():
    place, _ = folder([Image.fromarray(GREY[i][: 5 - i % 2]) for i in range(N)])
    with pytest.raises(ValueError, match=r"several sizes; give them one, as size=\(64, 64\)"):
        of_folder(place)
    assert stored(*of_folder(place, "L", (6, 7)))[2].shape == (1, 7, 6)
    Image.fromarray(GREY[0].astype(np.uint16) * 256).save("mine/big cat/deep.png")
    with pytest.raises(ValueError, match=r"deep\.png has more than 8 bits a pixel"):
        of_folder(place)
    with pytest.raises(ValueError, match="no pictures in a folder for each class, as mine/-1/CLASS/"):
        of_folder("mine/-1")


@pytest.mark.parametrize(
    "y",
    [
        np.array(["a", "c d", "ß"])[LABELS],
        np.array(["a", "b", "c"])[LABELS].astype(object),
        np.array(["a", "b", "c"])[LABELS].astype("S"),
        pd.Series(["a", "b", "c"]).take(LABELS),
        pd.Series(["a", "b", "c"], dtype="category").take(LABELS),
        pd.Series([2, 5, 10], dtype="Int64").take(LABELS),
        np.array(["no", "so", "yes"])[LABELS].tolist(),
        torch.from_numpy(LABELS),
    ],
)
def test_labels_of_any_kind_are_classes(y):
    _, found, data = stored(GREY, y)
    assert [f.kind for f in data.factors] == ["class"] and np.array_equal(found, LABELS)


def test_whole_numbers_of_a_byte_are_bytes_and_others_what_they_are():
    for x in (GREY.astype(float), GREY.astype(np.int64), torch.from_numpy(GREY), GREY.tolist()):
        assert stored(x, LABELS)[2].splits["train"].take().dtype == torch.float32
        assert np.array_equal(stored(x, LABELS)[0][:, 0], GREY) and stored(x, LABELS)[2].notes == ()
    for x in (GREY - 0.5, GREY.astype(int) - 1, GREY.astype(int) + 1):
        assert np.array_equal(stored(x, LABELS)[0][:, 0], x)


def test_arrays_torch_data_and_frames_are_one():
    np.savez("mine.npz", x=GREY, y=np.array(["u", "v", "w"])[LABELS])
    x, y, _ = stored(*np.load("mine.npz").values())
    write("mine.h5", **np.load("mine.npz"))
    assert np.array_equal(x[:, 0], GREY) and np.array_equal(y, LABELS)
    for dataset in (list(zip(map(Image.fromarray, GREY), LABELS, strict=True)), list(zip(GREY, LABELS, strict=True))):
        x, y, _ = stored(*of_torch(dataset))
        assert np.array_equal(x[:, 0], GREY) and np.array_equal(y, LABELS)
    frame = pd.DataFrame(GREY.reshape(N, -1)).assign(label=LABELS)
    frame.to_csv("mine.csv", index=False)
    for given in (frame, pd.read_csv("mine.csv"), frame.convert_dtypes(), frame.astype({"label": float})):
        x, y, data = stored(*of_frame(given, "label"))
        assert np.array_equal(x, GREY.reshape(N, -1)) and np.array_equal(y, LABELS) and data.notes[1:] == ()


def test_labels_that_are_missing_are_no_class():
    for names in (["a", "b", None], [0, 1, None], [False, True, None]):
        frame = pd.DataFrame(GREY.reshape(N, -1)).assign(label=pd.Series(names).take(LABELS).to_numpy())
        x, y, _ = stored(*of_frame(frame, "label"))
        assert np.array_equal(x, GREY[LABELS < 2].reshape(16, -1)) and np.array_equal(y, LABELS[LABELS < 2])
        with pytest.raises(ValueError, match="8 of 24 labels are missing"):
            write("mine.h5", GREY, frame["label"])
