"""Quantities that claims are about, point by point, from the table of points."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from .._claims import Quantity
from .scores import SCORES

Structure = Mapping[str, Any]


def values(found: pd.DataFrame, quantity: Quantity) -> pd.Series:
    """A quantity of every point, NaN where a point lacks it; nats but for scores and agreement of clusters."""
    column = _column(quantity)
    if column is not None:
        return pd.to_numeric(found[column], errors="coerce") if column in found else _none(found)
    if quantity.kind == "mismatch":
        return found["R_own"] - found["R_star"]
    read = _OF_STRUCTURE[quantity.kind]
    each = [read(json.loads(text), quantity) if text else None for text in found["structure"]]
    return pd.Series(each, found.index, dtype=float)


def unit(quantity: Quantity) -> str:
    """Of its values."""
    return "" if quantity.kind in ("score", "clusters") else "nats"


def _none(found: pd.DataFrame) -> pd.Series:
    return pd.Series(float("nan"), found.index)


def _column(quantity: Quantity) -> str | None:
    """The column of the table that holds a quantity, None where none does."""
    if quantity.kind == "score":
        name = next(name for name, score in SCORES.items() if score.title == quantity.at)
        return f"{name}_robust_mean"
    if quantity.kind == "D_y":
        return f"Dy[{quantity.of}]" if quantity.of else "Dy"
    return {"D": "D", "D_pred": "D_pred", "D_pred_null": "D_pred_null", "total correlation": "TC"}.get(quantity.kind)


def _few_labels(structure: Structure, quantity: Quantity) -> float | None:
    """D_y of heads trained on so many labels, summed over the factors of the task."""
    told = []
    for given in (structure.get("efficiency") or {}).values():
        known = dict(zip(given.get("n") or (), given.get("Dy") or (), strict=False))
        told.append(known.get(int(quantity.at)))
    return _sum(told)


def _noise(structure: Structure, quantity: Quantity) -> float | None:
    """D_y of heads as they are, so many per cent of the pixels being the other one, summed over the task's factors."""
    given = structure.get("noise") or {}
    levels = [round(100 * level) for level in given.get("levels") or ()]
    if given.get("kind") != "flip" or int(quantity.at) not in levels:
        return None
    at = levels.index(int(quantity.at))
    return _sum([losses[at] for losses in (given.get("Dy") or {}).values()])


def _block(structure: Structure, quantity: Quantity) -> float | None:
    """I_V of a factor by a linear head on one block."""
    factors = ((structure.get("blocks") or {}).get(quantity.at) or {}).get("factors") or {}
    return (factors.get(quantity.of) or {}).get("IV")


def _leakage(structure: Structure, quantity: Quantity) -> float | None:
    """I_V of a sensitive factor by the strongest head: a lower bound on I(s; z)."""
    given = structure.get("leakage") or {}
    return given.get("IV") if given.get("s") == quantity.of else None


def _clusters(structure: Structure, quantity: Quantity) -> float | None:
    return (structure.get("clusters") or {}).get(quantity.at.lower())


def _sum(parts: list[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None


_OF_STRUCTURE: dict[str, Callable[[Structure, Quantity], float | None]] = {
    "D_y of few labels": _few_labels,
    "D_y under noise": _noise,
    "I_V of a block": _block,
    "leakage": _leakage,
    "clusters": _clusters,
}
