"""A run: a suite, or a part of one, into a folder; and what is left behind."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from .. import _files, _paths, registry
from .._text import one_line, say
from ..progress import watch
from ..records.laws import judged
from ..records.schema import FAILED, INVALID, Damaged
from ..records.store import Store
from . import suite as suites
from .expand import Selection, expand
from .left import Seen, look, shares
from .machine import cores, workers
from .ready import at_hand
from .scheduler import execute
from .spec import Curve
from .suite import SuiteError

RUNS = Path("results") / "runs"  # where a run goes that is not told where to
_one = threading.RLock()  # a process has one list of plug-in folders


@dataclass(frozen=True)
class How:
    """How a run goes, which changes no number.  Raises `SuiteError` for what cannot be."""

    jobs: int | None = 0  # worker processes; 0: none but this one; None: as many as the machine is good for
    out: str | Path | None = None  # None: results/runs/SUITE
    scheduler: str | None = None  # address of a dask scheduler that takes the place of workers of our own
    retry_failed: bool = False
    keep_models: bool = False  # the weights of what is trained now, beside its records
    quiet: bool = False

    def __post_init__(self) -> None:
        most = max(64, 16 * cores())
        if self.jobs is not None and not 0 <= self.jobs <= most:
            raise SuiteError(f"-j {self.jobs}: this machine has {cores()} cores; give a number from 0 to {most}")
        if self.scheduler is not None and not re.fullmatch(r"(\w+://)?\S+:[0-9]{1,5}|inproc://\S+", self.scheduler):
            raise SuiteError(f"--scheduler {self.scheduler}: give its address, such as tcp://10.0.0.1:8786")

    def workers(self, shares: int) -> int:
        """How many workers so many `shares` of work are given; says so where memory allows fewer than cores do."""
        if self.jobs is not None or self.scheduler is not None:
            return self.jobs or 0
        found = workers(shares)
        if found.why and not self.quiet:
            say(found.why, sys.stderr)
        return found.number


class Prepared(NamedTuple):
    """What a run is about to do."""

    title: str
    curves: list[Curve]
    seen: Seen  # of these curves, in the folder that it goes to
    left_out: list[str]  # plug-ins that cannot be used and data sets that are not here, a sentence each
    unmade: int  # points of data sets that are not here
    notes: list[str]  # what was done to what files hold, a sentence each

    @property
    def folder(self) -> Path:
        """Where it goes."""
        return self.seen.store.folder


class Outcome(NamedTuple):
    """What a run left behind."""

    folder: Path
    done: int  # points with a record
    failed: int  # of those, diverged or in error
    report: Path | None
    missing: int = 0  # points without a record, though the run went through all of them
    trouble: str | None = None  # why there is no report
    unmade: int = 0  # points that were not begun, for their data set's files are not here
    invalid: int = 0  # points whose numbers break a law


def run(
    suite_name: str | Path = "quick",
    *,
    models: Sequence[str] = (),
    datasets: Sequence[str] = (),
    sigmas: Sequence[float] = (),
    seeds: int | None = None,
    budget: str | None = None,
    strategy: str | None = None,
    device: str = "cpu",
    jobs: int | None = 0,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    plugins: Sequence[str | Path] = (),
    scheduler: str | None = None,
    shard: tuple[int, int] | None = None,
    retry_failed: bool = False,
    keep_models: bool = False,
    quiet: bool = False,
) -> Outcome:
    """Train, freeze, measure, record and report a suite, doing only what `out` does not hold yet.

    `data_dir` and `plugins` are folders beside those that variables name, for this run and what follows until the next.
    `jobs` is the number of worker processes; 0 runs in this one; None is as many as there are usable cores, points, or
    workers that memory is enough for, whichever is least.  Interrupting loses at most the points in work.
    `keep_models` writes the weights of the points that are trained now beside their records, for `load_model`.
    A page that cannot be drawn is a warning, for the records are what counts.  Runs that threads of one process ask for
    go one after the other.  Raises `SuiteError`, `LookupError`, `PluginError` or `FileNotFoundError` before anything is
    computed, `WriteError` when `out` cannot be written.
    """
    models, datasets = ((given,) if isinstance(given, str) else tuple(given) for given in (models, datasets))
    selection = Selection(models, datasets, tuple(sigmas), seeds, budget, strategy, device, shard=shard)
    with _one:
        name_folders(data_dir, plugins)
        outcome = complete(suite_name, selection, How(jobs, out, scheduler, retry_failed, keep_models, quiet))
    for sentence in filter(None, (outcome.trouble, lost(outcome))):
        warnings.warn(sentence, stacklevel=2)
    return outcome


def complete(suite_name: str | Path, selection: Selection, how: How) -> Outcome:
    """As `run`, with what is asked for and how in one object each."""
    with terminable():
        ready = prepared(suite_name, selection, how)
        tell(ready)
        curves, (store, left) = ready.curves, ready.seen
        _files.check_folder(ready.folder, make=True)
        store.sweep()
        jobs = how.workers(shares(curves, left))
        with watch(curves, left, quiet=how.quiet) as progress:
            execute(curves, store, progress, jobs=jobs, scheduler=how.scheduler)
        return conclude(curves, store, ready.title)._replace(unmade=ready.unmade)


def tell(run: Prepared) -> None:
    """Say what is left out, and what was done to data that are files."""
    for kind, sentences in (("left out", run.left_out), ("note", run.notes)):
        for sentence in sentences:
            say(f"{kind}: {one_line(sentence)}", sys.stderr)


def prepared(suite_name: str | Path, selection: Selection, how: How) -> Prepared:
    """What a run is about to do; everything about it that can be refused is refused here, and nothing is written."""
    suite = suites.read(suite_name)
    expansion = expand(suite, selection)
    folder = Path(how.out) if how.out is not None else RUNS / suite.name
    _files.check_folder(folder)
    store, left = look(expansion.curves, Store(folder), retry_failed=how.retry_failed)
    curves, sentences = expansion.curves, list[str]()
    if how.scheduler is None:
        check_device(selection.device)
        curves, sentences = at_hand(curves, [curve for curve, targets in zip(curves, left, strict=True) if targets])
    here = {id(curve) for curve in curves}
    left = [targets for curve, targets in zip(expansion.curves, left, strict=True) if id(curve) in here]
    if how.keep_models:
        curves = [curve.keeping_models() for curve in curves]
    unmade = sum(len(curve.sigmas) for curve in expansion.curves) - sum(len(curve.sigmas) for curve in curves)
    left_out = [*expansion.left_out, *sentences]
    return Prepared(suite.title or suite.name, curves, Seen(store, left), left_out, unmade, expansion.notes)


def name_folders(data_dir: str | Path | None, plugins: Sequence[str | Path]) -> None:
    """Make data and plug-in folders known to this process and its children, until the next call names others.

    Raises `FileNotFoundError` for what is no such folder.
    """
    with _paths.instead():
        _paths.add_plugins(*plugins)
        if data_dir is not None:
            folder = Path(data_dir).expanduser()
            if not folder.is_dir():
                raise FileNotFoundError(f"--data-dir {data_dir} is not a folder")
            os.environ[_paths.DATA[0]] = str(folder.resolve())


def check_device(device: str) -> None:
    """Raises `SuiteError` for a GPU that torch does not see."""
    if device.startswith("cuda"):
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(device.partition(":")[2] or 0) >= count:
            raise SuiteError(f"--device {device}: torch sees {count} such devices here; try cpu")


def conclude(curves: list[Curve], store: Store, title: str) -> Outcome:
    """Write the report and count.  A page that cannot be drawn leaves its reason in the outcome."""
    wanted = {curve.key(sigma) for curve in curves for sigma in curve.sigmas}
    found = store.found()
    records = [record for record in found if not isinstance(record, Damaged)]
    mine = {record["key"]: record for record in records if record["key"] in wanted}
    failed, invalid = (sum(judged(record)[0] in bad for record in mine.values()) for bad in (FAILED, (INVALID,)))
    page, trouble = None, None
    if records:
        try:
            from ..report import render

            page = render(found, store.folder, title=title, claims=registry.claims())
        except Exception as error:
            if os.environ.get("RDU_BENCH_DEBUG"):
                raise
            trouble = f"the report could not be drawn ({type(error).__name__}: {error})"
    return Outcome(store.folder, len(mine), failed, page, len(wanted) - len(mine), trouble, invalid=invalid)


def lost(outcome: Outcome) -> str | None:
    """What is gone of a run, as a sentence."""
    if not outcome.missing:
        return None
    return (
        f"{outcome.missing} of {outcome.done + outcome.missing} points have no record in {outcome.folder}, though all "
        "were computed: were files in it removed meanwhile? The same command computes them again"
    )


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM, and SIGHUP where it is not ignored, end what runs inside as Ctrl-C does: with `KeyboardInterrupt`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, frame: Any) -> None:
        raise KeyboardInterrupt

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [n for n in (getattr(signal, name) for name in names) if signal.getsignal(n) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
