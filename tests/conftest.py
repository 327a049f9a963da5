"""What holds for every test: one thread, one seed; and which defining effects of models are tested today."""

import datetime
import os
import sys
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch, and for what tests start

import pytest


def pytest_addoption(parser):
    parser.addoption(
        "--effects", type=int, default=0, metavar="N", help="with the fast tests, N defining effects of models, in turn"
    )
    parser.addoption(
        "--day", type=int, default=None, metavar="DAY", help="whose turn: a day since 0001-01-01, today unless given"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """All defining effects are slow, but those whose turn it is, which come first: they are the longest tests."""
    effects = sorted((item for item in items if item.get_closest_marker("effect")), key=lambda item: item.nodeid)
    number, day = config.getoption("effects"), config.getoption("day") or datetime.date.today().toordinal()
    first = day * number % len(effects) if effects else 0
    turn = [effects[(first + i) % len(effects)] for i in range(min(number, len(effects)))]
    for item in effects:
        if item not in turn:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item not in turn)
    config.stash[TURN] = [item.name for item in turn]
    config.stash[DAY] = day


TURN, DAY = pytest.StashKey[list[str]](), pytest.StashKey[int]()


def pytest_report_collectionfinish(config):
    """Says whose turn it is, and how to repeat it."""
    turn = config.stash.get(TURN, [])
    again = f"--effects {len(turn)} --day {config.stash.get(DAY, 0)}"
    return [f"defining effects in turn ({again}): {', '.join(turn)}"] if turn else []


@pytest.fixture(autouse=True)
def _one_seed():
    """Each test draws what it would draw alone; a test of what needs no torch does not import it for this."""
    if "torch" in sys.modules:
        import torch

        torch.manual_seed(0)


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """A folder of plug-ins, which is named to the package for the time of the test."""
    from rdu_bench import _paths

    (tmp_path / "models").mkdir()
    monkeypatch.setenv(_paths.PLUGINS, "")
    _paths.add_plugins(tmp_path)
    yield tmp_path
    monkeypatch.undo()
    _paths.add_plugins()


@pytest.fixture(scope="session")
def corners():
    """Four equally likely patterns with noise, named by their label."""
    from worlds import Corners

    made = Corners()
    made.load()
    return made


class Done(NamedTuple):
    """What a command line left behind."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(monkeypatch, capsys):
    """`command("run", "--suite", …, cwd=folder)` does in this process what `rdu-bench` does in its own."""
    from rdu_bench import _paths
    from rdu_bench.cli import main

    def call(*args, cwd, **env):
        with monkeypatch.context() as patch:
            patch.chdir(cwd)
            for name in ("RDU_BENCH_DATA", _paths.PLUGINS):
                patch.setenv(name, "")  # so that what the command sets goes when it ends
                patch.delenv(name)
            for name, value in env.items():
                patch.setenv(name, value)
            capsys.readouterr()
            with pytest.raises(SystemExit) as stop:
                main([str(arg) for arg in args])
        return Done(stop.value.code, *capsys.readouterr())

    return call
