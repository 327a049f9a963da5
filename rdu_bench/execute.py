"""Running curves: in this process, in workers of our own, or on any cluster that dask can start."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from . import _paths, suite
from .progress import Progress, watch
from .store import FAILED, Store
from .suite import Curve

TOPIC = "rdu-bench"
RETRIES = 3  # times a curve is given to another worker after its own was killed


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
    quiet: bool = False,
) -> Outcome:
    """Train, freeze, measure, record and report a suite, doing only what `out` does not hold yet.

    `jobs` is the number of worker processes; 0 runs in this one.  Interrupting loses at most the points in work.
    Raises `SuiteError`, `LookupError` or `PluginError` before anything is computed.
    """
    prepare(data_dir, plugins)
    chosen = suite.read(suite_name)
    curves = suite.curves(
        chosen,
        models=models,
        datasets=datasets,
        sigmas=sigmas,
        seeds=seeds,
        budget_name=budget,
        strategy=strategy,
        device=device,
    )
    if shard:
        curves = curves[shard[0] - 1 :: shard[1]]
    folder = Path(out) if out else Path("results") / "runs" / chosen.name
    store = Store(folder)
    if retry_failed:
        _forget_failures(curves, store)
    with watch(curves, store, quiet=quiet) as progress:
        execute(curves, store, progress, jobs=jobs, scheduler=scheduler)
    return conclude(curves, store, chosen.title or chosen.name)


def prepare(data_dir: str | Path | None, plugins: Sequence[str | Path]) -> None:
    """Make data and plug-in folders known to this process and its children."""
    _paths.add_plugins(*plugins)
    if data_dir:
        if not Path(data_dir).is_dir():
            raise FileNotFoundError(f"--data-dir {data_dir} is not a folder")
        os.environ["RDU_BENCH_DATA"] = str(Path(data_dir).resolve())


def conclude(curves: list[Curve], store: Store, title: str) -> Outcome:
    """Write the report and count."""
    from .report import render

    wanted = {curve.key(sigma) for curve in curves for sigma in curve.sigmas}
    records = store.records()
    mine = [record for record in records if record["key"] in wanted]
    page = render(records, store.folder, title=title) if records else None
    return Outcome(store.folder, len(mine), sum(record["status"] in FAILED for record in mine), page)


def _forget_failures(curves: list[Curve], store: Store) -> None:
    wanted = {curve.key(sigma) for curve in curves for sigma in curve.sigmas}
    for record in store.records():
        if record["key"] in wanted and record["status"] in FAILED:
            store.forget(record["key"])


def execute(
    curves: list[Curve], store: Store, progress: Progress, *, jobs: int = 0, scheduler: str | None = None
) -> None:
    """Write a record for every point of `curves`; raises `KeyboardInterrupt` on SIGINT and SIGTERM."""
    left = [curve for curve in curves if _missing(curve, store)]
    if not left:
        return
    with _terminable():
        if scheduler is None and jobs == 0:
            _here(left, store, progress)
        else:
            _distributed(left, store, progress, min(jobs, len(left)), scheduler)


def _missing(curve: Curve, store: Store) -> list[float | None]:
    return [sigma for sigma in curve.sigmas if not store.has(curve.key(sigma))]


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
    busy = [c for c in curves if not work(c, str(store.folder), False, lambda m, c=c: progress.tell(c, m))]  # type: ignore[misc]
    for curve in busy:
        work(curve, str(store.folder), True, lambda m, c=curve: progress.tell(c, m))  # type: ignore[misc]


def _task(curve: Curve, folder: str, wait: bool, index: int) -> bool:
    """What a worker is given: a description of a curve, never an object of torch."""
    from distributed import get_worker

    worker = get_worker()
    last = 0.0

    def report(message: dict[str, Any]) -> None:
        nonlocal last
        if message["phase"] != "train" or time.monotonic() - last > 1:
            last = time.monotonic()
            worker.log_event(TOPIC, {**message, "curve": index})

    return work(curve, folder, wait, report)


def _distributed(curves: list[Curve], store: Store, progress: Progress, jobs: int, scheduler: str | None) -> None:
    import dask
    from distributed import Client, LocalCluster, as_completed

    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": RETRIES,
            "distributed.admin.tick.limit": "1 h",
            "distributed.worker.daemon": True,
            "distributed.comm.timeouts.connect": "60 s",
            "logging.distributed": "error",
        }
    )
    cluster = None
    if scheduler is None:
        cluster = LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address=None,
            silence_logs=50,
        )
    client = Client(cluster or scheduler)
    try:
        client.subscribe_topic(TOPIC, lambda event: progress.tell(curves[event[1]["curve"]], event[1]))
        folder = str(store.folder.resolve())
        resources = {"GPU": 1} if curves[0].device.startswith("cuda") and scheduler else None

        def submit(indices: Sequence[int], wait: bool) -> dict[Any, int]:
            return {
                client.submit(_task, curves[i], folder, wait, i, pure=False, resources=resources): i for i in indices
            }

        pending, wait = submit(range(len(curves)), False), False
        while pending:
            again: list[int] = []
            for future in as_completed(pending):
                index = pending[future]
                if future.status == "finished":
                    if not future.result():
                        again.append(index)
                else:
                    _lost(curves[index], store, future.exception(), progress)
            pending, wait = (submit(again, True), True) if not wait else ({}, wait)
    finally:
        client.close(timeout=5)
        if cluster is not None:
            cluster.close(timeout=10)


def _lost(curve: Curve, store: Store, error: BaseException, progress: Progress) -> None:
    """A curve whose worker died again and again, or whose records cannot be written."""
    from .store import StoreError

    if isinstance(error, StoreError):
        raise error
    from .curve import give_up

    give_up(curve, store, error, lambda message: progress.tell(curve, message))


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


def estimate(curve: Curve) -> float:
    """Seconds that a curve takes on one core, from what was measured on two slow ones."""
    step = 0.0016 * (1 if curve.network["family"] == "mlp" else 8) * curve.budget["batch"] / 128
    points = len(curve.sigmas)
    share = curve.budget["continuation"] if curve.strategy == "continuation" else 1.0
    trained = curve.budget["steps"] * (1 + (points - 1) * share)
    measured = points * (0.6 + 0.0004 * curve.budget["codes"] + curve.budget["probe_steps"] * step * 2)
    return step * trained + measured
