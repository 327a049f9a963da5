"""How examples are divided and binarised: once, by named seeds, the same on every machine."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._hash import named_seed
from .error import DataError


def binarise(levels: np.ndarray, top: int, name: str) -> np.ndarray:
    """(N, …) uint8 of 0 and 1, each 1 with probability levels/top, drawn once by the named seed of `name`.

    `levels` are integers from 0 to `top` ≤ 255.  The first n examples do not depend on how many follow.
    """
    draws = np.random.default_rng(named_seed("binarise", name)).integers(0, top, levels.shape, dtype=np.uint8)
    return (levels > draws).view(np.uint8)


def assign_splits(n: int, name: str, fractions: tuple[float, float] = (0.1, 0.2)) -> dict[str, np.ndarray]:
    """A fixed disjoint partition of range(n) into train, val and test by the named seed of `name`."""
    order = np.random.default_rng(named_seed("split", name)).permutation(n)
    val, test = (round(n * fraction) for fraction in fractions)
    return {"test": order[:test], "val": order[test : test + val], "train": order[test + val :]}


def check_counts(name: str, **params: Any) -> None:
    """Raises `DataError` for a parameter that is not a whole number of at least 1."""
    for key, value in params.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise DataError(f"{name}: {key} is {value!r}; it must be a whole number of at least 1.")
