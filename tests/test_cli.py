"""The command line as users meet it: exit codes, sentences, and files where it says they are."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import pictures

from rdu_bench.cli.options import folders

ROOT = Path(__file__).parents[1]
TINY = """
models = ["vae"]
elbo = false
heads = ["linear"]
budget = { base = "smoke", steps = 20, probe_steps = 5, head_steps = 5, codes = 50, test = 100 }

[[datasets]]
name = "digits"
hidden = [16]
latent = 3
sigmas = [2]
"""
BROKEN = """
from rdu_bench.api import Autoencoder, Row


class Broken(Autoencoder):
    row = Row(paper="0000.00000")

    def regularizer(self, batch, code):
        raise RuntimeError("no good")
"""


def rdu(*args, cwd, **env):
    command = [sys.executable, "-m", "rdu_bench", *map(str, args)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", **env}
    env.pop("RDU_BENCH_DATA", None)
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=env, check=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.toml").write_text(TINY)
    done = rdu("run", "--suite", "tiny.toml", "-j", "0", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_a_run_ends_by_saying_where_the_report_is(finished):
    folder, done = finished
    where = done.stdout.strip().splitlines()[-1].removeprefix("report: ")
    assert (folder / where).name == "index.html" and (folder / where).stat().st_size > 10_000


def test_running_again_does_nothing_twice(command, finished):
    folder, _ = finished
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("records/*/*/*.json")}
    again = command("run", "--suite", "tiny.toml", "-j", "0", cwd=folder)
    assert again.returncode == 0 and "already there" in again.stdout
    assert before == {p: p.stat().st_mtime_ns for p in folder.rglob("records/*/*/*.json")}


def test_a_report_of_two_runs_is_one_page_with_the_pictures_of_both(command, finished, tmp_path):
    folder, _ = finished
    one, other = folder / "results" / "runs" / "tiny", tmp_path / "other"
    (tmp_path / "more.toml").write_text(TINY.replace("[2]", "[3]"))
    assert command("run", "--suite", "more.toml", "-j", "0", "--out", other, cwd=tmp_path).returncode == 0
    done = command("report", one, other, "--out", tmp_path / "both", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = [pictures(place / "index.html") for place in (one, other, tmp_path / "both")]
    assert "2 points" in (tmp_path / "both" / "index.html").read_text() and shown[2] > max(shown[:2]) > 1


@pytest.mark.parametrize("verb", ["status", "leaderboard", "report", "verify"])
def test_verbs_read_the_run_written_last(command, finished, verb):
    folder, _ = finished
    done = command(verb, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


def test_the_run_written_last_is_the_one_that_a_point_was_added_to_or_asked_of_last(tmp_path, monkeypatch):
    for i, name in enumerate(("first", "second")):
        (tmp_path / "results/runs" / name / "records/digits/vae").mkdir(parents=True)
        for place in ("records/digits/vae", "records/digits", "records"):
            os.utime(tmp_path / "results/runs" / name / place, (100 + i, 100 + i))
    monkeypatch.chdir(tmp_path)
    assert folders(None) == [Path("results/runs/second")]
    os.utime("results/runs/first/records/digits/vae", (200, 200))  # a record was put into it
    assert folders(None) == [Path("results/runs/first")]
    Path("results/runs/second/asked.json").write_text("{}")
    assert folders(None) == [Path("results/runs/second")]


def test_a_failed_point_is_exit_code_1_and_stops_no_other(command, tmp_path):
    (tmp_path / "plug" / "models").mkdir(parents=True)
    (tmp_path / "plug" / "models" / "broken.py").write_text(BROKEN)
    (tmp_path / "tiny.toml").write_text(TINY.replace('["vae"]', '["broken", "vae"]'))
    done = command("run", "--suite", "tiny.toml", "-j", "0", "--plugins", "plug", "--out", "out", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "RuntimeError: no good" in done.stdout and "vae seed 0 σ=2: " in done.stdout
    told = command("status", "out", cwd=tmp_path)
    assert "no good" in told.stdout


def test_lists_show_every_plugin_and_its_card(command, tmp_path):
    for kind in ("models", "datasets", "probes"):
        listed = command(kind, cwd=tmp_path).stdout
        for path in (ROOT / kind).glob("[!_]*.py"):
            assert path.stem in listed
    one = command("models", "beta-vae", cwd=tmp_path).stdout
    assert "Higgins" in one and "objective" in one and "rate" in one and "parameters latent=None, beta=" in one
    assert "parameters file='', x=None, factors=None" in command("datasets", "hdf5", cwd=tmp_path).stdout
    assert "parameters" not in command("datasets", "digits", cwd=tmp_path).stdout  # it takes none


def test_a_dry_run_computes_nothing(command, tmp_path):
    done = command("run", "--suite", "quick", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0 and "curves" in done.stdout
    assert re.search(r"about \d+ (s|min|h|h \d+ min) with \d+ workers?$", done.stdout, re.M)
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_knows_what_is_done(command, finished):
    folder, _ = finished
    done = command("run", "--suite", "tiny.toml", "--dry-run", "--seeds", "2", cwd=folder)
    assert "2 points, 1 done" in done.stdout and "2 ✓" in done.stdout and "about" in done.stdout
    assert "nothing is left to do" in command("run", "--suite", "tiny.toml", "--dry-run", cwd=folder).stdout


def test_a_closed_pipe_is_no_traceback(tmp_path):
    command = f"{sys.executable} -m rdu_bench.cli models | head -n 1"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("name") and "Traceback" not in done.stderr


HEAVY = {"torch", "pandas", "sklearn", "distributed", "dask", "scipy", "matplotlib"}


@pytest.mark.parametrize(
    "args", [["--help"], ["run", "--help"], ["models"], ["models", "vae"], ["datasets"], ["probes"]]
)
def test_looking_around_imports_nothing_heavy(args, tmp_path):
    code = (
        "import sys; from rdu_bench.cli import main; sys.argv = ['rdu-bench', *sys.argv[1:]]\n"
        "try: main()\nexcept SystemExit as stop: assert not stop.code\nprint('LOADED', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split("LOADED")[1].split())


def test_a_plugin_that_does_not_parse_is_named_and_hides_no_other(command, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "torn.py").write_text("def (")
    done = command("models", "--plugins", ".", cwd=tmp_path)
    assert done.returncode == 0 and "vae" in done.stdout and "torn.py, line 1" in done.stderr


def test_a_plugin_with_a_name_of_ours_is_refused(command, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "vae.py").write_text("")
    done = command("models", "--plugins", ".", cwd=tmp_path)
    assert done.returncode == 0 and "vq_vae" in done.stdout and "Rename yours" in done.stderr
    done = command("models", "vae", "--plugins", ".", cwd=tmp_path)
    assert done.returncode == 2 and "Rename yours" in done.stderr


def test_the_scaffold_writes_a_file_that_runs(command, tmp_path):
    done = command("new", "model", "my-vae", cwd=tmp_path)
    assert done.returncode == 0 and "--plugins ." in done.stdout
    shown = command("models", "my_vae", "--plugins", ".", cwd=tmp_path).stdout
    assert "penalty" in shown and "One line" in shown
    (tmp_path / "tiny.toml").write_text(TINY.replace('"vae"', '"my_vae"'))
    done = command("run", "--suite", "tiny.toml", "-j", "0", "--plugins", ".", "--out", "out", cwd=tmp_path)
    assert "my_vae seed 0 σ=2: " in done.stdout and "error" not in done.stdout, done.stdout + done.stderr
    again = command("new", "model", "my-vae", cwd=tmp_path)
    assert again.returncode == 2 and "exists already" in again.stderr


def test_verify_finds_a_number_that_was_changed(command, finished, tmp_path):
    folder, _ = finished
    shutil.copytree(folder / "results", tmp_path / "results")
    [path] = tmp_path.rglob("records/*/*/*.json")
    record = json.loads(path.read_text())
    record["values"]["D"] += 1
    path.write_text(json.dumps(record))
    done = command("verify", cwd=tmp_path)
    assert done.returncode == 1 and "the mean of the vector D_i" in done.stdout


def test_data_are_verified(command, tmp_path):
    done = command("data", "verify", "digits", cwd=tmp_path)
    assert done.returncode == 0 and "hash" in done.stdout and "nothing is wrong" in done.stdout


def test_the_doctor_names_versions(command, tmp_path):
    assert "torch" in command("doctor", cwd=tmp_path).stdout
