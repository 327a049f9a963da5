"""Numbers of tables by hand: means, errors, intervals and ranks of a few points whose values are written out."""

import json
from math import sqrt

import fake_records
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rdu_bench import analysis
from rdu_bench.analysis.claims import _between
from rdu_bench.analysis.folds import folded
from rdu_bench.analysis.frontiers import AXES, mean_points, null_of, seed_hulls
from rdu_bench.analysis.hull import ENOUGH, area, gap, hull
from rdu_bench.analysis.intervals import Spread, over_points, paired, shared_ranks
from rdu_bench.analysis.leaderboard import across
from rdu_bench.analysis.scores import averages, by_target
from rdu_bench.records.flatten import table

T2, T19 = (float(stats.t.ppf(0.975, n)) for n in (2, 19))


def test_an_area_is_a_mean_over_rates_of_what_is_below_the_corner():
    h = hull([0, 2, 4], [10, 4, 2])
    assert area(h, 4, 10) == pytest.approx((6 + 14) / 4)  # ½·2·6, and 2·(6 + 8)/2
    assert area(h, 8, 10) == pytest.approx((20 + 4 * 8) / 8)  # flat beyond the last point
    assert area(h, 4, 7) == pytest.approx((0.5 * 1 * 3 + 2 * (3 + 5) / 2) / 4)  # from R = 1, where D is 7
    assert area(h, 4, 1) == 0


@pytest.mark.parametrize(("last", "known"), [(7.01, False), (6.99, True)])
def test_a_number_needs_three_tenths_of_the_losses_of_the_reference(last, known):
    reference = hull([0, 5], [10, 0])
    found = gap(hull([0, 1], [10, last]), reference)
    assert found.overlap == pytest.approx((10 - last) / 10) and np.isfinite(found.nats) == known
    assert ENOUGH == 0.3
    assert gap(hull([0, 1], [9, last]), reference).overlap == pytest.approx((9 - last) / 10)  # of losses it has


@pytest.mark.parametrize(("reach", "known"), [(1.49, False), (1.51, True)])
def test_a_difference_of_losses_needs_three_tenths_of_the_rates_of_the_reference(reach, known):
    assert np.isfinite(gap(hull([0, reach], [10, 4]), hull([0, 5], [10, 0])).loss) == known


def test_a_mean_without_a_part_weighs_parts_by_their_sizes():
    folds = {"n": [3, 1, 2], "D": [1.0, 5.0, 4.0]}
    found = folded(pd.DataFrame({"D": [16 / 6], "folds": [json.dumps(folds)]}), ("D",))[0][:, 0]
    assert found.tolist() == pytest.approx([16 / 6, 13 / 3, 11 / 5, 8 / 4])


def test_t_is_the_mean_of_both_parts_weighed_by_their_variances():
    found = Spread(seeds=0.09, freedom=2, points=0.16, parts=20)
    assert found.error == pytest.approx(0.5)
    assert found.half(0.95) == pytest.approx(0.5 * (0.09 * T2 + 0.16 * T19) / 0.25, rel=1e-9)


def test_over_test_points_the_error_is_the_jackknife():
    parts = np.arange(20.0) / 20
    whole = parts.mean()
    found = over_points([whole, *((20 * whole - parts) / 19)])
    half = T19 * parts.std(ddof=1) / sqrt(20)  # of a mean the jackknife is exact
    assert (found.low, found.high) == pytest.approx((whole - half, whole + half))
    assert paired({3: [whole, *((20 * whole - parts) / 19)]}, {3: np.zeros(21), 4: np.zeros(21)}) == found


def test_ranks_count_all_who_are_before_and_only_those_with_several_seeds():
    by = {"a": (1, 1.01), "b": (1.005, 1.006), "c": (3, 3.01), "d": (0,), "e": (5, np.nan)}
    assert shared_ranks({k: dict(enumerate(v)) for k, v in by.items()}) == {"a": 1, "b": 1, "c": 3}


