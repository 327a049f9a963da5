"""Data sets: fixed splits, honest entropies, known factors, and one clear sentence for whatever is bad."""

import gzip
import os
import struct
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from rdu_bench import registry
from rdu_bench.analytic import World
from rdu_bench.conformance.data_files import data_files
from rdu_bench.data import (
    DataError,
    Dataset,
    Entropy,
    Examples,
    Factor,
    GroundTruth,
    assign_splits,
    binarise,
    population_entropy,
)

GRID = {"size": 8, "scales": 2, "orientations": 4, "positions": 3}
MANY = {"n_train": 300, "n_val": 50, "n_test": 100}


def mnist_folder() -> Path | None:
    """Where MNIST is on this machine, if anywhere."""
    for folder in (os.environ.get("RDU_BENCH_DATA"), Path(__file__).parents[3] / "shared" / "data"):
        if folder and (Path(folder) / "mnist" / "t10k-images-idx3-ubyte.gz").is_file():
            return Path(folder)
    return None


MNIST = mnist_folder()
needs_mnist = pytest.mark.skipif(MNIST is None, reason="RDU_BENCH_DATA names no folder with mnist/")


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory, monkeypatch):
    """No data folder, and one cache for all tests."""
    cache = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("RDU_BENCH_DATA", raising=False)


def sprites(**params):
    return registry.dataset("sprites", **{**GRID, **MANY, **params})


def small_gaussian(**params):
    return registry.dataset("linear_gaussian", **{**MANY, **params})


# --- all data sets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "load", [lambda: registry.dataset("digits"), sprites, small_gaussian, lambda: registry.dataset("coloured")]
)
def test_a_data_set_is_sound_and_the_same_every_time(load):
    data, again = load(), load()
    assert data.verify() == []
    assert data.hash == again.hash
    assert all(torch.equal(data.splits[part].take(), again.splits[part].take()) for part in data.splits)


@pytest.mark.parametrize("name", sorted(registry.files("datasets")))
def test_every_card_is_complete(name):
    card = registry.card("datasets", name)
    assert card["title"] and card["source"] and card["shape"] and card["task"] and card["doc"]


@pytest.mark.parametrize("name", ["digits", "sprites", "linear_gaussian", "coloured"])
def test_a_card_promises_what_the_data_provide(name):
    assert set(registry.card("datasets", name).get("provides", ())) == registry.dataset(name).provides


@pytest.mark.parametrize("name", ["digits", "sprites", "linear_gaussian"])
def test_an_unknown_parameter_is_named(name):
    with pytest.raises(TypeError, match=f"{name}.*sise"):
        registry.dataset(name, sise=3)


def test_data_that_is_bundled_has_nothing_to_make(tmp_path):
    with pytest.raises(DataError, match="Digits has nothing to make; it needs no files"):
        registry.dataset("digits").make(tmp_path)


class Broken(Dataset):
    """Two pixels, sound until a test breaks it."""

    def load(self):
        self.shape, self.factors, self.task = (2,), (Factor("y", 2), Factor("r", 1, kind="real")), ("y",)
        for part in ("train", "val", "test"):
            self.splits[part] = Examples(
                torch.ones(4, 2), {"y": torch.zeros(4, dtype=torch.int64), "r": torch.ones(4, 1)}
            )
        self.population = Examples(torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]), {})
        self.entropy = population_entropy(self.population)


def change(part="val", x=None, **factors):
    def break_it(data):
        old = data.splits[part]
        data.splits[part] = Examples(old.take() if x is None else x, {**old.factors, **factors})

    return break_it


BREAKS = {
    "val: x has the shape (3,), not (2,)": change(x=torch.ones(4, 3)),
    "val: x holds NaN": change(x=torch.full((4, 2), torch.nan)),
    "val: x must hold 0 and 1 only": change(x=torch.full((4, 2), 0.5)),
    "val: it has the factors": change(other=torch.zeros(4)),
    "val: y must be a whole number from 0 to 1": change(y=torch.full((4,), 2)),
    "val: y must be a whole number": change(y=torch.zeros(4)),
    "val: r must be 1 numbers": change(r=torch.ones(4, 2)),
    "val: it is empty": lambda data: data.splits.update(val=data.splits["val"].subset([])),
    "there is no test split": lambda data: data.splits.pop("test"),
    "colour is no factor": lambda data: setattr(data, "sensitive", "colour"),
    "H(x) is given as 1.386": lambda data: setattr(data, "entropy", Entropy(float(np.log(4)), "exact")),
}


