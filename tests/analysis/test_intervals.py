"""Intervals of the board cover what they claim, where the truth is known: seeds and test points vary together."""

import json
import math

import fake_records
import numpy as np
import pytest

from rdu_bench import analysis
from rdu_bench.analysis.intervals import difference, interval, shared_ranks, spread
from rdu_bench.analysis.points import Shown
from rdu_bench.records.laws import check, missing

RATES = (2.0, 4.0, 8.0, 14.0)
NULL, LEFT = np.array([60.0, 2.2]), np.array([25.0, 0.9])  # of D and D_y: with no code, and at the highest rates
BETTER = {"vae": (0.0, 0.0, 0.0), "other": (0.6, 1.5, 0.05)}  # nats of R*, D and D_y that a model needs more
N, PARTS = 400, 20


def each(draw, model, seed_effect, hard):
    """Numbers of N test points at all rates, (rates, 3, N): of R*, D and D_y."""
    rates = np.array(RATES)[:, None]
    losses = LEFT + (NULL - LEFT) * np.exp(-rates / 5)
    level = np.concatenate([rates, losses], 1) + BETTER[model] + seed_effect
    own = draw.normal(size=(len(RATES), 3, N)) / 4
    return level[..., None] + (hard + own) * np.array([[1.0], [5.0], [0.15]])


def world(draw, *, seeds=3, of_seeds=0.3, of_points=1.0):
    """Two models: of each a gift for a seed, and one for a test point, the same for all seeds and rates."""
    common = draw.normal(size=(3, N)) * of_points  # some test points are hard for both
    for model in BETTER:
        hard = common + draw.normal(size=(3, N)) * of_points
        for seed in range(seeds):
            gift = draw.normal(size=3) * of_seeds * [0.3, 1.0, 0.03]
            for sigma, numbers in zip(RATES, each(draw, model, gift, hard), strict=True):
                nulls = NULL[:, None] + hard[1:] * [[5.0], [0.15]]
                yield (
                    model,
                    seed,
                    sigma,
                    dict(zip(("R_star", "D", "Dy", "D_null", "Hy_V"), [*numbers, *nulls], strict=True)),
                )


def folds(numbers):
    parts = {name: [float(v[i::PARTS].mean()) for i in range(PARTS)] for name, v in numbers.items()}
    return {"n": [len(range(i, N, PARTS)) for i in range(PARTS)], **parts}


def record_of(model, seed, sigma, numbers):
    """The record that holds these numbers."""
    record = fake_records.record(model, seed=seed, sigma=sigma, H_x=None)
    record["folds"], record["data"]["n_test"], record["factors"] = folds(numbers), N, {}
    for name, v in numbers.items():
        record["values"] |= {name: float(v.mean()), f"{name}_se": float(v.std(ddof=1)) / math.sqrt(N)}
    rate = record["values"]["R_star"]
    record["values"] |= {"R_own": rate, "R_own_mc": rate, "R_parts": {"z": rate}, "D_bits_per_dim": None}
    return record | {"values": record["values"] | {"I_low": None, "H_y": None}}


@pytest.fixture(scope="module")
def boards():
    """A function from worlds to boards, which types records once for all worlds of as many seeds."""
    tables = {}

    def board(found, parts=True):
        found = list(found)
        if len(found) not in tables:
            tables[len(found)] = analysis.points([record_of(*one) for one in found])
        table = tables[len(found)].copy()
        at = {
            (m, s, r): i for i, (m, s, r) in enumerate(zip(table["model"], table["seed"], table["sigma"], strict=True))
        }
        order = sorted(range(len(found)), key=lambda i: at[found[i][:3]])
        for name in ("R_star", "D", "Dy", "D_null", "Hy_V"):
            table[name] = [float(found[i][3][name].mean()) for i in order]
        table["folds"] = [json.dumps(folds(found[i][3])) if parts else "" for i in order]
        return analysis.leaderboard(Shown(table)).set_index("model").loc["other"]

    return board


