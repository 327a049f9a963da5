"""CPU seconds beside those of the clock, which stand for little on a machine that does something else besides."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from ..training.strategies import Attempt


def timed(attempts: Iterable[Attempt]) -> Iterator[Attempt]:
    """The same attempts with the CPU seconds of this process that their training took.

    Where training is shared, each has the share of these that it has of the seconds of the clock.
    """
    left = iter(attempts)
    clock = cpu = 0.0  # seconds since the beginning that no attempt was given yet
    while True:
        began, began_cpu = time.perf_counter(), time.process_time()
        attempt = next(left, None)
        clock, cpu = clock + time.perf_counter() - began, cpu + time.process_time() - began_cpu
        if attempt is None:
            return
        share = min(1.0, attempt.seconds / clock) if clock else 0.0
        yield attempt._replace(cpu=share * cpu)
        clock, cpu = clock - share * clock, cpu - share * cpu
