"""Sequences that are drawn by rule: their entropies, their factors, and the files that they lie in."""

import inspect
import json

import h5py
import numpy as np
import pytest
import torch

from rdu_bench import registry
from rdu_bench.api import DataError, Examples, Factor, made_sequences, population_entropy
from rdu_bench.data.sequences import Sequences, read, write

SMALL = {
    "bouncing_ball": {"frames": 6, "places": 5, "directions": 6},
    "moving_sprites": {"frames": 4, "positions": 4, "scales": 1},
}
COUNTS = {"n_train": 60, "n_val": 20, "n_test": 20}
DIGITS = {"frames": 5, **COUNTS}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("RDU_BENCH_DATA", raising=False)
        yield


@pytest.fixture(params=SMALL)
def small(request):
    return registry.dataset(request.param, **SMALL[request.param], **COUNTS)


def test_they_are_sound_and_their_entropies_are_counted(small):
    assert small.verify() == []
    assert small.provides == {"labels", "factors", "sequence", "binary"}
    every = small.population.take()
    frames = small.shape[0]
    assert small.entropy.nats == pytest.approx(population_entropy(small.population).nats)
    for n in (1, frames // 2, frames):
        last = Examples(every[:, -n:].numpy().astype(np.uint8), {})
        assert small.entropy_of_last(n) == pytest.approx(population_entropy(last).nats)
    assert small.entropy_of_last(frames + 1) is None


def test_sequences_without_a_known_population_have_no_entropies():
    digits = registry.dataset("moving_digits", **DIGITS)
    assert digits.verify() == [] and digits.shape == (5, 1, 16, 16)
    assert digits.provides == {"labels", "sequence", "binary"}
    assert digits.entropy == (None, "none") and digits.population is None
    assert [digits.entropy_of_last(n) for n in (1, 5, 6)] == [None] * 3
    assert {part: len(split) for part, split in digits.splits.items()} == {"train": 60, "val": 20, "test": 20}


def test_the_published_entropies_of_the_whole_sets():
    """Of 1,728 balls all differ; at a wall two velocities of a sprite look alike."""
    ball = registry.dataset("bouncing_ball")
    assert ball.entropy.nats == pytest.approx(np.log(1728)) and ball.entropy_of_last(5) == pytest.approx(np.log(1728))
    sprites = registry.dataset("moving_sprites")
    assert len(sprites.population) == 15_552 and sprites.entropy.nats == pytest.approx(9.4172, abs=5e-5)
    assert sprites.entropy_of_last(4) == pytest.approx(9.4172, abs=5e-5)


def test_a_second_load_is_the_same_without_drawing(small, monkeypatch):
    monkeypatch.setattr(type(small), "draw", lambda *_, **__: pytest.fail("drawn twice"))
    assert registry.dataset(small.name, **SMALL[small.name], **COUNTS).hash == small.hash


def test_a_second_load_of_digits_is_the_same_without_drawing(monkeypatch):
    digits = registry.dataset("moving_digits", **DIGITS)
    monkeypatch.setattr(type(digits), "draw", lambda *_, **__: pytest.fail("drawn twice"))
    assert registry.dataset("moving_digits", **DIGITS).hash == digits.hash


def test_a_file_made_in_a_folder_is_read_from_there(tmp_path, monkeypatch):
    kind = registry.load("datasets", "moving_digits")
    for name in ("data", "cache"):
        (tmp_path / name).mkdir()
    made = kind().make(tmp_path / "data", **DIGITS)
    monkeypatch.setenv("RDU_BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(kind, "draw", lambda *_, **__: pytest.fail("drawn again"))
    assert made.parent.name == "moving_digits" and registry.dataset("moving_digits", **DIGITS).shape[0] == 5
    assert not list((tmp_path / "cache").iterdir())
    declared = inspect.signature(kind.load).parameters.values()
    assert kind.defaults == {p.name: p.default for p in declared if p.default is not p.empty}


def test_a_ball_is_where_its_factors_say():
    ball = registry.dataset("bouncing_ball", **SMALL["bouncing_ball"], **COUNTS)
    split = ball.splits["train"]
    x, at, speed = split.take(), split.factors["position"], split.factors["velocity"]
    grid = torch.arange(16) + 0.5
    ink = x[:, :, 0]
    seen = torch.stack([(ink.sum(2) * grid).sum(-1), (ink.sum(3) * grid).sum(-1)], -1) / ink.sum((2, 3))[..., None]
    assert (seen - at).abs().max() < 0.35
    inside = ((at[:, 1:] > 2.4 + 1.4) & (at[:, 1:] < 13.6 - 1.4)).all(-1)  # no wall within a step
    torch.testing.assert_close((at[:, 1:] - at[:, :-1])[inside], speed[:, :-1][inside], atol=1e-4, rtol=0)
    torch.testing.assert_close(speed.norm(dim=-1), torch.full((60, 6), 1.3))
    assert (at >= 2.4).all() and (at <= 13.6).all()


def test_a_sprite_is_where_its_factors_say_and_keeps_what_is_its_own():
    sprites = registry.dataset("moving_sprites", **SMALL["moving_sprites"], **COUNTS)
    still = registry.dataset("sprites", scales=1, orientations=1, positions=4, n_train=1, n_val=1, n_test=1)
    split, pool = sprites.splits["train"], still.population
    x = split.take()
    f = {name: y.numpy() for name, y in split.factors.items()}
    for i in range(20):
        for t in range(4):
            wanted = np.flatnonzero(
                (pool.factors["shape"] == f["shape"][i]).numpy()
                & (pool.factors["x"] == f["x"][i, t]).numpy()
                & (pool.factors["y"] == f["y"][i, t]).numpy()
            )
            assert torch.equal(x[i, t, f["colour"][i]], pool.take(wanted)[0, 0])
            assert x[i, t].sum() == x[i, t, f["colour"][i]].sum()
    start = [f["x"][:, 0] == f["x0"], f["y"][:, 0] == f["y0"]]
    assert np.all(start)
    step = f["x"][:, 1] - f["x"][:, 0]
    apart = (f["x0"] > 0) & (f["x0"] < 3)
    assert (step[apart] == f["vx"][apart] - 1).all()


def test_digits_are_where_their_factors_say_and_each_is_in_one_split():
    """A sequence is the larger of two pictures at the two places, of digits of its split and of no others."""
    moving, still = registry.dataset("moving_digits", **DIGITS), registry.dataset("digits")
    pictures = np.concatenate([split.stored()[:, 0] for split in still.splits.values()])
    labels = torch.cat([split.factors["digit"] for split in still.splits.values()]).numpy()
    home = np.repeat(list(still.splits), [len(split) for split in still.splits.values()])
    for part, split in moving.splits.items():
        x, f = split.stored()[:, :, 0], {name: y.numpy() for name, y in split.factors.items()}
        for i in range(20):
            at = {k: f[f"{k}_position"][i].astype(int) for k in ("low", "high")}
            seen = {k: np.array([x[i, t, r : r + 8, c : c + 8] for t, (c, r) in enumerate(at[k])]) for k in at}
            fits = {k: np.flatnonzero((labels == f[k][i]) & (pictures <= seen[k].min(0)).all((1, 2))) for k in at}
            told = {(a, b) for a in fits["low"] for b in fits["high"] if (film(pictures[[a, b]], at) == x[i]).all()}
            assert told and all(home[list(pair)].tolist() == [part, part] for pair in told)


def film(two, at):
    """(T, 16, 16) the larger of two digits that are at `at["low"]` and `at["high"]`, (T, 2) columns and rows."""
    x = np.zeros((len(at["low"]), 16, 16), np.uint8)
    for picture, path in zip(two, (at["low"], at["high"]), strict=True):
        for t, (column, row) in enumerate(path):
            part = x[t, row : row + 8, column : column + 8]
            np.maximum(part, picture, out=part)
    return x


def flown(at, speed, frames=5, last=8):
    """Places of what starts at `at` and is thrown back by the walls 0 and `last`, a step at a time."""
    seen = [at]
    while len(seen) < frames:
        at += speed
        if not 0 <= at <= last:
            at, speed = (-at if at < 0 else 2 * last - at), -speed
        seen.append(at)
    return seen


def test_digits_move_straight_and_turn_back_at_the_walls():
    split, found = registry.dataset("moving_digits", **DIGITS).splits["train"], []
    for name in ("low_position", "high_position"):
        for path in split.factors[name].transpose(1, 2).flatten(0, 1).int().tolist():
            found.append([speed for speed in (-2, -1, 1, 2) if flown(path[0], speed) == path])
    assert all(found) and {speed for speeds in found for speed in speeds} == {-2, -1, 1, 2}
    assert sum(len(speeds) == 1 for speeds in found) > 0.7 * len(found)  # at a wall two look alike


def test_low_is_the_smaller_label_or_the_one_further_left():
    split = registry.dataset("moving_digits", **{**DIGITS, "n_train": 500}).splits["train"]
    low, high = split.factors["low"], split.factors["high"]
    tie = low == high
    assert (low <= high).all() and 20 < int(tie.sum()) < 90
    first = [split.factors[f"{name}_position"][:, 0, 0] for name in ("low", "high")]
    assert (first[0] <= first[1])[tie].all() and (first[0] > first[1])[~tie].any()


def test_a_sequence_drawn_for_factors_has_them(small):
    factors = small.sample_factors(8, np.random.default_rng(0))
    x = small.sample_observations_from_factors(factors, np.random.default_rng(1))
    assert x.shape == (8, *small.shape)
    names = small.factor_names
    assert all(not small.factor(name).frames for name in names)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"frames": 0}, "frames is 0"),
        ({"places": True}, "places is True"),
        ({"places": 400, "directions": 400}, "pixels"),
        ({"n_test": 0}, "n_test is 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(params, words):
    with pytest.raises(DataError, match=words):
        registry.dataset("bouncing_ball", **params)


@pytest.mark.parametrize(
    ("params", "words"),
    [({"size": 9}, "size is 9; digits of 8 need 10"), ({"n_val": 0}, "n_val is 0"), ({"n_train": 10**9}, "pixels")],
)
def test_digits_that_cannot_move_are_refused(params, words):
    with pytest.raises(DataError, match=words):
        registry.dataset("moving_digits", **params)


def drawn():
    x = np.zeros((3, 2, 1, 4, 4), np.uint8)
    x[1, 0, 0, 1, 1] = x[2, 1, 0, 2, 2] = 1
    return Sequences(x, {"y": np.array([0, 1, 2])}, {"t": np.array([[0, 1], [1, 0], [0, 0]])})


def damage(path, how):
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:900])
        return
    with h5py.File(path, "r+") as file:
        if how == "no pictures":
            del file["imgs"]
        elif how == "other pixels":
            file["imgs"][0, 0, 0, 0, 0] = 1
        elif how == "other parameters":
            file.attrs["params"] = json.dumps({"a": 2})
        elif how == "short factor":
            del file["static/y"]
            file["static/y"] = np.arange(2)
        elif how == "no entropies":
            file.attrs["of_last"] = [np.nan, 1.0]
        elif how == "entropies":
            file.attrs["of_last"] = [1.0, 1.0]
        elif how == "a group for pictures":
            del file["imgs"]
            file.create_group("imgs")


