"""What is odd or broken costs its own part of a report, and never the page before it."""

import csv
import os
import signal
import subprocess
import sys
import time
import unicodedata

import fake_records
import pytest

from rdu_bench import _files, load_results
from rdu_bench.report import render, text
from rdu_bench.report.context import gather

FEW = ("vae", "beta_tcvae")


def few(**settings):
    return fake_records.suite(FEW, seeds=1, sigmas=(2.0, 6.0, 18.0), **settings)


NAMES = {
    "dollars": "$_$",
    "a command": r"$\notacommand$",
    "half a formula": r"\$ 3 $ and $x^",
    "markup": "<script>window.evil=1</script>",
    "quotes": "\"'`}}{{ 7*7 }}",
    "long": "x" * 240,
    "emoji": "🐢 turtle 🚀",
    "right to left": "مشفر تلقائي",
    "controls": "a\x00b\x1b[31mc\nd",
    "a path": "../../escaped",
    "a formula": "=1+1",
    "percent": "100 %41 #top?x",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_any_name_is_text_in_page_figures_and_tables(tmp_path, name):
    records = few()
    for record in records:
        record["spec"]["dataset_label"] = name
        if record["spec"]["model"] != "vae":
            record["model"]["title"] = name
    page = render(records, tmp_path / "out", title=name, formats=("svg",))
    html = page.read_text("utf-8")
    assert 'class="lost"' not in html and "<script>window" not in html and ">49<" not in html
    figures = sorted((tmp_path / "out" / "figures").iterdir())
    assert len(figures) == 3 and all(len(figure.name.encode()) < 100 for figure in figures)
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    shown = text.plain(name, 10)[:9]
    assert any(shown in figure.read_text("utf-8") for figure in figures) or set(shown) & set("<&\"'…🐢م")
    for table in ("frontier-D.csv", "frontier-Dy.csv"):
        rows = list(csv.reader((tmp_path / "out" / table).open(encoding="utf-8", newline="")))
        assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row)


def test_names_that_differ_have_files_that_differ():
    names = ["a b", "a-b", "A-b", "a/b", "x" * 240, "x" * 241, "", "🐢", "-"]
    made = text.slugs(names)
    assert len({stem.casefold() for stem in made.values()}) == len(names) == len(set(text.identifiers(names).values()))
    assert all(stem and len(stem.encode()) < 80 and "/" not in stem for stem in made.values())
    assert made["a b"] == "a-b" and text.slug("digits[side=8]").startswith("digits-side-8")


def test_plain_text_is_one_line_of_what_can_be_printed():
    said = text.plain("a\x00b\n\tc\ud800" + "x" * 99, 20)
    assert len(said) == 20 and said.startswith("ab cx") and "…" in said
    assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in said)


@pytest.mark.parametrize("part", ["useful", "scores", "structure", "codes", "frontier", "chart", "board", "findings"])
def test_a_part_that_fails_costs_that_part_and_says_so(tmp_path, monkeypatch, part):
    from rdu_bench.report import answer, codes, page, sections

    def broken(*_, **__):
        raise KeyError("planted")

    home = {"codes": codes, "useful": sections, "scores": sections, "findings": answer}.get(part, page)
    monkeypatch.setattr(home, part, broken)
    records = few(parts=True)
    html = render(records, tmp_path, vectors=fake_records.vectors, formats=()).read_text("utf-8")
    assert "This part could not be drawn (KeyError: &#39;planted&#39;)" in html
    others = {"useful", "scores", "structure", "codes"} - {part}
    assert all(f'id="sprites-{other}"' in html for other in others)


def test_a_figure_that_fails_costs_that_figure(tmp_path, monkeypatch):
    from rdu_bench.report import figures

    def broken(*_, **__):
        raise ValueError("planted")

    monkeypatch.setattr(figures, "plane", broken)
    html = render(few(), tmp_path, formats=("png",)).read_text("utf-8")
    assert html.count("This part could not be drawn (ValueError: planted)") >= 2
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["map-sprites.png"]


@pytest.mark.parametrize("damage", [{"pictures/originals": 3}, "not a table", None])
def test_vectors_that_are_damaged_cost_the_pictures_of_their_point(tmp_path, damage, told):
    def vectors(record):
        if record["spec"]["sigma"] == 6.0 and record["spec"]["model"] == "vae":
            if damage is None:
                raise OSError("gone")
            return damage
        return fake_records.vectors(record)

    codes = told(render(few(parts=True), tmp_path, vectors=vectors, formats=()))["sets"]["sprites"]["codes"]
    assert [p["pictures"] is None for p in codes["points"]].count(True) == 1 and "1 of 6 points" in codes["note"]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way", "utf-8")
    with pytest.raises(_files.WriteError, match=r"cannot write .*file"):
        render(few(), tmp_path / "file", formats=())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "figures").write_text("in the way", "utf-8")
    with pytest.raises(_files.WriteError, match=r"cannot write .*figures"):
        render(few(), tmp_path / "out", formats=("png",))
    assert not list(tmp_path.rglob("*.part")) and not (tmp_path / "out" / "index.html").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the root user may write anywhere")
