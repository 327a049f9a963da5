"""Worker processes of our own, which nobody else can reach, or a dask cluster that is there already."""

from __future__ import annotations

import multiprocessing.spawn
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from .suite import SuiteError

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 2  # times a curve is given to another worker after its own was killed
HERE = "127.0.0.1"
WORKER = "Dask Worker process"  # how distributed names the processes that its nannies start
SETTINGS: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": RETRIES,
    "distributed.scheduler.worker-saturation": 1.0,  # a worker that dies takes only what it works on with it
    "distributed.admin.tick.limit": "1 h",
    "distributed.worker.daemon": True,
    "distributed.worker.multiprocessing-method": "spawn",
    "distributed.comm.timeouts.connect": "60 s",
    "logging.distributed": "error",
}
MEMORY = "distributed.nanny.pre-spawn-environ.MALLOC"
OURS: dict[str, Any] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # What distributed looks at many times a second takes the interpreter from the training each time.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1 s",
    "distributed.admin.system-monitor.interval": "10 s",
    "distributed.scheduler.work-stealing": False,  # a worker is given one curve at a time
    # Left to distributed, glibc gives every freed tensor back to the system and clears its pages anew for the next one,
    # which takes a convolutional model up to half of its time.
    f"{MEMORY}_ARENA_MAX": 1,  # the thread that computes has no heap of its own, whose size is bounded
    f"{MEMORY}_MMAP_THRESHOLD_": 2**27,  # bytes: what is larger is given back
    f"{MEMORY}_TRIM_THRESHOLD_": 2**29,  # and what is free beyond these at the end of the heap
}
_mains = threading.Lock()
_bare = 0  # how many runs of this process have workers


class EngineError(RuntimeError):
    """What runs the curves went away or could not start; finished points are kept."""


@contextmanager
def client(jobs: int, scheduler: str | None) -> Iterator[Client]:
    """Connected to the dask scheduler at the address `scheduler`, or to `jobs` worker processes of our own.

    Those listen on the loopback address alone, to who holds the certificate that was made for this run, which never
    leaves the memory of its processes; they serve no page, and they go when we go.  Raises `SuiteError` for an
    address where nothing answers, `EngineError` when no worker starts.
    """
    import dask
    import distributed  # noqa: F401  (its defaults join dask's settings here: joined inside, they would leave with ours)

    with ExitStack() as stack:
        stack.enter_context(dask.config.set(SETTINGS if scheduler else SETTINGS | OURS))
        if scheduler is None:
            stack.enter_context(_without_main())
        cluster = None if scheduler else stack.enter_context(_workers(jobs))
        yield stack.enter_context(_connected(cluster, scheduler))


@contextmanager
def _workers(jobs: int) -> Iterator[Any]:
    from distributed import LocalCluster
    from distributed.security import Security

    with sigint_blocked():
        try:
            cluster = LocalCluster(
                n_workers=jobs,
                threads_per_worker=1,
                processes=True,
                memory_limit=0,
                host=HERE,
                protocol="tls://",
                security=Security.temporary(),
                scheduler_kwargs={"dashboard": False, "dashboard_address": f"{HERE}:0"},
                silence_logs=50,
            )
        except (OSError, RuntimeError, AssertionError) as error:  # dask asserts that its loop starts soon
            raise EngineError(f"no worker process starts here ({error}); -j 0 runs in one process") from error
    try:
        yield cluster
    finally:
        cluster.close(timeout=10)


@contextmanager
def _connected(cluster: Any, scheduler: str | None) -> Iterator[Client]:
    from distributed import Client

    try:
        connected = Client(cluster or scheduler, set_as_default=False, timeout="30 s")
    except (OSError, ValueError, TypeError, RuntimeError, AssertionError) as error:
        if cluster:
            raise EngineError(f"the worker processes do not answer ({error}); -j 0 runs in one process") from error
        raise SuiteError(f"--scheduler {scheduler}: no dask scheduler answers there ({error})") from error
    try:
        yield connected
    finally:
        connected.close(timeout=5)


@contextmanager
def sigint_blocked() -> Iterator[None]:
    """Threads and processes started inside never get SIGINT, so that Ctrl-C is for this thread alone to answer."""
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


@contextmanager
def _without_main() -> Iterator[None]:
    """Workers that start inside, or are started again, do not import the program that asked for the run.

    A script without `if __name__ == "__main__"` would run once more in each of them; they need nothing of it.
    """
    global _bare
    with _mains:
        if not _bare:
            multiprocessing.spawn.get_preparation_data = _preparation  # type: ignore[assignment]
        _bare += 1
    try:
        yield
    finally:
        with _mains:
            _bare -= 1
            if not _bare:
                multiprocessing.spawn.get_preparation_data = _whole


_whole = multiprocessing.spawn.get_preparation_data


def _preparation(name: str) -> dict[str, Any]:
    """What a new process is told about this one: for a worker, all but where the main module is."""
    told: dict[str, Any] = _whole(name)
    return {k: v for k, v in told.items() if not (name.startswith(WORKER) and k.startswith("init_main"))}
