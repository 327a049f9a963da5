"""Every law at its edge: a number just inside its allowance breaks it not, and one just outside does."""

import copy
from math import hypot, sqrt

import pytest

from rdu_bench.records.laws import check, missing

E = 1e-4  # nats that edges are looked at from


def lawful():
    """A record of D + R* = 105 nats, R* = 5 ± .1, whose task y has 8 nats and is independent of w."""
    factor = {"H_y": 8.0, "Hy_V": 8.0, "Dy": 5.0, "Dy_se": 0.1, "IV": 3.0, "IV_se": 0.1}
    factor |= {"IV_shuffled": 0.0, "IV_shuffled_se": 0.01}
    told = {"Dy": 7.0, "Dy_se": 0.1, "Hy_V": 8.0, "IV": 0.5, "IV_se": 0.1}
    return {
        "status": "ok",
        "values": {
            "R_star": 5.0, "R_star_se": 0.1, "R_own": 6.0, "R_own_se": 0.1, "R_own_mc": 6.0, "R_own_mc_se": 0.1,
            "R_parts": {"a": 2.0, "b": 4.0}, "D": 100.0, "D_se": 0.4, "D_null": 150.0, "D_null_se": 0.3,
            "H_x": 100.0, "H_x_kind": "exact", "gap_RD_se": 0.4, "I_low": 4.0, "I_low_se": 0.05, "log_N": 7.0,
            "I_exact": 4.5, "I_exact_se": 0.05, "TC": 1.0, "TC_se": 0.1, "TC_low": 0.8, "TC_low_se": 0.05,
            "D_pred": 30.0, "D_pred_se": 0.3, "D_pred_null": 60.0, "D_pred_null_se": 0.4, "H_pred": 20.0,
            "D_bits_per_dim": 1.4426950408889634, "D_own_lost": 0,
        },
        "factors": {"y": factor, "w": {**factor, "Dy": 7.5, "IV": 0.5}},
        "data": {"shape": [1, 10, 10], "n_test": 3, "factors": {f: {"independent": True} for f in "yw"}},
        "spec": {"budget": {"codes": 100}},
        "control": {"sigma": 6.0, "rate_err": 0.0},
        "folds": {"n": [2, 1], "R_star": [4.0, 7.0], "D": [100.0, 100.0]},
        "structure": {
            "levels": {"a": {"R_star": 1.0, "R_star_se": 0.1, "factors": {"y": dict(told)}}},
            "blocks": {"b": {"R": 4.0, "factors": {"y": dict(told)}}},
            "leakage": {"s": "y", "Ds": 7.0, "Ds_se": 0.1, "IV": 0.5, "IV_se": 0.1},
        },
    }  # fmt: skip


def changed(where, value):
    """The lawful record with one number, or several, `where` as `values.D`."""
    record = copy.deepcopy(lawful())
    *path, last = where.split(".")
    part = record
    for name in path:
        part = part[name]
    part[last] = part[last] | value if isinstance(value, dict) and where != "values.R_parts" else value
    return record


BOTH = 3 * hypot(0.1, 0.1)  # three errors of a number of error .1 and of R*
EDGES = [  # the number, what it may be at most or at least (−1), and what is said beyond
    ("values.R_star", -0.3, -1, "R_star = -0.300 nats is negative"),
    ("values.R_own", -0.3, -1, "R_own = -0.300 nats is negative"),
    ("values.D", 95 - 1.2, -1, "is below H(x)"),
    ("values.I_low", 5 + 3 * hypot(0.1, 0.05), 1, "exceeds R* ="),
    ("values.I_low", 7.0, 1, "exceeds log N"),
    ("values.I_exact", 5.02 + 3 * hypot(0.1, 0.05), 1, "exceeds min(R*, H(x)) = 5.000"),
    ("values.TC_low", 1.02 + 3 * hypot(0.1, 0.05), 1, "the lower bound on TC"),
    ("values.R_star", 6.02 + BOTH, 1, "whose marginal it contains"),
    ("values.R_own_mc", 6 + 1e-4 + 4 * hypot(0.1, 0.1), 1, "the log-ratio of the draws"),
    ("values.R_own_mc", 6 - 1e-4 - 4 * hypot(0.1, 0.1), -1, "the log-ratio of the draws"),
    ("values.D", 100 / (1 - 1e-4), 1, "over 100 dimensions"),
    ("values.D_own_lost", 0, 1, "gives no finite number for"),
    ("values.D", 150 + 3 * 0.5, 1, "is worse than D_null"),
    ("values.D_pred", 15 - 3 * hypot(0.3, 0.1), -1, "H of the frames to come"),
    ("values.D_pred", 60 + 3 * 0.5, 1, "is worse than 60.000"),
    ("factors.y.Dy", 3 - BOTH, -1, "is below H(y)"),
    ("factors.y.Dy", 8.02 + 3 * 0.1, 1, "D_y of y"),
    ("factors.y.IV", 5 + BOTH, 1, "nats about y came out of a code"),
    ("factors.y.IV_shuffled", 0.05, 1, "from shuffled labels"),
    ("factors.y.IV_shuffled", -0.05, -1, "from shuffled labels"),
    ("factors.w.IV", 2 + 3 * 0.05**0.5, 1, "about independent factors"),  # (.1 + .1)² + .1²
    ("structure.levels.a.R_star", 5.1 + BOTH, 1, "blocks up to a cost"),
    ("structure.levels.a.factors.y.IV", 1.0, 1, None),  # no more than H(y) − D_y is known of it
    ("structure.leakage.IV", 5 + BOTH, 1, "leak from a code"),
    ("structure.leakage.Ds", 3 - BOTH, -1, "D_s + R* ="),
]


