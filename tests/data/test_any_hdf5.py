"""Any HDF5 file: what is x and what are factors is told or guessed, and the numbers are those of the file."""

import json

import h5py
import numpy as np
import pytest
import torch
from hdf5_files import BITS, DRAW, GREY, LABELS, N, put

from rdu_bench import _paths, registry
from rdu_bench.conformance import check
from rdu_bench.data import DataError, Dequantised, HDF5Source, hdf5
from rdu_bench.engine import suite
from rdu_bench.engine.expand import curves
from rdu_bench.engine.selection import Selection


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(path, **params):
    return registry.dataset("hdf5", file=str(path), **params)


def rows(data, part):
    return data.splits[part].rows


def test_a_file_is_read_as_it_is_and_divided_by_a_named_seed(place):
    put("a.h5", images=BITS, labels=LABELS)
    data = load("a.h5")
    assert data.verify() == [] and data.name == "hdf5:a" and data.likelihood == "bernoulli" and data.shape == (1, 4, 5)
    assert {part: len(split) for part, split in data.splits.items()} == {"train": 48, "val": 6, "test": 6}
    assert sorted(np.concatenate([rows(data, part) for part in data.splits])) == list(range(N))
    for part, split in data.splits.items():
        assert np.array_equal(split.take()[:, 0].numpy(), BITS[rows(data, part)])
        assert np.array_equal(split.factors["labels"].numpy(), LABELS[rows(data, part)])
        assert isinstance(split.source, HDF5Source)
    assert data.task == ("labels",) and data.provides == {"labels", "image", "binary"}
    again, other = load("a.h5"), load("a.h5", seed="1")
    assert again.hash == data.hash != other.hash and sorted(rows(other, "test")) != sorted(rows(data, "test"))
    few = load("a.h5", limit=4)
    assert [len(few.splits[part]) for part in ("train", "val", "test")] == [4, 4, 4]
    assert np.array_equal(rows(few, "train"), rows(data, "train")[:4])


def test_the_place_and_the_name_of_a_file_change_no_split(place):
    put("a.h5", x=BITS, y=LABELS)
    (place / "b").mkdir()
    put("b/c.h5", x=BITS, y=LABELS)
    assert load("a.h5").hash == load("b/c.h5").hash