@pytest.mark.parametrize("message", BREAKS)
def test_verify_finds_every_fault(message):
    data = Broken()
    data.load()
    assert data.verify() == []
    BREAKS[message](data)
    assert any(found.startswith(message) for found in data.verify()), data.verify()


def test_the_hash_covers_every_number():
    data = Broken()
    data.load()
    seen = {data.hash}
    for part in ("train", "val", "test"):
        change(part, y=torch.tensor([0, 0, 0, 1]))(data)
        seen.add(data.hash)
    assert len(seen) == 4


# --- binarisation and entropy --------------------------------------------------------------------------------------


def test_binarisation_keeps_black_and_white_and_the_mean():
    levels = np.repeat(np.arange(17, dtype=np.uint8)[None], 20000, 0)
    share = binarise(levels, 16, "test").mean(0)
    assert share[0] == 0 and share[16] == 1
    p = np.arange(17) / 16
    assert (np.abs(share - p) <= 4.5 * np.sqrt(p * (1 - p) / 20000)).all()


def test_binarisation_of_the_first_does_not_depend_on_the_rest():
    levels = np.random.default_rng(0).integers(0, 256, (50, 7, 3), dtype=np.uint8)
    assert np.array_equal(binarise(levels, 255, "test")[:20], binarise(levels[:20], 255, "test"))


def test_entropy_is_of_distinct_images():
    population = Examples(np.array([[0, 1], [0, 1], [1, 1], [1, 0]]), {})
    assert population_entropy(population) == (pytest.approx(0.5 * np.log(2) + 0.5 * np.log(4)), "exact")
    assert population_entropy(Examples(np.eye(6), {})).nats == pytest.approx(np.log(6))
    assert population_entropy(Examples(np.ones((6, 2)), {})).nats == pytest.approx(0)


# --- digits --------------------------------------------------------------------------------------------------------


def test_digits_are_what_they_were():
    data = registry.dataset("digits")
    assert {part: len(split) for part, split in data.splits.items()} == {"test": 359, "val": 180, "train": 1258}
    assert data.hash == "5bfb1aae850a1c75"
    assert data.provides == {"labels", "image", "binary"}


def test_splits_are_disjoint_and_fixed():
    parts = assign_splits(1797, "digits")
    assert sorted(np.concatenate(list(parts.values()))) == list(range(1797))
    assert parts["test"][:5].tolist() == [1512, 1062, 1703, 1747, 1201]


def test_an_observation_has_the_class_it_was_drawn_for():
    data = registry.dataset("digits")
    assert isinstance(data, GroundTruth)
    assert (data.num_factors, data.factors_num_values, data.factor_names) == (1, [10], ["digit"])
    factors, x = data.sample(200, np.random.RandomState(0))
    assert (
        factors.shape == (200, 1) and x.shape == (200, *data.observation_shape) and set(factors[:, 0]) == set(range(10))
    )
    test = data.splits["test"]
    for wanted, image in zip(factors[:, 0], torch.from_numpy(x), strict=True):
        same = (test.take() == image).flatten(1).all(1)
        assert wanted in test.factors["digit"][same]


def test_all_examples_of_a_class_are_drawn():
    data = registry.dataset("digits")
    x = data.sample_observations_from_factors(np.full((2000, 1), 3), np.random.default_rng(0))
    test = data.splits["test"]
    threes = test.take(test.factors["digit"] == 3)
    assert {i.tobytes() for i in x} == {i.tobytes() for i in threes.numpy()}


