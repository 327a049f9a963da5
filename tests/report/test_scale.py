"""Many records: what is read of them, and what the page shows instead of all."""

import itertools

import fake_records
import pandas as pd
import pytest

from rdu_bench import analysis
from rdu_bench.analysis.intervals import interval
from rdu_bench.analysis.points import Shown
from rdu_bench.analysis.scores import averages
from rdu_bench.records.store import Store
from rdu_bench.report import context, plots, render


def test_vectors_are_read_of_the_points_that_are_shown_alone(tmp_path):
    records = fake_records.suite(("vae", "m2"), seeds=4, sigmas=(2.0, 6.0), parts=True)
    read = []

    def vectors(record):
        read.append((record["spec"]["model"], record["spec"]["sigma"], record["spec"]["seed"]))
        return fake_records.vectors(record)

    render(records, tmp_path, vectors=vectors, formats=())
    assert sorted(read) == [(model, sigma, 0) for model in ("m2", "vae") for sigma in (2.0, 6.0)]


def test_whole_records_are_read_of_the_points_that_are_shown_alone(tmp_path, monkeypatch):
    store = Store(tmp_path)
    for record in fake_records.suite(("vae", "m2"), seeds=4, sigmas=(2.0, 6.0)):
        store.write(record)
    table, read = analysis.points(tmp_path), []
    whole = context._whole

    def counting(given, table):
        inner = whole(given, table)
        return lambda key: read.append(key) or inner(key)

    monkeypatch.setattr(context, "_whole", counting)
    render(tmp_path, tmp_path, formats=())
    assert len(set(read)) <= 5 < len(table)


def test_many_points_are_drawn_as_means_and_the_page_says_so(tmp_path, monkeypatch, told):
    monkeypatch.setattr(plots, "POINTS", 20)
    page = render(fake_records.suite(("vae", "m2"), seeds=3, sigmas=(2.0, 6.0, 18.0, 30.0)), tmp_path, formats=())
    plot = told(page)["plots"]["sprites-D"]
    points = [point for model in plot["models"] for point in model["points"]]
    assert len(points) == 8 and all(point["seeds"] == 3 and "seed" not in point for point in points)
    assert "24 single points are more than the 20 drawn" in page.read_text("utf-8")


def test_targets_beyond_a_number_are_chosen_evenly(monkeypatch):
    from rdu_bench.report import codes
    from rdu_bench.report.lineup import Lineup
    from rdu_bench.report.style import Palette

    table = analysis.points(fake_records.suite(("vae", "m2"), seeds=1))
    lineup = Lineup(table, Palette(["VAE", "M2"]))
    assert len(codes.chosen(table, lineup)[0]) == 16
    monkeypatch.setattr(codes, "READ", 6)
    kept, note = codes.chosen(table, lineup)
    assert [row["model"] for row in kept] == ["vae"] * 3 + ["m2"] * 3 and "Of 16" in note and "6 are shown" in note
    assert kept[0]["sigma"] == 2.0 and pd.isna(kept[2]["sigma"])


def test_long_learning_curves_are_thinned_evenly_and_say_so(monkeypatch):
    from rdu_bench.report import codes
    from rdu_bench.report.lineup import Lineup
    from rdu_bench.report.style import Palette

    records = [fake_records.rich(r) for r in fake_records.suite(("vae",), seeds=1, sigmas=(2.0, 6.0))]
    records[1]["learning"] = {name: values[:12] for name, values in records[1]["learning"].items()}
    table = analysis.points(records)
    held = list(zip(table.to_dict("records"), records, strict=True))
    whole = codes.learning(held, Lineup(table, Palette(["VAE"])), "")
    assert whole["note"] == "" and [len(p["step"]) for p in whole["points"]] == [20, 12]
    monkeypatch.setattr(codes, "LOOKS", 28)
    few = codes.learning(held, Lineup(table, Palette(["VAE"])), "")
    assert [len(p[name]) for p in few["points"] for name in ("step", "D", "R", "beta")] == [14] * 4 + [12] * 4
    long, thin = whole["points"][0], few["points"][0]
    at = [long["step"].index(step) for step in thin["step"]]
    assert at[0] == 0 and at[-1] == 19 and {b - a for a, b in itertools.pairwise(at)} == {1, 2}
    assert thin["D"] == [long["D"][i] for i in at] and few["points"][1] == whole["points"][1]
    assert few["note"] == "Of more than 14 looks, 14 are drawn."


@pytest.mark.parametrize("function", [analysis.leaderboard, analysis.frontier, analysis.scores, analysis.by_factor])
def test_points_that_were_found_before_give_the_same_tables(function):
    records = fake_records.suite(("vae", "m2"), seeds=2, sigmas=(2.0, 6.0), parts=True)
    pd.testing.assert_frame_equal(function(Shown(analysis.points(records))), function(records))


def test_averages_of_scores_are_means_over_seeds_of_means_over_targets():
    tidy = analysis.scores(fake_records.suite(("vae", "m2"), seeds=3, parts=True))
    found = averages(tidy)
    assert len(found) == 2 * 13 * 4
    for row in found.sample(20, random_state=0).to_dict("records"):
        about = ["model", "score", "protocol", "rep"]
        mine = tidy[(tidy[about] == [row[c] for c in about]).all(axis=1)]
        mine = mine[mine["sigma"].notna()]
        over = interval(mine.groupby("seed")["value"].mean().to_numpy(float))
        same = [row[c] for c in ("value", "low", "high")]
        assert same == pytest.approx([over.mean, over.low, over.high], nan_ok=True)
        assert (row["n"], row["of"]) == (mine["value"].count(), len(mine))
