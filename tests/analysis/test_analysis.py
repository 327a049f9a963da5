"""Laws of frontiers, their differences, and the board."""

import fake_records
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdu_bench import analysis
from rdu_bench.analysis.hull import area, gap, hull
from rdu_bench.analysis.intervals import interval, shared_ranks
from rdu_bench.records.schema import STATUSES
from rdu_bench.report.board import failed

R = np.array([0, 1, 2, 4, 6, 9, 13, 18.0])
D = 100 * np.exp(-R / 5) + 10

curves = st.lists(st.tuples(st.floats(0.1, 30), st.floats(0.1, 100)), min_size=1, max_size=12)


def test_a_curve_differs_from_itself_by_nothing():
    found = gap(hull(R, D), hull(R, D))
    assert found.nats == pytest.approx(0, abs=1e-9) and found.percent == pytest.approx(0, abs=1e-9)
    assert found.loss == pytest.approx(0, abs=1e-9) and found.overlap == 1


@pytest.mark.parametrize("c", [-0.4, 0.5, 2.0])
def test_a_shift_in_distortion_is_found_at_equal_rate(c):
    shifted = gap(hull(R, D + c), hull(R, D))
    assert shifted.loss == pytest.approx(c, abs=1e-6)


def test_a_rate_ten_percent_higher_is_ten_percent():
    assert gap(hull(1.1 * R, D), hull(R, D)).percent == pytest.approx(10, abs=1e-6)


def test_a_shift_in_rate_is_found_at_equal_distortion():
    first, second = hull(R + 0.5, D), hull(R, D)
    assert gap(first, second).nats == pytest.approx(0.5, abs=1e-6)
    assert gap(second, first).nats == pytest.approx(-0.5, abs=1e-6)


def test_without_overlap_there_is_no_number():
    found = gap(hull([0, 1], [10, 9]), hull([0, 1], [3, 2]))
    assert np.isnan(found.nats) and found.overlap == 0
    barely = gap(hull([0, 1], [10, 7.5]), hull([0, 1], [8, 0]))
    assert np.isnan(barely.nats) and 0 < barely.overlap < 0.3


def with_null(points):
    rates, losses = np.array(points).reshape(-1, 2).T
    return hull([0.0, *rates], [100.0, *losses])


@settings(max_examples=200, deadline=None)
@given(curves, st.sets(st.integers(0, 11)))
def test_no_part_of_a_curve_beats_the_curve(points, kept):
    whole, part = with_null(points), with_null([p for i, p in enumerate(points) if i in kept])
    found = gap(part, whole)
    assert np.isnan(found.nats) or found.nats >= -1e-9
    assert np.isnan(found.loss) or found.loss >= -1e-9


@settings(max_examples=200, deadline=None)
@given(curves, curves, st.tuples(st.floats(0.1, 60), st.floats(-50, 100)))
def test_no_point_more_makes_a_curve_worse(points, others, more):
    reference = with_null(others)
    before, after = (gap(with_null(mine), reference) for mine in (points, [*points, more]))
    assert np.isnan(before.nats) or after.nats <= before.nats + 1e-9
    assert np.isnan(before.loss) or after.loss <= before.loss + 1e-9


def test_rates_are_compared_along_straight_segments():
    mine, reference = hull([0, 4], [10, 2]), hull([0, 1, 4], [10, 6, 2])
    assert gap(mine, reference).nats == pytest.approx(2 - (0.5 * 4 + 2.5 * 4) / 8)
    assert gap(mine, reference).loss == pytest.approx(6 - (8 + 4 * 3) / 4)


def test_a_loss_that_is_not_reached_costs_more_than_the_reference_ever_pays():
    short, reference = hull([0, 1], [10, 6]), hull([0, 1, 4], [10, 6, 2])
    assert gap(short, reference).nats == pytest.approx((4 * 1.25 * 4 - 4 * 2.5) / 8)


@settings(max_examples=60, deadline=None)
@given(curves)
def test_a_hull_is_convex_falling_and_below_every_point(points):
    rates, losses = np.array(points).T
    found = hull([0.0, *rates], [120.0, *losses])
    slopes = np.diff(found.D) / np.diff(found.R)
    assert (slopes < 0).all() and (np.diff(slopes) > -1e-9).all()
    inside = rates <= found.R[-1]
    assert (np.interp(rates[inside], found.R, found.D) <= losses[inside] + 1e-9).all()
    assert (found.D[-1] <= losses + 1e-9).all()


@settings(max_examples=60, deadline=None)
@given(curves, st.floats(0.1, 5), st.floats(0.1, 5))
def test_a_dominated_point_changes_nothing(points, more_rate, more_loss):
    rates, losses = np.array(points).T
    before = hull([0.0, *rates], [120.0, *losses])
    worse = hull([0.0, *rates, rates[0] + more_rate], [120.0, *losses, min(losses[0] + more_loss, 119)])
    np.testing.assert_allclose(before.R, worse.R)
    assert area(before, 30, 120) == pytest.approx(area(worse, 30, 120))