@pytest.mark.parametrize("factors", [[[10]], [[-1]], [[0, 0]], [0], [[0.5]]])
def test_factors_that_cannot_be_are_refused(factors):
    with pytest.raises(DataError, match="digits: "):
        registry.dataset("digits").sample_observations_from_factors(np.array(factors), np.random.RandomState(0))


# --- sprites -------------------------------------------------------------------------------------------------------


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


# --- linear-Gaussian -----------------------------------------------------------------------------------------------


def test_the_samples_have_the_declared_covariance():
    data = small_gaussian(n_train=40000)
    x, y = data.splits["train"].take().double(), data.splits["train"].factors["y"].double()
    components = x @ data.basis
    lam, n = torch.tensor(data.world.spectrum), len(x)
    assert torch.allclose(data.basis.T @ data.basis, torch.eye(8).double(), atol=1e-12)
    assert (components.mean(0).abs() < 4.5 * (lam / n).sqrt()).all()
    covariance = components.T @ components / n
    spread = ((lam[:, None] * lam).sqrt() * (1 + torch.eye(8)).sqrt()) / n**0.5
    assert ((covariance - torch.diag(lam)).abs() < 4.5 * spread).all()
    noise = y - components @ torch.tensor(data.world.readout).double().T
    assert noise.var(0).numpy() == pytest.approx(data.world.readout_noise, rel=0.05)


def test_the_entropies_are_those_of_the_gaussians():
    data = small_gaussian()
    world = World().check()
    assert data.entropy == (
        pytest.approx(0.5 * sum(np.log(2 * np.pi * np.e * v) for v in world.spectrum)),
        "differential",
    )
    c = np.array(world.readout)
    covariance = c @ np.diag(world.spectrum) @ c.T + np.diag(world.readout_noise)
    assert data.factor("y").entropy == pytest.approx(0.5 * np.log(np.linalg.det(2 * np.pi * np.e * covariance)))
    assert data.noise == 0.05 and data.label is None and data.provides == frozenset()


def test_the_default_world_is_what_it_was():
    # in numbers, not by hash: the last bit of a cosine is the machine's
    test = registry.dataset("linear_gaussian").splits["test"]
    assert test.take()[0, :3].numpy() == pytest.approx([0.8811057, 2.0316892, 2.5675757], abs=1e-5)
    assert test.factors["y"][0].numpy() == pytest.approx([1.2670552, 0.9004651], abs=1e-5)


def test_a_world_can_be_chosen():
    data = small_gaussian(spectrum=[3, 1], readout=[[1, 1]], readout_noise=[0.5], learned_noise=True)
    assert data.shape == (2,) and data.noise is None and data.factor("y").size == 1 and data.verify() == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"spectrum": [1.0, 2.0]}, "linear_gaussian: spectrum is .* from the largest to the smallest"),
        ({"spectrum": [2.0, 1.0]}, "linear_gaussian: readout has shape .*; give rows of 2"),
        ({"noise": 0}, "linear_gaussian: noise"),
        ({"n_val": 0}, "linear_gaussian: n_val is 0"),
    ],
)
def test_bad_parameters_of_a_world_are_named(params, message):
    with pytest.raises(DataError, match=message):
        small_gaussian(**params)


# --- MNIST ---------------------------------------------------------------------------------------------------------


