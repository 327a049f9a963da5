"""Numbers of points without one part of the test points after the other: what records call folds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from pydantic_core import from_json


def folded(table: pd.DataFrame, names: Sequence[str]) -> list[np.ndarray]:
    """Each column of these, (F, P) for P points: the numbers themselves, then means that leave out a part.

    F = 1 + the number of parts where all points have the same of all these columns, else 1.
    """
    whole = [table[name].to_numpy(float)[None] for name in names]
    each = [_without(text) for text in table["folds"]]
    counts = {len(of.get(name, ())) for of in each for name in names}
    if len(counts) != 1 or counts == {0}:
        return whole
    return [
        np.concatenate([first, np.stack([of[name] for of in each], axis=1)])
        for first, name in zip(whole, names, strict=True)
    ]


@lru_cache(maxsize=50_000)
def _without(text: str) -> dict[str, np.ndarray]:
    """Means over all test points but one part, (parts,), by name; none where a part has no number."""
    folds = from_json(text) if text else {}
    sizes, found = np.array(folds.pop("n", []), float), {}
    for name, means in folds.items():
        parts = np.array(means, float)  # None is NaN
        if parts.shape == sizes.shape and len(parts) > 1 and np.isfinite([parts, sizes]).all():
            total = sizes * parts
            found[name] = (total.sum() - total) / (sizes.sum() - sizes)
    return found
