"""Claims: read as they are written, and judged by what the points say."""

import json
import math

import fake_records
import numpy as np
import pandas as pd
import pytest

from rdu_bench import analysis, registry
from rdu_bench._cards import card
from rdu_bench._claims import FORMS, Quantity, Said, claims
from rdu_bench._hash import digest
from rdu_bench.analysis import quantities
from rdu_bench.analysis.claims import COLUMNS
from rdu_bench.engine.suite import read
from rdu_bench.records.flatten import table

RATES = (2.0, 4.0, 8.0)
CURVE = {2.0: 30.0, 4.0: 25.0, 8.0: 20.0}


def test_a_claim_says_what_how_than_whom_and_where():
    one, two = claims(
        "D_y of digit, lower than vae, on digits;  I_V of a from b, higher than its I_V of a from c, on x"
    )
    assert one.quantity == one.other == Quantity("D_y", "digit") and (one.direction, one.reference) == ("lower", "vae")
    assert (two.quantity, two.other) == (Quantity("I_V of a block", "a", "b"), Quantity("I_V of a block", "a", "c"))
    assert (two.reference, two.dataset) == ("", "x")
    [three] = claims("D, within 0.5 of vae, on digits")
    assert (three.direction, three.margin) == ("within", 0.5)
    assert claims("") == claims("  ") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("D lower than vae", "is not 'QUANTITY, lower than MODEL, on DATASET'"),
        ("D, below vae, on digits", "is not 'QUANTITY"),
        ("D, lower than vae", "is not 'QUANTITY"),
        ("beauty, lower than vae, on digits", "'beauty' is nothing that is measured; quantities are D, D_y"),
        ("D, lower than its beauty, on digits", "'beauty' is nothing that is measured"),
        ("D, lower than the vae, on digits", "'the vae' is no name of a model"),
        ("D, lower than vae, on digits; ", "claim '' is not"),
    ],
)
def test_what_is_no_claim_is_told(text, said):
    with pytest.raises(ValueError, match="claim") as error:
        claims(text)
    assert said in str(error.value)


def test_a_file_with_a_claim_that_cannot_be_read_is_told_with_its_line(tmp_path):
    path = tmp_path / "models" / "mine.py"
    path.parent.mkdir()
    path.write_text("class Mine:\n    row = Row(paper='1', claim='beauty, lower than vae, on digits')\n")
    with pytest.raises(registry.PluginError, match=r"mine.py, line 2: claim .*beauty"):
        card("models", path)


def test_every_model_but_the_plain_autoencoder_claims_something_that_its_suites_can_show():
    labels = {d.label or d.name for suite in ("all", "sequences") for d in read(suite).datasets}
    said = registry.claims()
    assert {name for name, one in said.items() if not one.claim} == {"ae"}  # the survey's, with no paper of its own
    for name, one in said.items():
        for claim in claims(one.claim):
            assert claim.dataset in labels and claim.reference in {"", *said}, (name, claim.text)
            assert claim.reference != name


def of(model, seed, losses, **more):
    """Records of a model on digits whose R* is σ and whose D is as given, with more values."""
    for sigma, loss in losses.items():
        made = fake_records.record(model, "digits", seed, sigma, H_x=None, title=model.upper())
        made["values"] |= {"R_star": sigma, "D": loss, "D_own": loss, "D_null": 100.0, "D_star": loss + 0.8}
        made["values"] |= {"D_per_dim": loss / 256, "D_bits_per_dim": loss / 256 / math.log(2)}
        made["values"] |= {name: value(sigma) if callable(value) else value for name, value in more.items()}
        yield made


def two(apart, seeds=(0, 1, 2), **more):
    """A VAE and a model `mine` whose D differs by `apart(seed)`; of each of `more` the first is the VAE's value."""
    records = []
    for seed in seeds:
        records += of("vae", seed, CURVE, **{name: values[0] for name, values in more.items()})
        losses = {sigma: loss + apart(seed) for sigma, loss in CURVE.items()}
        records += of("mine", seed, losses, **{name: values[1] for name, values in more.items()})
    return table(records)