def points(R, D, null=(100.0, 100.0), **more):
    """Points of one row of the board, a list a target, of one number a seed; NaN where a point failed."""
    found = []
    for i, (rates, losses) in enumerate(zip(R, D, strict=True)):
        for seed, (rate, loss) in enumerate(zip(rates, losses, strict=True)):
            about = {"dataset": "x", "model": "m", "variant": "", "params": "{}", "sigma": float(i), "seed": seed}
            about |= {"R_star": rate, "D": loss, "R_star_se": 0.1, "D_se": 0.7, "D_null": null[seed], "folds": ""}
            about |= {"status": "ok" if np.isfinite(rate) else "error", "measured": bool(np.isfinite(rate))}
            found.append(about | more)
    return pd.DataFrame(found)


def test_a_mean_over_seeds_has_the_error_of_a_mean_and_one_seed_that_of_test_points():
    found = mean_points(points([[1.0, 2.0]], [[30.0, 34.0]]), AXES["D"], 100.0).iloc[0]
    assert (found["R_star"], found["loss"], found["seeds"], found["failed"]) == (1.5, 32.0, 2, 0)
    assert (found["R_star_se"], found["loss_se"]) == pytest.approx((0.5, 2.0))
    alone = mean_points(points([[1.0]], [[30.0]]), AXES["D"], 100.0).iloc[0]
    assert (alone["R_star_se"], alone["loss_se"]) == (0.1, 0.7)


def test_a_point_that_failed_enters_the_mean_as_the_null_point():
    found = mean_points(points([[2.0, np.nan]], [[30.0, np.nan]]), AXES["D"], 100.0).iloc[0]
    assert (found["R_star"], found["loss"], found["failed"], found["status"]) == (1.0, 65.0, 1, "error")


def test_the_null_of_a_row_is_a_median_and_that_of_a_seed_its_own():
    rows = points([[1.0, 1.0]] * 3, [[30.0, 30.0]] * 3)
    rows["D_null"] = [90.0, 100.0, 91.0, 100.0, 110.0, 100.0]
    assert null_of(rows[rows["seed"] == 0], AXES["D"]) == 91.0
    hulls = seed_hulls(rows, AXES["D"], 95.0)
    assert [float(hulls[s].D[0, 0]) for s in (0, 1)] == [91.0, 100.0]
    assert float(seed_hulls(rows.assign(D_null=np.nan), AXES["D"], 95.0)[0].D[0, 0]) == 95.0


def curves(**useful):
    """Three seeds of models, each as useful as said; all but usefulness is that of the reference."""
    return [
        fake_records.record(model, seed=s, sigma=t, scale=1.0, useful=u)
        for model, u in useful.items()
        for s in range(3)
        for t in (2.0, 6.0, 12.0)
    ]


def test_who_tells_more_of_the_task_is_first_in_the_rank_of_y():
    found = analysis.leaderboard(curves(vae=0.5, wae=0.8, ae=0.2)).set_index("model")
    assert found["rank_y"].to_dict() == {"wae": 1, "vae": 2, "ae": 3}
    assert found.loc["wae", "dIV"] > 0 > found.loc["ae", "dIV"] and set(found["by_y"]) == {"dIV"}
    apart = analysis.leaderboard(curves(wae=0.8, ae=0.2)).set_index("model")  # without a reference, by area
    assert apart["rank_y"].to_dict() == {"wae": 1, "ae": 2} and set(apart["by_y"]) == {"area_y"}


