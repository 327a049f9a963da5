"""The same points say the same from every door, and a door that leads nowhere is named."""

import fake_records
import numpy as np
import pandas as pd
import pytest

import rdu_bench
from rdu_bench import analysis
from rdu_bench._hash import digest
from rdu_bench.cli.app import app
from rdu_bench.cli.results import _home
from rdu_bench.records.archive import manifest_faults, publish
from rdu_bench.records.columns import TableError, shipped
from rdu_bench.records.flatten import records_of, table
from rdu_bench.records.store import Store
from rdu_bench.records.unmade import unmade


def stored(folder, *records):
    """A run of these records, whose folder is given."""
    for record in records:
        Store(folder).write(record)
    return folder


def same(a, b):
    """Two tables agree to the last digit; where a record lies is not what it says."""
    a, b = (frame.drop(columns=["path"], errors="ignore") for frame in (a, b))
    pd.testing.assert_frame_equal(a, b, check_exact=True)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs, and the table of the second as CSV and as Parquet."""
    home = tmp_path_factory.mktemp("doors")
    stored(home / "one", *(fake_records.record("vae", sigma=s) for s in (2.0, 6.0)))
    two = stored(home / "two", *(fake_records.record("beta_vae", sigma=s) for s in (2.0, 6.0)))
    frame = table(two)
    frame.to_csv(home / "two.csv", index=False)
    frame.to_csv(home / "INDEX.CSV")
    frame.to_parquet(home / "two.parquet")
    (home / "empty").mkdir()
    (home / "notes.txt").write_text("none")
    return home


def test_several_sources_of_any_kind_are_one_table(runs):
    both = rdu_bench.load_results(runs / "one", runs / "two")
    assert len(both) == 4
    for other in (runs / "two.csv", runs / "INDEX.CSV", runs / "two.parquet", table(runs / "two")):
        same(both, rdu_bench.load_results(runs / "one", other))
        same(both, rdu_bench.load_results([[other], Store(runs / "one")]))


def test_tables_put_together_by_hand_hold_each_point_once(runs):
    one, two = table(runs / "one"), table(runs / "two")
    same(table([runs / "one", runs / "two"]), table(pd.concat([one, two, one])))


@pytest.mark.parametrize("place", ["empty", "gone", "notes.txt", "gone.csv"])
def test_a_place_without_records_is_named_and_not_passed_over(runs, place):
    with pytest.raises(FileNotFoundError, match=place):
        rdu_bench.load_results(runs / "one", runs / place)


@pytest.mark.parametrize(
    ("place", "said"),
    [("one/records", "give its folder, .*one"), ("one/records/sprites", "give its folder"), (".", "some in .*one")],
)
def test_where_records_are_is_said(runs, place, said):
    with pytest.raises(FileNotFoundError, match=said):
        rdu_bench.load_results(runs / place)


def test_the_word_published_is_what_comes_with_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert set(table("published")["key"]) == set(pd.read_parquet(shipped(), columns=["key"])["key"])
    stored(tmp_path / "published", fake_records.record("vae"))
    assert len(table("published")) == 1


def test_records_of_a_table_are_those_that_are_still_there(runs, tmp_path):
    run = stored(tmp_path / "run", fake_records.record("vae"))
    table(run).to_csv(tmp_path / "run.csv", index=False)
    keys = [record["key"] for record in records_of([tmp_path / "run.csv", runs / "one"])]
    assert len(keys) == 3 and keys[0] == table(run)["key"][0]
    next(run.rglob("*.json")).unlink()
    assert records_of(tmp_path / "run.csv") == []


def test_what_pandas_takes_for_nothing_is_put_back(tmp_path):
    record = fake_records.record("vae")
    record["values"] |= {"D_source": "null", "D": record["values"]["D_null"]}
    found = table([record])
    found.to_csv(tmp_path / "points.csv", index=False)
    assert found["D_source"].tolist() == ["null"]
    assert table(pd.read_csv(tmp_path / "points.csv"))["D_source"].tolist() == ["null"]


@pytest.mark.parametrize("words", [("True", "False"), ("TRUE", "FALSE"), ("true", "false")])
def test_flags_are_read_as_python_sheets_and_r_write_them(runs, words):
    frame = table(runs / "one")
    asked = table(frame.assign(asked=list(words)))["asked"]
    assert asked.tolist() == [True, False] and str(asked.dtype) == "boolean"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sigma": "1,5"}, "'sigma' holds '1,5'"),
        ({"R_star": "?"}, "'R_star' holds"),
        ({"seed": 0.5}, "'seed' holds '?0.5'?;"),
        ({"seed": None}, "'seed' has no value in some rows"),
        ({"status": "fine"}, "'status' holds 'fine'"),
        ({"asked": "yes"}, "'asked' holds 'yes'"),
        ({"nulls": "{D"}, "'nulls' holds '{D'"),
        ({"folds": "{D"}, "'folds' holds '{D'"),
        ({"spec.model": "vae"}, "'spec.model' holds 'vae'"),
        ({"D": float("inf")}, "'D' holds"),
        ({"seed": 7}, "'seed' holds 7 where 'spec.seed' holds 0.0"),
        ({"sigma": 4.0}, "'sigma' holds .* where 'spec.sigma' holds"),
        ({"sigma": None}, "'sigma' holds nan where 'spec.sigma' holds"),
        ({"params": '{"beta":2}'}, "'params' holds .* where 'spec.params' holds"),
    ],
)
def test_a_table_that_was_changed_is_refused_with_column_and_value(runs, tmp_path, change, said):
    frame = table(runs / "one").assign(**change)
    frame.to_csv(tmp_path / "changed.csv", index=False)
    for source, named in ((frame, "this frame"), (tmp_path / "changed.csv", "changed.csv")):
        with pytest.raises(TableError, match=f"{named} is no table of records: .*{said}"):
            analysis.leaderboard(source)


def test_a_table_that_r_wrote_says_the_same(tmp_path):
    """Nothing is NA there, also where it was a text, rows have numbers, and flags are capitals."""
    records = [fake_records.record("vae", sigma=s, variant=v) for s in (None, 6.0) for v in ("", "NA")]
    frame = table(records)
    flags = {c: frame[c].map({True: "TRUE", False: "FALSE"}) for c in frame if str(frame[c].dtype) == "boolean"}
    written = frame.assign(**flags).replace({"": None})
    written.to_csv(tmp_path / "r.csv", na_rep="NA", index_label="")
    same(frame, table(tmp_path / "r.csv"))
    assert sorted(frame["variant"]) == ["", "", "NA", "NA"]
    renamed = frame.rename(columns=lambda name: name.replace("[", ".").replace("]", "."))
    renamed.to_csv(tmp_path / "renamed.csv", index=False)
    with pytest.raises(TableError, match=r"its column 'Dy.*\.' had brackets, which R keeps by .*check\.names = FALSE"):
        table(tmp_path / "renamed.csv")


@pytest.mark.parametrize("columns", ["key", ["model", "sigma"], ["dataset", "seed", "key"]])
def test_columns_that_became_an_index_are_columns_again(runs, tmp_path, columns):
    frame = table(runs / "one")
    indexed = frame.set_index(columns)
    indexed.to_parquet(tmp_path / "indexed.parquet")
    indexed.to_csv(tmp_path / "indexed.csv")
    for door in (indexed, frame.set_index(columns, drop=False), tmp_path / "indexed.parquet", tmp_path / "indexed.csv"):
        same(frame, table(door))


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_table_with_another_separator_is_told_by_it(runs, tmp_path, mark):
    frame = table(runs / "one").assign(reason="one, two")
    frame.loc[1, "reason"] = "one, two, three"  # rows of other numbers of commas
    frame.to_csv(tmp_path / "sheet.csv", index=False, sep=mark)
    with pytest.raises(
        TableError, match=r"sheet.csv is no table of records .its values are separated by .* not by ','"
    ):
        table(tmp_path / "sheet.csv")


def test_a_table_in_another_encoding_is_told_and_a_mark_before_utf8_is_none(runs, tmp_path):
    table(runs / "one").to_csv(tmp_path / "marked.csv", index=False, encoding="utf-8-sig")
    same(table(runs / "one"), table(tmp_path / "marked.csv"))
    table(runs / "one").to_csv(tmp_path / "wide.csv", index=False, encoding="utf-16")
    with pytest.raises(TableError, match=r"wide.csv is no table of records .it is not UTF-8"):
        table(tmp_path / "wide.csv")


def test_columns_that_are_missing_or_there_twice_are_named(runs):
    frame = table(runs / "one")
    for name in ("seed", "sigma", "R_star", "D", "Dy"):  # as `merge` renames them to D_x and D_y
        with pytest.raises(TableError, match=f"no column '{name}'"):
            table(frame.drop(columns=name))
    with pytest.raises(TableError, match="'D' is there twice"):
        table(pd.concat([frame, frame[["D"]]], axis=1))
    for name, cell in (("D", [1.0]), ("D", {"a": 1}), ("mine", [1]), ("mine", np.ones(2)), ("reason", ["x"])):
        with pytest.raises(TableError, match=f"'{name}' holds lists or tables"):
            table(frame.assign(**{name: pd.Series([cell] * len(frame), dtype=object)}))
    with pytest.raises(TableError, match="'D' holds"):
        table(frame.assign(D=pd.Series([pd.Timestamp(0)] * len(frame), dtype=object)))
    with pytest.raises(TableError, match="no records here"):
        analysis.leaderboard(frame.iloc[:0])


def test_a_file_in_which_a_column_is_there_twice_is_refused_as_its_frame_is(runs, tmp_path):
    frame = table(runs / "one")
    pd.concat([frame, frame[["D"]] + 1], axis=1).to_csv(tmp_path / "twice.csv", index=False)
    with pytest.raises(TableError, match=r"twice\.csv is no table of records .its column 'D' is there twice"):
        table(tmp_path / "twice.csv")
    head, _, rest = frame.to_csv(index=False).partition("\n")
    (tmp_path / "blanks.csv").write_text(f"{', '.join(head.split(','))}\n{rest}")
    with pytest.raises(TableError, match=r"blanks\.csv is no table .*its column ' \w+' has blanks around it"):
        table(tmp_path / "blanks.csv")


PACKED = {"gz": "gzip", "xz": "xz", "bz2": "bzip2"}


@pytest.mark.parametrize("ending", PACKED)
def test_a_file_of_another_kind_than_its_name_says_is_told_by_what_it_is(runs, tmp_path, ending):
    frame = table(runs / "one")
    for name in (f"a.csv.{ending}", "a.csv"):
        frame.to_csv(tmp_path / name, index=False, compression=PACKED[ending].replace("bzip2", "bz2"))
        with pytest.raises(TableError, match=rf"{name} is no table .*it is packed by {PACKED[ending]}: unpack it"):
            table(tmp_path / name)
    (tmp_path / "b.csv").write_bytes((runs / "two.parquet").read_bytes())
    with pytest.raises(TableError, match=r"it is a Parquet file, whose name ends in \.parquet"):
        table(tmp_path / "b.csv")
    (tmp_path / "c.parquet").write_bytes((runs / "two.parquet").read_bytes()[:-9])
    with pytest.raises(TableError, match="it is a Parquet file that is damaged: get it again"):
        table(tmp_path / "c.parquet")
    (tmp_path / "b.parquet").write_bytes((runs / "two.csv").read_bytes())
    with pytest.raises(TableError, match=r"b\.parquet is no table of records .it is no Parquet file.;"):
        table(tmp_path / "b.parquet")


def test_a_row_of_a_table_is_its_point(runs):
    frame = table(runs / "one")
    same(frame.iloc[[1]].reset_index(drop=True), table(frame.iloc[1]))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_does_not_say_of_itself_that_it_is_published(runs, tmp_path, ending):
    """Only points that came with the package are, with the numbers that they came with."""

    def door(frame):
        frame.to_csv(tmp_path / "a.csv", index=False)
        frame.to_parquet(tmp_path / "a.parquet")
        return table(tmp_path / f"a.{ending}")

    mine, theirs = table(runs / "one"), table("published").iloc[:3]
    assert not door(mine.assign(published=True))["published"].any()
    joined = table([mine.assign(published=False), theirs.assign(published=True)])
    assert set(joined["key"][joined["published"]]) == set(theirs["key"])
    same(joined, door(joined))
    first = joined["key"] == theirs["key"].iloc[0]
    changed = door(joined.assign(R_star=joined["R_star"].where(~first, joined["R_star"] * 0.9)))
    assert set(changed["key"][changed["published"]]) == set(theirs["key"].iloc[1:])


def test_what_was_asked_for_last_is_published_too(tmp_path):
    asked, newer = fake_records.record("vae", sigma=2.0), fake_records.record("vae", sigma=2.0)
    newer["spec"]["budget"] = {"steps": 9}
    newer["key"], newer["values"]["R_star"] = digest(newer["spec"]), 1.5
    newer["provenance"]["finished"] = asked["provenance"]["finished"] + 100
    run, out = stored(tmp_path / "run", asked, newer), tmp_path / "out"
    Store(run).ask([asked["spec"]])
    publish(run, table(run), {}, out)
    assert list(manifest_faults(out)) == []
    for door in (out, out / "records.tar.xz", out / "points.parquet"):
        same(table(run), table(door))
        assert analysis.points(door)["key"].tolist() == [asked["key"]]
    assert Store(out).asked() == {asked["key"]}


def printed(capsys, *line):
    app([*map(str, line)], standalone_mode=False)
    return capsys.readouterr()


@pytest.mark.parametrize("verb", ["leaderboard", "claims"])
def test_verbs_of_points_print_the_same_of_a_folder_and_of_its_table(runs, capsys, verb):
    wanted = printed(capsys, verb, "--csv", runs / "two")
    for name in ("two.csv", "two.parquet"):
        assert printed(capsys, verb, "--csv", runs / name) == wanted


def test_a_verb_of_points_says_which_files_it_reads(tmp_path):
    (tmp_path / "a.tsv").write_text("key")
    for verb, files in (
        ("leaderboard", r"its archive, or a \.csv or \.parquet of points$"),
        ("verify", "or its archive$"),
    ):
        with pytest.raises(
            FileNotFoundError, match=rf"a\.tsv is not a folder of records; give the folder of a run, {files}"
        ):
            app([verb, str(tmp_path / "a.tsv")], standalone_mode=False)


def test_of_two_records_of_one_point_every_door_shows_the_one_made_last(tmp_path, capsys):
    old, new = fake_records.record("vae", sigma=2.0), fake_records.record("vae", sigma=2.0)
    old["values"]["R_star"] += 0.25
    new["provenance"]["finished"] = old["provenance"]["finished"] + 100
    places = [stored(tmp_path / "old", old), stored(tmp_path / "new", new)]
    for given in (places, places[::-1]):
        frame = table(given)
        assert frame["R_star"].tolist() == [new["values"]["R_star"]]
        [(record, store)] = _home(given)[0].values()
        assert record["values"] == new["values"] and store.folder == places[1]
        said = "1 point is there twice, with other numbers: those made last are shown"
        assert frame.attrs["told"] == [said] and said in printed(capsys, "leaderboard", *given).err
    assert table([places[0], places[0]]).attrs["told"] == []


def test_points_that_were_asked_for_and_are_gone_are_told_of(tmp_path, capsys):
    records = [fake_records.record(name, sigma=s, seed=k) for name in ("vae", "m2") for s in (2.0, 6.0) for k in (0, 1)]
    run = stored(tmp_path / "run", *records)
    Store(run).ask([record["spec"] for record in records])
    assert unmade(table(run)) == []
    for record in records[4:]:
        if record["spec"]["seed"]:
            Store(run).path(record["spec"], record["key"]).unlink()
    said = f"{run}: 2 of 8 points that its runs asked for last are not there (2 of m2 on sprites)"
    assert unmade(table(run)) == [said]
    for verb in ("leaderboard", "claims"):
        assert said in printed(capsys, verb, run).err
    verified = app(["verify", str(run)], standalone_mode=False)
    assert verified == 1 and said in capsys.readouterr().out
    publish(run, table(run), {}, tmp_path / "out")
    [told] = unmade(table(tmp_path / "out"))
    assert told == said.replace(str(run), str(tmp_path / "out" / "records.tar.xz"))
    (run / "asked.json").write_text('{"rows": {"odd": {"keys": ["a"]}}}')
    assert unmade(table(run)) == [f"{run}: 1 of 1 points that its runs asked for last are not there (1 of odd)"]


@pytest.mark.slow
def test_a_page_of_points_needs_a_folder_and_has_the_board_of_the_run(runs, tmp_path, capsys):
    for name in ("two", "two.csv"):
        printed(capsys, "report", runs / name, "--formats", "png", "--out", tmp_path / name)
    for file in ("leaderboard.csv", "frontier-D.csv", "frontier-Dy.csv"):
        assert (tmp_path / "two" / file).read_text() == (tmp_path / "two.csv" / file).read_text()


@pytest.mark.parametrize(
    "line",
    [
        "status TABLE",
        "verify TABLE",
        "submit TABLE",
        "reproduce TABLE",
        "publish TABLE --out OUT",
        "publish . --out OUT",
    ],
)
def test_verbs_of_records_refuse_a_table_and_write_nothing(runs, tmp_path, line):
    words = line.replace("TABLE", str(runs / "two.csv")).replace("OUT", str(tmp_path / "out")).split()
    with pytest.raises(FileNotFoundError, match=r"two\.csv is not a folder of records, but|no records in"):
        app(words, standalone_mode=False)
    assert not (tmp_path / "out").exists()