def idx(array, kind=8):
    """The bytes of an IDX file."""
    head = struct.pack(">HBB", 0, kind, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


IMAGES = np.random.default_rng(0).integers(0, 256, (40, 28, 28))
LABELS = np.arange(40) % 10


def put(folder, part="t10k", images=IMAGES, labels=LABELS, pack=bytes, end=""):
    """Write a pair of files as MNIST has them; `images` and `labels` may also be bytes."""
    place = folder / "mnist"
    place.mkdir(exist_ok=True)
    for name, content in {"images-idx3": images, "labels-idx1": labels}.items():
        content = content if isinstance(content, bytes) else idx(content)
        (place / f"{part}-{name}-ubyte{end}").write_bytes(pack(content))


def mnist(folder, **params):
    return registry.dataset("mnist", data_dir=str(folder), **params)


@pytest.mark.parametrize(("pack", "end"), [(bytes, ""), (gzip.compress, ".gz")])
def test_idx_files_are_read_plain_and_gzipped(tmp_path, pack, end):
    put(tmp_path, pack=pack, end=end)
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


MNIST_FAULTS = {
    "is truncated: 31375 bytes where its header says 31376": {"images": idx(IMAGES)[:-1]},
    "is too long: 31377 bytes": {"images": idx(IMAGES) + b"0"},
    "is truncated: 3 bytes do not even hold the header of 16": {"images": b"\0\0\x08"},
    "starts with 89504e47, not with 00000803": {"images": b"\x89PNG" + bytes(100)},
    "of IDX type 0x0d; expected unsigned bytes": {"images": idx(IMAGES, kind=13)},
    "has 1 dimensions; expected 3: are images and labels mixed up": {"images": idx(np.arange(100))},
    "has 3 dimensions; expected 1": {"labels": idx(IMAGES)},
    "images of 28×27 pixels": {"images": IMAGES[:, :, :27]},
    "40 images, but .* has 39 labels": {"labels": LABELS[:39]},
    "holds the label 10": {"labels": LABELS + 1},
    "3 images are too few": {"images": IMAGES[:3], "labels": LABELS[:3]},
    "0 images are too few": {"images": IMAGES[:0], "labels": LABELS[:0]},
    "named .gz but is not gzipped": {"end": ".gz"},
    "does not unpack": {"end": ".gz", "pack": lambda b: gzip.compress(b)[:200]},
    "does not unpack .*CRC": {"end": ".gz", "pack": lambda b: gzip.compress(b)[:-8] + b"12345678"},
    "does not unpack .*": {"end": ".gz", "pack": lambda b: b"\x1f\x8b" + b[:50]},
}


@pytest.mark.parametrize("message", MNIST_FAULTS)
def test_a_bad_idx_file_gets_one_sentence(message, tmp_path):
    put(tmp_path, **MNIST_FAULTS[message])
    with pytest.raises(DataError, match=message) as caught:
        mnist(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_named_with_its_place(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"mnist needs .* with --data-dir or RDU_BENCH_DATA"):
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
    ("params", "message"), [({"images": "train"}, "images is 'train'"), ({"limit": 0}, "limit is 0")]
)
def test_bad_parameters_of_mnist_are_named(params, message, tmp_path):
    put(tmp_path)
    with pytest.raises(DataError, match=message):
        mnist(tmp_path, **params)


def test_another_set_of_the_same_format_is_noticed(tmp_path):
    put(tmp_path)
    assert any("not MNIST's" in wrong for wrong in mnist(tmp_path).verify())


@needs_mnist
def test_the_ten_thousand_are_what_they_were():
    data = mnist(MNIST)
    assert data.verify() == [] and data.hash == "61b84a749bd0ec59"
    assert set(registry.card("datasets", "mnist")["provides"]) == data.provides
    assert {part: len(split) for part, split in data.splits.items()} == {"train": 7000, "val": 1000, "test": 2000}


# --- coloured ------------------------------------------------------------------------------------------------------


def test_colour_is_the_channel_and_the_rest_is_the_base():
    data, base = registry.dataset("coloured", colours=3), registry.dataset("digits")
    for part, split in data.splits.items():
        assert torch.equal(split.take().sum(1, keepdim=True), base.splits[part].take())
        assert torch.equal(split.take().sum((2, 3)).argmax(1), split.factors["colour"])
        assert torch.equal(split.factors["digit"], base.splits[part].factors["digit"])
    assert data.sensitive == "colour" and data.spec().groups == 3 and data.task == ("digit",)


@pytest.mark.parametrize("correlation", [0, 0.6, 1])
def test_colour_goes_with_the_label_to_the_declared_degree(correlation):
    data = registry.dataset("coloured", correlation=correlation)
    factors = data.splits["train"].factors
    agree = (factors["colour"] == factors["digit"] % 2).float().mean().item()
    assert agree == pytest.approx((1 + correlation) / 2, abs=0.04)


def test_coloured_sprites_know_their_entropies():
    many = {"n_train": 3000, "n_val": 100, "n_test": 100}
    data = registry.dataset("coloured", base="sprites", correlation=0.5, **GRID, **many)
    base = sprites()
    chance = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert data.entropy.nats == pytest.approx(base.entropy.nats + chance) and data.verify() == []
    share = np.array([0.75 + 0.25 + 0.75, 0.25 + 0.75 + 0.25]) / 3  # of three shapes, two go with the first colour
    assert data.factor("colour").entropy == pytest.approx(float(-(share * np.log(share)).sum()))
    assert not data.factor("colour").independent and not data.factor("shape").independent
    assert data.factor("x").independent


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"base": "linear_gaussian"}, "base is 'linear_gaussian'; it must be one of digits, mnist, sprites"),
        ({"colours": 4}, "colours is 4; it must be 2 or 3"),
        ({"correlation": 1.5}, "correlation is 1.5; it must be from 0 to 1"),
        ({"base": "sprites", "sensitive": "scale", **GRID, **MANY}, "scale is sensitive already"),
    ],
)
def test_bad_parameters_of_coloured_are_named(params, message):
    with pytest.raises(DataError, match=message):
        registry.dataset("coloured", **params)


