"""What a run would do and how long that takes, without doing it."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from . import calibrate
from .left import Seen, heads
from .machine import cores
from .pace import Pace
from .spec import Curve

START, END = 120, 160  # units: what a process imports before its first point, and the report of a run


@dataclass(frozen=True)
class Planned:
    """A curve, which of its points have a record, and how long the others take."""

    curve: Curve
    done: tuple[bool, ...]  # a point each, in the order of `curve.sigmas`
    parts: tuple[float, ...]  # seconds on one core of all that can be done side by side


def plan(curves: Sequence[Curve], seen: Seen) -> list[Planned]:
    """What is left to do of every curve, by what was `seen`; of records that are there only what they took is read."""
    pace = Pace(heads(curves, seen.store))
    return [
        Planned(
            curve,
            tuple(sigma not in left for sigma in curve.sigmas),
            _parts([pace.seconds(curve.spec(sigma)) for sigma in left], curve.divisible),
        )
        for curve, left in zip(curves, seen.left, strict=True)
    ]


def _parts(seconds: Sequence[float], divisible: bool) -> tuple[float, ...]:
    return tuple(seconds) if divisible or not seconds else (sum(seconds),)


def wall_seconds(planned: Sequence[Planned], jobs: int) -> float:
    """Seconds that `jobs` workers take for all of it, with what they import and the report, on an idle machine.

    Workers that there is no core for bring nothing.
    """
    busy = [0.0] * max(1, min(jobs, cores()))  # seconds that each worker has
    for seconds in sorted((part for one in planned for part in one.parts), reverse=True):
        heapq.heapreplace(busy, busy[0] + seconds)
    return max(busy) + (START * any(busy) + END) * calibrate.speed()