def judged(points, text):
    found = analysis.claims(points, {"mine": Said(text, "0000.00000")})
    assert list(found.columns) == COLUMNS and len(found) == 1
    return found.iloc[0]


@pytest.mark.parametrize(
    ("apart", "text", "verdict"),
    [
        (lambda s: -1 + 0.1 * s, "D, lower than vae, on digits", "held"),
        (lambda s: -1 + 0.1 * s, "D, higher than vae, on digits", "not held"),
        (lambda s: 1 + 0.1 * s, "D, lower than vae, on digits", "not held"),
        (lambda s: s - 1, "D, lower than vae, on digits", "undecided"),
        (lambda s: 0.1 + 0.01 * s, "D, within 0.5 of vae, on digits", "held"),
        (lambda s: 2 + 0.01 * s, "D, within 0.5 of vae, on digits", "not held"),
        (lambda s: 0.45 + 0.1 * s, "D, within 0.5 of vae, on digits", "undecided"),
    ],
)
def test_a_claim_holds_where_its_whole_interval_says_so(apart, text, verdict):
    row = judged(two(apart), text)
    assert row["verdict"] == verdict and row["seeds"] == 3
    assert row["low"] <= row["effect"] <= row["high"]


def test_the_effect_in_d_is_that_of_the_leaderboard():
    points = two(lambda s: -1 + 0.1 * s)
    row = judged(points, "D, lower than vae, on digits")
    board = analysis.leaderboard(points).set_index("model").loc["mine"]
    assert (row["effect"], row["low"], row["high"]) == tuple(board[["bd_D", "bd_D_low", "bd_D_high"]])


def test_one_seed_decides_nothing():
    row = judged(two(lambda s: -5.0, seeds=(0,)), "D, lower than vae, on digits")
    assert (row["verdict"], row["why"]) == ("undecided", "one seed: no interval") and row["effect"] < 0


@pytest.mark.parametrize(
    ("cut", "who"),
    [({"vae": 1, "mine": 1}, ""), ({"vae": 2, "mine": 0}, "VAE"), ({"vae": 3, "mine": 2}, "MINE and of VAE")],
)
def test_a_verdict_says_whose_points_were_cut_off_while_they_improved(cut, who):
    points = two(lambda s: -1 + 0.1 * s)
    rank = points.groupby(["model", "seed"]).cumcount()
    row = judged(points.assign(capped=rank < points["model"].map(cut)), "D, lower than vae, on digits")
    wanted = f"most points of {who} were still improving when their steps ran out" if who else ""
    assert (row["verdict"], row["why"]) == ("held", wanted) and len(CURVE) == 3


def test_other_quantities_are_compared_along_lines_over_the_rates_that_both_have():
    line = {"D_pred": (lambda s: 2.0 * s + 9, lambda s: 2.0 * s + 6)}
    row = judged(two(lambda s: 0.0, **line), "D_pred, lower than vae, on digits")
    assert row["effect"] == pytest.approx(-3) and (row["R_low"], row["R_high"]) == (2, 8)
    assert row["verdict"] == "held"


def test_a_quantity_of_its_own_is_compared_at_its_own_points():
    more = {"D_pred": (9.0, 4.0), "D_pred_null": (1.0, 6.5)}
    row = judged(two(lambda s: 0.0, **more), "D_pred, lower than its D_pred of a constant, on digits")
    assert row["effect"] == pytest.approx(-2.5) and row["verdict"] == "held"


def test_what_is_not_there_is_said():
    points = two(lambda s: -1.0)
    missing = judged(points, "D, lower than ae, on digits")
    assert (missing["verdict"], missing["why"]) == ("not tested", "no points of ae on digits")
    elsewhere = judged(points, "D, lower than vae, on sprites")
    assert (elsewhere["verdict"], elsewhere["why"]) == ("not tested", "no points of mine on sprites")
    points["TC"] = np.nan
    unmeasured = judged(points, "total correlation, lower than vae, on digits")
    assert unmeasured["verdict"] == "undecided" and "was not measured of the model" in unmeasured["why"]