# --- what is there --------------------------------------------------------------------------------------------------


def test_missing_files_are_named_as_loading_would(tmp_path):
    assert registry.missing_files("digits") == registry.missing_files("sprites") == ""
    for name, params in {"mnist": {}, "coloured": {"base": "mnist"}}.items():
        assert "mnist needs MNIST's IDX files" in registry.missing_files(name, **params)
        assert "put MNIST's IDX files there" in registry.missing_files(name, data_dir=str(tmp_path), **params)
    put(tmp_path)
    assert registry.missing_files("mnist", data_dir=str(tmp_path), limit=3) == ""
    assert registry.missing_files("coloured", base="mnist", colours=3, data_dir=str(tmp_path)) == ""
    assert "no train-images" in registry.missing_files("mnist", data_dir=str(tmp_path), images="all")
    assert "no train-images" in registry.missing_files("coloured", base="mnist", data_dir=str(tmp_path), images="all")


def test_all_data_sets_are_listed_with_what_they_lack(tmp_path, monkeypatch):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "broken.py").write_text("import no_such_package", encoding="utf-8")
    monkeypatch.setenv("RDU_BENCH_PLUGINS", str(tmp_path))
    found = {about.name: about for about in data_files()}
    assert set(found) == set(registry.files("datasets"))
    assert found["digits"] == ("digits", "", "") and found["sprites"].missing == ""
    assert found["mnist"].needs and found["mnist"].missing.startswith("mnist needs")
    assert "broken.py" in found["broken"].missing and "\n" not in found["broken"].missing


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("self.splits['val'] = self.splits['val'].subset([])", "faulty: val: it is empty"),
        ("del self.splits['test']", "faulty: there is no test split"),
        ("self.task = ('z',)", "faulty: z is no factor"),
        ("self.factors = (Factor('y', 1),)", "faulty: train: y must be a whole number from 0 to 0"),
    ],
)
def test_what_is_unsound_is_not_loaded(fault, message, tmp_path, monkeypatch):
    text = f"""
from rdu_bench.api import Card, Dataset, Examples, Factor
class Faulty(Dataset):
    card = Card(title="Faulty", source="here", shape="2", task="y")
    def load(self):
        self.shape, self.factors, self.task = (2,), (Factor("y", 2),), ("y",)
        self.splits = {{part: Examples([[0, 1], [1, 1]], {{"y": [0, 1]}}) for part in ("train", "val", "test")}}
        {fault}
"""
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "faulty.py").write_text(text, encoding="utf-8")
    monkeypatch.setenv("RDU_BENCH_PLUGINS", str(tmp_path))
    monkeypatch.delitem(sys.modules, "rdu_bench.datasets.faulty", raising=False)
    monkeypatch.setattr(sys.modules["rdu_bench.datasets"], "__path__", [str(tmp_path / "datasets")])
    with pytest.raises(DataError, match=message) as caught:
        registry.dataset("faulty")
    assert str(caught.value).endswith(".")
