"""Published points beside a run: those that compare are there, no others, and each kind that is not says why."""

import json
from pathlib import Path

import pandas as pd
import pytest

from rdu_bench import analysis
from rdu_bench._hash import canonical
from rdu_bench.analysis import beside
from rdu_bench.analysis.points import ROW, points
from rdu_bench.records.flatten import table
from rdu_bench.records.published import points_at, shipped

POINTS = Path(__file__).parents[2] / "results" / "quick" / "points.parquet"
pytestmark = pytest.mark.skipif(not POINTS.exists(), reason="no published points here")


@pytest.fixture(scope="module")
def published():
    """One seed of what is published."""
    every = table(POINTS)
    return every[every["seed"] == 0].reset_index(drop=True)


def changed(frame, **columns):
    """A copy in which columns are others, the keys too; `_` in a name stands for a dot."""
    named = {name.replace("__", "."): value for name, value in columns.items()}
    return table(frame.assign(**named, key=[f"{i:016x}" for i in range(len(frame))]))


def of(frame, *models):
    return frame[frame["model"].isin(models)].reset_index(drop=True)


@pytest.fixture(scope="module")
def mine(published):
    """A run of one model that nobody published."""
    rows = of(published, "vae")
    plugins = rows["spec.plugins"].str.replace("models/vae", "models/my_vae", regex=False)
    return changed(
        rows,
        spec__model=canonical("my_vae"),
        model="my_vae",
        title="MyVae",
        model__title="MyVae",
        spec__plugins=plugins,
    )


def test_rows_that_compare_stand_beside_a_run_and_are_marked(mine, published):
    joined = beside(mine, published)
    assert joined.sentences == []
    assert set(joined.points["model"]) == {"my_vae", *published["model"]}
    assert len(joined.points) == len(mine) + len(published)
    board = analysis.leaderboard(joined.points)
    marked = board.set_index("model")["note"].str.startswith("published")
    assert not marked["my_vae"] and marked.drop("my_vae").all()
    assert board["missing"].eq(0).all()
    alone = analysis.leaderboard(published).set_index("model")
    assert board.set_index("model").loc["my_vae", "bd_nats"] == alone.loc["vae", "bd_nats"]


PLUGINS = {"file of a head": "probes/mlp", "file of the data set": "datasets/digits"}


def doctored(frame, what):
    """The published points as if made in another way."""
    if what == "budget":
        return changed(frame, spec__budget=frame["spec.budget"].str.replace('"steps":6400', '"steps":64'))
    if what == "network":
        return changed(frame, spec__network=frame["spec.network"].str.replace('"latent":10', '"latent":3'))
    if what == "heads":
        return changed(frame, spec__heads=canonical(["linear"]))
    if what == "protocol":
        return changed(frame, spec__protocol=2.0)
    if what == "data":
        return changed(frame, data__hash="9f" * 8)
    known = frame["spec.plugins"].str.extract(f'"{PLUGINS[what]}":"([0-9a-f]+)"')[0].iloc[0]
    return changed(frame, spec__plugins=frame["spec.plugins"].str.replace(known, "0" * 16))


SAID = {
    "budget": "steps 64, yours laptop",
    "network": "latent 3, yours latent 10",
    "heads": "heads linear, yours linear mlp",
    "protocol": "protocol 2, yours 3",
    "data": "data 9f9f…, yours 5bfb…",
    "file of a head": "head files",
    "file of the data set": "data file",
}


@pytest.mark.parametrize("what", SAID)
def test_what_was_made_in_another_way_is_kept_out_and_named(mine, published, what):
    """One model made otherwise, and the others beside the run as before."""
    other = doctored(of(published, "beta_vae"), what)
    rest = published[published["model"] != "beta_vae"]
    joined = beside(mine, pd.concat([other, rest], ignore_index=True))
    assert set(joined.points["model"]) == {"my_vae", *rest["model"]}
    [said] = joined.sentences
    assert said.startswith("beta_vae on digits: ") and SAID[what] in said


def test_nothing_that_compares_is_a_sentence_a_reason_and_the_run_alone(mine, published):
    joined = beside(mine, doctored(published, "protocol"))
    assert set(joined.points["model"]) == {"my_vae"} and not joined.points["published"].any()
    assert joined.sentences == [f"{published.groupby(ROW).ngroups} rows on digits: protocol 2, yours 3"]


def test_data_sets_without_points_of_the_run_are_left_out_in_one_sentence(mine, published):
    label = canonical("sprites")
    elsewhere = changed(published, spec__dataset=label, spec__dataset_label=label, dataset="sprites")
    joined = beside(mine, elsewhere)
    assert joined.sentences == [f"{published.groupby(ROW).ngroups} rows on sprites: your run has no points there"]


def test_seeds_of_others_make_nothing_missing(mine, published):
    second = changed(published, seed=1, spec__seed=1.0)
    second["key"] = second["key"].str.replace("^0", "f", regex=True)
    joined = beside(mine, pd.concat([published, second], ignore_index=True))
    assert joined.sentences == [f"{len(second)} points on digits: seed 1, which your run has not"]
    assert set(joined.points["seed"]) == {0} and analysis.leaderboard(joined.points)["missing"].eq(0).all()


