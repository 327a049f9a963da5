"""A model file, from its scaffold to a board with others, a submission, and the same numbers made again from it."""

import json
import shutil

import pandas as pd
import pytest
from pages import pictures

from rdu_bench import load_results
from rdu_bench.records.archive import manifest_faults

TINY = """
models = ["my_vae"]
heads = ["linear"]
budget = { base = "smoke", steps = 20, probe_steps = 5, head_steps = 5, codes = 50, test = 100 }

[[datasets]]
name = "digits"
hidden = [16]
latent = 3
sigmas = []
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def trained(command, home):
    """A run of a scaffold's model; made once."""
    run = home / "results" / "runs" / "tiny"
    if not run.exists():
        (home / "tiny.toml").write_text(TINY)
        assert command("new", "model", "my_vae", "--dir", "plug/models", cwd=home).returncode == 0
        done = command("run", "--suite", "tiny.toml", "--plugins", "plug", "-j", "0", cwd=home)
        assert done.returncode == 0, done.stdout + done.stderr
    return run


def others(run, path):
    """A published file of three models: made as `run` was, with other steps, and on other data."""
    mine = load_results(run).drop(columns=["path"])
    made = []
    for i, (name, changes) in enumerate(
        {
            "vae": {},
            "far": {"spec.budget": mine["spec.budget"].str.replace('"steps":20', '"steps":30')},
            "off": {"data.hash": "0" * 16},
        }.items()
    ):
        row = mine.assign(**changes, **{"spec.model": json.dumps(name), "model": name, "title": name.upper()})
        made.append(row.assign(**{"model.title": name.upper(), "key": f"{i:016x}"}))
    pd.concat(made).to_parquet(path, index=False)
    return path


def test_a_new_model_stands_among_published_ones_on_board_and_page(command, home, trained):
    place = others(trained, home / "others.parquet")
    board = command("leaderboard", trained, "--beside", place, cwd=home)
    assert board.returncode == 0
    [row] = [line for line in board.stdout.splitlines() if "VAE (reference)" in line]
    assert "| published" in row
    assert "| MyVae |" in board.stdout and "FAR" not in board.stdout and "OFF" not in board.stdout
    assert "far on digits: steps 30, yours steps 20" in board.stderr
    assert "off on digits: data 0000…, yours " in board.stderr
    drawn = command("report", trained, "--beside", place, "--out", "page", "--formats", "png", cwd=home)
    assert drawn.returncode == 0, drawn.stderr
    page = (home / "page" / "index.html").read_text()
    assert "1 row of others, marked published" in page and "far on digits: steps 30" in page
    assert pictures(home / "page" / "index.html") > 0  # of the run's own codes


def test_a_run_is_submitted_checked_and_made_again(command, home, trained):
    done = command("submit", trained, "--plugins", "plug", "--out", "my.zip", cwd=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 point, 1 with vectors" in done.stdout and "plugins/models/my_vae.py" in done.stdout
    for verb in ("verify", "leaderboard", "status"):
        assert command(verb, "my.zip", cwd=home).returncode == 0
    before = (home / "my.zip").read_bytes()
    again = command("reproduce", "my.zip", "--sample", "1", "-j", "0", cwd=home)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "code of the submission runs here" in again.stdout and "same: digits my_vae seed 0 ELBO: R* " in again.stdout
    assert "reproduced-my/plugins/models/my_vae.py: nothing is wrong" in again.stdout
    assert "records: results/runs/reproduced-my" in again.stdout
    assert (home / "my.zip").read_bytes() == before and list(manifest_faults(home / "my.zip")) == []


def test_a_claim_that_cannot_be_had_is_found(command, home, trained, tmp_path):
    """Of the same spec, with a distortion that nobody gets; compared with what was made again."""
    claimed = tmp_path / "claimed"
    shutil.copytree(trained / "records", claimed / "records")
    [path] = claimed.rglob("*.json")
    record = json.loads(path.read_text())
    for name in ("D", "D_bits_per_dim"):
        record["values"][name] *= 0.9
    record["folds"]["D"] = [0.9 * mean for mean in record["folds"]["D"]]
    path.write_text(json.dumps(record))
    again = command(
        "reproduce",
        claimed,
        "-j",
        "0",
        "--out",
        home / "results" / "runs" / "reproduced-my",
        cwd=home,
        RDU_BENCH_PLUGINS="plug",
    )
    assert again.returncode == 1
    assert "differs: digits my_vae seed 0 ELBO: R* " in again.stdout and "0 of 1 are the same" in again.stdout
    shutil.copytree(home / "plug", tmp_path / "plug")
    (tmp_path / "plug" / "models" / "my_vae.py").write_text("x = 1\n")
    plug = {"RDU_BENCH_PLUGINS": str(tmp_path / "plug")}
    lost = command("reproduce", claimed, "-j", "0", "--out", tmp_path / "new", cwd=home, **plug)
    assert lost.returncode == 1 and "not made: digits my_vae" in lost.stdout and "is not the file of" in lost.stdout
    assert not (tmp_path / "new" / "records").exists()
