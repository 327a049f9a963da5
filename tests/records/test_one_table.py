"""Whatever records come from, their table is one, and so is every number that is drawn from it."""

import json
import re

import fake_records
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import rdu_bench
from rdu_bench import _paths, analysis
from rdu_bench._hash import digest
from rdu_bench.records.archive import manifest_faults
from rdu_bench.records.flatten import table
from rdu_bench.records.store import Store

VIEWS = {
    "points": analysis.points,
    "frontier D": lambda source: analysis.frontier(source, "D"),
    "frontier D_y": lambda source: analysis.frontier(source, "Dy"),
    "leaderboard": analysis.leaderboard,
    "failures": analysis.failures,
    "by factor": analysis.by_factor,
    "scores": analysis.scores,
    "left out": analysis.left_out,
    "every point": lambda source: analysis.points(source, every=True),
    "every board": lambda source: analysis.leaderboard(source, every=True),
    **{
        f"structure {name}": lambda source, name=name: analysis.structure(source).get(name, pd.DataFrame())
        for name in ("clusters", "levels", "leakage", "efficiency", "codelength", "noise")
    },
}


def same(a, b, what=""):
    """Two frames say the same; where the file of a record lies is not what it says."""
    a, b = (frame.drop(columns=["path"], errors="ignore") for frame in (a, b))
    pd.testing.assert_frame_equal(a, b, check_dtype=False, rtol=1e-9, obj=what)


def sources(records, folder):
    """The same records in all the forms that they can be given in."""
    store = Store(folder)
    for record in records:
        store.write(record)
    frame = rdu_bench.load_results(folder)
    frame.to_csv(folder / "points.csv", index=False)
    frame.to_parquet(folder / "points.parquet", index=False)
    return {
        "folder as text": str(folder),
        "store": store,
        "records of the store": store.records(),
        "load_results": frame,
        "points": analysis.points(folder, every=True),
        "CSV": folder / "points.csv",
        "CSV as pandas reads it": pd.read_csv(folder / "points.csv", keep_default_na=False),
        "Parquet": folder / "points.parquet",
        "Parquet as pandas reads it": pd.read_parquet(folder / "points.parquet"),
    }


def agree(records, folder, views):
    """Tables of all forms are the same; so are the views of some, which make no table of their own."""
    whole, forms = table(records), sources(records, folder)
    for form, source in forms.items():
        same(whole, table(source), f"table from {form}")
    for name in views:
        wanted = VIEWS[name](records)
        for form in ("folder as text", "CSV"):
            same(wanted, VIEWS[name](forms[form]), f"{name} from {form}")


TEXTS = ["", "a", "01", "1e5", "NA", "null", "=1+1", 'quo"te, |', "ü\n2"]


@st.composite
def record_sets(draw):
    """Records of a few rows, with all that can tell two of them apart."""
    made = {}
    for _ in range(draw(st.integers(1, 3))):
        row = {
            "model": draw(st.sampled_from(["vae", "beta_vae", "pixelvae"])),
            "variant": draw(st.sampled_from(TEXTS)),
            "dataset": draw(st.sampled_from(["sprites", "digits"])),
        }
        label, sweep = draw(st.sampled_from(["", "small", "007"])), draw(st.booleans())
        change = {
            "protocol": draw(st.sampled_from([1, 2])),
            "suite": draw(st.sampled_from(["fake", "other"])),
            "budget": {"steps": draw(st.sampled_from([800, 2000]))},
            "plugins": {f"models/{row['model']}": draw(st.sampled_from(["0" * 16, "3f2a" * 4]))},
        }
        for seed in range(draw(st.integers(1, 2))):
            for value in draw(st.lists(st.sampled_from([1.0, 4.0, 9.0]), min_size=1, max_size=2, unique=True)):
                status = draw(st.sampled_from(["ok", "ok", "ok", "rate_missed", "diverged", "error"]))
                record = fake_records.record(**row, seed=seed, sigma=value, status=status)
                if draw(st.booleans()):
                    record = fake_records.rich(record)
                record["spec"] |= change | {"dataset_label": label or row["dataset"]}
                if sweep:
                    record["spec"] |= {"sigma": None, "params": {"beta": value}, "sweep": ["beta"]}
                    record["control"]["sigma"] = None
                if draw(st.booleans()):
                    record["schema"] = 1
                    del record["spec"]["sweep"]
                record["provenance"]["finished"] += draw(st.integers(0, 5))
                record["key"] = digest(record["spec"])
                made[record["key"]] = record
    return list(made.values())