def test_the_interval_is_students():
    values = [1.0, 2.0, 4.0]
    found = interval(values)
    half = 4.302653 * np.std(values, ddof=1) / np.sqrt(3)
    assert (found.low, found.high) == pytest.approx((np.mean(values) - half, np.mean(values) + half), abs=1e-5)
    assert np.isnan(interval([1.0]).low) and interval([1.0]).mean == 1


def test_the_interval_covers_as_often_as_it_says():
    draw = np.random.default_rng(0)
    hits = [abs(t.mean) <= t.high - t.mean for t in (interval(list(v)) for v in draw.normal(size=(2000, 5)))]
    assert 0.93 < np.mean(hits) < 0.97


def test_models_whose_difference_may_be_zero_share_a_rank():
    same = {"a": {0: 1.0, 1: 1.2, 2: 0.8}, "b": {0: 1.1, 1: 1.1, 2: 0.9}, "c": {0: 5.0, 1: 5.1, 2: 5.2}}
    found = shared_ranks(same)
    assert found["a"] == found["b"] == 1 and found["c"] == 3


def board(records):
    return analysis.leaderboard(records).set_index("model")


def broken(record, **values):
    """A record of which some values are others."""
    return record | {"values": record["values"] | values}


def test_the_board_finds_who_saves_rate():
    found = board(fake_records.suite(datasets=("sprites",)))
    assert found.loc["vae", "bd_nats"] == pytest.approx(0, abs=1e-9) and found.loc["vae", "reference"]
    assert found.loc["beta_tcvae", "bd_nats"] < 0 < found.loc["vq_vae", "bd_nats"]
    assert found.loc["beta_tcvae", "rank"] == 1
    low, high = found.loc["beta_tcvae", ["bd_nats_low", "bd_nats_high"]]
    assert low <= found.loc["beta_tcvae", "bd_nats"] <= high


def mean_over_rates(R, values):
    """Mean from 0 to the highest target of straight segments through points, flat after the last."""
    every = np.linspace(0, max(fake_records.SIGMAS), 200_001)
    return np.interp(every, R, values).mean()


def test_the_board_says_what_is_paid_for_a_marginal_that_does_not_fit():
    found = plain("vae", seeds=(0,))
    R = np.array([r["values"]["R_star"] for r in found])
    dear = [
        broken(r, R_own=own, R_own_mc=own, R_parts={"z": own}) for r, own in zip(found, (R + 2.5).tolist(), strict=True)
    ]
    expected = mean_over_rates([0, *R], [0] + [2.5] * len(R))
    assert board(dear).loc["vae", "mismatch"] == pytest.approx(expected, abs=1e-4)


def told(records, b=0.12):
    """Records whose linear head has H_V(y) − b R* nats."""
    return [broken(r, Dy_linear=r["values"]["Hy_V"] - b * r["values"]["R_star"], Dy_linear_se=0.01) for r in records]


