"""The engine computes what is missing, once, in any order, and with the same numbers wherever it runs."""

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import fake_records
import pytest

from rdu_bench import registry
from rdu_bench.engine import curve as curve_module
from rdu_bench.engine import run as engine
from rdu_bench.engine import scheduler, suite
from rdu_bench.engine.expand import Selection, curves
from rdu_bench.engine.left import look
from rdu_bench.engine.plan import plan
from rdu_bench.engine.scheduler import execute
from rdu_bench.progress import Progress
from rdu_bench.records.store import Store

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def points(tmp_path, monkeypatch):
    """Curves of one tiny model, with the training replaced by a note of what was asked for."""
    done = []

    def run_curve(curve, store, *, progress, wait=True):
        for sigma in curve.sigmas:
            if store.has(curve.spec(sigma)):
                continue
            done.append((curve.model, curve.seed, sigma))
            store.write(record(curve, sigma))
            progress({"sigma": sigma, "phase": "done", "step": 1, "steps": 1, "status": "ok", "reason": None})

    monkeypatch.setattr("rdu_bench.engine.curve.run_curve", run_curve)
    found = curves(suite.read("smoke"), Selection(models=("vae", "vib"), seeds=2))
    return found, Store(tmp_path), done


def record(curve, sigma, status="ok"):
    return fake_records.of_point(curve, sigma, status) | {"times": {"train_s": 2.0, "measure_s": 1.0}}


def go(curves, store, **how):
    progress = Progress(curves, look(curves, store).left, quiet=True)
    execute(curves, store, progress, **how)
    return progress


def test_every_point_is_computed_once(points):
    curves, store, done = points
    progress = go(curves, store)
    assert len(done) == len(set(done)) == len(store.keys()) == 12
    assert progress.done == progress.total == 12 and progress.failed == 0
    go(curves, store)
    assert len(done) == 12


def test_order_never_matters(points):
    curves, store, _ = points
    go(curves[::-1], store)
    keys = store.keys()
    assert keys == {c.key(s) for c in curves for s in c.sigmas}
    assert keys == {replace(c, sigmas=c.sigmas[::-1]).key(s) for c in curves for s in c.sigmas}


def test_only_what_is_missing_or_broken_is_computed_again(points):
    curves, store, done = points
    go(curves, store)
    done.clear()
    lost = curves[1]
    store.path(lost.spec(3.0), lost.key(3.0)).write_text('{"half"')
    store.path(lost.spec(None), lost.key(None)).unlink()
    go(curves, store)
    assert sorted(done, key=str) == sorted([(lost.model, lost.seed, 3.0), (lost.model, lost.seed, None)], key=str)


def test_failed_points_are_computed_again_only_when_asked(points, monkeypatch, tmp_path):
    curves, store, done = points
    monkeypatch.setattr("rdu_bench.report.render", lambda records, out, title: out, raising=False)
    for curve in curves:
        for sigma in curve.sigmas:
            store.write(record(curve, sigma, "diverged" if sigma == 3.0 else "rate_missed"))
    how = {"models": ["vae", "vib"], "seeds": 2, "out": tmp_path, "quiet": True}
    assert engine.run("smoke", **how).failed == 4 and not done
    assert engine.run("smoke", retry_failed=True, **how).failed == 0
    assert {sigma for _, _, sigma in done} == {3.0} and len(done) == 4


def test_failed_points_keep_their_records_until_others_take_their_place(points, monkeypatch, tmp_path):
    curves, store, done = points
    monkeypatch.setattr("rdu_bench.report.render", lambda records, out, title: out, raising=False)
    for curve in curves:
        for sigma in curve.sigmas:
            store.write(record(curve, sigma, "diverged"))
    instead = curve_module.run_curve

    def killed(curve, store, *, progress, wait=True):
        if done:
            raise KeyboardInterrupt
        instead(curve, store, progress=progress)

    monkeypatch.setattr(curve_module, "run_curve", killed)
    how = {"models": ["vae", "vib"], "seeds": 2, "out": tmp_path, "quiet": True}
    with pytest.raises(KeyboardInterrupt):
        engine.run("smoke", retry_failed=True, **how)
    assert sorted(found["status"] for found in store.records()) == ["diverged"] * 9 + ["ok"] * 3
    monkeypatch.setattr(curve_module, "run_curve", instead)
    assert engine.run("smoke", **how).failed == 9 and len(done) == 3  # as before, when it is not asked for again
    assert engine.run("smoke", retry_failed=True, **how).failed == 0 and len(done) == len(set(done)) == 12


def test_who_has_none_left_joins_where_most_is_left_that_nobody_has_begun(points):
    curves, store, _ = points  # two seeds of two models, of three points each
    for sigma in curves[0].sigmas[:2]:
        store.write(record(curves[0], sigma))
    assert scheduler._to_join(curves, store, Counter({0: 1}), set()) is None  # its last point is in work
    assert scheduler._to_join(curves, store, Counter({0: 1, 1: 1}), set()) == 1
    assert scheduler._to_join(curves, store, Counter({1: 2, 2: 1}), set()) == 2
    assert scheduler._to_join(curves, store, Counter({1: 3, 0: 1}), set()) is None
    assert scheduler._to_join(curves, store, Counter({1: 1}), {1}) is None  # others have all of it
    chained = [replace(curve, strategy="continuation") for curve in curves]
    assert scheduler._to_join(chained, store, Counter({1: 1}), set()) is None


