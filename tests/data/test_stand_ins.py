"""Stand-ins: files in the exact formats of dSprites and 3D Shapes, which are never taken for these."""

import shutil

import h5py
import numpy as np
import pytest
from small_dlib import DSPRITES_FILE, SHAPES3D_FILES, grid, put, small

from rdu_bench import registry
from rdu_bench.data import DataError
from rdu_bench.engine.suite import read

SMALLEST = {"dsprites_like": 8, "shapes3d_like": 5}
ORIGINALS = {"dsprites_like": ("dsprites", DSPRITES_FILE), "shapes3d_like": ("shapes3d", SHAPES3D_FILES[0])}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stand-ins")
    return folder, {name: registry.empty_dataset(name).make(folder, stride=s) for name, s in SMALLEST.items()}


def load(made, name, **params):
    return registry.dataset(name, data_dir=str(made[0]), stride=SMALLEST[name], **params)


def test_the_file_is_of_the_format_of_dsprites(made):
    with np.load(made[1]["dsprites_like"], encoding="latin1", allow_pickle=True) as file:
        assert set(file) == {"metadata", "imgs", "latents_classes", "latents_values"}
        images, classes, values, about = (file[k] for k in ("imgs", "latents_classes", "latents_values", "metadata"))
    sizes = (1, 3, 1, 5, 4, 4)
    assert images.dtype == np.uint8 and images.shape == (240, 64, 64) and set(np.unique(images)) == {0, 1}
    assert classes.dtype == np.int64 and np.array_equal(classes, grid(sizes))
    assert values.dtype == np.float64 and values.shape == (240, 6)
    about = about[()]
    assert tuple(about["latents_sizes"]) == sizes
    assert about["latents_names"] == ("color", "shape", "scale", "orientation", "posX", "posY")
    for k, name in enumerate(about["latents_names"]):
        assert np.array_equal(values[:, k], about["latents_possible_values"][name][classes[:, k]])


def test_the_file_is_of_the_format_of_shapes3d(made):
    with h5py.File(made[1]["shapes3d_like"]) as file:
        images, labels = file["images"], file["labels"][()]
        assert set(file) == {"images", "labels"} and images.dtype == np.uint8
        assert images.shape == (192, 64, 64, 3) and labels.shape == (192, 6) and labels.dtype == np.float64
        classes = np.stack([np.unique(column, return_inverse=True)[1] for column in labels.T], 1)
    assert np.array_equal(classes, grid((2, 2, 2, 2, 4, 3)))


@pytest.mark.parametrize("name", SMALLEST)
def test_the_whole_set_has_the_sizes_of_the_original(name):
    module = __import__("sys").modules[registry.load("datasets", name).__module__]
    original = __import__("sys").modules[registry.load("datasets", ORIGINALS[name][0]).__module__]
    assert module.sizes(1) == original.SIZES
    assert module.file_name(1) in ORIGINALS[name][1]


@pytest.mark.parametrize("name", SMALLEST)
def test_all_laws_of_a_data_set_hold(name, made):
    data = load(made, name)
    assert data.verify() == [] and set(data.card.provides) == data.provides and data.card.entropy == data.entropy.kind
    assert data.missing(stride=SMALLEST[name], data_dir=str(made[0])) == ""


def test_a_place_moves_the_sprite_and_nothing_else(made):
    data = load(made, "dsprites_like")
    every = data.pool.take().numpy().reshape(3, 1, 5, 4, 4, 64, 64)
    rows, columns = np.indices((64, 64))
    mass = every.sum((5, 6))
    assert (mass == mass[..., :1, :1]).all() and (mass > 0).all()
    y, x = ((every * at).sum((5, 6)) / mass for at in (rows, columns))
    assert np.allclose(np.diff(x, axis=3), 8) and np.allclose(np.diff(x, axis=4), 0)
    assert np.allclose(np.diff(y, axis=4), 8) and np.allclose(np.diff(y, axis=3), 0)