def test_a_read_only_folder_is_one_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(_files.WriteError, match="cannot write"):
        render(few(), tmp_path, formats=("png",))
    tmp_path.chmod(0o700)


def test_links_inside_the_folder_are_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "secret").write_text("mine", "utf-8")
    out = tmp_path / "out"
    out.mkdir()
    for name in ("index.html", "leaderboard.md", "leaderboard.csv", "frontier-D.csv"):
        (out / name).symlink_to(tmp_path / "secret")
    render(few(), out, formats=("png",))
    assert (tmp_path / "secret").read_text("utf-8") == "mine" and not (out / "index.html").is_symlink()
    for figure in (out / "figures").iterdir():
        figure.unlink()
    (out / "figures").rmdir()
    (out / "figures").symlink_to(tmp_path / "elsewhere")
    before = (out / "index.html").read_bytes()
    with pytest.raises(_files.WriteError, match="symbolic link, which is not followed; remove it"):
        render(few(), out, formats=("png",))
    assert not list((tmp_path / "elsewhere").iterdir()) and (out / "index.html").read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="permissions are posix")
def test_files_have_the_permissions_that_the_umask_leaves(tmp_path):
    before = os.umask(0o077)
    try:
        render(few(), tmp_path, formats=("png",))
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()} == {0o600}


DRAW = """
import sys, fake_records
from rdu_bench.report import render, page
{hook}
render(fake_records.suite(("vae", "m2"), seeds=1), sys.argv[1], formats=("png",))
"""


def run(hook, out, **environment):
    paths = os.pathsep.join(p for p in sys.path if p)
    env = {**os.environ, "PYTHONPATH": paths, **environment}
    return subprocess.Popen(
        [sys.executable, "-c", DRAW.format(hook=hook), str(out)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.skipif(os.name != "posix", reason="signals are posix")
def test_sigterm_leaves_no_parts_and_the_page_before(tmp_path):
    render(few(), tmp_path, formats=())
    before = (tmp_path / "index.html").read_bytes()
    hook = """
import time
from rdu_bench import _files, load_results
write = _files.write
def slow(path, content):
    with _files.replacing(path) as file:
        file.write(content if isinstance(content, bytes) else content.encode())
        file.flush()
        print("writing", flush=True)
        time.sleep(60)
_files.write = slow
"""
    process = run(hook, tmp_path)
    assert process.stdout.readline().strip() == b"writing"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert not list(tmp_path.rglob("*.part")) and (tmp_path / "index.html").read_bytes() == before


def test_parts_of_killed_writers_are_swept(tmp_path):
    old = tmp_path / "figures" / ".digits-R-D.png.0a1b2c3d.part"
    old.parent.mkdir()
    old.write_bytes(b"half")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    render(few(), tmp_path, formats=("png",))
    assert not old.exists()


def test_the_backend_of_a_notebook_does_not_matter(tmp_path):
    process = run("", tmp_path, MPLBACKEND="module://matplotlib_inline.nowhere")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    assert (tmp_path / "index.html").is_file() and list((tmp_path / "figures").glob("*.png"))


def test_data_sets_are_in_the_order_in_which_they_were_asked_for(tmp_path):
    from rdu_bench.records.store import Store

    store = Store(tmp_path)
    records = [r for name in ("zebra", "apple") for r in few(datasets=(name,))]
    for record in reversed(records):
        store.write(record)
    store.ask(record["spec"] for record in records)
    html = render(tmp_path, tmp_path, formats=()).read_text("utf-8")
    assert html.index('<section id="zebra">') < html.index('<section id="apple">')
    assert "<dd>zebra and apple</dd>" in html


def test_what_is_left_out_is_said(tmp_path):
    now, before = few(), few()
    for record in now:
        record["provenance"]["finished"] = 2.0
    for record in before:
        record["key"] = "0" + record["key"][1:-1] + "f"
        record["spec"] = {**record["spec"], "budget": {"steps": 50}}
        record["provenance"] = {**record["provenance"], "finished": 1.0}
    html = render([*now, *before], tmp_path, formats=()).read_text("utf-8")
    assert "6 points of other recipes" in html and "3 points of VAE" in html


def test_a_page_of_a_table_alone_has_no_part_that_could_not_be_drawn(tmp_path):
    """A table has neither records nor vectors, which agreement of seeds and pictures take."""
    records = fake_records.suite(FEW, seeds=5, sigmas=(2.0, 6.0))
    points = load_results(records).drop(columns="path", errors="ignore")
    assert gather(points, tmp_path, None, None).troubles == {}
