"""Which rankings survive on other panels: τ-b with intervals that cover, and comparisons that flip."""

from itertools import combinations

import fake_records
import numpy as np
import pytest
from typer.testing import CliRunner

from rdu_bench import analysis
from rdu_bench.analysis.agreement import agreement, over_seeds
from rdu_bench.analysis.points import Shown
from rdu_bench.analysis.sensitivity import has_panels, to_markdown
from rdu_bench.cli.app import app
from rdu_bench.records.flatten import table
from rdu_bench.records.store import Store
from rdu_bench.report import Drawn

MODELS, PARTS, N = 6, 20, 400
PAIRS = list(combinations(range(MODELS), 2))
SCALES = {"vae": 1.0, "beta_tcvae": 0.9, "beta_vae": 1.15, "vq_vae": 1.3}  # rates that models need, best is least
SWAPPED = SCALES | {"beta_vae": 1.3, "vq_vae": 1.15}


def by_seed(*seeds):
    """Scores of models a, b, ... by seed, of one list a seed."""
    return {name: {s: each[i] for s, each in enumerate(seeds)} for i, name in enumerate("abcdef"[: len(seeds[0])])}


@pytest.mark.parametrize(
    ("one", "other", "tau"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 1),
        ([1, 2, 3, 4], [9, 7, 5, 3], -1),
        ([1, 2, 3, 4], [1, 2, 4, 3], 4 / 6),  # one of six pairs is the other way round
        ([1, 2, 3, 4], [1, 3, 4, 2], 2 / 6),
        ([1, 2, 3, 4], [1, 2, 2, 4], 5 / (6 * 5) ** 0.5),  # a tie on one side
        ([1, 1, 3, 4], [1, 1, 4, 3], (4 - 1) / 5),  # the same tie on both
    ],
)
def test_tau_is_that_of_kendall(one, other, tau):
    found = agreement(by_seed(one), by_seed(other))
    assert found.tau == pytest.approx(tau) and found.models == 4 and found.seeds == 1
    assert np.isnan(found.low) and found.over == ""  # without parts of the test points nothing is known


def test_an_order_in_which_all_are_tied_has_no_tau():
    assert np.isnan(agreement(by_seed([1, 1, 1]), by_seed([1, 2, 3])).tau)


def test_several_seeds_have_the_mean_of_their_taus_and_a_t_interval_in_bounds():
    """τ of 1, 4/6 and 4/6: mean 7/9, s = 1/3 · 1/√3, and t of two degrees of freedom is 4.3027."""
    base = by_seed([1, 2, 3, 4], [1, 2, 3, 4], [4, 3, 2, 1])
    found = agreement(base, by_seed([1, 2, 3, 4], [1, 2, 4, 3], [4, 3, 1, 2]))
    assert (found.tau, found.seeds, found.over) == (pytest.approx(7 / 9), 3, "seeds")
    assert found.low == pytest.approx(7 / 9 - 4.3027 / 9, abs=1e-4) and found.high == 1
    assert found.between == pytest.approx(-1 / 3)  # of the base's seeds: 1, −1 and −1


def test_seeds_that_agree_exactly_do_not_say_that_tau_never_moves():
    order = [1, 2, 3, 4]
    found = agreement(by_seed(order, order), by_seed(order, order))
    assert found.tau == found.high == 1 and found.low == pytest.approx(1 - 12.7062 / 3 / 24**0.5, abs=1e-4)


def test_what_is_missing_is_left_out_and_seeds_are_those_that_all_have():
    base = by_seed([1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4])
    other = by_seed([1, 2, 3, 4], [1, 2, 3, 4], [3, 2, 1, 4])
    del other["d"], other["a"][2]
    found = agreement(base, other)
    assert (found.models, found.seeds, found.tau) == (3, 2, 1)
    alone = agreement(base, {"a": other["a"]})
    assert alone.models == 1 and np.isnan(alone.tau)


def mean_tau(one, other):
    """(…) τ of orders (…, MODELS) without ties."""
    i, j = np.array(PAIRS).T
    found = np.sign(one[..., i] - one[..., j]) * np.sign(other[..., i] - other[..., j])
    return found.mean(-1)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(("noise", "moved"), [(0.1, 0.0), (0.3, 0.5), (0.3, 2.0)])
def test_intervals_over_seeds_cover_as_often_as_they_say(seeds, noise, moved):
    draw = np.random.default_rng([seeds, 1])
    level = np.random.default_rng(7).normal(size=MODELS)
    levels = level, level + moved * np.random.default_rng(8).normal(size=MODELS)
    true = mean_tau(*(v + noise * draw.normal(size=(50_000, MODELS)) for v in levels)).mean()
    taus = mean_tau(*(v + noise * draw.normal(size=(300, seeds, MODELS)) for v in levels))
    found = [over_seeds(list(each), 2 / len(PAIRS)) for each in taus]
    assert np.mean([i.low <= true <= i.high for i in found]) > 0.88  # .91 or more in 2,000 repeats