@settings(
    max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, phases=[Phase.generate]
)
@given(record_sets())
def test_every_form_of_records_gives_the_same_tables(tmp_path_factory, records):
    agree(records, tmp_path_factory.mktemp("run"), ["points", "frontier D", "leaderboard", "failures", "left out"])


PUBLISHED = sorted((_paths.checkout() / "results").glob("*/manifest.json"))


@pytest.mark.skipif(not PUBLISHED, reason="nothing is published here")
def test_published_records_give_the_same_tables(tmp_path):
    every = Store(PUBLISHED[0].parent).records()
    rates = sorted({r["spec"]["sigma"] for r in every if r["spec"]["sigma"] is not None})
    some = rates[len(rates) // 2 :][:2]
    records = [r for r in every if r["spec"].get("sweep") or r["spec"]["sigma"] in some]
    assert len(records) > 10
    agree(records, tmp_path, VIEWS)


@pytest.mark.parametrize("manifest", PUBLISHED, ids=lambda path: path.parent.name)
def test_what_is_published_is_whole(manifest):
    store = Store(manifest.parent)
    assert [*manifest_faults(manifest.parent)] == [] and store.found() == store.records()
    assert len(store.keys()) == json.loads(manifest.read_text("utf-8"))["records"]


def test_a_sweep_is_one_row_of_as_many_points_as_values():
    records = []
    for seed in (0, 1):
        for beta in (0.5, 1.0, 4.0):
            record = fake_records.record("beta_vae", seed=seed, sigma=6.0 / beta)
            record["spec"] |= {"sigma": None, "params": {"beta": beta}, "sweep": ["beta"]}
            record["control"]["sigma"] = None
            records.append(record)
    board = analysis.leaderboard(records)
    assert board["points"].tolist() == [6] and board["seeds"].tolist() == [2] and board["missing"].tolist() == [0]
    mean = analysis.frontier(records)
    assert mean[mean["seed"].isna() & ~mean["null"]]["seeds"].tolist() == [2, 2, 2]


def test_the_status_of_a_point_is_that_of_its_record():
    record = fake_records.record("vae", status="error", reason="no numbers came")
    record["control"] |= {"status": "ok", "reason": None}
    for found in (table([record]), analysis.points([record])):
        assert found["status"].tolist() == ["error"] and found["reason"].tolist() == ["no numbers came"]


def test_a_frame_of_something_else_is_refused():
    with pytest.raises(ValueError, match="no table of records"):
        analysis.points(pd.DataFrame({"a": [1]}))


def test_keys_that_were_read_as_numbers_are_refused():
    record = fake_records.record("vae")
    record["key"] = "1234567890123456"
    frame = table([record])
    with pytest.raises(ValueError, match="read as numbers"):
        table(frame.assign(key=frame["key"].astype("int64")))


@pytest.mark.parametrize("kept", ["1.23457E+15", "12345", ""])  # 1234567890123456 and 0000000000012345, by a sheet
def test_keys_that_a_sheet_wrote_again_are_refused(tmp_path, kept):
    file = tmp_path / "points.csv"
    table([fake_records.record("vae")]).assign(key=kept).to_csv(file, index=False)
    with pytest.raises(ValueError, match=f"column 'key' holds '{re.escape(kept)}' where 16 hex digits belong"):
        table(file)


@pytest.mark.parametrize("source", [[], (), iter(())])
def test_no_records_are_an_error(source):
    with pytest.raises(ValueError, match="no records"):
        analysis.points(source)
