"""Sprites: drawn where their factors say, known entropies, and one sentence for a bad file."""

import os
import sys

import h5py
import numpy as np
import pytest
import torch
from small_data import GRID, MANY, sprites

from rdu_bench import registry
from rdu_bench.data import DataError


def test_sprites_are_what_they_were():
    data = registry.dataset("sprites")
    assert len(data.population) == 4608 and data.population.shape == (1, 16, 16)
    assert data.entropy == (pytest.approx(7.698787441710212), "exact")
    assert data.entropy.nats < np.log(4608)
    assert data.hash == "87a51487453886ae"


def test_sprites_entropy_counts_turned_squares_once():
    data = sprites(orientations=4)
    squares = data.population.take(data.pool.factors["shape"] == 0).reshape(2, 4, -1)
    assert (squares == squares[:, :1]).all()
    counts = np.unique(data.population.take().flatten(1).numpy(), axis=0, return_counts=True)[1]
    p = counts / counts.sum()
    assert data.entropy.nats == pytest.approx(-(p * np.log(p)).sum())
    assert data.entropy.nats < np.log(len(data.population)) - 0.4


def test_population_is_the_whole_grid_and_factors_are_independent():
    data = sprites()
    columns = np.stack([data.pool.factors[f.name].numpy() for f in data.factors], 1)
    assert len(np.unique(columns, axis=0)) == len(columns) == np.prod([f.size for f in data.factors]) == 216
    assert all(f.independent and f.entropy == pytest.approx(np.log(f.size)) for f in data.factors)


def test_sprites_splits_are_independent_draws_of_the_population():
    data = sprites(n_train=20000)
    known = {image.tobytes() for image in data.population.stored()}
    for split in data.splits.values():
        assert {image.tobytes() for image in split.stored()} <= known
    counts = torch.bincount(data.splits["train"].factors["shape"]).numpy()
    assert (np.abs(counts - 20000 / 3) < 4.5 * np.sqrt(20000 * 2 / 9)).all()
    # the same draw whatever the other splits are
    assert torch.equal(sprites(n_val=7).splits["test"].take(), sprites().splits["test"].take())


def test_a_sprite_is_drawn_where_its_factors_say():
    data = registry.dataset("sprites", **MANY)
    factors = np.array([[1, 2, 0, x, y] for x in (0, 7) for y in (0, 7)])
    images = data.sample_observations_from_factors(factors, np.random.RandomState(0))[:, 0]
    rows, columns = np.mgrid[:16, :16]
    for (_, _, _, x, y), image in zip(factors, images, strict=True):
        assert (image * columns).sum() / image.sum() == pytest.approx(3.5 + 8 * x / 7, abs=0.3)
        assert (image * rows).sum() / image.sum() == pytest.approx(3.5 + 8 * y / 7, abs=0.3)
    sizes = [
        image.sum()
        for image in data.sample_observations_from_factors(
            np.array([[0, scale, 0, 3, 3] for scale in range(3)]), np.random.RandomState(0)
        )
    ]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2]


def test_no_sample_point_lies_on_an_outline(monkeypatch):
    # otherwise rounding would decide the picture, and its hash would differ between machines
    registry.load("datasets", "sprites")
    module = sys.modules["rdu_bench.datasets.sprites"]
    nearest, outline = [], module.outline

    def watched(*given):
        value = outline(*given)
        nearest.append(np.abs(value).min())
        return value

    monkeypatch.setattr(module, "outline", watched)
    module.draw({"size": 16, "scales": 3, "orientations": 8, "positions": 8})
    assert len(nearest) == 72 and min(nearest) > 1e-10