def parts(level, hard):
    """(MODELS, 1 + PARTS): means over all test points, and without one part after the other."""
    each = (level[:, None] + hard).reshape(MODELS, PARTS, -1).mean(2)
    whole = each.mean(1, keepdims=True)
    return np.concatenate([whole, (PARTS * whole - each) / (PARTS - 1)], axis=1)


@pytest.mark.parametrize(("spread", "moved"), [(0.1, 0.0), (0.6, 1.0), (1.0, 0.0)])
def test_the_interval_of_one_seed_covers_the_tau_of_all_test_points(spread, moved):
    """Of which a jackknife of τ itself misses more than it says, where models are apart and panels differ."""
    hits, jackknife, widths = [], [], []
    for repeat in range(100):
        draw = np.random.default_rng([repeat, 3])
        level = spread * draw.normal(size=MODELS)
        levels = level, level + moved * spread * draw.normal(size=MODELS)
        common = draw.normal(size=(MODELS, N))  # test points are the same on both panels
        one, other = (parts(v, common + draw.normal(size=(MODELS, N))) for v in levels)
        found = agreement(*({m: {0: v} for m, v in enumerate(panel)} for panel in (one, other)))
        true, taus = mean_tau(*levels), mean_tau(one.T, other.T)
        assert found.over == "test points" and found.low <= found.tau <= found.high
        hits.append(found.low - 1e-9 <= true <= found.high + 1e-9)
        widths.append(found.high - found.low)
        half = 2.093 * np.sqrt((PARTS - 1) * taus[1:].var())
        jackknife.append(abs(taus[0] - true) <= half + 1e-9)
    assert np.mean(hits) >= 0.95
    assert np.mean(widths) < 1.2 or spread < 0.5  # it is not all of [−1, 1]
    assert moved == 0 or np.mean(jackknife) < 0.9


@pytest.mark.parametrize(("errors", "low"), [(2.0, -1.0), (2.2, 1.0)])
def test_two_models_are_told_apart_by_one_seed_where_both_panels_tell_at_95_percent(errors, low):
    """Of one pair each panel may be wrong on one side, 2.5 % each; t of 19 degrees of freedom is 2.093."""
    each = np.arange(20.0)
    each += errors * each.std(ddof=1) / 20**0.5 - each.mean()
    scores = {"a": {0: np.array([each.mean(), *((20 * each.mean() - each) / 19)])}, "b": {0: np.zeros(21)}}
    sure = {"a": {0: np.ones(21)}, "b": {0: np.zeros(21)}}
    found = agreement(scores, sure)
    assert (found.tau, found.low, found.high) == pytest.approx((1, low, 1))


def records(panel, scales=None, seeds=(0, 1, 2), noise=0.01):
    """One panel of the suite."""
    found = []
    for model, scale in (scales or SCALES).items():
        for seed in seeds:
            for sigma in (2.0, 6.0, 12.0, 30.0):
                made = fake_records.record(
                    model, panel, seed, sigma, scale=scale, noise=noise, useful=1.3 - 0.7 * scale
                )
                made["spec"] |= {"suite": "sensitivity"}
                found.append(made)
    return found


def only(frame, **cells):
    [row] = frame[np.logical_and.reduce([frame[c] == v for c, v in cells.items()])].to_dict("records")
    return row


@pytest.fixture(scope="module")
def flipped():
    """`wide` has β-VAE and VQ-VAE the other way round, `split` as on digits."""
    return Shown(analysis.points(records("digits") + records("wide", SWAPPED) + records("split")))


def test_a_planted_flip_lowers_tau_by_one_pair(flipped):
    found = analysis.sensitivity(flipped)
    assert set(found["panel"]) == {"wide", "split"} and set(found["score"]) == {"bd_nats", "dIV"} and len(found) == 4
    assert only(found, panel="split", score="bd_nats")["tau"] == pytest.approx(1)
    row = only(found, panel="wide", score="bd_nats")
    assert row["tau"] == pytest.approx(4 / 6) and (row["seeds"], row["models"], row["without"]) == (3, 4, "")
    assert row["tau_low"] < 4 / 6 < row["tau_high"] <= 1 and row["tau_seeds"] == pytest.approx(1)


def test_a_planted_flip_is_named_with_its_panel_and_the_rest_survives(flipped):
    found = analysis.comparisons(flipped)
    found = found[found["score"] == "bd_nats"]
    assert len(found) == 6 and found["resolved"].all() and (found["panels"] == 2).all() and (found["lead"] > 0).all()
    row = only(found, ahead="β-VAE", behind="VQ-VAE")
    assert (row["flips"], row["flips_resolved"], row["conclusion"]) == ("wide", "wide", "flips")
    others = found[found["behind"] + found["ahead"] != "VQ-VAEβ-VAE"]
    assert len(others) == 5 and set(others["conclusion"]) == {"survives"} and set(others["flips"]) == {""}