def test_a_panel_with_the_name_of_another_data_set_is_not_that():
    records = [*of("vae", 0, CURVE), *of("mine", 0, CURVE)]
    assert judged(table(records), "D, lower than vae, on digits")["verdict"] == "undecided"
    for record in records:
        record["spec"]["dataset"] = "sprites"
        record["key"] = digest(record["spec"])
    found = judged(table(records), "D, lower than vae, on digits")
    assert (found["verdict"], found["why"]) == ("not tested", "no points of mine on digits")


def test_curves_without_rates_in_common_are_not_compared():
    points = two(lambda s: 0.0, D_pred=(9.0, 8.0))
    points.loc[points["model"] == "mine", "R_star"] += 5.9
    row = judged(points, "D_pred, lower than vae, on digits")
    assert not np.isfinite(row["effect"]) and "less than 0.3 of the reference's in common" in row["why"]


def test_what_never_fails_is_not_what_a_claim_counts():
    """A point that failed has no quantity, and the others are compared."""
    points = two(lambda s: -1.0, D_pred=(9.0, 8.5))
    lost = (points["model"] == "mine") & (points["sigma"] == 4)
    points.loc[lost, "status"] = "error"
    points.loc[lost, ["R_star", "D", "D_pred"]] = np.nan
    assert judged(points, "D_pred, lower than vae, on digits")["effect"] == pytest.approx(-0.5)


def lacking(points, model, *sigmas):
    """The points without those of a model at some targets."""
    return points[~((points["model"] == model) & points["sigma"].isin(sigmas))]


@pytest.mark.parametrize(
    ("model", "said"),
    [("mine", "no points at 4 nats, where vae has some"), ("vae", "points at 4 nats, where vae has none")],
)
@pytest.mark.parametrize("text", ["D, higher than vae, on digits", "D_pred, higher than vae, on digits"])
def test_a_verdict_says_which_targets_one_of_the_two_lacks(model, said, text):
    more = {"D_pred": (lambda s: 9.0, lambda s: 10.0)}
    row = judged(lacking(two(lambda s: 1 + 0.1 * s, **more), model, 4.0), text)
    assert (row["verdict"], row["why"]) == ("held", said)
    points = lacking(two(lambda s: 1 + 0.1 * s, **more), model, 4.0)
    shown = analysis.claims_to_markdown(analysis.claims(points, {"mine": Said(text, "0000.00000")}))
    assert f"| held: {said} |" in shown


def test_a_target_that_one_seed_lacks_is_said():
    points = two(lambda s: 1 + 0.1 * s)
    cut = points[~((points["model"] == "mine") & (points["sigma"] == 8) & (points["seed"] == 1))]
    assert judged(cut, "D, higher than vae, on digits")["why"].endswith("no points at 8 nats, where vae has some")


def test_a_claim_is_not_decided_by_points_that_one_of_the_two_alone_has():
    """Of equal curves, the one without a point in between lies above the other, and lines cut what bends."""
    bent = {"D_pred": (lambda s: 0.0 if s == 4 else 1.0,) * 2}
    points = two(lambda s: 0.01 * s - 0.01, **bent)
    for model, way in (("mine", "higher"), ("vae", "lower")):
        for quantity in ("D", "D_pred"):
            claim = f"{quantity}, {way} than vae, on digits"
            assert judged(points, claim)["verdict"] != "held"
            row = judged(lacking(points, model, 4.0), claim)
            assert row["low"] > 0 if way == "higher" else row["high"] < 0
            assert row["verdict"] == "undecided" and "targets or rates of one of the two alone decide" in row["why"]
            assert "at 4 nats, where vae has" in row["why"]


def test_a_claim_is_not_decided_on_rates_that_the_model_alone_lacks():
    points = two(lambda s: 0.01 * s - 0.01)
    short = (points["model"] == "mine") & (points["sigma"] == 8)
    points.loc[short, "status"] = "unreachable"
    points.loc[short, ["R_star", "D"]] = [4.5, 24.4]
    row = judged(points, "D, higher than vae, on digits")
    assert row["low"] > 0 and row["verdict"] == "undecided"
    assert row["why"].startswith("targets or rates of one of the two alone decide it")