def test_points_that_break_a_law_are_computed_again_whatever_their_records_say(points, monkeypatch, tmp_path):
    curves, store, done = points
    monkeypatch.setattr("rdu_bench.report.render", lambda records, out, title: out, raising=False)
    for curve in curves:
        for sigma in curve.sigmas:
            found = record(curve, sigma)
            store.write({**found, "values": {**found["values"], "R_star": -1.0}} if sigma == 3.0 else found)
    how = {"models": ["vae", "vib"], "seeds": 2, "out": tmp_path, "quiet": True}
    again = engine.run("smoke", **how)
    assert (again.failed, again.invalid) == (0, 4) and not done
    left = [one.done for one in plan(curves, look(curves, store, retry_failed=True))]
    assert left == [tuple(sigma != 3.0 for sigma in curve.sigmas) for curve in curves]
    assert engine.run("smoke", retry_failed=True, **how).invalid == 0
    assert {sigma for _, _, sigma in done} == {3.0} and len(done) == 4


def test_a_plan_reads_no_records_but_those_of_its_own_points(points, monkeypatch):
    found, store, _ = points
    go(found, store)
    opened = []
    whole = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, *a, **k: opened.append(path) or whole(path, *a, **k))
    plan(found[:1], look(found[:1], store))
    assert len([path for path in opened if path.suffix == ".json"]) <= len(found[0].sigmas)


def test_a_run_reads_a_record_once_before_and_once_after(points, monkeypatch, tmp_path, capsys):
    from rdu_bench.cli.run import run as command
    from rdu_bench.records import store as store_module

    found, store, _ = points
    monkeypatch.setattr("rdu_bench.report.render", lambda records, out, **_: out)
    go(found, store)
    read, parse = [], store_module.parse
    monkeypatch.setattr(store_module, "parse", lambda raw: read.append(raw) or parse(raw))
    how = {"model": ["vae", "vib"], "seeds": 2, "out": tmp_path, "retry_failed": True}
    command("smoke", jobs=0, dry_run=True, **how)
    assert len(read) == len(set(read)) == 12
    command("smoke", jobs=0, **how)
    assert len(read) == 3 * 12 and "12 points, 0 failed" in capsys.readouterr().out


def test_runs_that_threads_ask_for_at_once_go_one_after_the_other(monkeypatch, tmp_path):
    """Else each draws from the other's random state: torch has one a process."""
    inside, most = [], []

    def complete(*_):
        inside.append(1)
        time.sleep(0.05)
        most.append(len(inside))
        inside.pop()
        return engine.Outcome(tmp_path, 1, 0, None)

    monkeypatch.setattr(engine, "complete", complete)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: engine.run("smoke", out=tmp_path), range(4)))
    assert most == [1, 1, 1, 1]


def test_the_hashes_of_files_are_not_taken_again_where_models_are_kept(points, monkeypatch):
    found, _, _ = points
    monkeypatch.setattr(registry, "plugin_hash", lambda *_: pytest.fail("it was read again"))
    kept = [curve.keeping_models() for curve in found]
    assert all(curve.keep_models for curve in kept) and [c.key(3.0) for c in kept] == [c.key(3.0) for c in found]


def test_no_gpu_is_said_before_anything_is_computed(tmp_path):
    import torch

    if not torch.cuda.is_available():
        with pytest.raises(suite.SuiteError, match="try cpu"):
            engine.run("smoke", device="cuda", out=tmp_path)


def test_plugins_may_be_added_after_the_first_run(tmp_path, monkeypatch):
    from rdu_bench import _paths

    monkeypatch.setenv(_paths.PLUGINS, "")
    assert registry.load("models", "vae").__name__ == "VAE"
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "late.py").write_text(
        "from rdu_bench.api import Autoencoder, Row\n\n\nclass Late(Autoencoder):\n    row = Row(paper='0000.00000')\n"
    )
    engine.name_folders(None, [tmp_path])
    assert registry.load("models", "late").__name__ == "Late"