def test_sensitive_and_task_are_chosen():
    data = sprites(task=["shape", "x"], sensitive="scale")
    assert data.label.name == "shape" and data.spec().groups == 2 and data.verify() == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"size": 7}, "size is 7; a shape needs at least 8"),
        ({"size": 16.0}, "size is 16.0; it must be a whole number"),
        ({"scales": 0}, "scales is 0; it must be a whole number of at least 1"),
        ({"n_test": True}, "n_test is True"),
        ({"size": 64, "orientations": 40, "positions": 32}, "has 1,006,632,960 pixels; at most"),
        ({"task": ["color"]}, "no factor 'color'"),
        ({"task": "shape"}, r"must be a list of factors, such as \['shape'\]"),
        ({"task": []}, "must be a list"),
        ({"sensitive": "color"}, "no factor 'color'"),
        ({"sensitive": "shape"}, "shape is both in task and sensitive"),
    ],
)
def test_bad_parameters_of_sprites_are_named(params, message):
    with pytest.raises(DataError, match=message):
        sprites(**params)


def test_make_writes_the_layout_of_dsprites_where_load_finds_it(tmp_path, monkeypatch):
    path = sprites().make(tmp_path, **GRID)
    with h5py.File(path) as file:
        assert file["imgs"].shape == (216, 8, 8) and file["imgs"].dtype == np.uint8
        assert file["latents/classes"].shape == (216, 5) and file["latents/classes"].dtype == np.int64
        assert file["latents/values"].shape == (216, 5) and file["latents/values"].dtype == np.float64
        assert file["latents/values"][:].min(0).tolist() == [1.0, 0.6, 0.0, 0.0, 0.0]
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    before = sprites().hash
    monkeypatch.setenv("RDU_BENCH_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "unused"))
    assert sprites().hash == before and not (tmp_path / "unused").exists()


def test_make_refuses_what_is_no_part_of_a_grid(tmp_path):
    with pytest.raises(DataError, match="no parameter n_train"):
        sprites().make(tmp_path, n_train=3)


def test_an_unwritable_cache_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot write .*set XDG_CACHE_HOME"):
        sprites()


def test_a_file_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    data = sprites()

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        data.make(tmp_path, **GRID)
    assert list((tmp_path / "sprites").iterdir()) == []


def replace(file, key, value):
    del file[key]
    file[key] = value


SPRITE_FAULTS = {
    "no data set imgs": lambda f: f.__delitem__("imgs"),
    "no data set latents/values": lambda f: f["latents"].__delitem__("values"),
    r"imgs is uint8 of shape \(216, 8, 7\)": lambda f: replace(f, "imgs", f["imgs"][:, :, :7]),
    "imgs is float64 of shape": lambda f: replace(f, "imgs", f["imgs"][:].astype(float)),
    "latents/classes is int32": lambda f: replace(f, "latents/classes", f["latents/classes"][:].astype(np.int32)),
    "latents/values holds NaN": lambda f: f["latents/values"].__setitem__((3, 1), np.nan),
    "latents/classes is not the grid": lambda f: f["latents/classes"].__setitem__((3, 4), 7),
    "the SHA-256 of imgs is": lambda f: f["imgs"].__setitem__((0, 0, 0), 1),
    "was drawn with other parameters": lambda f: f.attrs.__setitem__("scales", 5),
}


@pytest.mark.parametrize("message", SPRITE_FAULTS)
def test_a_bad_sprites_file_gets_one_sentence(message, tmp_path, monkeypatch):
    path = sprites().make(tmp_path, **GRID)
    with h5py.File(path, "a") as file:
        SPRITE_FAULTS[message](file)
    monkeypatch.setenv("RDU_BENCH_DATA", str(tmp_path))
    with pytest.raises(DataError, match=message) as caught:
        sprites()
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) and "drawn again" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 100, 3000])
def test_a_truncated_sprites_file_gets_one_sentence(keep, tmp_path, monkeypatch):
    path = sprites().make(tmp_path, **GRID)
    path.write_bytes(path.read_bytes()[:keep])
    monkeypatch.setenv("RDU_BENCH_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"truncated\? Delete it"):
        sprites()
