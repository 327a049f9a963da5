"""What a run would do and how long that takes, without doing it."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from ..records.laws import judged
from ..records.schema import BAD
from ..records.store import Store
from . import calibrate
from .machine import cores
from .pace import Pace
from .spec import Curve

START, END = 120, 160  # units: what a process imports before its first point, and the report of a run


@dataclass(frozen=True)
class Planned:
    """A curve, which of its points have a record, and the seconds on one core that the others take."""

    curve: Curve
    done: tuple[bool, ...]  # a point each, in the order of `curve.sigmas`
    seconds: float


def plan(curves: Sequence[Curve], store: Store, *, retry_failed: bool = False) -> list[Planned]:
    """What is left to do of every curve; reads the records of its own points and no others.

    With `retry_failed` so are points that failed or break a law.
    """
    found = [[store.of(curve.spec(s)) for s in curve.sigmas] for curve in curves]
    pace = Pace(record for records in found for record in records if record is not None)
    if retry_failed:
        found = [[None if record and judged(record)[0] in BAD else record for record in records] for records in found]
    return [
        Planned(
            curve,
            tuple(record is not None for record in records),
            sum(pace.seconds(curve.spec(s)) for s, r in zip(curve.sigmas, records, strict=True) if r is None),
        )
        for curve, records in zip(curves, found, strict=True)
    ]


def wall_seconds(planned: Sequence[Planned], jobs: int) -> float:
    """Seconds that `jobs` workers take for all of it, with what they import and the report, on an idle machine.

    The longest curve is begun first, and none is divided.  Workers that there is no core for bring nothing.
    """
    busy = [0.0] * max(1, min(jobs, cores()))  # seconds that each worker has
    for seconds in sorted((p.seconds for p in planned), reverse=True):
        heapq.heapreplace(busy, busy[0] + seconds)
    return max(busy) + (START * any(busy) + END) * calibrate.speed()