def test_the_columns_of_the_board_are_what_they_are_called():
    """D falls from 100 by 10 nats for each nat of rate; the other model pays 1.1 times as much, and I_V is halved."""
    records = []
    for model, dear, part in (("vae", 1.0, 0.2), ("wae", 1.1, 0.1)):
        for t in (2.0, 4.0):
            made = fake_records.record(model, sigma=t, H_x=None)
            made["values"] |= {"R_star": t * dear, "R_own": t * dear, "R_own_mc": t * dear, "R_parts": {"z": t * dear}}
            made["values"] |= {"I_low": None, "D": 100 - 10 * t, "D_null": 100.0, "D_bits_per_dim": None}
            made["values"] |= {"Hy_V": 2.0, "H_y": None, "Dy": 2 - part * t * dear}
            records.append(made | {"factors": {}})
    found = analysis.leaderboard(records).set_index("model").loc["wae"]
    assert found["bd_nats"] == pytest.approx(0.1 * 2) and found["bd_rate"] == pytest.approx(10)
    assert found["area"] == pytest.approx(10 / 1.1 * 2) and found["area_y"] == pytest.approx(0.1 * 2)
    assert found["bd_D"] == pytest.approx((10 - 10 / 1.1) * 2) and found["dIV"] == pytest.approx(-0.1 * 2)
    assert found["overlap"] == found["overlap_y"] * 0 + 1 and found["missing"] == 0


def test_ranks_across_data_sets_are_their_means_and_friedmans_test_is_over_models():
    ranks = {"a": (1, 1, 2, 1), "b": (2, 3, 1, 2), "c": (3, 2, 3, 3)}
    board = pd.DataFrame(
        [
            {"section": "s", "name": name, "dataset": f"d{i}", "rank": r}
            for name, of in ranks.items()
            for i, r in enumerate(of)
        ]
    )
    found = across(board)
    assert found["name"].tolist() == ["a", "b", "c"] and found["mean_rank"].tolist() == [1.25, 2.0, 2.75]
    assert found["p"].tolist() == pytest.approx([stats.friedmanchisquare(*ranks.values()).pvalue] * 3)


def test_a_claim_along_lines_is_a_mean_over_rates_and_not_over_points():
    mine, its = np.array([[1.0, 2.0, 6.0], [5.0, 9.0, 1.0]]), np.array([[0.0, 5.0], [1.0, 1.0]])
    effect, low, high = _between(mine, its)
    assert (low, high) == (1, 5)  # 5 at 1, 9 at 2, 3 at 5; less 1
    assert effect == pytest.approx((6 + 15) / 4)
    assert _between(np.array([[3.6, 9.0], [0, 0]]), its) is None  # 1.4 of the reference's 5


def test_usefulness_of_a_factor_has_the_error_of_seeds_and_of_test_points():
    records = [fake_records.record("vae", seed=s, sigma=6.0) for s in range(3)]
    for record, Dy in zip(records, (0.8, 0.9, 1.0), strict=True):
        record["factors"]["shape"] |= {"Dy": Dy, "Dy_se": 0.05}
    found = analysis.by_factor(records).set_index("factor").loc["shape"]
    assert found["Dy"] == pytest.approx(0.9) and found["Dy_se"] == pytest.approx(sqrt(0.1**2 / 3 + 0.05**2))
    alone = analysis.by_factor(records[:1]).set_index("factor").loc["shape"]
    assert alone["Dy_se"] == pytest.approx(0.05)


@pytest.mark.parametrize(("Dy", "told"), [(1.2, False), (0.8, True)])
def test_a_loss_below_what_the_code_can_tell_of_the_task_is_impossible(Dy, told):
    """H(y) = 6, R* = 4.5 ± .1, D_y ± .1: no less than 1.5 − 3 · .141."""
    found = analysis.points([fake_records.record("vae", sigma=6.0)])
    found = found.assign(R_star=4.5, R_star_se=0.1, D=500.0, H_y=6.0, Dy=Dy, Dy_se=0.1)
    assert len(analysis.impossible(found)) == told


@pytest.mark.parametrize(("kind", "told"), [("exact", True), ("upper_only", False)])
def test_only_an_entropy_that_is_known_makes_a_distortion_impossible(kind, told):
    found = analysis.points([fake_records.record("vae", sigma=6.0)])
    found = found.assign(H_x_kind=kind, D=1.0, H_x=50.0, Dy=np.nan)
    assert len(analysis.impossible(found)) == told