@pytest.mark.parametrize(
    "how",
    [
        *("truncated", "no pictures", "other pixels", "other parameters", "short factor", "no entropies"),
        "a group for pictures",
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path, how):
    path = write(tmp_path / "some.h5", "some", {"a": 1}, drawn())
    assert read(path, "some", {"a": 1}).sequences.dynamic["t"].shape == (3, 2)
    damage(path, how)
    with pytest.raises(DataError, match="again") as refused:
        read(path, "some", {"a": 1})
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("how", ["truncated", "no pictures", "other pixels", "short factor", "entropies"])
def test_a_damaged_file_without_entropies_is_refused_in_one_sentence(tmp_path, how):
    path = write(tmp_path / "some.h5", "some", {"a": 1}, drawn(), counted=False)
    assert read(path, "some", {"a": 1}, counted=False).of_last == ()
    with pytest.raises(DataError, match="has no entropies of its 2 frames"):
        read(path, "some", {"a": 1})
    damage(path, how)
    with pytest.raises(DataError, match="again") as refused:
        read(path, "some", {"a": 1}, counted=False)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_is_made_once_and_read_after(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    times = []
    for _ in range(2):
        found = made_sequences("some", {"a": 1}, lambda: times.append(1) or drawn())
    assert times == [1] and np.array_equal(found.sequences.x, drawn().x)
    assert found.of_last == pytest.approx([population_entropy(Examples(drawn().x[:, -n:], {})).nats for n in (1, 2)])


def test_factors_of_frames_are_checked():
    ball = registry.dataset("bouncing_ball", **SMALL["bouncing_ball"], **COUNTS)
    position = ball.factor("position")
    assert position.shape == (6, 2) and Factor("k", 3, frames=6).shape == (6,) and Factor("k", 3).shape == ()
    ball.factors = (*ball.factors[:3], position._replace(frames=5), ball.factors[4])
    assert any("position must be 2 numbers for each of 5 frames" in fault for fault in ball.unsound())
    assert any("position has 5 frames, and x has the shape (6, 1, 16, 16)" in fault for fault in ball.unsound())
    ball.factors, ball.task = (*ball.factors[:3], position, ball.factors[4]), ("position",)
    assert ball.unsound() == ["position has a value for every frame: task and sensitive are factors of the example"]