def test_seeds_that_the_published_rows_lack_make_nothing_missing_there(mine, published):
    second = changed(mine, seed=1, spec__seed=1.0)
    second["key"] = second["key"].str.replace("^0", "f", regex=True)
    joined = beside(pd.concat([mine, second], ignore_index=True), published)
    [said] = joined.sentences
    assert said.startswith("digits: the published rows lack seed 1")
    board = analysis.leaderboard(joined.points).set_index("model")
    assert board["missing"].eq(0).all() and board.loc["my_vae", "seeds"] == 2
    assert "reference lacks seed 1" in board.loc["my_vae", "note"]


def test_other_targets_are_said(mine, published):
    fewer = mine[mine["sigma"] == mine["sigma"].min()]
    [said] = beside(fewer, published).sentences
    assert said.startswith(f"digits: your targets are {mine['sigma'].min():g} nats and") and "like for like" in said


def test_of_a_row_in_the_same_recipe_your_own_points_are_used(mine, published):
    ours = of(published, "vae").iloc[:1].assign(R_star=77.0)
    joined = beside(pd.concat([mine, ours], ignore_index=True), published)
    vae = of(joined.points, "vae")
    assert vae["R_star"].tolist() == [77.0] and not vae["published"].any()
    count = len(of(published, "vae"))
    assert f"vae on digits: your own points are used, {count} published left out" in joined.sentences


def forged(published, *, file):
    """What claims to be the published VAE, of a file of another hash or of the same."""
    rows = of(published, "vae")
    plugins = rows["spec.plugins"].str.replace(r'"models/vae":"\w+"', f'"models/vae":"{file}"', regex=True)
    return changed(rows.assign(R_star=0.1, D=0.1), spec__plugins=plugins if file else rows["spec.plugins"])


def as_told_apart(published):
    """The variant of the published VAE beside another of its name."""
    known = json.loads(of(published, "vae")["spec.plugins"].iloc[0])["models/vae"]
    return f"published, file {known[:4]}…"


def test_a_row_that_claims_a_published_name_by_another_file_is_told_apart(published):
    joined = beside(forged(published, file="f" * 16), published)
    shown = points(joined.points)
    names, called = shown[shown["model"] == "vae"].groupby("name"), f"VAE ({as_told_apart(published)})"
    assert set(names.groups) == {"VAE", called}
    assert {name: part["published"].all() for name, part in names} == {"VAE": False, called: True}
    assert all((part["R_star"] == 0.1).all() != part["published"].all() for _, part in names)


def test_no_row_holds_points_of_both_whatever_a_record_claims(mine, published):
    taken = changed(
        forged(published, file="f" * 16),
        spec__variant=canonical(as_told_apart(published)),
        variant=as_told_apart(published),
    )
    taken["key"] = taken["key"].str.replace("^0", "e", regex=True)
    named = changed(mine, title="β-VAE", model__title="β-VAE")  # another file under a published title
    named["key"] = named["key"].str.replace("^0", "d", regex=True)
    for run in (forged(published, file=""), pd.concat([forged(published, file="f" * 16), taken, named])):
        shown = points(beside(run.reset_index(drop=True), published).points)
        for columns in (ROW, ["name"]):
            assert shown.groupby(columns)["published"].nunique().eq(1).all()
        assert shown.groupby(ROW)["recipe"].nunique().eq(1).all()
        assert len(shown[shown["published"]]) >= len(published) - len(of(published, "vae"))


def test_an_older_recipe_of_ones_own_that_is_the_published_one_is_there_once(published):
    """The file was edited after it was published, and the run kept the points of before."""
    edited = forged(published, file="f" * 16).assign(**{"provenance.finished": 4e9})
    run = table(pd.concat([of(published, "vae").assign(asked=False), edited.assign(asked=True)], ignore_index=True))
    joined = beside(run, published).points
    vae = joined[joined["spec.model"] == canonical("vae")]
    assert vae["published"].sum() == len(of(published, "vae")) and vae["key"].is_unique
    assert set(points(vae)["name"]) == {"VAE", f"VAE ({as_told_apart(published)})"}


def test_the_published_points_are_those_that_ship():
    """Of suite `all` alone, which the wheel has too."""
    file = shipped()
    assert file == POINTS.parents[1] / "all" / POINTS.name
    found = points_at("published")
    assert set(found["key"]) == set(points_at(file)["key"]) and found["key"].is_unique
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        points_at("nowhere")


def test_a_reference_of_ones_own_is_said_to_be_none_of_the_published(mine, published):
    weak = of(published, "vae")
    weak = changed(
        weak, spec__plugins=weak["spec.plugins"].str.replace('models/vae":"', 'models/vae":"ff', regex=False)
    )
    joined = beside(pd.concat([mine, weak.assign(key=[f"a{i:015x}" for i in range(len(weak))])]), published)
    assert joined.sentences == [
        "vae on digits: yours is of another recipe than the published one, which has a row of its own; "
        "what is compared with vae is compared with yours"
    ]
    board = analysis.leaderboard(joined.points)
    assert board[board["reference"]]["note"].str.startswith("published").tolist() == [False]


def test_the_seeds_of_published_rows_are_those_of_the_run_and_no_remark(published):
    every = table(POINTS)
    frame = of(every[every["seed"].isin([1, 3])], "vae")
    plugins = frame["spec.plugins"].str.replace("models/vae", "models/my_vae", regex=False)
    own = changed(frame, spec__model=canonical("my_vae"), model="my_vae", title="My", spec__plugins=plugins)
    notes = analysis.leaderboard(beside(own, every).points).set_index("model")["note"]
    said = "no points of seeds 0, 2, which come before its others"
    assert said in notes["my_vae"] and not notes.drop("my_vae").str.contains(said).any()