def test_losses_of_heads_are_means_over_rates_whatever_rates_were_measured():
    """Of a straight line any two of its points say the same, up to the higher of them."""
    every = told(plain("vae", seeds=(0,)))
    first, last = every[0]["values"], every[-1]["values"]
    R, levels = [0, last["R_star"]], [first["Hy_V"], last["Dy_linear"]]
    expected = mean_over_rates(R, levels)
    for part in (every, every[-1:], every[::2] + every[-1:], every[-3:]):
        assert board(part).loc["vae", "Dy_linear"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("gone", [slice(0, 1), slice(0, 3), slice(2, 5), slice(-2, None)])
def test_no_point_left_out_makes_the_loss_of_a_head_lower(gone):
    mine = [broken(r, Dy_linear=r["values"]["Dy"], Dy_linear_se=0.01) for r in plain("beta_tcvae", seeds=(0,))]
    whole = board(told(plain("vae", seeds=(0,))) + mine).loc["beta_tcvae"]
    del mine[gone]
    part = board(told(plain("vae", seeds=(0,))) + mine).loc["beta_tcvae"]
    assert part["Dy_linear"] >= whole["Dy_linear"] - 1e-9
    assert part["area"] <= whole["area"] + 1e-9


def test_a_row_without_a_head_has_no_loss_by_it():
    found = board(told(plain("vae")) + plain("beta_tcvae"))
    assert np.isfinite(found.loc["vae", "Dy_linear"]) and np.isnan(found.loc["beta_tcvae", "Dy_linear"])


def test_more_rates_than_the_reference_has_lower_a_hull_and_bring_no_rank():
    """One and the same convex curve, measured at more rates, looks better than itself."""

    def curve(model, targets):
        return [fake_records.record(model, seed=s, sigma=t, noise=1e-3, scale=1.0) for s in (0, 1, 2) for t in targets]

    found = board(
        curve("vae", (4, 8, 16)) + curve("wae", (4, 8, 16)) + curve("ae", (8, 16)) + curve("aae", (2, 4, 8, 16))
    )
    assert found.loc["wae", "bd_nats"] == pytest.approx(0, abs=1e-3)
    assert found.loc["aae", "bd_nats"] < -0.05 and found.loc["ae", "bd_nats"] > 0.05
    assert found["comparable"].to_dict() == {"vae": True, "wae": True, "ae": True, "aae": False}
    assert np.isnan(found.loc["aae", "rank"]) and (found.loc[["vae", "wae", "ae"], "rank"] >= 1).all()
    assert "at other rates" in found.loc["aae", "note"] and "at other rates" not in found.loc["ae", "note"]


def test_a_sweep_has_no_rank_beside_targets():
    swept = [fake_records.record("beta_vae", seed=s, sigma=6.0 / b) for s in (0, 1) for b in (0.5, 1.0, 4.0)]
    for r, b in zip(swept, [0.5, 1.0, 4.0] * 2, strict=True):
        r["spec"] |= {"sigma": None, "params": {"beta": b}, "sweep": ["beta"]}
    found = board(swept + plain("vae", seeds=(0, 1)))
    assert not found.loc["beta_vae", "comparable"] and np.isnan(found.loc["beta_vae", "rank"])
    assert found.loc["vae", "comparable"]


def test_labels_and_autoregressive_decoders_are_ranked_apart():
    found = board(fake_records.suite(datasets=("sprites",)))
    assert found.loc["m2", "section"] != found.loc["vae", "section"] != found.loc["pixelvae", "section"]
    assert found.loc["m2", "rank"] == found.loc["pixelvae", "rank"] == 1
    assert np.isnan(found.loc["pixelvae", "bd_nats"])  # never a score shared with factorised decoders


def plain(model, seeds=(0, 1, 2), **changes):
    return [fake_records.record(model, seed=s, sigma=t, **changes) for s in seeds for t in fake_records.SIGMAS]


def test_a_failed_cell_counts_as_a_code_that_says_nothing():
    whole = board(plain("vae") + plain("beta_vae"))
    lost = [
        {**r, "status": "diverged", "reason": "NaN", "values": {}, "factors": {}} if r["spec"]["sigma"] > 4 else r
        for r in plain("beta_vae")
    ]
    after = board(plain("vae") + lost)
    assert after.loc["beta_vae", "area"] < whole.loc["beta_vae", "area"]
    assert after.loc["beta_vae", "diverged"] == 3 * 5
    assert len(analysis.failures(lost)) == 15 and set(analysis.failures(lost)["reason"]) == {"NaN"}


def test_what_did_not_go_well_is_told_worst_first_in_one_order():
    records = [fake_records.record("vae", seed=n, status=status) for n, status in enumerate(STATUSES)]
    found = analysis.points(records)
    lines, more = failed(found)
    told = ["invalid", "error", "diverged", "collapsed", "unreachable", "rate_missed"]
    assert [line["status"] for line in lines] == told and more == 0 and {*told, "ok"} == {*STATUSES}
    assert analysis.failures(found)["status"].tolist() == told


def test_one_seed_has_neither_interval_nor_rank_and_says_so():
    found = board(plain("vae", seeds=(0,)) + plain("vq_vae", seeds=(0,)))
    assert found["rank"].isna().all() and found["rank_y"].isna().all()
    assert np.isnan(found.loc["vq_vae", "bd_nats_low"]) and np.isfinite(found.loc["vq_vae", "bd_nats"])
    assert "one seed" in found.loc["vq_vae", "note"]


def test_without_the_reference_area_ranks():
    found = board(plain("vq_vae") + plain("beta_tcvae"))
    assert found["bd_nats"].isna().all() and found.loc["beta_tcvae", "rank"] == 1
    assert "no reference" in found.loc["vq_vae", "note"]


@pytest.mark.parametrize("values", [{"R_star": -5.0}, {"I_low": 99.0, "I_low_se": 0.1}, {"D": 1e6}])
def test_a_point_that_breaks_a_law_counts_as_a_code_that_says_nothing(values):
    lawful = plain("vae") + plain("beta_vae")
    cheats = [broken(r, **values) if r["spec"]["model"] == "beta_vae" else r for r in lawful]
    assert all(r["status"] == "ok" for r in cheats)  # whatever the record says of itself
    found = analysis.points(cheats)
    assert set(found.loc[found["model"] == "beta_vae", "status"]) == {"invalid"}
    assert not found.loc[found["model"] == "beta_vae", "measured"].any()
    after = board(cheats)
    assert after.loc["beta_vae", "invalid"] == 3 * len(fake_records.SIGMAS) and np.isnan(after.loc["beta_vae", "rank"])
    assert after.loc["vae", "rank"] == 1
    drawn = analysis.frontier(cheats)
    assert drawn.loc[(drawn["model"] == "beta_vae") & ~drawn["null"] & drawn["seed"].notna()].empty
    assert len(analysis.failures(cheats)) == 3 * len(fake_records.SIGMAS)


def test_a_point_that_breaks_a_law_has_no_score():
    records = fake_records.suite(("vae", "m2"), seeds=1, parts=True)
    found = analysis.scores([broken(r, D=1e6) if r["spec"]["model"] == "m2" else r for r in records])
    of = found["model"] == "m2"
    assert of.any() and found.loc[of, "value"].isna().all() and found.loc[~of, "value"].notna().any()
    assert set(found.loc[of, "reason"]) == {"the point has no numbers that count (invalid)"}


def test_what_breaks_a_law_says_nothing_of_the_loss_without_a_code():
    lawful, cheats = plain("vae"), [broken(r, D_null=20.0, D=1e6) for r in plain("beta_vae")]
    drawn = analysis.frontier(lawful + cheats)
    nulls = drawn[drawn["null"] & drawn["seed"].isna()].set_index("model")["loss"]
    assert nulls["beta_vae"] == nulls["vae"] > 100


def test_a_rate_a_little_below_nothing_is_chance():
    found = analysis.points(plain("vae")).assign(R_star=-0.02)
    assert analysis.points(found.assign(R_star_se=0.01))["measured"].all()
    assert not analysis.points(found.assign(R_star_se=0.001))["measured"].any()


def test_a_point_below_the_entropy_is_impossible():
    records = plain("vae", seeds=(0,))
    assert analysis.impossible(records).empty
    records[0]["values"]["D"] = -50.0
    [reason] = analysis.impossible(records)["reason"]
    assert "is below H(x)" in reason


def test_the_frontier_is_points_and_hull_and_null():
    found = analysis.frontier(plain("vae"), "Dy")
    assert set(found["metric"]) == {"Dy"} and found["null"].sum() == 4
    assert found.loc[found["null"], "R_star"].eq(0).all()
    with pytest.raises(ValueError, match="take one of D, Dy"):
        analysis.frontier(plain("vae"), "DZ")


@pytest.mark.parametrize("said", [True, False])
def test_values_that_are_swept_stay_points_of_their_own(said):
    records = []
    for beta, sigma in ((0.5, 12.0), (4.0, 2.0)):
        made = fake_records.record("beta_vae", sigma=sigma)
        made["spec"] |= {"sigma": None, "params": {"beta": beta}, "sweep": ["beta"]}
        made["control"]["sigma"] = None
        if not said:  # as records of schema 1
            del made["spec"]["sweep"]
        records.append(made)
    mean = analysis.frontier(records)
    mean = mean[mean["seed"].isna() & ~mean["null"]]
    assert len(mean) == 2
    assert analysis.leaderboard(records)["missing"].tolist() == [0]


def test_no_records_are_an_error_that_says_what_to_do():
    with pytest.raises(ValueError, match="rdu-bench run"):
        analysis.leaderboard([])


def test_the_board_in_markdown_has_every_model_once():
    text = analysis.to_markdown(analysis.leaderboard(fake_records.suite(datasets=("sprites",))))
    assert text.count("(reference)") == 1 and "β-TCVAE" in text
    assert pd.Series(text.splitlines()).str.startswith("|").sum() > 8


def test_points_that_were_cut_off_while_they_improved_are_counted_on_the_board():
    records = [fake_records.record("vae", sigma=float(s)) for s in (1, 2, 4)]
    records += [fake_records.record("wae", sigma=float(s)) for s in (1, 2, 4)]
    for record, capped in zip(records, (True, False, True, None, False, False), strict=True):
        record["control"] |= {"capped": capped, "kept_at": 900, "last_gain": 0.25 * record["spec"]["sigma"]}
    notes = analysis.leaderboard(records).set_index("model")["note"]
    said = "2 of 3 points were still improving when their steps ran out, the later half of which bought 0.62 nats"
    assert f"{said} of their loss (median)" in notes["vae"]
    assert "improving" not in notes["wae"]
    records[2]["control"]["capped"], records[0]["control"]["last_gain"] = False, 1234.5
    [cut] = analysis.leaderboard(records[:3])["note"]
    said = "1 of 3 points was still improving when its steps ran out, the later half of which bought 1234 nats"
    assert cut.endswith(f"{said} of its loss")
    del records[0]["control"]["last_gain"]
    [cut] = analysis.leaderboard(records[:3])["note"]
    assert cut.endswith("when its steps ran out")
