"""Numbers of the page by hand, from tables and without drawing a page."""

from math import sqrt

import fake_records
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rdu_bench import analysis
from rdu_bench.analysis.tables import number
from rdu_bench.report import sections, structure
from rdu_bench.report.answer import _alike, _orders, _relative
from rdu_bench.report.codes import LATENTS, matrix
from rdu_bench.report.lineup import Lineup
from rdu_bench.report.plots import Place, limits
from rdu_bench.report.style import Palette
from rdu_bench.report.text import counted, listed, short


def codes(*points):
    """Points (name, R*, D, D_y by seed) as a table."""
    rows = []
    for i, (name, R, D, each) in enumerate(points):
        for seed, Dy in enumerate(each):
            about = {"name": name, "model": name, "variant": "", "sigma": float(i), "params": "{}", "labels": "none"}
            about["autoregressive"] = name.startswith("pixel")
            rows.append(about | {"seed": seed, "R_star": R, "D": D, "Dy": Dy, "folds": "", "measured": True})
    return pd.DataFrame(rows)


def test_two_codes_are_alike_within_2_percent_in_rate_and_1_percent_in_distortion():
    found = _relative(np.array([100.0, 98.0]))
    assert found.tolist() == [[0, pytest.approx(0.02)], [pytest.approx(0.02), 0]]  # a share of the larger
    for R, D, near in ((9.81, 100.0, True), (9.79, 100.0, False), (10.0, 99.1, True), (10.0, 98.9, False)):
        [said] = _alike(codes(("a", 10.0, 100.0, [1.0, 1.0]), ("b", R, D, [1.5, 1.6])))
        assert ("0.550 apart" in said) is near and ("No two models" in said) is not near
    [said] = _alike(codes(("a", 10.0, 100.0, [1.0, 1.0]), ("a", 10.0, 100.0, [1.5, 1.6])))
    assert "No two models" in said  # of one model


def test_codes_are_alike_by_decoders_of_one_class():
    """An autoregressive decoder has less D of one and the same code."""
    near = [(name, 10.0, 100.0, [Dy, Dy + 0.01]) for name, Dy in (("a", 1.0), ("b", 1.2), ("pixel a", 2.0))]
    [said] = _alike(codes(*near))
    assert "0.200 apart" in said and said.endswith(
        "1 pair without labels within 2 % in R* and 1 % in D, with decoders of one class."
    )
    [said] = _alike(codes(near[0], near[2]))
    assert "No two models" in said
    [said] = _alike(codes(near[0], near[1]))
    assert said.endswith("and 1 % in D.")


def test_the_interval_of_the_pair_that_differs_most_is_for_all_pairs():
    """Three pairs of three codes; t at 1 − .05 / 3 of two degrees of freedom."""
    three = [("a", [1.0, 1.0, 1.0]), ("b", [1.1, 1.2, 1.3]), ("c", [2.0, 2.1, 2.2])]
    [said] = _alike(codes(*((name, 10.0, 100.0, Dy) for name, Dy in three)))
    half = float(stats.t.ppf(1 - 0.05 / 6, 2)) * 0.1 / sqrt(3)
    assert f"1.100 apart, 95 % interval for all pairs {1.1 - half:.3f} to {1.1 + half:.3f}; 3 pairs" in said
    assert "usefulness still differs: a (R* 10.00, D 100.00) and c" in said


def place(x, y, **more):
    row = {"name": f"m{x}", "model": "m", "variant": "", "labels": "none", "reference": False, "autoregressive": False}
    row |= {"seeds": 3, "comparable": True, "bd_nats": x, "bd_nats_low": x - 2, "bd_nats_high": x + 1}
    return Place(row | {"dIV": y, "dIV_low": y - 0.2, "dIV_high": y + 0.1} | more)


def test_the_map_has_rate_saved_and_usefulness_gained_with_their_own_ends():
    found = place(-1.5, 0.3)
    assert (found.x, found.x_low, found.x_high) == (1.5, 0.5, 3.5)
    assert (found.y, found.y_low, found.y_high) == pytest.approx((0.3, 0.1, 0.4))
    assert found.placed and found.intervals and not place(-1.5, 0.3, comparable=False).placed
    assert not place(-1.5, 0.3, dIV_low=np.nan).intervals


def test_whether_saving_rate_goes_with_usefulness_is_kendalls_tau():
    def said(*ys):
        return "".join(_orders([place(float(-i), y, model=f"m{i}") for i, y in enumerate(ys)]))

    assert said(1, 2, 3) == ""  # too few
    assert "goes with" in said(1, 2, 3, 4, 5) and "τ = +1.00 over 5 models" in said(1, 2, 3, 4, 5)
    same = [place(-9.0, -9.0, model="m0", variant="other") for _ in range(5)]  # as m0, and no model of its own
    assert "τ = +1.00 over 4 models" in _orders([*same, *(place(float(-i), i, model=f"m{i}") for i in range(4))])[0]
    assert "goes against" in said(5, 4, 3, 2, 1) and "is not known to tell" in said(1, 2, 3, 5, 4)  # τ = .8, p = .08


