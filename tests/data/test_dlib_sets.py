"""The data sets of disentanglement_lib: factors pick the image that a straight reading of the file does."""

import multiprocessing
import os
import re

import numpy as np
import pytest
import torch
from PIL import Image
from small_dlib import (
    ALL,
    SHAPES3D_FILES,
    SMALLNORB,
    count,
    draw,
    dsprites_arrays,
    norb_arrays,
    npz,
    put,
    scream,
    shapes3d_arrays,
    small,
)

from rdu_bench import _paths, registry
from rdu_bench.conformance import check
from rdu_bench.conformance.datasets import LAWS
from rdu_bench.data import DataError, NpzArray, converted
from rdu_bench.data.content import origin
from rdu_bench.data.entropy import entropy_of, image_hash, images_of

SETS = list(ALL)
STATED = {  # as the papers and disentanglement_lib have them
    "dsprites": [3, 6, 40, 32, 32],
    "shapes3d": [10, 10, 10, 8, 4, 15],
    "cars3d": [4, 24, 183],
    "smallnorb": [5, 10, 9, 18, 6],
    "mpi3d": [6, 6, 2, 3, 3, 40, 40],
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("RDU_BENCH_DATA", raising=False)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def load(folder, name, monkeypatch, **params):
    small(monkeypatch, name)
    put(folder, name)
    return registry.dataset(name, data_dir=str(folder), **params)


def straight(name, factors):
    """The image of a vector of factors, read without any of our code; levels, channels last."""
    if name == "dsprites":
        return dsprites_arrays()["imgs"][np.ravel_multi_index(factors, tuple(ALL[name].values()))][..., None]
    if name == "shapes3d":
        return shapes3d_arrays()["images"].reshape(*ALL[name].values(), 64, 64, 3)[tuple(factors)]
    if name == "mpi3d":
        return draw(count(ALL[name]), 64, 64, 3).reshape(*ALL[name].values(), 64, 64, 3)[tuple(factors)]
    if name == "cars3d":
        elevation, azimuth, car = factors
        im = np.random.default_rng(car).integers(0, 256, (128, 128, 3, 3, 2)).astype(np.uint8)
        picture = Image.fromarray(np.ascontiguousarray(im[:, :, :, azimuth, elevation]))
        return np.array(picture.resize((64, 64), Image.Resampling.LANCZOS))
    category, elevation, azimuth, lighting = factors
    found = []
    for part in norb_arrays().values():
        of = (part["cat"] == category) & (part["info"][:, 1:] == [elevation, 2 * azimuth, lighting]).all(1)
        found += [part["dat"][i, 0] for i in np.flatnonzero(of)]
    assert len(found) == SMALLNORB["_instance"]
    return [np.array(Image.fromarray(x.view(np.int8)).resize((64, 64), Image.Resampling.LANCZOS)) for x in found]


@pytest.mark.parametrize("name", SETS)
def test_the_sizes_are_those_of_the_original(name):
    kind = registry.load("datasets", name)
    module = __import__("sys").modules[kind.__module__]
    assert list(module.SIZES.values()) == STATED[name]


@pytest.mark.parametrize("name", SETS)
def test_factors_pick_the_image_that_the_format_says(name, folder, monkeypatch):
    data = load(folder, name, monkeypatch)
    draw_ = np.random.RandomState(0)
    factors = data.sample_factors(40, draw_)
    assert data.factors_num_values == [n for k, n in ALL[name].items() if not k.startswith("_")]
    images = data.sample_observations_from_factors(factors, draw_).transpose(0, 2, 3, 1)
    levels = images if name == "dsprites" else np.floor(images)
    seen = set()
    for vector, x in zip(factors, levels, strict=True):
        if name == "smallnorb":  # any of the toys of that category
            which = [i for i, y in enumerate(straight(name, vector)) if np.array_equal(x[..., 0], y)]
            assert len(which) == 1
            seen.update(which)
        else:
            assert np.array_equal(x, straight(name, vector))
    assert name != "smallnorb" or seen == set(range(SMALLNORB["_instance"]))


@pytest.mark.parametrize("name", SETS)
def test_all_laws_of_a_data_set_hold(name, folder, monkeypatch):
    data = load(folder, name, monkeypatch)
    n = count(ALL[name])
    assert data.verify() == [] and set(data.card.provides) == data.provides
    assert data.entropy == (pytest.approx(np.log(len(data.splits["test"]))), data.card.entropy)
    rows = np.concatenate([split.rows for split in data.splits.values()])
    assert sorted(rows) == list(range(n)) and len(data.splits["val"]) == len(data.splits["test"]) == round(n / 10)
    for split in data.splits.values():  # each example has its own factors
        for factor, y in split.factors.items():
            assert torch.equal(y, data.pool.factors[factor][torch.from_numpy(split.rows)])


@pytest.mark.parametrize("name", SETS)
def test_one_factor_can_be_varied(name, folder, monkeypatch):
    data = load(folder, name, monkeypatch)
    for batch in data.one_factor(32, 5, seed=0):
        assert batch.x.shape == (32, *data.shape)


def test_a_limit_keeps_the_first_of_each_split(folder, monkeypatch):
    full = load(folder, "dsprites", monkeypatch)
    few = registry.dataset("dsprites", data_dir=str(folder), limit=20)
    assert [len(few.splits[part]) for part in ("train", "val", "test")] == [20, 14, 14]
    assert torch.equal(few.splits["train"].take(), full.splits["train"].take()[:20])


def left_for(data):
    """Images (n, …) of the pool that are neither of train nor of validation, for all that these can tell."""
    seen = {int(row) for part in ("train", "val") for row in data.splits[part].rows}
    return data.pool.stored(np.array([row for row in range(len(data.pool)) if row not in seen]))


def best_code(images):
    """Mean nats an image under the best of all distributions, that of the images themselves."""
    counts = {}
    for image in images:
        counts[image.tobytes()] = counts.get(image.tobytes(), 0) + 1
    return -np.mean([np.log(counts[image.tobytes()] / len(images)) for image in images])


@pytest.mark.parametrize("limit", [None, 20])
@pytest.mark.parametrize("twice", [False, True])
def test_the_entropy_is_what_a_test_image_takes_at_least_for_who_knows_all_others(folder, monkeypatch, twice, limit):
    """No distribution makes test images cheaper than H(x), one that knows train and validation gets there, and it is
    cheaper than the entropy of the whole grid."""
    small(monkeypatch, "dsprites")
    arrays = dsprites_arrays()
    if twice:
        arrays["imgs"][1::2] = arrays["imgs"][::2]
    npz(folder / "dsprites/dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz", **arrays)
    data = registry.dataset("dsprites", data_dir=str(folder), limit=limit)
    left = left_for(data)
    assert len(left) == len(data.pool) - len(data.splits["train"]) - len(data.splits["val"])
    assert data.entropy.kind == "exact" and data.entropy.nats == pytest.approx(best_code(left))
    assert data.entropy.nats < best_code(data.pool.stored()) - (0.1 if limit else 1.2)
    if limit is None:  # all that is left is test: a bound without an expectation
        assert np.array_equal(np.unique(left, axis=0), np.unique(data.splits["test"].stored(), axis=0))
    if not twice:
        assert data.entropy.nats == pytest.approx(np.log(len(left)))


def test_which_images_are_the_same_is_the_number_of_the_first():
    rows = [np.array([i, i + 1]) for i in (5, 3, 5, 4, 3, 5)]
    found = images_of(b"".join(map(image_hash, rows)))
    assert found.tolist() == [0, 1, 0, 3, 1, 0]
    assert entropy_of(found) == pytest.approx(-(3 * np.log(3 / 6) + 2 * np.log(2 / 6) + np.log(1 / 6)) / 6)


def test_the_file_of_disentanglement_lib_is_read_as_the_one_of_its_makers(folder, monkeypatch, tmp_path):
    first = load(folder, "shapes3d", monkeypatch)
    arrays, sizes = shapes3d_arrays(), tuple(ALL["shapes3d"].values())
    shaped = {"images": arrays["images"].reshape(*sizes, 64, 64, 3), "labels": arrays["labels"].reshape(*sizes, 6)}
    npz(tmp_path / "other" / SHAPES3D_FILES[1], **shaped)
    assert registry.dataset("shapes3d", data_dir=str(tmp_path / "other")).hash == first.hash


def test_a_file_of_fewer_colours_has_fewer(folder, monkeypatch):
    small(monkeypatch, "mpi3d")
    npz(folder / "mpi3d_real/mpi3d_real.npz", images=draw(4 * 4 * 24, 64, 64, 3))
    data = registry.dataset("mpi3d", version="real", data_dir=str(folder))
    assert data.factors_num_values == [4, 4, 2, 1, 2, 2, 3]
    with pytest.raises(DataError, match="version is 'reel'"):
        registry.dataset("mpi3d", version="reel", data_dir=str(folder))


# --- sprites that are drawn in another way ---------------------------------------------------------------------------


def drawn(folder, name, monkeypatch):
    plain = load(folder, "dsprites", monkeypatch)
    return plain, registry.dataset(name, data_dir=str(folder))


def levels(data, rows):
    return np.floor(data.pool.take(rows).numpy())


def test_a_sprite_has_one_colour_on_black(folder, monkeypatch):
    plain, data = drawn(folder, "color_dsprites", monkeypatch)
    x, sprite = levels(data, range(144)), plain.pool.take(range(144)).numpy()
    on = sprite[:, 0] == 1
    colours = x.max((2, 3))
    assert (x.transpose(0, 2, 3, 1)[~on] == 0).all() and (x == colours[:, :, None, None] * sprite).all()
    share = colours / 255
    assert 0.5 <= share.min() < 0.53 and 0.97 < share.max() <= 1
    assert share.mean() == pytest.approx(0.75, abs=0.03) and abs(np.corrcoef(share.T)[0, 1]) < 0.35


def test_the_background_is_noise_and_the_sprite_white(folder, monkeypatch):
    plain, data = drawn(folder, "noisy_dsprites", monkeypatch)
    x, on = levels(data, range(30)).transpose(0, 2, 3, 1), plain.pool.take(range(30)).numpy()[:, 0] == 1
    assert (x[on] == 255).all()
    noise = x[~on]
    assert noise.mean() == pytest.approx(127.5, abs=1) and noise.var() == pytest.approx(255**2 / 12, rel=0.02)
    assert abs(np.corrcoef(noise.T) - np.eye(3)).max() < 0.02
    assert abs(np.corrcoef(x[0].ravel(), x[1].ravel())[0, 1]) < 0.6  # of two images


def test_the_sprite_inverts_a_patch_of_the_picture(folder, monkeypatch):
    scream(folder)
    plain, data = drawn(folder, "scream_dsprites", monkeypatch)
    with Image.open(folder / "scream/scream.jpg") as picture:
        picture.thumbnail((350, 274))
        picture = np.asarray(picture) / 255
    assert picture.shape[1] == 350
    places = set()
    for row in range(6):
        x = levels(data, [row])[0].transpose(1, 2, 0) / 255
        on = plain.pool.take([row]).numpy()[0, 0] == 1
        ground = np.where(on[:, :, None], 1 - x, x)  # (patch + c) / 2
        step = 2 * (ground[63, 63] - ground[0, 0])
        near = np.argwhere(abs(picture[63:, 63:] - picture[:-63, :-63] - step).max(2) < 0.02)
        patches = [(top, left, picture[top : top + 64, left : left + 64]) for top, left in near]
        where = [(top, left) for top, left, p in patches if np.ptp(2 * ground - p, axis=(0, 1)).max() < 0.02]
        assert len(where) == 1
        ((top, left),) = where
        c = 2 * ground - picture[top : top + 64, left : left + 64]
        assert np.ptp(c, axis=(0, 1)).max() < 0.02 and c.min() > -0.01 and c.max() < 1.01
        places.add((top, left))
    assert len(places) == 6


@pytest.mark.parametrize("name", ["color_dsprites", "noisy_dsprites", "scream_dsprites"])
def test_what_is_drawn_is_the_same_at_every_door(name, folder, monkeypatch):
    scream(folder)
    plain, data = drawn(folder, name, monkeypatch)
    assert data.verify() == [] and set(data.card.provides) == data.provides and data.entropy.nats is None
    assert data.factors == plain.factors and np.array_equal(data.splits["val"].rows, plain.splits["val"].rows)
    every = data.pool.take()
    assert torch.equal(data.splits["test"].take(), every[data.splits["test"].rows])
    factors = data.sample_factors(20, np.random.default_rng(0))
    rows = np.ravel_multi_index(tuple(factors.T), tuple(data.factors_num_values))
    assert np.array_equal(data.sample_observations_from_factors(factors, np.random.default_rng(1)), every[rows])
    assert registry.dataset(name, data_dir=str(folder)).hash == data.hash != plain.hash


def test_each_variant_draws_for_itself(folder, monkeypatch):
    scream(folder)
    small(monkeypatch, "dsprites")
    put(folder, "dsprites")
    names = ("dsprites", "color_dsprites", "noisy_dsprites", "scream_dsprites")
    assert len({registry.dataset(name, data_dir=str(folder)).hash for name in names}) == 4
    scream_hash = registry.dataset("scream_dsprites", data_dir=str(folder)).hash
    Image.fromarray(draw(300, 400, 3)[::-1].copy()).save(folder / "scream/scream.jpg")
    assert registry.dataset("scream_dsprites", data_dir=str(folder)).hash != scream_hash


# --- the file that is made of them -----------------------------------------------------------------------------------


def made(folder):
    return sorted(folder.rglob("*.h5"))


def test_files_are_converted_once(folder, monkeypatch):
    calls = []
    plain = converted.__globals__["_write"]
    monkeypatch.setitem(converted.__globals__, "_write", lambda *a: calls.append(1) or plain(*a))
    first = load(folder, "dsprites", monkeypatch)
    again = registry.dataset("dsprites", data_dir=str(folder))
    assert first.hash == again.hash and len(calls) == 1
    [path] = made(folder)
    assert path.parent == folder / "dsprites" and sorted(
        p.name[:9] for p in path.parent.iterdir() if p.name[0] != "."
    ) == ["dsprites-", "dsprites_"]
    os.utime(folder / "dsprites/dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz", ns=(0, 5))  # may be another file
    registry.dataset("dsprites", data_dir=str(folder))
    assert len(calls) == 2
    path.write_bytes(path.read_bytes()[:-100])
    assert registry.dataset("dsprites", data_dir=str(folder)).hash == first.hash


def test_a_folder_that_may_not_be_written_sends_the_file_to_the_cache(folder, monkeypatch, tmp_path):
    small(monkeypatch, "dsprites")
    put(folder, "dsprites")
    opened = os.open

    def refuse(path, *how):
        if str(folder) in str(path):
            raise PermissionError(13, "Permission denied")
        return opened(path, *how)

    monkeypatch.setattr("rdu_bench._files.os.open", refuse)
    data = registry.dataset("dsprites", data_dir=str(folder))
    assert data.verify() == [] and not made(folder) and len(made(tmp_path / "cache")) == 1


def _hash(folder):
    with pytest.MonkeyPatch.context() as patch:
        small(patch, "dsprites")
        return registry.dataset("dsprites", data_dir=str(folder)).hash


def test_two_processes_may_convert_at_once(folder, monkeypatch):
    small(monkeypatch, "dsprites")
    put(folder, "dsprites")
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert len(set(pool.map(_hash, [folder] * 6))) == 1
    assert len(made(folder)) == 1


def test_a_full_disk_leaves_nothing_and_says_so(folder, monkeypatch):
    small(monkeypatch, "dsprites")
    put(folder, "dsprites")
    before = sorted(folder.rglob("*"))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rdu_bench._files.os.replace", full)
    with pytest.raises(DataError, match="free some space"):
        registry.dataset("dsprites", data_dir=str(folder))
    assert sorted(folder.rglob("*")) == before


def test_the_hash_is_kept_for_what_is_made_of_a_file(folder, monkeypatch):
    from rdu_bench.data import content

    data = load(folder, "shapes3d", monkeypatch)
    assert origin(data.splits["test"].source)[1] == ("dequantised shapes3d",)
    first = data.hash
    monkeypatch.setattr(content, "_computed", None)
    assert registry.dataset("shapes3d", data_dir=str(folder)).hash == first


def test_noise_is_uniform_and_of_the_row(folder, monkeypatch):
    data = load(folder, "shapes3d", monkeypatch)
    x = data.pool.take().double().numpy()
    u = x - np.floor(x)
    assert u.min() >= 0 and u.max() < 1 and u.mean() == pytest.approx(0.5, abs=1e-3)
    assert u.var() == pytest.approx(1 / 12, rel=1e-2)
    flat = u.reshape(len(u), -1)
    assert (
        abs(np.corrcoef(flat[:20]) - np.eye(20)).max() < 0.05
        and abs(np.corrcoef(flat[0, 1:], flat[0, :-1])[0, 1]) < 0.05
    )


def test_means_of_pixels_are_kept_beside_the_file(folder, monkeypatch):
    from rdu_bench.data import pixels

    data = load(folder, "shapes3d", monkeypatch)
    first = data.pixels
    x = data.splits["train"].take().double()
    (
        torch.testing.assert_close(first.mean, x.mean(0)),
        torch.testing.assert_close(first.variance, x.var(0, correction=0)),
    )
    calls, plain = [], pixels.pixels
    monkeypatch.setattr(pixels, "pixels", lambda examples: calls.append(1) or plain(examples))
    again = registry.dataset("shapes3d", data_dir=str(folder)).pixels
    assert not calls and torch.equal(again.mean, first.mean) and torch.equal(again.variance, first.variance)
    assert again[3:] == first[3:] and again.n == first.n
    few = registry.dataset("shapes3d", data_dir=str(folder), limit=50)
    assert few.pixels.n == 50 and calls == [1]


@pytest.mark.parametrize("most", [1, 64 * 64 * 7, 2**24])
def test_an_array_of_an_npz_file_is_read_a_piece_at_a_time(folder, most):
    path, images = folder / "x.npz", draw(50, 64, 64)
    npz(path, x=images)
    array = NpzArray(path, "x")
    pieces = list(array.pieces(most))
    assert np.array_equal(np.concatenate(pieces), images) and np.array_equal(array.whole(), images)
    assert max(len(piece) for piece in pieces) == max(1, min(50, most // 4096))


def test_small_arrays_may_be_stored_column_by_column(folder):
    npz(folder / "x.npz", x=np.asfortranarray(np.arange(12).reshape(3, 4)))
    assert np.array_equal(NpzArray(folder / "x.npz", "x").whole(), np.arange(12).reshape(3, 4))


@pytest.mark.parametrize("name", SETS)
def test_every_set_keeps_every_law(name, folder, tmp_path, monkeypatch):
    """On a small grid, which the copy of a file has for the whole one."""
    put(folder, name)
    monkeypatch.setenv("RDU_BENCH_DATA", str(folder))
    text = (_paths.builtin("datasets") / f"{name}.py").read_text("utf-8")
    text, replaced = re.subn(r"(?ms)^SIZES = {.*?}$", f"SIZES = {ALL[name]!r}", text)
    text = re.sub(r"(?m)^PARTS = .*$", 'PARTS = ("train", "test")', text)
    copy = tmp_path / "mine" / "datasets" / f"small_{name}.py"
    copy.parent.mkdir(parents=True)
    copy.write_text(text, "utf-8")
    found = check(copy)
    assert replaced and [f.words for f in found if not f.ok] == []
    assert [f.law for f in found] == list(LAWS)
