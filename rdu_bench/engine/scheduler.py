"""Running curves: in this process, in workers of our own, or on any cluster that dask can start."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .. import _paths
from .._files import WriteError
from ..progress import Progress
from ..records.store import Store
from .cluster import RETRIES, EngineError, client
from .left import heads, missing, shares
from .pace import Pace, units
from .spec import Curve

if TYPE_CHECKING:
    from distributed import Future

TOPIC = "rdu-bench"
CARRIED = (_paths.PLUGINS, *_paths.DATA)  # variables that workers elsewhere must know


class WorkerKilled(RuntimeError):
    """The process that worked on a point died, again and again."""


def execute(
    curves: list[Curve], store: Store, progress: Progress, *, jobs: int = 0, scheduler: str | None = None
) -> None:
    """Write a record for every point of `curves` that has none; `progress`, which is theirs, knows which these are.

    In this process for `jobs` 0, else in that many workers, else in those of the dask scheduler at an address.
    Raises `WriteError` when nothing more can be written and `EngineError` when the workers are gone.
    """
    specs = [curve.spec(sigma) for curve in curves for sigma in curve.sigmas]
    store.ask(specs, Pace(heads(curves, store)).seconds)
    left = [curve for curve, targets in zip(curves, progress.left, strict=True) if targets]
    if not left:
        return
    if scheduler is None and jobs == 0:
        _here(left, store, progress)
    else:
        _distributed(left, store, progress, min(jobs, shares(left, filter(None, progress.left))), scheduler)


def work(curve: Curve, store: Store, wait: bool, report: Callable[[dict[str, Any]], None]) -> bool:
    """Make what nobody else has in work of one curve; False when others have some of it and `wait` is not set."""
    from .curve import run_curve

    run_curve(curve, store, progress=report, wait=wait)
    return wait or not missing(curve, store)


def _here(curves: list[Curve], store: Store, progress: Progress) -> None:
    def run_one(curve: Curve, wait: bool) -> bool:
        return work(curve, store, wait, lambda message: progress.update(curve, message))

    for curve in [curve for curve in curves if not run_one(curve, False)]:  # those of another run, when it is done
        run_one(curve, True)


def _task(curve: Curve, store: Store, wait: bool, index: int, carried: dict[str, str]) -> bool:
    """What a worker is given: a description of a curve, never an object of torch."""
    from distributed import get_worker

    os.environ.update(carried)
    _paths.add_plugins()
    worker = get_worker()
    last = 0.0

    def report(message: dict[str, Any]) -> None:
        nonlocal last
        if message["phase"] != "train" or time.monotonic() - last > 1:
            last = time.monotonic()
            worker.log_event(TOPIC, {**message, "curve": index})

    return work(curve, store, wait, report)


def _distributed(curves: list[Curve], store: Store, progress: Progress, jobs: int, scheduler: str | None) -> None:
    """All curves through dask, the longest first; who has none left joins those who work on one, point by point."""
    from distributed import as_completed

    there = Store(store.folder.resolve(), store.outdated)
    carried = {name: os.environ[name] for name in CARRIED if name in os.environ}
    resources = {"GPU": 1} if curves[0].device.startswith("cuda") and scheduler else None
    running: dict[Future, int] = {}
    busy: set[int] = set()  # curves of which others have all that is left

    with client(jobs, scheduler) as connected:
        connected.subscribe_topic(TOPIC, lambda event: progress.update(curves[event[1]["curve"]], event[1]))

        def submit(index: int, wait: bool) -> Future:
            given = (curves[index], there, wait, index, carried)
            future = connected.submit(_task, *given, pure=False, resources=resources)
            running[future] = index
            return future

        def joined() -> Iterator[Future]:
            while len(running) < (jobs or len(connected.nthreads())):
                index = _to_join(curves, store, Counter(running.values()), busy)
                if index is None:
                    return
                yield submit(index, False)

        completed = as_completed([submit(i, False) for i in _longest_first(curves)], loop=connected.loop)
        completed.update([*joined()])
        for future in completed:
            index = running.pop(future)
            if future.status == "finished":
                if not future.result():
                    busy.add(index)
            elif _lost(curves[index], store, future, progress):
                completed.add(submit(index, False))
            completed.update([*joined()])
            while busy and completed.is_empty():  # another run has the rest: wait for it, and take over what it leaves
                completed.update([submit(i, True) for i in busy])
                busy.clear()


def _to_join(curves: list[Curve], store: Store, at_work: Counter[int], busy: set[int]) -> int | None:
    """Of the curves in work, by how many each, the one with most to do in points that nobody has begun."""
    found = {}
    for index, number in at_work.items():
        if index not in busy and curves[index].divisible:
            seconds = [units(curves[index].spec(sigma)) for sigma in missing(curves[index], store)]
            found[index] = sum(sorted(seconds)[number:])
    most = max(found, key=lambda index: found[index], default=None)
    return most if most is not None and found[most] else None


def _longest_first(curves: list[Curve]) -> list[int]:
    return sorted(range(len(curves)), key=lambda i: -sum(units(curves[i].spec(s)) for s in curves[i].sigmas))


def _lost(curve: Curve, store: Store, future: Future, progress: Progress) -> bool:
    """Record what a future that failed took with it; True when points of the curve are left to try."""
    from distributed import KilledWorker

    from .curve import give_up

    if future.status != "error":
        raise EngineError("the scheduler went away; every finished point is kept, and the same command goes on")
    error = future.exception()
    if isinstance(error, WriteError):
        raise error
    lost, most = missing(curve, store), None
    if isinstance(error, KilledWorker):
        error = WorkerKilled(f"its process died {RETRIES + 1} times; is memory short, or did native code crash?")
        if curve.strategy != "batched":
            order = sorted(lost, key=lambda s: -(s or float("inf"))) if curve.strategy == "continuation" else lost
            lost, most = tuple(order), 1  # the one that was in work: points are taken in this order
    give_up(curve, store, error, lambda message: progress.update(curve, message), only=lost, most=most)
    return bool(missing(curve, store))