def test_what_forbids_something_is_an_entropy_that_is_known_of_measured_points():
    found = pd.DataFrame(
        {"measured": [True, True, True, False], "H_x_kind": ["exact", "differential", "upper_only", "exact"]}
    ).assign(H_x=[6.0, 8.0, 90.0, 90.0], H_y=[1.0, 2.0, 3.0, 90.0])
    assert limits(found, "D") == 7.0 and limits(found, "Dy") == 2.0
    assert limits(found[2:], "D") is None


def test_latents_that_know_most_of_a_factor_are_shown_in_their_own_order():
    n = LATENTS + 6
    known = [[0.01 * j, 0.0] for j in range(n)]
    known[2] = [0.0, 0.05]  # half of a factor of .1 nats, and more than any share of the first, of 4
    found = matrix({"latents": [f"z[{j}]" for j in range(n)], "factors": ["a", "b"], "H": [4.0, 0.1], "mean": known})
    assert found["of"] == n and found["latents"] == [f"z[{j}]" for j in (2, *range(7, n))]
    assert found["mean"][0] == [0.0, 0.05] and found["mean"][1] == [pytest.approx(0.07), 0.0]


@pytest.fixture(scope="module")
def shown():
    records = [fake_records.rich(fake_records.record(m, sigma=s)) for m in ("vae", "m2") for s in (2.0, 12.0)]
    records.append(fake_records.rich(fake_records.record("vae", sigma=30.0)))
    points = analysis.points(records)
    return points, Lineup(points, Palette(points["name"].unique().tolist(), "VAE"))


def test_the_table_of_usefulness_is_of_the_highest_target_of_each_model(shown):
    points, lineup = shown
    useful = analysis.by_factor(points)
    drawn, best = sections.useful(useful, {"factors": {"shape": {"H_y": 1.0986}, "angle": {"kind": "real"}}}, lineup)
    at = {(r["name"], r["factor"]): r for r in best["rows"]}
    assert at["VAE", "shape"]["sigma"] == 30.0 and at["M2 †", "shape"]["sigma"] == 12.0
    row = useful[(useful["model"] == "vae") & (useful["sigma"] == 30.0) & (useful["factor"] == "shape")].iloc[0]
    told = dict(zip((c for c, _ in best["columns"]), (n["text"] for n in at["VAE", "shape"]["numbers"]), strict=True))
    assert (told["H_V(y)"], told["D_y ≥ H(y|z)"], told["I_V"]) == tuple(number(row[c], 3) for c in ("Hy_V", "Dy", "IV"))
    assert (
        drawn["null"]["angle"]["Dy"] == 1.42 and drawn["null"]["angle"]["Dy_bins"] == 3.0
    )  # nats of a code of nothing
    assert drawn["real"] == ["angle"]
    curve = drawn["curves"]["shape"]["Dy"][0]
    assert [p[0] for p in curve] == sorted(p[0] for p in curve) and curve[-1][1] == pytest.approx(row["Dy"], rel=1e-4)


def test_structure_starts_where_all_models_are_and_says_what_is_a_bound(shown):
    points, lineup = shown
    found = structure.structure(analysis.structure(points), points, {"factors": {}}, lineup)
    assert found["start"] == "σ = 12" and found["targets"] == ["σ = 2", "σ = 12", "σ = 30"]
    assert structure._cell({"sdl": 12.34, "sdl_bound": ">"}, "sdl", 1) == {"text": "> 12.3", "sort": 12.34}
    assert structure._cell({"IV": 0.5, "IV_se": 0.25}, "IV", 2)["text"] == "0.50 ± 0.25"
    assert structure._cell({"IV": np.nan}, "IV", 2) == {"text": "–", "sort": None}


def test_whoever_has_no_line_in_a_table_is_named_with_the_reason_or_that_there_is_none(shown):
    points, lineup = shown
    tables = analysis.structure(points)
    blocks = pd.DataFrame({"model": ["m2"], "variant": [""], "sigma": [2.0], "params": ["{}"]})
    said = points.assign(nulls=['{"structure.blocks": "one block"}' if m == "vae" else "{}" for m in points["model"]])
    found = structure._lacking("blocks", blocks, said, lineup)
    assert found == ["one block (VAE)", f"{structure.UNSAID} (M2 † at σ = 12)"]
    assert structure._lacking("clusters", tables["clusters"], points, lineup) == []


def test_a_level_of_noise_says_what_it_is_a_level_of():
    assert structure._level(pd.DataFrame({"kind": ["flip", "flip"]})) == "probability that a pixel is flipped"
    assert structure._level(pd.DataFrame({"kind": ["gaussian"]})) == "standard deviation of noise, in that of x"


def test_numbers_are_rounded_to_digits_that_count():
    assert (short(123456.7), short(0.000123456), short(np.inf), short(None)) == (123460.0, 0.00012346, None, None)
    assert (number(-0.004), number(-1.005, 1), number(2.5, 1, True), number(np.nan)) == ("0.00", "−1.0", "+2.5", "–")
    assert (counted(1, "point"), counted(1234, "point")) == ("1 point", "1,234 points")
    assert listed("abcde", 4) == "a, b, c and 2 more" and listed("ab") == "a and b"
