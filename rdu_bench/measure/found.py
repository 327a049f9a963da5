"""What a measurement finds, and the few ways in which nats over test points become numbers of a record."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor

FOLDS = 20  # parts of the test points, so that a table of points can tell how much its numbers owe to which they are


@dataclass(frozen=True)
class Found:
    """What one measurement found, to be merged with what the others did."""

    values: dict[str, Any] = field(default_factory=dict)  # numbers of the point, nats unless a name says otherwise
    factors: dict[str, dict[str, Any]] = field(default_factory=dict)  # numbers of a factor, by its name
    vectors: dict[str, np.ndarray] = field(default_factory=dict)  # float32, one number a test point; other arrays
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)  # folds, scores, mi, pictures, structure
    nulls: dict[str, str] = field(default_factory=dict)  # field → why it has no number

    def because(self, reason: str) -> Found:
        """The same with one reason for all that is null."""
        return replace(self, nulls=dict.fromkeys(self.nulls, reason))


def without(names: Iterable[str]) -> Found:
    """Values that have no number, their reasons still empty; a standard error goes without a reason of its own."""
    names = tuple(names)
    return Found(values=dict.fromkeys(names), nulls={name: "" for name in names if not name.endswith("_se")})


def together(parts: Iterable[Found]) -> Found:
    """What several measurements found, as one."""
    whole = Found()
    for part in parts:
        whole.values.update(part.values)
        whole.vectors.update(part.vectors)
        whole.nulls.update(part.nulls)
        for mine, new in ((whole.factors, part.factors), (whole.tables, part.tables)):
            for name, fields in new.items():
                mine[name] = mine.get(name, {}) | fields
    return whole


def per_point(nats: Tensor) -> Tensor:
    """(S, N) nats → (N,) float64, the mean over draws."""
    return nats.double().mean(0)


def stored(nats: Tensor) -> np.ndarray:
    """(N,) as a record's vectors hold it."""
    vector: np.ndarray = nats.float().numpy().copy()
    return vector


def parts(each: Tensor) -> list[Tensor]:
    """(N,) numbers in at most `FOLDS` parts, none empty: i, i + FOLDS, i + 2 FOLDS, … in part i."""
    return [each[i::FOLDS] for i in range(min(FOLDS, len(each)))]


def folds(each: Tensor) -> list[float]:
    """Means of (N,) numbers over the parts of the test points."""
    return [float(part.double().mean()) for part in parts(each)]


def averaged(name: str, nats: Tensor) -> dict[str, float]:
    """Mean over test points of (S, N) nats, and its standard error."""
    mean, error = mean_and_error(per_point(nats))
    return {name: mean, f"{name}_se": error}


def mean_and_error(each: Tensor) -> tuple[float, float]:
    """Of (N,) numbers, one a test point; the error of a single one is NaN."""
    return float(each.mean()), standard_error(each)


def standard_error(each: Tensor) -> float:
    """Of the mean of (N,) numbers."""
    return float(each.std() / math.sqrt(len(each)))