@pytest.mark.parametrize("seeds", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 6))])
def test_intervals_over_seeds_and_test_points_cover_as_often_as_they_say(boards, seeds):
    """90 to 99 % of 200 repeats; those over seeds alone do not, since test points are the same for all seeds."""
    true = boards(world(np.random.default_rng(0), seeds=seeds, of_seeds=0, of_points=1e-9))
    hits, alone = [], []
    for repeat in range(200):
        found = list(world(np.random.default_rng([seeds, repeat]), seeds=seeds))
        for covered, parts in ((hits, True), (alone, False)):
            if parts or seeds == 6:
                row = boards(found, parts)
                covered.append([row[f"{c}_low"] <= true[c] <= row[f"{c}_high"] for c in ("bd_nats", "dIV")])
    assert ((np.mean(hits, 0) >= 0.90) & (np.mean(hits, 0) <= 0.99)).all()
    assert not alone or (np.mean(alone, 0) < 0.85).all()


def test_a_part_is_counted_once_and_one_alone_is_students():
    """Seeds alone, test points alone, and both; the interaction, which both see, is taken off once."""
    draw = np.random.default_rng(1)
    a, b, both = draw.normal(size=(6, 1)), draw.normal(size=(1, N)), draw.normal(size=(6, N)) * 20
    for x in (a + 0 * b, 0 * a + b, a + b + both):
        parts = np.array([[v[np.arange(N) % PARTS != g].mean() for g in range(PARTS)] for v in x])
        found = spread(list(np.concatenate([x.mean(1, keepdims=True), parts], axis=1)))
        assert found.seeds == pytest.approx(x.mean(1).var(ddof=1) / 6)
        cells = np.array([[v[g::PARTS].mean() for g in range(PARTS)] for v in x])
        rows, columns = cells.mean(1, keepdims=True), cells.mean(0, keepdims=True)
        rest = ((cells - rows - columns + cells.mean()) ** 2).sum() / (5 * (PARTS - 1))  # of the interaction
        of_points = cells.mean(0).var(ddof=1) / PARTS
        assert found.points == pytest.approx(max(of_points - rest / (6 * PARTS), 0), abs=1e-12)
    alone = spread([np.ones(PARTS + 1) * v for v in (1.0, 2.0, 4.0)])
    assert alone.half(0.95) == pytest.approx(4.302653 * alone.error, rel=1e-5) and alone.points < 1e-12
    assert math.isnan(spread([[1.0, 2.0, 3.0]]).error)


def test_records_of_other_parts_are_compared_over_seeds_alone():
    long, short = np.arange(21.0), np.arange(11.0)
    assert difference(long, long).tolist() == [0.0] * 21 and difference(long, short).tolist() == [0.0]
    found = interval([long, short + 1, short + 2])
    assert (found.mean, found.high) == (1.0, pytest.approx(1 + 4.302653 / math.sqrt(3), rel=1e-5))


def test_ranks_are_shared_where_test_points_may_have_decided():
    """Six seeds agree that b is worse by 1, but without one part of the test points it is not."""
    a = {s: np.array([0.0, *np.zeros(PARTS)]) for s in range(6)}
    b = {s: np.array([1.0 + s / 100, *np.ones(PARTS)]) for s in range(6)}
    assert shared_ranks({"a": a, "b": b}) == {"a": 1, "b": 2}
    for v in b.values():
        v[3] = 0.0
    assert shared_ranks({"a": a, "b": b}) == {"a": 1, "b": 1}


def test_every_door_says_the_same_intervals(tmp_path):
    records = [record_of(*one) for one in world(np.random.default_rng(3))]
    frame = analysis.points(records)
    frame.to_csv(tmp_path / "points.csv", index=False)
    boards = [analysis.leaderboard(source) for source in (records, frame, tmp_path / "points.csv")]
    assert boards[0]["bd_nats_low"].notna().all()
    for board in boards[1:]:
        for column in ("bd_nats", "bd_nats_low", "bd_nats_high", "dIV_low"):
            np.testing.assert_allclose(board[column], boards[0][column])


def test_folds_must_be_those_of_the_numbers_they_stand_beside():
    record = record_of(*next(world(np.random.default_rng(3))))
    assert not check(record)
    record["folds"]["D"][0] += 1.0
    assert "not the mean of its folds" in " ".join(check(record))
    record["folds"]["n"][0] += 1
    assert "how many test points" in " ".join(check(record))
    del record["folds"]["D"]
    record["spec"]["protocol"] = 3
    assert any("folds lack D" in words for words in missing(record))