@pytest.mark.parametrize(("where", "edge", "sign", "said"), EDGES)
def test_a_law_breaks_at_its_edge_and_not_before(where, edge, sign, said):
    step = sign * (E if where != "values.D_own_lost" else 1)
    inside, outside = (check(changed(where, edge + s)) for s in (-step if step not in (1, -1) else 0, step))
    assert not any(said and said in line for line in inside)
    assert any(said in line for line in outside) if said else not outside


def test_a_lawful_record_breaks_no_law():
    assert check(lawful()) == []


def test_without_an_error_of_the_gap_that_of_its_parts_counts():
    limit = 95 - 3 * hypot(0.4, 0.1)
    for d, broken in ((limit + E, False), (limit - E, True)):
        record = changed("values", {"D": d, "gap_RD_se": None})
        assert any("is below H(x)" in line for line in check(record)) is broken


@pytest.mark.parametrize(("kind", "broken"), [("exact", True), ("differential", True), ("upper_only", False)])
def test_only_an_entropy_that_is_known_forbids_a_distortion(kind, broken):
    record = changed("values", {"D": 50.0, "H_x_kind": kind})
    assert any("is below H(x)" in line for line in check(record)) is broken


def test_information_is_no_more_than_the_entropy():
    limit = 4.02 + 3 * hypot(0.1, 0.05)
    for i, broken in ((limit - E, False), (limit + E, True)):
        record = changed("values", {"H_x": 4.0, "I_exact": i})
        assert any("exceeds min(R*, H(x)) = 4.000" in line for line in check(record)) is broken


def test_blocks_add_up_to_the_rate():
    for more, broken in ((5e-4, False), (7e-4, True), (-7e-4, True)):
        record = changed("values.R_parts", {"a": 2.0, "b": 4.0 + more})
        assert any("the blocks' rates add up" in line for line in check(record)) is broken


def test_factors_that_may_depend_on_each_other_are_not_added_up():
    record = changed("factors.w.IV", 4.5)
    assert any("about independent factors" in line for line in check(record))
    record["data"]["factors"]["w"]["independent"] = False
    assert check(record) == []


@pytest.mark.parametrize(("kind", "more"), [("exact", 2.3), ("upper_only", 0.0)])
def test_what_is_left_of_a_divided_grid_makes_its_factors_dependent(kind, more):
    """They have 16 nats each by itself, and 13.7 together."""
    for off, broken in ((-E, False), (E, True)):
        record = changed("values", {"D": 100.0, "H_x": 13.7, "H_x_kind": kind})
        record["factors"]["w"]["IV"] = 2 + more + 3 * 0.05**0.5 + off
        assert any("about independent factors" in line for line in check(record)) is broken


@pytest.mark.parametrize("part", ["levels.a", "blocks.b"])
def test_a_part_tells_no_more_than_it_costs(part):
    """A level costs 1 nat, a block may draw on all 5 of the code; what is told is the less of I_V and H(y) − D_y."""
    limit = (1.0 if part == "levels.a" else 5.0) + BOTH
    for told, Dy, broken in (
        (limit + E, 0.0, True),
        (limit - E, 0.0, False),
        (9.0, 8 - limit + E, False),
        (9.0, 8 - limit - E, True),
    ):
        record = changed(f"structure.{part}.factors.y", {"IV": told, "Dy": Dy})
        assert any("nats about y came out of" in line for line in check(record)) is broken