def test_folders_that_one_run_names_are_not_those_of_the_next(tmp_path, monkeypatch):
    """As cells of a notebook run one after the other: two folders may hold files of one name."""
    monkeypatch.setenv("RDU_BENCH_PLUGINS", "")
    monkeypatch.delenv("RDU_BENCH_DATA", raising=False)
    for name in ("one", "two"):
        (tmp_path / name / "models").mkdir(parents=True)
        (tmp_path / name / "models" / "mine.py").write_text(
            f"from rdu_bench.api import Autoencoder, Row\n\n\n"
            f"class Mine(Autoencoder):\n    row = Row(paper='0000.00000', title='{name}')\n"
        )
    for name in ("one", "two", "one"):
        engine.name_folders(tmp_path, [tmp_path / name])
        assert registry.load("models", "mine").row.title == name
        assert os.environ["RDU_BENCH_DATA"] == str(tmp_path.resolve())
    with pytest.raises(FileNotFoundError):
        engine.name_folders(tmp_path / "nowhere", [tmp_path / "two"])
    engine.name_folders(None, ())
    assert os.environ["RDU_BENCH_PLUGINS"] == "" and "RDU_BENCH_DATA" not in os.environ
    with pytest.raises(LookupError):
        registry.load("models", "mine")
    engine.name_folders(None, [tmp_path / "one"])
    monkeypatch.setenv("RDU_BENCH_PLUGINS", str(tmp_path / "two"))  # by the user, who is asked last
    engine.name_folders(None, ())
    assert registry.load("models", "mine").row.title == "two"


def test_the_live_table_says_what_is_done_and_what_runs(points):
    from rich.console import Console

    curves, store, _ = points
    go(curves[:1], store)
    progress = Progress(curves, look(curves, store).left, quiet=True)
    at = {"sigma": 3.0, "step": 50, "steps": 250}
    progress.update(curves[1], {**at, "phase": "train"})
    progress.update(curves[2], {**at, "phase": "measure"})
    progress.update(curves[3], {**at, "phase": "done", "status": "error", "reason": "as planned"})
    console = Console(width=100)
    with console.capture() as captured:
        console.print(progress.table())
    text = captured.get()
    assert "4 of 12 points, 1 failed" in text and "train 50/250" in text and "measure" in text and "left" in text


@pytest.mark.parametrize("width", [24, 40, 71, 72, 200])
def test_the_live_table_fits_the_terminal(points, width):
    from rich.console import Console

    found, store, _ = points
    progress = Progress(found, look(found, store).left, quiet=True)
    progress.update(found[1], {"sigma": 3.0, "step": 50, "steps": 250, "phase": "train"})
    console = Console(width=width, no_color=True)
    with console.capture() as captured:
        console.print(progress.table(width))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= width and "\x1b[3" not in captured.get()
    assert ("seed" in captured.get()) == (width >= 72) and "vae" in captured.get()


def test_what_a_label_says_is_no_markup(points):
    from rich.console import Console

    found, store, _ = points
    curve = replace(found[0], label="[bold]x[/nonsense]\x1b[31m")
    progress = Progress([curve], look([curve], store).left, quiet=True)
    progress.update(curve, {"sigma": 3.0, "step": 0, "steps": 1, "phase": "measure"})
    console = Console(width=120)
    with console.capture() as captured:
        console.print(progress.table(120))
    assert "[bold]x[/nonsense]\\x1b[31m" in captured.get()


def test_plain_lines_carry_the_reason(points, capsys):
    curves, store, _ = points
    progress = Progress(curves, look(curves, store).left, quiet=False)
    done = {"sigma": None, "phase": "done", "step": 1, "steps": 1, "status": "error", "reason": "as planned"}
    progress.update(curves[0], done)
    assert capsys.readouterr().out == "[1/12] digits vae seed 0 ELBO: error  as planned\n"


@pytest.mark.slow
def test_any_dask_scheduler_will_do(tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setenv("RDU_BENCH_PLUGINS", "")
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "mine.py").write_text(
            "from rdu_bench.api import Autoencoder, Row\n\n\n"
            "class Mine(Autoencoder):\n    row = Row(paper='1312.6114')\n"
        )
        (tmp_path / "mine.toml").write_text(
            "models = ['mine', 'vae']\nelbo = false\nbudget = 'smoke'\nheads = ['linear']\n"
            "[[datasets]]\nname = 'digits'\nhidden = [16]\nsigmas = [3]\n"
        )
        how = {"plugins": [tmp_path], "quiet": True}  # the workers were started before they could know of the folder
        suite_file = tmp_path / "mine.toml"
        there = engine.run(suite_file, scheduler=cluster.scheduler_address, out=tmp_path / "there", **how)
    here = engine.run(suite_file, out=tmp_path / "here", **how)
    assert there.done == here.done == 2 and there.failed == here.failed == 0
    a, b = Store(tmp_path / "here"), Store(tmp_path / "there")
    for key in a.keys() | b.keys():
        assert a.read(key)["values"] == b.read(key)["values"]


@pytest.mark.slow
def test_no_scheduler_is_said(tmp_path):
    with pytest.raises(suite.SuiteError, match="no dask scheduler answers"):
        engine.run("smoke", scheduler="tcp://127.0.0.1:9", out=tmp_path, quiet=True)


@pytest.mark.slow
def test_a_cluster_gives_the_numbers_of_this_process(tmp_path):
    found = curves(suite.read("smoke"), Selection(models=("vae", "vib"), sigmas=(3.0,)))
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    go(found, here)
    progress = go(found, there, jobs=2)
    assert progress.done == 2
    for key in here.keys() | there.keys():
        a, b = here.read(key), there.read(key)
        assert {**a, "times": 0, "provenance": 0} == {**b, "times": 0, "provenance": 0}
