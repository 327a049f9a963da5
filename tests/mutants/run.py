"""Plants the faults of the tables beside it in a copy of the tree, and says which fast test sees each.

    python tests/mutants/run.py [MODEL …]

A table names the fast tests of a model and texts of `models/<model>.py`, or of the `file` that a mutant names, with
what takes their place.  Every mutant is tried in a process of its own, which must have imported the changed file; the
test that sees it must pass without it.
Exit status 1 if a mutant survives, or could not be tried.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
import tomllib
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COPIED = ("rdu_bench", "models", "probes", "datasets", "tests", "report", "pyproject.toml")
FAST = "not slow and not effect"


class Mutant(NamedTuple):
    """A fault of one line."""

    says: str
    find: str
    replace: str
    file: str = ""  # it is in, from the root; the model's own where it names none

    def where(self, model: str) -> str:
        """The file that is changed, from the root."""
        return self.file or f"models/{model}.py"


class Table(NamedTuple):
    """The mutants of a model and the test files that must see them, paths from the root."""

    model: str
    tests: list[str]
    mutants: list[Mutant]


class Ran(NamedTuple):
    """What became of the tests: the first that failed, or ''; and why nothing can be said, or ''."""

    failed: str
    trouble: str


def tables(names: list[str]) -> list[Table]:
    """The tables of these models, of all where none is named."""
    paths = [HERE / f"{name}.toml" for name in names] or sorted(HERE.glob("*.toml"))
    return [read(path) for path in paths]


def read(path: Path) -> Table:
    """One table."""
    given = tomllib.loads(path.read_text(encoding="utf-8"))
    return Table(path.stem, given["tests"], [Mutant(**mutant) for mutant in given["mutant"]])


def mutated(source: str, mutant: Mutant) -> str:
    """The source of a file with the fault in it; `ValueError` unless there is one place for it."""
    if (places := source.count(mutant.find)) != 1:
        raise ValueError(f"{mutant.find!r} occurs {places} times, not once")
    return source.replace(mutant.find, mutant.replace)


def copy_tree(to: Path) -> None:
    """What tests of models read, without compiled files."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, to / name)


class Recorder:
    """A pytest plug-in that keeps the name of the first test that failed, and how many passed."""

    def __init__(self) -> None:
        self.failed, self.passed = "", 0

    def pytest_runtest_logreport(self, report) -> None:
        self.passed += report.passed and report.when == "call"
        if report.failed and not self.failed:
            self.failed = report.nodeid


def run_tests(tests: list[str], changed: Path, answer) -> None:
    """Run the fast tests until one fails; send a `Ran`.  Called in a process of its own, which forgets what is ours."""
    import pytest

    for name in [name for name in sys.modules if name.partition(".")[0] == "rdu_bench"]:
        del sys.modules[name]
    seen = Recorder()
    with open(os.devnull, "w", encoding="utf-8") as sink, redirect_stdout(sink), redirect_stderr(sink):
        status = pytest.main(["-x", "-p", "no:xdist", "-p", "no:cacheprovider", "-m", FAST, *tests], plugins=[seen])
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    imported = {Path(file).resolve() for file in files if file}
    if changed not in imported:
        answer.send(Ran("", f"the tests did not import {changed}, the changed file"))
    elif status not in (0, 1):
        answer.send(Ran("", f"pytest ended with {int(status)}"))
    else:
        answer.send(Ran(seen.failed, "" if seen.failed or seen.passed else "no test was run"))


def tried(tests: list[str], changed: Path, source: str) -> Ran:
    """What tests say of another source of a file, in a process of its own; the file is as it was afterwards."""
    before = changed.read_text(encoding="utf-8")
    changed.write_text(source, encoding="utf-8")
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=run_tests, args=(tests, changed, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        return Ran("", "its process ended without a word")
    finally:
        process.join()
        changed.write_text(before, encoding="utf-8")


def report(table: Table, tree: Path) -> int:
    """Print a row for each mutant of a model; how many of them no test saw.

    The tests that saw one must pass without it, else they saw nothing.
    """
    saw: list[str] = []
    for mutant in table.mutants:
        changed = tree / mutant.where(table.model)
        found = tried(table.tests, changed, mutated(changed.read_text(encoding="utf-8"), mutant))
        saw += [found.failed] if found.failed else []
        said = found.failed.split("/")[-1] or found.trouble or "SURVIVED"
        print(f"{table.model} | {mutant.says} | {said}", flush=True)
    own = tree / "models" / f"{table.model}.py"
    plain = tried(sorted(set(saw)), own, own.read_text(encoding="utf-8")) if saw else Ran("", "")
    if plain.failed or plain.trouble:
        print(f"{table.model} | none | {plain.failed or plain.trouble}", flush=True)
        return len(table.mutants)
    return len(table.mutants) - len(saw)


def main(names: list[str]) -> int:
    """Try the mutants of these models, or of all; 1 if one survived."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.dont_write_bytecode = True
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder).resolve()
        copy_tree(tree)
        os.chdir(tree)
        sys.path.insert(0, str(tree))
        import rdu_bench.api

        if not Path(rdu_bench.api.__file__).is_relative_to(tree):
            raise RuntimeError(f"{rdu_bench.api.__file__} was imported, not the copy in {tree}")
        print("model | fault | seen by")
        return int(sum(report(table, tree) for table in tables(names)) > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
