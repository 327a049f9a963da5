"""The loop of an author, from the command line down: write a model, run, edit it, run again into the same folder."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="it trains")

SUITE = """
models = ["mine"]
elbo = false
heads = ["linear"]
budget = { base = "smoke", steps = 10, probe_steps = 5, head_steps = 5, codes = 50, test = 60 }

[[datasets]]
name = "digits"
hidden = [8]
latent = 2
sigmas = [2]
"""
MODEL = """
from rdu_bench.api import Autoencoder, Row


class Mine(Autoencoder):
    row = Row(title="Mine", paper="0000.00000")
"""


def rdu(*args, cwd):
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "rdu_bench", *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=env, check=False)


@pytest.fixture(scope="module")
def edited(tmp_path_factory):
    """Two runs into one folder, the model's file changed between them, and then the first file again."""
    folder = tmp_path_factory.mktemp("author")
    (folder / "tiny.toml").write_text(SUITE, "utf-8")
    (folder / "models").mkdir()
    boards = []
    for text in (MODEL, MODEL + "\n\nPENALTY = 2\n", MODEL):
        (folder / "models" / "mine.py").write_text(text, "utf-8")
        ran = rdu("run", "--suite", "tiny.toml", "-j", "0", "--plugins", ".", "--out", "out", cwd=folder)
        assert ran.returncode == 0, ran.stderr
        boards.append((rdu("leaderboard", "out", "--csv", cwd=folder), rdu("status", "out", cwd=folder)))
    return folder, boards


def test_a_board_shows_the_file_that_ran_last_and_says_what_it_left_out(edited):
    folder, boards = edited
    for (board, _), left in zip(boards, ("", "older", "newer"), strict=True):
        assert board.returncode == 0 and len(board.stdout.strip().splitlines()) == 2
        assert ("left out: 1 point of Mine (file" in board.stderr and left in board.stderr) == bool(left)
    every = rdu("leaderboard", "out", "--csv", "--every", cwd=folder)
    assert len(every.stdout.strip().splitlines()) == 3 and "left out" not in every.stderr


def test_going_back_to_a_file_trains_nothing_again(edited):
    folder, boards = edited
    assert len(list((folder / "out").glob("records/*/*/*.json"))) == 2
    assert [status.stdout.splitlines()[0].split(": ")[1] for _, status in boards] == [
        "1 point",
        "2 points",
        "2 points",
    ]
    assert all("1 of 1 that runs asked for last, 0 missing" in status.stdout for _, status in boards)