# what is in a file → x, factors with sizes (0: real), shape, likelihood
GUESSES = {
    "usps": (
        {"train__data": GREY.reshape(N, 20) / 255, "train__target": LABELS, "test__data": GREY.reshape(N, 20) / 255}
        | {"test__target": LABELS},
        ("data", {"target": 3}, (20,), "gaussian"),
    ),
    "dsprites": (
        {
            "imgs": BITS,
            "latents__classes": np.stack([0 * LABELS, LABELS, LABELS // 2], 1),
            "latents__values": DRAW.random((N, 3)),
        },
        ("imgs", {"classes_1": 3, "classes_2": 2}, (1, 4, 5), "bernoulli"),
    ),
    "shapes3d": (
        {"images": DRAW.integers(0, 256, (N, 6, 5, 3)).astype(np.uint8), "labels": DRAW.random((N, 6))},
        ("images", {"labels": 0}, (3, 6, 5), "gaussian"),
    ),
    "one data set without a name": ({"scans": GREY.astype(np.float32)}, ("scans", {}, (1, 4, 5), "gaussian")),
    "two tables, one with a name": (
        {"x": BITS, "features": DRAW.random((N, 7)), "age": LABELS + 30},
        ("x", {"age": 3}, (1, 4, 5), "bernoulli"),
    ),
    "texts": (
        {"x": BITS, "label": np.array(["cat", "dog", "eel"])[LABELS].astype("S")},
        ("x", {"label": 3}, (1, 4, 5), "bernoulli"),
    ),
    "numbers of rows are no class": (
        {"x": np.zeros((2000, 2), np.uint8), "id": np.arange(2000), "y": np.arange(2000) % 5},
        ("x", {"y": 5}, (2,), "bernoulli"),
    ),
    "black and white": ({"x": BITS * np.uint8(255)}, ("x", {}, (1, 4, 5), "bernoulli")),
    "booleans": ({"x": BITS.astype(bool)}, ("x", {}, (1, 4, 5), "bernoulli")),
    "a class of its own in every row is none": (
        {"x": BITS, "id": np.arange(N), "y": LABELS},
        ("x", {"y": 3}, (1, 4, 5), "bernoulli"),
    ),
    "folds are no parts": ({"x": BITS, "y": LABELS, "fold": LABELS}, ("x", {"y": 3}, (1, 4, 5), "bernoulli")),
    "names of classes": (
        {"x": BITS, "y": LABELS, "classes": np.array([b"cat", b"dog", b"eel"])},
        ("x", {"y": 3}, (1, 4, 5), "bernoulli"),
    ),
    "labels beside a table": ({"t": DRAW.random((N, 9)), "y": np.eye(3)[LABELS]}, ("t", {"y": 3}, (9,), "gaussian")),
    "sequences": ({"x": np.stack([BITS[:, None]] * 2, 1)}, ("x", {}, (2, 1, 4, 5), "bernoulli")),
    "sequences, channels last": (
        {"x": np.stack([np.repeat(BITS, 2, 1)[..., None]] * 2, 1)},
        ("x", {}, (2, 1, 8, 5), "bernoulli"),
    ),
    "labels in a column": ({"data": BITS, "y": LABELS[:, None]}, ("data", {"y": 3}, (1, 4, 5), "bernoulli")),
}


@pytest.mark.parametrize("name", GUESSES)
def test_what_is_not_told_is_guessed(name, place):
    contents, (x, factors, shape, likelihood) = GUESSES[name]
    put("a.h5", **contents)
    data, told = load("a.h5"), registry.about("hdf5", {"file": "a.h5"})
    assert data.verify() == [] and data.shape == shape and data.likelihood == likelihood
    assert {f.name: f.size if f.kind == "class" else 0 for f in data.factors} == factors
    assert told.params["x"] == x and told.provides == data.provides
    assert load(told.params.pop("file"), **told.params).hash == data.hash


def test_channels_are_turned_to_the_front(place):
    x = DRAW.integers(0, 256, (N, 6, 5, 3)).astype(np.uint8)
    put("a.h5", images=x)
    data = load("a.h5", likelihood="gaussian")
    split = data.splits["train"]
    assert np.array_equal(split.source.levels[split.rows], np.moveaxis(x, -1, 1)[split.rows])
    put("b.h5", images=np.moveaxis(x, -1, 1))
    assert load("b.h5").hash == data.hash
    put("c.h5", images=DRAW.integers(0, 2, (N, 3, 3, 3)))
    with pytest.raises(DataError, match="channels first or last"):
        load("c.h5")
    assert load("c.h5", channels="last").hash != load("c.h5", channels="first").hash


def test_channels_that_may_be_last_are_asked_for(place):
    x = DRAW.random((N, 6, 5, 2))
    put("a.h5", x=x)
    with pytest.raises(DataError, match=r"examples of shape \(6, 5, 2\) may have channels first or last; say which"):
        load("a.h5")
    assert load("a.h5", channels="last").shape == (2, 6, 5) and load("a.h5", channels="first").shape == (6, 5, 2)
    put("b.h5", x=np.moveaxis(x, -1, 1))
    assert load("b.h5").hash == load("a.h5", channels="last").hash


def test_frames_keep_their_order_when_channels_are_turned(place):
    x = DRAW.random((N, 4, 6, 5, 3))
    put("a.h5", x=x)
    data = load("a.h5")
    wanted = torch.from_numpy(np.moveaxis(x, -1, 2)).float()
    assert data.shape == (4, 3, 6, 5) and torch.equal(data.splits["test"].take(), wanted[rows(data, "test")])


def test_a_limit_takes_of_every_class_of_a_file_that_is_sorted(place):
    y = np.arange(300) // 100
    put("a.h5", train__x=DRAW.random((300, 5)), train__y=y, test__x=DRAW.random((300, 5)), test__y=y)
    data = load("a.h5", limit=60)
    for part in ("train", "val", "test"):
        counts = np.bincount(data.splits[part].factors["y"], minlength=3)
        assert len(data.splits[part]) == (30 if part == "val" else 60) and counts.min() > 3
    assert load("a.h5", limit=60).hash == data.hash != load("a.h5", limit=60, seed="b").hash
    assert not set(rows(data, "train")) & set(rows(data, "val"))


def test_groups_are_splits_and_val_is_taken_of_train(place):
    x = {part: DRAW.random((n, 6)) for part, n in {"train": 40, "test": 10, "valid": 5}.items()}
    put("a.h5", train__x=x["train"], train__y=np.arange(40) % 4, test__x=x["test"], test__y=np.arange(10) % 4 + 1)
    data = load("a.h5")
    assert {part: len(split) for part, split in data.splits.items()} == {"train": 36, "val": 4, "test": 10}
    assert torch.equal(data.splits["test"].take(), torch.from_numpy(x["test"]).float())
    assert data.splits["test"].factors["y"].tolist() == (np.arange(10) % 4 + 1).tolist()
    assert data.splits["val"].factors["y"].tolist() == [r % 4 for r in rows(data, "val")]
    assert data.factors[0].size == 5 and data.verify() == []
    told = load("a.h5", splits={"train": "test", "test": "train"})
    assert len(told.splits["test"]) == 40


@pytest.mark.parametrize("told", ["text", "number"])
def test_a_data_set_may_tell_the_split_of_each_row(told, place):
    which = np.repeat([0, 1, 2], [40, 10, 10])[DRAW.permutation(N)]
    split = np.array(["Train", "valid", "test"])[which].astype("S") if told == "text" else which
    put("a.h5", x=BITS, y=LABELS, split=split)
    data = load("a.h5")
    for i, part in enumerate(("train", "val", "test")):
        assert np.array_equal(rows(data, part), np.flatnonzero(which == i))


def test_a_table_may_name_the_rows_of_each_split(place):
    put("a.h5", x=BITS, y=LABELS, ids__train=np.arange(30), ids__test=np.arange(50, 60))
    data = load("a.h5", splits={"train": "ids/train", "test": "ids/test"}, factors={"y": "y"}, x="x")
    assert rows(data, "test").tolist() == list(range(50, 60))
    assert sorted([*rows(data, "train"), *rows(data, "val")]) == list(range(30)) and len(rows(data, "val")) == 3


def test_classes_are_numbered_in_the_order_of_their_values_and_that_is_said(place):
    put("a.h5", x=BITS, y=LABELS * 10 - 10, name=np.array(["b", "a", "c"])[LABELS].astype(object))
    data = load("a.h5", factors={"y": "y", "name": "name"})
    assert np.array_equal(data.splits["test"].factors["y"], LABELS[rows(data, "test")])
    assert np.array_equal(data.splits["test"].factors["name"], np.array([1, 0, 2])[LABELS[rows(data, "test")]])
    assert data.notes == (
        "the values of y are -10, 0, 10; they are numbered from 0 in that order",
        "the values of name are a, b, c; they are numbered from 0 in that order",
    )
    assert load("a.h5", factors={}).notes == ()


def test_texts_of_any_language_are_classes_however_they_are_stored(place):
    texts = np.array(["zebra", "äffchen", "猫"])[LABELS]
    utf8 = np.char.encode(texts, "utf-8")
    fixed = h5py.string_dtype("utf-8", utf8.dtype.itemsize)
    for stored in (texts.astype(object), texts.tolist(), utf8, utf8.astype(fixed)):
        put("a.h5", x=BITS, y=stored)
        for told in ({}, {"factors": {"y": "y"}}):
            data = load("a.h5", **told)
            assert np.array_equal(data.splits["test"].factors["y"], LABELS[rows(data, "test")])
            assert data.notes == ("the values of y are zebra, äffchen, 猫; they are numbered from 0 in that order",)


def test_minus_one_is_a_value_of_what_is_no_label_and_of_texts_that_are_no_numbers(place):
    names = np.array(["-1", "a", "b"])[LABELS].astype(object)
    put("a.h5", x=BITS, y=names, shift=LABELS - 1, low=LABELS - 2)
    data = load("a.h5")
    assert data.task == ("y",) and [data.factor(name).size for name in ("y", "shift", "low")] == [3, 3, 3]
    assert "the values of shift are -1, 0, 1; they are numbered from 0 in that order" in data.notes
    assert load("a.h5", task=["low"]).task == ("low",)


def test_a_column_real_factors_and_roles(place):
    put("a.h5", x=BITS, table=np.stack([LABELS, 1 - LABELS % 2], 1), size=DRAW.random(N))
    told = {"factors": {"kind": "table:0", "s": "table:1", "size": "size"}, "task": ["kind", "size"], "sensitive": "s"}
    data = load("a.h5", **told)
    assert [(f.name, f.size, f.kind) for f in data.factors] == [
        ("kind", 3, "class"),
        ("s", 2, "class"),
        ("size", 1, "real"),
    ]
    assert data.provides == {"labels", "groups", "image", "binary"} and data.verify() == []
    assert load("a.h5", **{**told, "task": ["size"]}).provides == {"groups", "image", "binary"}


def test_bytes_under_a_gaussian_are_dequantised_and_no_others(place):
    put("a.h5", x=GREY)
    split = load("a.h5").splits["train"]
    assert isinstance(split.source, Dequantised)
    x = split.take()[:, 0].numpy()
    assert np.array_equal(np.floor(x), GREY[split.rows]) and not np.array_equal(x, GREY[split.rows])
    put("b.h5", x=GREY.astype(np.int16))
    data = load("b.h5")
    assert np.array_equal(data.splits["train"].take()[:, 0], GREY[data.splits["train"].rows])
    assert "no bound" in data.notes[0] and load("b.h5", noise=1.0).notes == () and load("b.h5", noise=1.0).noise == 1.0
    assert load("a.h5", scale=0.5).splits["train"].take().max() <= 128


def test_what_d_says_of_bytes_is_told(place):
    """Bytes that were divided have no bound; of bytes times scale, D is lower by log of the scale a pixel."""
    put("a.h5", x=GREY)
    put("b.h5", x=(GREY / 255).astype(np.float32))
    put("c.h5", x=DRAW.random((N, 4, 5)).astype(np.float32))
    [said] = load("b.h5").notes
    assert said.startswith("x holds 256 different floats only") or len(np.unique(GREY)) < 256
    assert "no bound" in said and "store the bytes, or declare noise" in said
    assert load("a.h5").notes == load("c.h5").notes == load("b.h5", noise=0.1).notes == ()
    [said] = load("a.h5", scale=1 / 255).notes
    assert said.endswith(f"D and {20 * np.log(255):.6g} nats are at least what the bytes take")
    assert registry.about("hdf5", {"file": "b.h5"}).notes == load("b.h5").notes


def test_labels_that_are_none_are_told(place):
    put("a.h5", x=BITS, y=0 * LABELS)
    assert load("a.h5").notes == ("y has one value only and is left out",)
    put("a.h5", x=BITS, y=LABELS, fold=LABELS)
    [said] = load("a.h5").notes
    assert "fold holds numbers, as of a cross-validation" in said and "say splits = 'fold'" in said
    assert [len(load("a.h5", splits="fold").splits[part]) for part in ("train", "val", "test")] == [20, 20, 20]


def test_pixels_are_looked_at_once_and_what_was_seen_is_kept_beside(place, monkeypatch):
    put("a.h5", x=BITS)
    load("a.h5")
    known = json.loads((place / ".a.h5.known.json").read_text())["known"]
    assert known["pixels of x"] == [0.0, 1.0, True] and len(known["sha256"]) == 16
    plain = h5py.Dataset.__getitem__
    monkeypatch.setattr(
        h5py.Dataset, "__getitem__", lambda self, at: pytest.fail("read") if at != () else plain(self, at)
    )
    assert load("a.h5").likelihood == "bernoulli"
    monkeypatch.undo()
    monkeypatch.chdir(place)
    put("a.h5", x=np.concatenate([BITS, 2 * BITS[:1]]))
    assert load("a.h5").likelihood == "gaussian"


def test_content_is_told_and_held_to(place):
    put("a.h5", x=BITS)
    content = registry.about("hdf5", {"file": "a.h5"}).params["content"]
    assert load("a.h5", content=content).likelihood == "bernoulli"
    put("a.h5", x=1 - BITS)
    with pytest.raises(DataError, match=f"not {content}; it is another file"):
        load("a.h5", content=content)


# ---- every door ----------------------------------------------------------------------------------------------------

SUITE = """
models = ["vae", "vib", "pixel_vae"]
budget = "smoke"
[[datasets]]
name = "hdf5"
params = { file = "a.h5", x = "images", factors = { digit = "labels" }, likelihood = "gaussian" }
hidden = [16]
sigmas = [3]
"""


def made(text, **how):
    with open("s.toml", "w") as file:
        file.write(text)
    return curves(suite.read("s.toml"), Selection(**how))


def test_a_suite_a_command_line_and_python_mean_the_same(place):
    put("a.h5", images=BITS, labels=LABELS)
    told = made(SUITE.replace("digit", "labels").replace('"gaussian"', '"auto"'), models=("vae",))
    guessed = curves(suite.read("smoke"), Selection(models=("vae",), datasets=("hdf5:a.h5",)))
    assert [c.data_label for c in guessed] == [c.data_label for c in told] == ["hdf5:a"]
    assert guessed[0].spec(3.0)["dataset_params"] == told[0].spec(3.0)["dataset_params"] | {"likelihood": "bernoulli"}
    by_name, by_params = registry.dataset("hdf5:a.h5"), registry.dataset("hdf5", **told[0].dataset_params)
    assert by_name.hash == by_params.hash and by_name.name == by_params.name == "hdf5:a"
    assert guessed[0].network == curves(suite.read("smoke"))[0].network and guessed[0].sigmas == (None, 3.0, 8.0)


def test_a_file_beside_the_suite_is_found_from_anywhere(place, monkeypatch):
    put("a.h5", images=BITS, labels=LABELS)
    [curve] = made(SUITE, models=("vae",))
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    read = suite.read("../s.toml")
    [found] = curves(read, Selection(models=("vae",)))
    assert found.key(3.0) == curve.key(3.0) and found.dataset_params["file"] == curve.dataset_params["file"]
    put("a.h5", images=1 - BITS, labels=LABELS)  # what is here comes first
    [own] = curves(suite.read("../s.toml"), Selection(models=("vae",)))
    assert own.key(3.0) != curve.key(3.0)


def test_records_know_a_file_by_its_content_and_not_by_its_place(place):
    put("a.h5", images=BITS, labels=LABELS)
    [curve] = made(SUITE, models=("vae",))
    (place / "sub").mkdir()
    (place / "sub" / "a.h5").write_bytes((place / "a.h5").read_bytes())
    [moved] = made(SUITE.replace("a.h5", "sub/a.h5"), models=("vae",))
    assert moved.key(3.0) == curve.key(3.0) and moved.dataset_params["file"] != curve.dataset_params["file"]
    put("a.h5", images=1 - BITS, labels=LABELS)
    [changed] = made(SUITE, models=("vae",))
    assert changed.key(3.0) != curve.key(3.0) and changed.data_label == curve.data_label == "hdf5:a"


def test_models_run_where_the_file_has_what_they_need(place):
    put("a.h5", images=BITS, labels=LABELS)
    assert {c.model for c in made(SUITE)} == {"vae", "vib", "pixel_vae"}
    with pytest.raises(suite.SuiteError, match="vib needs data with labels"):
        made(SUITE.replace('factors = { digit = "labels" }', "factors = {}"))
    put("a.h5", images=BITS.reshape(N, 20), labels=LABELS)
    with pytest.raises(suite.SuiteError, match="pixel_vae needs data with image"):
        made(SUITE)
    assert {c.model for c in made(SUITE.replace('"pixel_vae"', '"*"'))} >= {"vae", "vib", "m2"}
    assert not {"pixel_vae", "fader", "vlae_lossy"} & {c.model for c in made(SUITE.replace('"pixel_vae"', '"*"'))}
    with pytest.raises(suite.SuiteError, match="provides neither"):
        made(SUITE.replace('"pixel_vae"', '"ae"').replace("[16]", "[4, 16]\nfamily = 'conv'"))


def test_two_files_have_two_names(place):
    for name in ("a.h5", "b.h5", "sub a.h5", "x/a.h5"):
        (place / name).parent.mkdir(exist_ok=True)
        put(name, images=BITS, labels=LABELS)
    two = SUITE + SUITE.partition("[[datasets]]")[1] + SUITE.partition("[[datasets]]")[2].replace("a.h5", "b.h5")
    assert {c.data_label for c in made(two)} == {"hdf5:a", "hdf5:b"}
    assert {c.data_label for c in made(two, datasets=("hdf5:b",))} == {"hdf5:b"}
    with pytest.raises(suite.SuiteError, match="hdf5:a is there twice"):
        made(two.replace("b.h5", "x/a.h5"))
    asked = made(SUITE, models=("vae",), datasets=("hdf5:x/a.h5", "hdf5:sub a.h5"))
    assert [c.data_label for c in asked] == ["hdf5:a-2", "hdf5:sub_a"]


def test_a_file_lies_here_or_in_the_data_folder(place, monkeypatch):
    (place / "data").mkdir()
    put("data/a.h5", x=BITS)
    with pytest.raises(DataError, match=r"there is no a\.h5"):
        load("a.h5")
    assert load("a.h5", data_dir="data").hash
    monkeypatch.setenv("DISENTANGLEMENT_LIB_DATA", "data")
    assert load("a.h5").hash
    put("a.h5", x=1 - BITS)
    with pytest.raises(DataError, match="give the whole path of one"):
        load("a.h5")


def test_a_path_may_begin_at_home_and_be_a_path(place, monkeypatch, command):
    monkeypatch.setenv("HOME", str(place / "home"))
    (place / "home").mkdir()
    put("home/a.h5", x=BITS)
    wanted = load(place / "home" / "a.h5").hash
    assert registry.dataset("hdf5", file=place / "home" / "a.h5").hash == wanted == load("~/a.h5").hash
    assert registry.dataset("hdf5", file="a.h5", data_dir=place / "home").hash == wanted
    assert load("a.h5", data_dir="~").hash == wanted
    for line in (["hdf5:~/a.h5"], ["hdf5:a.h5", "--data-dir", "~"]):
        assert wanted in command("data", "verify", *line, cwd=place).stdout
    assert wanted in command("data", "verify", "hdf5:a.h5", cwd=place, RDU_BENCH_DATA="~").stdout


def test_where_a_file_was_looked_for_is_told(place):
    (place / "data").mkdir()
    with pytest.raises(DataError, match=f"there is no a.h5 in {place}, nor in the data folder, data; name a file"):
        load("a.h5", data_dir="data")
    with pytest.raises(DataError, match=r"there is no /gone/a\.h5; name a file"):
        load("/gone/a.h5", data_dir="data")


def test_a_file_that_is_not_there_is_left_out_of_a_run(place, command):
    put("a.h5", images=BITS, labels=LABELS)
    other = SUITE.partition("[[datasets]]")
    text = SUITE + other[1] + other[2].replace("a.h5", "gone.h5")
    (place / "s.toml").write_text(text)
    done = command("run", "--suite", "s.toml", "--dry-run", cwd=place)
    assert done.returncode == 0 and "left out: hdf5:gone: hdf5: there is no gone.h5" in done.stderr
    assert "hdf5:a " in done.stdout and "hdf5:gone" not in done.stdout


def test_a_run_on_a_file_has_its_name_and_notes_in_the_record(place, command):
    put("a.h5", images=BITS, labels=LABELS + 1)
    line = ("run", "--suite", "smoke", "--model", "vae", "--dataset", "hdf5:a.h5", "--sigma", "3", "-j", "0")
    done = command(*line, "--out", "out", cwd=place)
    assert done.returncode == 0, done
    for path in (place / "out" / "records").rglob("*.json"):
        if path.name.startswith("s0"):
            record = json.loads(path.read_text())
            assert record["spec"]["dataset_label"] == "hdf5:a" and record["spec"]["dataset_params"]["file"] == "a.h5"
            assert record["data"]["notes"] == [
                "the values of labels are 1, 2, 3; they are numbered from 0 in that order"
            ]
            assert record["data"]["hash"] == registry.dataset("hdf5:a.h5").hash
            break
    else:
        pytest.fail("no record")
    again = command(*line, "--out", "out", "--dry-run", cwd=place)
    assert "1 done ✓" in again.stdout


def test_what_was_done_to_a_file_is_told_before_it_is_trained_on(place, command):
    put("a.h5", images=BITS, labels=LABELS + 0.0)
    line = ("run", "--suite", "smoke", "--dataset", "hdf5:a.h5")
    done = command(*line, "--dry-run", cwd=place)
    note = "labels holds whole numbers as floats and is real; store integers for classes"
    assert done.stderr == f"note: hdf5:a: {note}\n" and "vib" not in done.stdout and "vae" in done.stdout
    done = command(*line, "--model", "vib", "--dry-run", cwd=place)
    assert done.returncode == 2 and "vib on hdf5:a: it needs data with labels" in done.stderr and note in done.stderr
    made(SUITE.replace('digit = "labels"', 'y = "labels"').replace('"vae", "vib", "pixel_vae"', '"vae"'))
    assert f"note: hdf5:a: {note.replace('labels', 'y', 1)}" in command("suites", "s.toml", cwd=place).stdout


def test_verify_says_which_examples_are_in_two_parts(place, command):
    grey = GREY.copy()
    grey[57:], part = grey[:3], np.repeat(["train", "test"], [50, 10]).astype("S")
    put("a.h5", x=grey, split=part)
    done = command("data", "verify", "hdf5:a.h5", cwd=place)
    assert done.returncode == 0 and "note: 3 of the 10 examples of test are in train too, number" in done.stdout
    put("a.h5", x=GREY, split=part)
    assert "in train too" not in command("data", "verify", "hdf5:a.h5", cwd=place).stdout


def test_verify_says_what_was_found(place, command):
    put("a.h5", images=BITS, labels=LABELS + 1)
    done = command("data", "verify", "hdf5:a.h5", cwd=place)
    assert done.returncode == 0 and "hdf5:a: hash" in done.stdout and "note: the values of labels" in done.stdout
    assert "  task: labels\n  H(x): not known\n" in done.stdout
    assert "  read as x='images', factors={'labels': 'labels'}, channels='first', task=['labels']" in done.stdout
    told = command("data", "verify", "sprites", "--set", "sensitive=scale", cwd=place).stdout
    assert "  task: shape; sensitive: scale\n  H(x): 7.69879 nats, exact\n" in told and "read as" not in told


def test_every_law_of_data_sets_holds(place):
    put("a.h5", images=GREY, labels=LABELS, colour=LABELS % 2)
    found = check(_paths.builtin("datasets") / "hdf5.py", {"file": str(place / "a.h5"), "sensitive": "colour"})
    assert [f.words for f in found if not f.ok] == []


def test_x_is_never_read_whole(place, monkeypatch):
    put("a.h5", x={"data": np.zeros((40_000, 64), np.uint8), "chunks": (100, 64), "compression": "gzip"})
    registry.empty_dataset("hdf5")  # so that its modules are loaded
    monkeypatch.setattr(hdf5, "PIECE", 2**16)
    monkeypatch.setattr(hdf5, "SPAN", 2**16)
    read, plain = [], h5py.Dataset.__getitem__

    def seen(self, at):
        found = plain(self, at)
        read.append(found.nbytes)
        return found

    monkeypatch.setattr(h5py.Dataset, "__getitem__", seen)
    data = load("a.h5")
    assert data.verify() == [] and data.hash and data.splits["train"].slow
    assert len(read) > 100 and max(read) <= 2**16


def test_a_number_between_0_and_1_is_seen_in_whichever_piece_it_is(place, monkeypatch):
    registry.empty_dataset("hdf5")
    monkeypatch.setattr(hdf5, "PIECE", 10 * 20 * 4)
    for first, rest in ((0.5, 1.0), (1.0, 0.5)):
        x = BITS * np.where(np.arange(N) < 10, first, rest).astype(np.float32)[:, None, None]
        put("a.h5", x=x)
        assert load("a.h5").likelihood == "gaussian"
        (place / ".a.h5.known.json").unlink()


def test_the_hash_that_is_kept_knows_whether_bytes_are_dequantised(place):
    put("a.h5", x=BITS)
    assert load("a.h5", likelihood="gaussian").hash != load("a.h5").hash
    assert load("a.h5", likelihood="gaussian").hash == load("a.h5", likelihood="gaussian").hash
