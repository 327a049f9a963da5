"""A published run is read as the run itself, and what was changed in it is named."""

import shutil

import fake_records
import pandas as pd
import pytest
from typer import BadParameter

from rdu_bench import analysis
from rdu_bench.cli.app import app
from rdu_bench.records.archive import manifest, manifest_faults, pack
from rdu_bench.records.audit import audit
from rdu_bench.records.flatten import table
from rdu_bench.records.store import Store, VectorsError


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    run, out = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("out") / "fake"
    for sigma in (2.0, 6.0):
        record = fake_records.rich(fake_records.record("vae", sigma=sigma))
        Store(run).write(record, fake_records.vectors(record))
    app(["publish", str(run), "--out", str(out), "--vectors"], standalone_mode=False)
    return run, out


def test_an_archive_is_read_like_a_folder(published):
    run, out = published
    kept, packed = Store(run), Store(out)
    assert packed.keys() == kept.keys() and packed.found() == packed.records()
    assert [h["key"] for _, h in packed.heads()] == [h["key"] for _, h in kept.heads()]
    pd.testing.assert_frame_equal(*(table(s).drop(columns="path") for s in (out, run)))
    pd.testing.assert_frame_equal(
        *(table(s).drop(columns="path", errors="ignore") for s in (out / "points.parquet", run))
    )
    for record in kept.records():
        assert packed.has(record["spec"]) and packed.vectors(record).keys() == kept.vectors(record).keys() != set()


def test_vectors_that_were_not_packed_are_no_faults_and_the_rest_is_checked(published, tmp_path):
    run, _ = published
    for vectors, name in ((["--vectors"], "records.zip"), ([], "records.tar.xz")):
        app(["publish", str(run), "--out", str(tmp_path), *vectors], standalone_mode=False)
        assert [path.name for path in tmp_path.glob("records*")] == [name] and list(manifest_faults(tmp_path)) == []
    store = Store(tmp_path)
    assert store.without_vectors and not Store(run).without_vectors
    said = dict(audit(store))
    whole = {path.name: [s for s in found if "vector" not in s] for path, found in audit(Store(run))}
    assert {path.name: found for path, found in said.items()} == whole and len(whole) == 2


def test_the_same_records_make_the_same_archive(published, tmp_path):
    run, _ = published
    for name in ("a", "b"):
        assert pack(Store(run), tmp_path / name) == 2
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_was_changed_after_publishing_is_named(published):
    _, out = published
    assert list(manifest_faults(out)) == []
    [figure] = out.glob("figures/*-R-D.png")
    for name in ("points.parquet", "leaderboard.md", "records.zip", "frontier-Dy.csv", f"figures/{figure.name}"):
        before = (out / name).read_bytes()
        (out / name).write_bytes(before + b" ")
        assert [name in why for why in manifest_faults(out)] == [True]
        (out / name).unlink()
        assert ["missing" in why for why in manifest_faults(out)] == [True]
        (out / name).write_bytes(before)
    (out / "manifest.json").write_text("{")
    assert ["damaged" in why for why in manifest_faults(out)] == [True]


def test_a_published_folder_has_the_tables_that_lie_beside_a_page(tmp_path):
    run, out, page = tmp_path / "run", tmp_path / "out", tmp_path / "page"
    for record in fake_records.suite(("vae", "vq_vae"), ("sprites",), seeds=2):
        Store(run).write(record)
    Store(run).write(fake_records.rich(fake_records.record("vib", sigma=6.0)))
    app(["publish", str(run), "--out", str(out)], standalone_mode=False)
    app(["report", str(run), "--out", str(page), "--formats", "png"], standalone_mode=False)
    beside = {path.name: path.read_text("utf-8") for path in page.glob("*.csv")}
    assert {"factors.csv", "clusters.csv", "efficiency.csv", "noise.csv", "leaderboard.csv"} <= {*beside}
    assert {path.name: path.read_text("utf-8") for path in out.glob("*.csv")} == beside
    assert {*beside} <= {*manifest(out)["files"]}
    assert len(beside["clusters.csv"].splitlines()) == 1 + len(analysis.structure(run)["clusters"])


def test_the_answer_is_published_in_words(tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    for record in fake_records.suite(("vae", "beta_tcvae", "vq_vae"), ("sprites", "digits"), seeds=2):
        Store(run).write(record)
    odd = fake_records.record("vib", title="<b>[x](y)|", sigma=6.0)
    Store(run).write(odd)
    app(["publish", str(run), "--out", str(out)], standalone_mode=False)
    said = (out / "answer.md").read_text("utf-8")
    assert "answer.md" in manifest(out)["files"] and list(manifest_faults(out)) == []
    sprites, digits = (said.split(f"## {name}\n")[1].split("## ")[0] for name in ("sprites", "digits"))
    for words in ("save the most rate", "gain the most usable information", "ahead on both", "95 % interval"):
        assert words in sprites and words in digits
    assert "**Seeds**: 2 seeds (0 and 1)" in said and "<b>" not in said and "[x]" not in said


def test_publishing_again_names_what_was_published_there_before_and_is_not_of_it(published, tmp_path, capsys):
    run, _ = published
    panels = tmp_path / "panels"
    for dataset in ("sprites", "digits"):
        record = fake_records.rich(fake_records.record("vae", dataset, sigma=2.0))
        Store(panels).write(record, fake_records.vectors(record))
    out = tmp_path / "out"
    for source in (panels, run):
        app(["publish", str(source), "--out", str(out)], standalone_mode=False)
    gone = ["digits-R-D", "digits-R-Dy", "digits-scores", "map-digits"]
    names = {f"figures/{name}.png" for name in gone if (out / "figures" / f"{name}.png").is_file()}
    assert (
        names and f"{', '.join(sorted(names))} in {out}: of what was published there before" in capsys.readouterr().err
    )
    assert not names & set(manifest(out)["files"]) and list(manifest_faults(out)) == []


def test_publishing_loses_no_vectors_and_says_what_it_leaves_out(published, tmp_path, capsys):
    run, _ = published
    copy, out = tmp_path / "run", tmp_path / "out"
    shutil.copytree(run, copy)
    app(["publish", str(copy), "--out", str(out), "--vectors"], standalone_mode=False)
    before = (out / "records.zip").read_bytes()
    with pytest.raises(BadParameter, match="holds vectors; add --vectors"):
        app(["publish", str(out), "--out", str(out)], standalone_mode=False)
    app(["publish", str(out), "--out", str(out), "--vectors"], standalone_mode=False)
    assert (out / "records.zip").read_bytes() == before
    one, other = Store(copy).paths()
    other.with_suffix(".safetensors").write_bytes(b"half")
    with pytest.raises(VectorsError, match="is damaged"):
        app(["publish", str(copy), "--out", str(tmp_path / "none"), "--vectors"], standalone_mode=False)
    assert not (tmp_path / "none").exists()
    other.write_text("{")
    one.write_text(one.read_text().replace('"R_own":', '"R_own":-'))
    capsys.readouterr()
    app(["publish", str(copy), "--out", str(out)], standalone_mode=False)
    said = capsys.readouterr().err
    assert f"not a whole record, and not published: {other}: " in said
    assert f"1 point is invalid, which `rdu-bench verify {out}` explains" in said
