"""Running curves: in this process, in workers of our own, or on any cluster that dask can start."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import _paths
from .._files import WriteError
from ..progress import Progress, watch
from ..records.schema import FAILED
from ..records.store import Store
from . import suite
from .expand import Selection, curves
from .spec import Curve
from .suite import SuiteError

if TYPE_CHECKING:
    from distributed import Client, Future

TOPIC = "rdu-bench"
RETRIES = 2  # times a curve is given to another worker after its own was killed
CARRIED = (_paths.PLUGINS, "RDU_BENCH_DATA")  # variables that workers elsewhere must know
_alone = threading.Lock()  # torch has one random state a process


class EngineError(RuntimeError):
    """What runs the curves went away; finished points are kept."""


class WorkerKilled(RuntimeError):
    """The process that worked on a point died, again and again."""


class Outcome(NamedTuple):
    """What a run left behind."""

    folder: Path
    done: int  # points with a record
    failed: int  # of those, diverged or in error
    report: Path | None


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
    jobs: int = 0,
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

    `jobs` is the number of worker processes; 0 runs in this one.  Interrupting loses at most the points in work.
    `keep_models` writes the weights of the points that are trained now beside their records, for `load_model`.
    Raises `SuiteError`, `LookupError` or `PluginError` before anything is computed.
    """
    prepare(data_dir, plugins)
    chosen = suite.read(suite_name)
    asked = Selection(tuple(models), tuple(datasets), tuple(sigmas), seeds, budget, strategy, device, shard=shard)
    wanted = [replace(curve, keep_models=keep_models) for curve in curves(chosen, asked)]
    folder = Path(out) if out else Path("results") / "runs" / chosen.name
    store = Store(folder)
    store.sweep()
    if scheduler is None:
        _device(device)
    if retry_failed:
        _forget_failures(wanted, store)
    with watch(wanted, store, quiet=quiet) as progress:
        execute(wanted, store, progress, jobs=jobs, scheduler=scheduler)
    return conclude(wanted, store, chosen.title or chosen.name)


def prepare(data_dir: str | Path | None, plugins: Sequence[str | Path]) -> None:
    """Make data and plug-in folders known to this process and its children."""
    _paths.add_plugins(*plugins)
    for kind in _paths.KINDS:  # those that are imported already know only the folders of that time
        if f"rdu_bench.{kind}" in sys.modules:
            sys.modules[f"rdu_bench.{kind}"].__path__ = _paths.search_path(kind)
    if data_dir:
        if not Path(data_dir).is_dir():
            raise FileNotFoundError(f"--data-dir {data_dir} is not a folder")
        os.environ["RDU_BENCH_DATA"] = str(Path(data_dir).resolve())


def _device(device: str) -> None:
    if device.startswith("cuda"):
        import torch

        if not torch.cuda.is_available() or int(device.partition(":")[2] or 0) >= torch.cuda.device_count():
            raise SuiteError(f"--device {device}: torch sees {torch.cuda.device_count()} such devices here; try cpu")


def conclude(curves: list[Curve], store: Store, title: str) -> Outcome:
    """Write the report and count."""
    from ..report import render

    wanted = {curve.key(sigma) for curve in curves for sigma in curve.sigmas}
    records = store.records()
    mine = [record for record in records if record["key"] in wanted]
    page = render(records, store.folder, title=title) if records else None
    return Outcome(store.folder, len(mine), sum(record["status"] in FAILED for record in mine), page)


def _forget_failures(curves: list[Curve], store: Store) -> None:
    wanted = {curve.key(sigma) for curve in curves for sigma in curve.sigmas}
    for record in store.records():
        if record["key"] in wanted and record["status"] in FAILED:
            store.forget(record["spec"])


def execute(
    curves: list[Curve], store: Store, progress: Progress, *, jobs: int = 0, scheduler: str | None = None
) -> None:
    """Write a record for every point of `curves` that has none; raises `KeyboardInterrupt` on SIGINT and SIGTERM."""
    store.ask(curve.spec(sigma) for curve in curves for sigma in curve.sigmas)
    left = [curve for curve in curves if _missing(curve, store)]
    if not left:
        return
    with _terminable():
        if scheduler is None and jobs == 0:
            _here(left, store, progress)
        else:
            _distributed(left, store, progress, min(jobs, len(left)), scheduler)


def _missing(curve: Curve, store: Store) -> list[float | None]:
    return [sigma for sigma in curve.sigmas if not store.has(curve.spec(sigma))]


def work(curve: Curve, folder: str, wait: bool, report: Callable[[dict[str, Any]], None]) -> bool:
    """Run one curve under its lock; False when another run holds it and `wait` is not set."""
    from filelock import Timeout

    from .curve import run_curve

    store = Store(folder)
    try:
        with store.lock(curve.key(None), wait=wait):
            run_curve(curve, store, progress=report)
    except Timeout:
        return False
    return True


def _here(curves: list[Curve], store: Store, progress: Progress) -> None:
    def run_one(curve: Curve, wait: bool) -> bool:
        return work(curve, str(store.folder), wait, lambda message: progress.tell(curve, message))

    for curve in [curve for curve in curves if not run_one(curve, False)]:  # those of another run, when it is done
        run_one(curve, True)


