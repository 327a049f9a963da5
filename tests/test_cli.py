"""The command line as users meet it: exit codes, sentences, and files where it says they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TINY = """
models = ["vae"]
elbo = false
heads = ["linear"]
budget = "smoke"

[[datasets]]
name = "digits"
hidden = [16]
latent = 3
sigmas = [2]
"""


def rdu(*args, cwd, **env):
    command = [sys.executable, "-m", "rdu_bench.cli", *map(str, args)]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", **env}, check=False
    )


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


def test_running_again_does_nothing_twice(finished):
    folder, _ = finished
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.json")}
    again = rdu("run", "--suite", "tiny.toml", "-j", "0", cwd=folder)
    assert again.returncode == 0 and "already there" in again.stdout
    assert before == {p: p.stat().st_mtime_ns for p in folder.rglob("*.json")}


@pytest.mark.parametrize("verb", ["status", "leaderboard", "report", "verify"])
def test_verbs_read_the_run_written_last(finished, verb):
    folder, _ = finished
    done = rdu(verb, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["run", "--suite", "quik"], "Did you mean 'quick'"),
        (["run", "--model", "veryvae"], "selects nothing"),
        (["run", "--strategy", "fast"], "choose independent"),
        (["run", "--shard", "3/2"], "i/n"),
        (["run", "--data-dir", "nowhere"], "not a folder"),
        (["run", "--plugins", "nowhere"], "models/"),
        (["run", "--jobs", "-1"], "jobs"),
        (["run", "--nonsense"], "nonsense"),
        (["models", "veryvae"], "there is no model"),
        (["new", "model", "My Model"], "lower-case"),
        (["new", "model", "vae"], "already"),
        (["status"], "no run in"),
        (["check", "nothing.py"], "not a file"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, args, words):
    done = rdu(*args, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failed_point_is_exit_code_1_and_stops_no_other(tmp_path):
    (tmp_path / "plug" / "models").mkdir(parents=True)
    (tmp_path / "plug" / "models" / "broken.py").write_text(
        'from rdu_bench.api import Autoencoder, Row\n\n\nclass Broken(Autoencoder):\n    """Fails."""\n\n'
        '    row = Row(paper="0000.00000")\n\n    def regularizer(self, batch, code):\n        raise RuntimeError("no good")\n'
    )
    (tmp_path / "tiny.toml").write_text(TINY.replace('["vae"]', '["broken", "vae"]'))
    done = rdu("run", "--suite", "tiny.toml", "-j", "0", "--plugins", "plug", "--out", "out", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "RuntimeError: no good" in done.stdout and "vae seed 0 σ=2: " in done.stdout
    told = rdu("status", "out", cwd=tmp_path)
    assert "no good" in told.stdout


def test_lists_show_every_plugin_and_its_card(tmp_path):
    for kind in ("models", "datasets", "probes"):
        listed = rdu(kind, cwd=tmp_path).stdout
        for path in (ROOT / kind).glob("*.py"):
            assert path.stem in listed
    one = rdu("models", "beta-vae", cwd=tmp_path).stdout
    assert "Higgins" in one and "objective" in one and "rate" in one


def test_a_dry_run_computes_nothing(tmp_path):
    done = rdu("run", "--suite", "quick", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0 and "curves" in done.stdout and "about" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_names_versions(tmp_path):
    assert "torch" in rdu("doctor", cwd=tmp_path).stdout
