"""Two records of one row, seed and target never meet in a number."""

import fake_records
import pytest

from rdu_bench import analysis
from rdu_bench._hash import digest
from rdu_bench.records.flatten import table
from rdu_bench.records.store import Store

OLD, NEW = 1_000.0, 2_000.0


def row(finished=OLD, seeds=(0,), sigmas=(2.0, 6.0, 12.0), model="vae", scale=None, schema=2, data=None, **spec):
    """A row's records, `spec` changed."""
    made = []
    for seed in seeds:
        for sigma in sigmas:
            record = fake_records.record(model, seed=seed, sigma=sigma, scale=scale)
            record["spec"] |= spec
            record["schema"], record["key"] = schema, digest([record["spec"], schema, data])
            record["provenance"]["finished"] = finished + sigma
            if data:
                record["data"]["hash"] = data
            made.append(record)
    return made


OTHER = {  # what makes a recipe another one, and how it is called
    "the model's file": ({"plugins": {"models/vae": "3f2a" * 4}}, "file 3f2a…"),
    "a parameter": ({"params": {"gamma": 3}}, "gamma 3"),
    "the budget": ({"budget": {"steps": 800}}, "steps 800"),
    "the network": ({"network": {"family": "mlp", "hidden": [256, 256], "latent": 10}}, "hidden 256 256"),
    "the strategy": ({"strategy": "independent"}, "independent"),
    "the heads": ({"heads": ["linear"]}, "heads linear"),
    "a head's file": ({"plugins": {"models/vae": "0" * 16, "probes/mlp": "1"}}, "head files"),
    "the schema": ({"schema": 1}, "schema 1"),
    "the protocol": ({"protocol": 1}, "protocol 1"),
    "the data": ({"data": "12ab" * 4}, "data 12ab…"),
}


@pytest.mark.parametrize(("change", "words"), OTHER.values(), ids=OTHER)
def test_another_recipe_is_another_row(change, words):
    old, new = row(OLD, scale=2.0, **change), row(NEW)
    alone, both = analysis.leaderboard(new), analysis.leaderboard(old + new)
    assert both.drop(columns="missing").equals(alone.drop(columns="missing"))
    assert analysis.frontier(old + new).equals(analysis.frontier(new))
    [left] = analysis.left_out(old + new).to_dict("records")
    assert left["points"] == 3 and words in left["why"] and "older" in left["why"]
    assert words in analysis.left_out_text(analysis.left_out(old + new))
    every = analysis.leaderboard(old + new, every=True)
    assert (
        len(every) == 2
        and every["points"].tolist() == [3, 3]
        and len(set(zip(every["dataset"], every["name"], strict=False))) == 2
    )
    assert analysis.left_out(new).empty


@pytest.mark.parametrize("change", [{"suite": "other"}, {"suite_version": 9}, {"device": "cuda"}, {"threads": 4}])
def test_the_same_point_of_another_suite_or_machine_counts_once(change):
    old, new = row(OLD, **change), row(NEW)
    assert len(analysis.points(old + new)) == 3 and set(analysis.points(old + new)["key"]) == {r["key"] for r in new}
    assert analysis.left_out(old + new)["points"].sum() == 3
    apart = row(OLD, sigmas=(4.0,), **change)
    assert len(analysis.points(apart + new)) == 4  # other points of the recipe are welcome


def test_a_copied_file_counts_once(tmp_path):
    store = Store(tmp_path)
    path = store.write(row(sigmas=(6.0,))[0])
    path.with_name("copy.json").write_bytes(path.read_bytes())
    assert len(table(tmp_path)) == len(analysis.points([tmp_path, tmp_path])) == 1


def test_data_sets_that_differ_by_label_alone_stay_apart():
    found = analysis.leaderboard(row(dataset_label="a") + row(dataset_label="b"))
    assert found["dataset"].tolist() == ["a", "b"] and found["points"].tolist() == [3, 3]


def test_data_sets_of_one_label_and_other_parameters_stay_apart():
    found = analysis.points(row(dataset_params={"side": 16}) + row(dataset_params={"side": 32}))
    assert sorted(set(found["dataset"])) == ["sprites[side=16]", "sprites[side=32]"]


def test_a_point_that_failed_early_belongs_to_its_row():
    lost = row(NEW, sigmas=(30.0,))[0]
    lost |= {"status": "error", "reason": "no data", "values": {}, "factors": {}, "data": {}, "model": {}}
    found = analysis.leaderboard([lost, *row(OLD)])
    assert found["points"].tolist() == [4] and found["error"].tolist() == [1] and found["name"].tolist() == ["VAE"]


def test_what_was_asked_for_last_is_current_and_not_what_is_newest(tmp_path):
    store, old, new = Store(tmp_path), row(OLD, budget={"steps": 800}), row(NEW)
    for record in (*old, *new):
        record["key"] = digest(record["spec"])
        store.write(record)
    assert set(analysis.points(tmp_path)["key"]) == {r["key"] for r in new}
    store.ask(r["spec"] for r in old)
    assert set(analysis.points(tmp_path)["key"]) == {r["key"] for r in old}
    assert set(analysis.points(store.records())["key"]) == {r["key"] for r in old}
    assert "newer" in analysis.left_out(tmp_path)["why"].iloc[0]


def test_asking_for_more_of_a_recipe_keeps_what_was_asked_and_another_recipe_does_not(tmp_path):
    store = Store(tmp_path)
    assert store.asked() is None
    first, more = row(sigmas=(2.0,)), row(sigmas=(6.0,))
    beside, other = row(model="beta_vae", sigmas=(2.0,)), row(budget={"steps": 800}, sigmas=(2.0,))
    for records in (first, beside, more):
        store.ask(r["spec"] for r in records)
    assert store.asked() == {digest(r["spec"]) for r in (*first, *beside, *more)}
    store.ask(r["spec"] for r in other)
    assert store.asked() == {digest(r["spec"]) for r in (*beside, *other)}


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"rows": 1}', '{"rows": {"a": 1}}', '{"rows": {"a": {"keys": 1}}}']
)
def test_a_damaged_note_of_what_was_asked_is_as_none(tmp_path, content):
    (tmp_path / "asked.json").write_text(content)
    store = Store(tmp_path)
    assert store.asked() is None
    store.ask(r["spec"] for r in row())
    assert len(store.asked()) == 3


def test_a_variant_that_is_called_as_we_call_recipes_is_a_row_of_its_own():
    old, new = row(OLD, budget={"steps": 800}), row(NEW)
    words = analysis.points(old + new, every=True)["variant"].max()
    found = analysis.leaderboard(old + new + row(NEW, variant=words), every=True)
    assert sorted(found["points"]) == [3, 3, 3]