def _task(curve: Curve, folder: str, wait: bool, index: int, carried: dict[str, str]) -> bool:
    """What a worker is given: a description of a curve, never an object of torch."""
    from distributed import get_worker

    os.environ.update(carried)
    prepare(None, ())
    worker = get_worker()
    last = 0.0

    def report(message: dict[str, Any]) -> None:
        nonlocal last
        if message["phase"] != "train" or time.monotonic() - last > 1:
            last = time.monotonic()
            worker.log_event(TOPIC, {**message, "curve": index})

    with _alone:
        return work(curve, folder, wait, report)


def _distributed(curves: list[Curve], store: Store, progress: Progress, jobs: int, scheduler: str | None) -> None:
    """All curves through dask, the longest first."""
    from distributed import as_completed

    folder = str(store.folder.resolve())
    carried = {name: os.environ[name] for name in CARRIED if name in os.environ}
    resources = {"GPU": 1} if curves[0].device.startswith("cuda") and scheduler else None
    running: dict[Future, int] = {}
    busy: list[int] = []

    with _client(jobs, scheduler) as client:
        client.subscribe_topic(TOPIC, lambda event: progress.tell(curves[event[1]["curve"]], event[1]))

        def submit(index: int, wait: bool) -> Future:
            given = (curves[index], folder, wait, index, carried)
            future = client.submit(_task, *given, pure=False, resources=resources)
            running[future] = index
            return future

        longest = sorted(range(len(curves)), key=lambda i: -estimate(curves[i]))
        completed = as_completed([submit(i, False) for i in longest], loop=client.loop)
        for future in completed:
            index = running.pop(future)
            if future.status == "finished":
                if not future.result():
                    busy.append(index)
            elif _lost(curves[index], store, future, progress):
                completed.add(submit(index, False))
            while busy and completed.is_empty():  # another run has the rest: wait for it, and take over what it leaves
                completed.update([submit(i, True) for i in busy])
                busy.clear()


@contextmanager
def _client(jobs: int, scheduler: str | None) -> Iterator[Client]:
    """Connected to `scheduler`, or to worker processes of our own, which go when we go."""
    import dask
    from distributed import Client, LocalCluster

    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": RETRIES,
            "distributed.scheduler.worker-saturation": 1.0,  # a worker that dies takes only what it works on with it
            "distributed.admin.tick.limit": "1 h",
            "distributed.worker.daemon": True,
            "distributed.comm.timeouts.connect": "60 s",
            "logging.distributed": "error",
        }
    )
    cluster = None
    if scheduler is None:
        with _deaf():
            cluster = LocalCluster(
                n_workers=jobs,
                threads_per_worker=1,
                processes=True,
                memory_limit=0,
                dashboard_address=":0",  # any free port, so that runs side by side do not warn
                silence_logs=50,
            )
    try:
        client = Client(cluster or scheduler, set_as_default=False, timeout="30 s")
    except (OSError, ValueError) as error:
        raise SuiteError(f"--scheduler {scheduler}: no dask scheduler answers there ({error})") from error
    try:
        yield client
    finally:
        client.close(timeout=5)
        if cluster is not None:
            cluster.close(timeout=10)


@contextmanager
def _deaf() -> Iterator[None]:
    """Threads and processes started inside never hear SIGINT, so that Ctrl-C is ours alone to answer."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # which would unblock the signal if it started later
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def _lost(curve: Curve, store: Store, future: Future, progress: Progress) -> bool:
    """Record what a future that failed took with it; True when points of the curve are left to try."""
    from distributed import KilledWorker

    from .curve import give_up

    if future.status != "error":
        raise EngineError("the scheduler went away; every finished point is kept, and the same command goes on")
    error = future.exception()
    if isinstance(error, WriteError):
        raise error
    lost = _missing(curve, store)
    if isinstance(error, KilledWorker):
        error = WorkerKilled(f"its process died {RETRIES + 1} times; is memory short, or did native code crash?")
        if curve.strategy != "batched":
            order = sorted(lost, key=lambda s: -(s or float("inf"))) if curve.strategy == "continuation" else lost
            lost = order[:1]  # the one in work: points are taken in this order
    give_up(curve, store, error, lambda message: progress.tell(curve, message), only=lost)
    return bool(_missing(curve, store))


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does."""

    def stop(signum: int, frame: Any) -> None:
        raise KeyboardInterrupt

    try:
        old = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


def estimate(curve: Curve, records: Sequence[dict[str, Any]] = ()) -> float:
    """Seconds on one core for the points that `records` lack.

    From what the points of the same row took, else from the budget, scaled by how far off that was for the others.
    """
    there = {record["key"] for record in records}
    left = [curve.spec(sigma) for sigma in curve.sigmas if curve.key(sigma) not in there]
    same = ("model", "variant", "dataset_label", "network", "budget", "device")
    mine = [r for r in records if all(r["spec"].get(name) == curve.spec(None)[name] for name in same)]
    known = mine or records
    took = sum(r["times"].get("train_s", 0.0) + r["times"].get("measure_s", 0.0) for r in known)
    return sum(map(_guess, left)) * (took / sum(_guess(r["spec"]) for r in known) if known else 1.0)


def _guess(spec: dict[str, Any]) -> float:
    """Seconds on one core for one point; the constants are those of a plain VAE on two slow cores."""
    budget, conv = spec["budget"], spec["network"]["family"] == "conv"
    step = 0.0025 * (8 if conv else 1) * budget["batch"] / 128
    trained = budget["steps"] * (budget["continuation"] if spec["chain"] else 1.0)
    return step * (trained + 2 * budget["probe_steps"]) + 0.6 + 0.0004 * budget["codes"]