def test_shapes_and_turns_are_other_pictures(made):
    data = load(made, "dsprites_like")
    every = data.pool.take().numpy().reshape(3, 5, 16, -1)
    assert not any((every[i] == every[j]).all() for i in range(3) for j in range(i))
    assert data.entropy.nats == pytest.approx(np.log(24))


def test_hues_colour_their_part(made):
    data = load(made, "shapes3d_like")
    every = np.floor(data.pool.take().numpy()).reshape(2, 2, 2, 2, 4, 3, 3, 64, 64)
    for axis, (row, column) in enumerate([(63, 5), (2, 5), (40, 32)]):  # floor, wall, the solid in the middle
        at = every[..., row, column]
        for other in range(3):
            differs = (np.diff(at, axis=other) != 0).any()
            assert differs == (other == axis), (axis, other)


@pytest.mark.parametrize("name", SMALLEST)
def test_a_stand_in_is_not_taken_for_the_original(name, made, tmp_path, monkeypatch):
    """Not under the path of the original, either."""
    original, file = ORIGINALS[name]
    small(monkeypatch, original)
    module = __import__("sys").modules[registry.load("datasets", name).__module__]
    monkeypatch.setattr(
        __import__("sys").modules[registry.load("datasets", original).__module__], "SIZES", module.sizes(SMALLEST[name])
    )
    (tmp_path / file).parent.mkdir(parents=True)
    shutil.copy(made[1][name], tmp_path / file)
    with pytest.raises(DataError, match="is a stand-in that was drawn by rule, not the original"):
        registry.dataset(original, data_dir=str(tmp_path))
    assert "is a stand-in" in registry.missing_files(original, data_dir=str(tmp_path))


@pytest.mark.parametrize("name", SMALLEST)
def test_an_original_is_not_taken_for_a_stand_in(name, tmp_path, monkeypatch):
    original, file = ORIGINALS[name]
    module = __import__("sys").modules[registry.load("datasets", name).__module__]
    put(tmp_path, original)
    place = tmp_path / name / module.file_name(1)
    place.parent.mkdir()
    shutil.copy(tmp_path / file, place)
    with pytest.raises(DataError, match="is not what `rdu-bench data make` writes"):
        registry.dataset(name, data_dir=str(tmp_path))


def test_a_stand_in_without_its_mark_is_known_by_its_pixels(made, tmp_path, monkeypatch):
    data = load(made, "dsprites_like")
    module = __import__("sys").modules[registry.load("datasets", "dsprites").__module__]
    likeness = __import__("sys").modules[registry.load("datasets", "dsprites_like").__module__]
    monkeypatch.setattr(module, "SIZES", likeness.sizes(8))
    monkeypatch.setattr(module, "STAND_INS", frozenset([data.sha256]))
    with np.load(made[1]["dsprites_like"], allow_pickle=True) as file:
        arrays = {key: file[key] for key in file if key != "metadata"}
    (tmp_path / "dsprites").mkdir()
    np.savez_compressed(tmp_path / DSPRITES_FILE, **arrays)
    with pytest.raises(DataError, match="is a stand-in, not dsprites"):
        registry.dataset("dsprites", data_dir=str(tmp_path))
    assert not list(tmp_path.rglob("*.h5"))


@pytest.mark.parametrize("name", SMALLEST)
def test_what_is_not_made_says_how_to_make_it(name, tmp_path):
    for stride in (1, SMALLEST[name]):
        with pytest.raises(DataError, match=f"rdu-bench data make {name}"):
            registry.dataset(name, data_dir=str(tmp_path), stride=stride)
    for stride in (3, 0, -1, True, 2.0, "2"):
        with pytest.raises(DataError, match="stride is"):
            registry.dataset(name, data_dir=str(tmp_path), stride=stride)


@pytest.mark.parametrize("name", SMALLEST)
def test_a_suite_on_the_stand_in_is_that_on_the_original(name):
    original = ORIGINALS[name][0]
    ours, theirs = (read(which).model_dump(exclude={"name", "title"}) for which in (name, original))
    assert ours["datasets"][0].pop("name") == name and theirs["datasets"][0].pop("name") == original
    assert ours == theirs