@pytest.mark.parametrize(
    ("about", "excess"),
    [
        ({"kind": "class", "size": 33}, (32 + 3 * 8) / 200),  # so many frequencies from 100 examples
        ({"kind": "real", "size": 2}, (5 + 3 * sqrt(10)) / 200),  # means, variances and a covariance
        ({"kind": "class", "size": 1}, 0.0),
    ],
)
@pytest.mark.parametrize(
    ("told", "cost"), [("factors.y", 5.0), ("structure.levels.a.factors.y", 1.0), ("structure.leakage", 5.0)]
)
def test_what_the_null_may_lie_above_the_entropy_is_told_by_no_code(about, excess, told, cost):
    """As of labels of Fashion-MNIST, with a constant from 2,500 of them: 2.3044 nats, and log 10 = 2.3026."""
    for off, broken in ((E, True), (-E, False)):
        record = changed(told, {"IV": cost + BOTH + excess + off, "Dy": 0.0})  # so that no entropy is in the way
        record["data"]["factors"]["y"] = about
        found = [line for line in check(record) if "nats about y" in line]
        assert bool(found) is broken


def test_nor_from_shuffled_labels():
    for off, broken in ((E, True), (-E, False)):
        record = changed("factors.y.IV_shuffled", 0.05 + (32 + 3 * 8) / 200 + off)
        record["data"]["factors"]["y"] |= {"kind": "class", "size": 33}
        assert any("from shuffled labels" in line for line in check(record)) is broken


def test_nor_of_several_factors_together():
    """Two of 33 values each, of which a code of 5 nats tells 3 and 2, and 100 examples for the constants."""
    for off, broken in ((E, True), (-E, False)):
        record = changed("factors.w.IV", 2 + 3 * 0.05**0.5 + 2 * (32 + 3 * 8) / 200 + off)
        for name in "yw":
            record["data"]["factors"][name] |= {"kind": "class", "size": 33}
        assert any("about independent factors" in line for line in check(record)) is broken


def test_means_of_parts_weigh_by_their_sizes():
    for more, broken in ((4e-4, False), (6e-4, True)):
        record = changed("folds.R_star", [4.0, 7.0 + 3 * more])
        assert any("is not the mean of its folds" in line for line in check(record)) is broken


@pytest.mark.parametrize(("sigma", "most"), [(1.9, 0.02), (2.0, 0.01)])
def test_a_rate_that_is_ok_is_that_asked_for(sigma, most):
    for error, broken in ((most, False), (-most, False), (most + 1e-6, True), (-most - 1e-6, True)):
        record = changed("control", {"sigma": sigma, "rate_err": error})
        assert any("status is ok" in line for line in check(record)) is broken
        assert not check(record | {"status": "rate_missed"})


@pytest.mark.parametrize(
    ("control", "said"),
    [
        ({"sigma": 6.0, "R_train": 6.0, "rate_err": 0.0}, None),
        ({"sigma": 6.0, "R_train": 6.03, "rate_err": 0.005}, None),
        ({"sigma": 8.0, "R_train": 8.0, "rate_err": 0.0}, "it was trained for σ = 8, and its spec asks for σ = 6"),
        ({"sigma": None, "R_train": 6.0}, "it was trained for the ELBO, and its spec asks for σ = 6"),
        ({"sigma": 6.0, "R_train": 6.6, "rate_err": 0.0}, "R_train = 6.600 nats is +10.00% off σ = 6, not +0.00%"),
        ({"sigma": 6.0, "R_train": 6.6, "rate_err": 0.1}, "status is ok, but the rate is +10.0% off σ = 6"),
    ],
)
def test_a_point_was_trained_for_the_target_of_its_spec_and_met_it(control, said):
    record = lawful() | {"control": control, "spec": {"sigma": 6.0}}
    assert check(record) == ([said] if said else [])


@pytest.mark.parametrize("lost", ["R_train", "rate_err"])
def test_a_point_that_is_ok_says_which_rate_it_met(lost):
    record = lawful() | {"spec": {"sigma": 6.0, "protocol": 3}, "control": {"R_train": 6.0, "rate_err": 0.0}}
    assert not any("control lacks" in said for said in missing(record))
    record["control"][lost] = None
    assert f"control lacks {lost}: nothing says that the rate asked for was met" in missing(record)
    for free in ({"status": "rate_missed"}, {"spec": {"sigma": None, "protocol": 3}}):
        assert not any("control lacks" in said for said in missing(record | free))