def test_the_lead_on_the_reference_is_the_number_of_the_board(flipped):
    board = analysis.leaderboard(flipped).set_index(["dataset", "model"]).loc[("digits", "beta_tcvae")]
    row = only(analysis.comparisons(flipped), score="bd_nats", ahead="β-TCVAE", behind="VAE")
    assert row["lead"] == pytest.approx(-board["bd_nats"])
    assert (row["lead_low"], row["lead_high"]) == pytest.approx((-board["bd_nats_high"], -board["bd_nats_low"]))


def test_one_seed_has_no_interval_over_seeds_and_resolves_nothing_without_parts():
    found = records("digits", seeds=(0,)) + records("wide", SCALES | {"vq_vae": 1.05}, seeds=(0,))
    row = only(analysis.sensitivity(found), score="bd_nats")
    assert (row["tau"], row["seeds"], row["over"]) == (pytest.approx(4 / 6), 1, "") and np.isnan(row["tau_low"])
    pairs = analysis.comparisons(found)
    assert not pairs["resolved"].any() and set(pairs["conclusion"]) == {"open"}
    assert (pairs.loc[pairs["score"] == "bd_nats", "flips"] == "wide").sum() == 1


def test_a_model_that_a_panel_lacks_is_named():
    found = records("digits") + records("wide", {m: s for m, s in SCALES.items() if m != "beta_vae"})
    row = only(analysis.sensitivity(found), score="bd_nats")
    assert (row["models"], row["without"], row["tau"]) == (3, "β-VAE", pytest.approx(1))
    pairs = analysis.comparisons(found)
    mine = pairs[(pairs["ahead"] == "β-VAE") | (pairs["behind"] == "β-VAE")]
    assert len(mine) == 6 and set(mine["missing"]) == {"wide"} and set(mine["conclusion"]) == {"open"}
    assert set(mine["panels"]) == {0}


def test_models_trained_on_labels_are_compared_among_themselves():
    scales = SCALES | {"m2": 0.8, "vfae": 1.1}
    found = analysis.sensitivity(records("digits", scales) + records("wide", scales))
    assert set(found["section"]) == {"labels: none"}  # M2 and VFAE are alone in theirs
    assert (found["models"] == 4).all()


@pytest.mark.parametrize("function", [analysis.sensitivity, analysis.comparisons])
def test_a_base_that_is_not_there_is_a_sentence_with_those_that_are(function, flipped):
    with pytest.raises(LookupError, match=r"no panel 'digit'.*take one of digits, split, wide"):
        function(flipped, "digit")
    with pytest.raises(LookupError, match="'digits' is the only panel here"):
        function(records("digits", seeds=(0,)))


def test_the_tables_in_markdown_name_what_flips_and_count_what_survives(flipped):
    taus, pairs = analysis.sensitivity(flipped), analysis.comparisons(flipped)
    text = to_markdown(taus, pairs)
    assert "of 6 comparisons 6 are resolved on digits; survive: 5, flip: 1." in text
    assert "| labels: none | BD-nats | β-VAE | VQ-VAE |" in text and "| wide | wide | – | flips |" in text
    assert "as they were trained" not in text
    assert "as they were trained" in to_markdown(taus.assign(over="test points"), pairs)
    assert text.count("| β-TCVAE |") == 0 and to_markdown(taus, pairs, every=True).count("| β-TCVAE |") == 6
    kept = pairs[pairs["flips"] == ""]
    assert "No comparison flips." in to_markdown(taus, kept)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    for record in records("digits", seeds=(0,)) + records("wide", SWAPPED, seeds=(0,)):
        Store(folder).write(record)
    return folder


def test_the_command_prints_what_python_gives(run):
    done = CliRunner().invoke(app, ["sensitivity", str(run), "--all"])
    assert done.exit_code == 0, done.output
    assert done.stdout == to_markdown(analysis.sensitivity(run), analysis.comparisons(run), every=True)
    other = CliRunner().invoke(app, ["sensitivity", str(run), "--base", "wide"])
    assert "order of models on wide" in other.stdout and "| digits |" in other.stdout


def test_a_run_of_the_suite_is_published_with_its_sensitivity_and_no_other_is(run, tmp_path, monkeypatch):
    found = table(run)
    assert has_panels(found) and not has_panels(found[found["dataset"] == "digits"])
    assert not has_panels(found.assign(suite="quick"))
    tables = {"leaderboard": analysis.leaderboard(found)}
    monkeypatch.setattr("rdu_bench.report.draw", lambda run, out: Drawn([], "", tables))
    app(["publish", str(run), "--out", str(tmp_path)], standalone_mode=False)
    lines = (tmp_path / "sensitivity.csv").read_text("utf-8").splitlines()
    assert lines[0].startswith("panel,section,score,tau,tau_low") and len(lines) == 3
    assert len((tmp_path / "comparisons.csv").read_text("utf-8").splitlines()) == 13
