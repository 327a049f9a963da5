"""What a run would do and how long that takes, without doing it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..records.store import Store, read_record
from .spec import Curve

SAME = ("model", "variant", "dataset_label", "network", "budget", "device")  # what points of one pace agree in


@dataclass(frozen=True)
class Planned:
    """A curve, which of its points have a record, and the seconds on one core that the others take."""

    curve: Curve
    done: tuple[bool, ...]  # a point each, in the order of `curve.sigmas`
    seconds: float


def plan(curves: Sequence[Curve], store: Store) -> list[Planned]:
    """What is left to do of every curve; reads the records of its own points and no others."""
    found = [[read_record(store.path(curve.spec(s), curve.key(s))) for s in curve.sigmas] for curve in curves]
    pace = Pace(record for records in found for record in records if record is not None)
    return [
        Planned(
            curve,
            tuple(record is not None for record in records),
            sum(pace.seconds(curve.spec(s)) for s, r in zip(curve.sigmas, records, strict=True) if r is None),
        )
        for curve, records in zip(curves, found, strict=True)
    ]


def wall_seconds(planned: Sequence[Planned], jobs: int) -> float:
    """Seconds that `jobs` workers take for all of it; a curve is not divided."""
    return max(sum(p.seconds for p in planned) / jobs, max(p.seconds for p in planned))


class Pace:
    """Seconds a point takes on one core, learned from points that are done.

    From those of the same row where there are some, else from all, else from the budget alone.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()):
        self._rows: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])  # seconds they took, and were guessed
        self._all = [0.0, 0.0]
        for record in records:
            seconds = sum(filter(_number, (record["times"].get(name) for name in ("train_s", "measure_s"))))
            for tally in (self._rows[_row(record["spec"])], self._all):
                tally[0] += seconds
                tally[1] += _guess(record["spec"])

    def seconds(self, spec: Mapping[str, Any]) -> float:
        """What the point of `spec` takes."""
        took, guessed = self._rows.get(_row(spec)) or self._all
        return _guess(spec) * (took / guessed if guessed else 1.0)


def _row(spec: Mapping[str, Any]) -> str:
    return repr([spec.get(name) for name in SAME])


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and value >= 0


def _guess(spec: Mapping[str, Any]) -> float:
    """Seconds on one core for one point; the constants are those of a plain VAE on two slow cores."""
    budget, conv = spec["budget"], spec["network"]["family"] == "conv"
    step = 0.0025 * (8 if conv else 1) * budget["batch"] / 128
    trained = budget["steps"] * (budget["continuation"] if spec["chain"] else 1.0)
    return step * (trained + 2 * budget["probe_steps"]) + 0.6 + 0.0004 * budget["codes"]