def test_a_sweep_has_no_targets_that_others_lack_and_decides_nothing_of_hulls():
    points = two(lambda s: -1 + 0.1 * s, D_pred=(9.0, 8.0))
    sweep = points["model"] == "vae"
    points.loc[sweep, "params"] = [f'{{"beta":{s}}}' for s in points.loc[sweep, "sigma"]]
    points.loc[sweep, "spec.sweep"], points.loc[sweep, "spec.params"] = '["beta"]', points.loc[sweep, "params"]
    points.loc[sweep, ["sigma", "spec.sigma"]] = np.nan
    row = judged(points, "D_pred, lower than vae, on digits")
    assert (row["verdict"], row["why"]) == ("held", "")
    row = judged(points, "D, lower than vae, on digits")
    assert row["verdict"] == "undecided" and "points at other rates than those of vae" in row["why"]


STRUCTURE = {
    "efficiency": {"a": {"n": [100, 200], "Dy": [1.0, 0.5]}, "b": {"n": [100, 200], "Dy": [0.25, 0.125]}},
    "noise": {"kind": "flip", "levels": [0.0, 0.2], "Dy": {"a": [0.1, 1.0], "b": [0.2, 2.0]}},
    "blocks": {"static": {"factors": {"a": {"IV": 0.75}}}},
    "leakage": {"s": "colour", "IV": 0.3},
    "clusters": {"ari": 0.4, "nmi": 0.6},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("D_y with 100 labels", 1.25),
        ("D_y with 300 labels", None),
        ("D_y with 20 % of the pixels flipped", 3.0),
        ("D_y with 5 % of the pixels flipped", None),
        ("I_V of a from static", 0.75),
        ("I_V of a from dynamic", None),
        ("leakage of colour", 0.3),
        ("leakage of shape", None),
        ("ARI of the clusters", 0.4),
        ("AMI of the clusters", None),
        ("mismatch", 1.5),
        ("D_y of a", 0.9),
        ("D_y", 1.9),
        ("SAP score", 0.11),
    ],
)
def test_quantities_are_read_where_records_have_them(text, value):
    columns = {"R_own": 5.5, "R_star": 4.0, "Dy": 1.9, "Dy[a]": 0.9, "sap_robust_mean": 0.11}
    table = pd.DataFrame([columns | {"structure": json.dumps(STRUCTURE)}, columns | {"structure": ""}])
    [claim] = claims(f"{text}, lower than vae, on digits")
    found = quantities.values(table, claim.quantity)
    assert found[0] == pytest.approx(value) if value is not None else np.isnan(found[0])


def test_every_form_of_a_quantity_has_values():
    table = pd.DataFrame({"structure": [""], "R_own": [1.0], "R_star": [1.0]})
    for kind in FORMS:
        at = "MIG" if kind == "score" else "ARI" if kind == "clusters" else "100"
        assert len(quantities.values(table, Quantity(kind, "x", at))) == 1


def test_the_markdown_has_every_claim():
    points = two(lambda s: -1.0 + 0.1 * s)
    said = {"mine": Said("D, lower than vae, on digits", "0000.00000"), "ae": Said("D, higher than vae, on x", "")}
    text = analysis.claims_to_markdown(analysis.claims(points, said))
    assert "| MINE | D, lower than vae, on digits | −0." in text and "| held |" in text
    assert "- ae: D, higher than vae, on x (no points of ae on x)" in text


def test_an_effect_that_is_not_known_has_no_unit():
    points = two(lambda s: -1.0 + 0.1 * s)
    said = {"mine": Said("D, lower than vae, on digits", "0000.00000")}
    table = analysis.claims(points, said).assign(effect=np.nan)
    assert "| MINE | D, lower than vae, on digits | – |" in analysis.claims_to_markdown(table)