def tidy(values):
    """Scores by (seed, σ), None for no score, R* = σ."""
    about = {"dataset": "x", "model": "m", "variant": "", "name": "M", "labels": "none", "params": "{}"}
    about |= {"score": "mig", "protocol": "robust", "rep": "mean", "reason": "", "status": "ok"}
    return pd.DataFrame(
        [
            about | {"seed": s, "sigma": t, "R_star": t + s, "value": np.nan if v is None else v, "key": f"{s}{t}"}
            for (s, t), v in values.items()
        ]
    )


def test_scores_of_a_target_are_means_of_the_seeds_that_have_them():
    found = by_target(tidy({(0, 2.0): 0.1, (1, 2.0): 0.3, (2, 2.0): None, (0, 4.0): 0.5}))
    two, four = found.sort_values("sigma").to_dict("records")
    assert (two["value"], two["R_star"], two["n"], two["of"]) == (pytest.approx(0.2), 2.5, 2, 3)
    assert two["value_se"] == pytest.approx(0.1) and np.isnan(four["value_se"])


def test_an_average_of_scores_is_over_seeds_of_means_over_targets():
    values = {(0, 2.0): 0.1, (0, 4.0): 0.3, (1, 2.0): 0.4, (1, 4.0): None, (2, 2.0): 0.6, (2, 4.0): 0.6}
    [found] = averages(tidy({**values, (0, np.nan): 9.0})).to_dict("records")  # a point without a target
    seeds = np.array([0.2, 0.4, 0.6])
    half = T2 * seeds.std(ddof=1) / sqrt(3)
    assert found["value"] == pytest.approx(0.4) and (found["n"], found["of"]) == (5, 6)
    assert (found["low"], found["high"]) == pytest.approx((0.4 - half, 0.4 + half))


def test_tables_of_structure_are_means_over_seeds_with_their_errors():
    records = [fake_records.rich(fake_records.record("m2", seed=s, sigma=6.0)) for s in range(2)]
    for record, IV, most in zip(records, (0.2, 0.6), (4000, 8000), strict=True):
        record["structure"]["leakage"] |= {"IV": IV, "IV_se": 0.05}
        record["structure"]["efficiency"]["shape"]["n"][-1] = most
        told = {f: {"Dy": 1.0, "Dy_se": 0.1, "Hy_V": 2.0, "IV": v, "IV_se": 0.1} for f, v in (("shape", 1.0),)}
        less = {"shape": told["shape"] | {"IV": 0.5}}
        record["structure"]["blocks"] = {"a": {"R": 1.0, "factors": told}, "b": {"R": 2.0, "factors": less}}
    found = analysis.structure(records)
    leak = found["leakage"].iloc[0]
    both = sqrt(0.2**2 + 0.05**2)  # of seeds and of test points, as that of a factor
    assert (leak["IV"], leak["IV_se"], leak["seeds"]) == (pytest.approx(0.4), pytest.approx(both), 2)
    assert analysis.structure(records[:1])["leakage"]["IV_se"].tolist() == [0.05]
    assert found["blocks"]["gap"].tolist() == pytest.approx([0.25, 0.25])  # (1 − .5) / 2
    assert found["codelength"].set_index("factor").loc["shape", "labels_most"] == 6000


def test_of_a_key_that_is_there_twice_the_last_counts_and_bits_are_nats_by_log_2():
    first, last = (fake_records.record("vae", sigma=6.0) for _ in range(2))
    first["provenance"]["finished"], last["provenance"]["finished"] = 2.0, 1.0
    first["values"]["Dy"] = 0.25
    found = table([first, last])
    assert found["Dy"].tolist() == [0.25]
    assert found["D_bits"].tolist() == pytest.approx([first["values"]["D"] / 0.6931471805599453])
