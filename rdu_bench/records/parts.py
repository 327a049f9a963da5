"""Numbers of a table against each other, and against the means over parts of the test split that stand beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .laws import beyond, of_folds
from .schema import INVALID, MEASURED

if TYPE_CHECKING:
    import pandas as pd


def held_to_parts(points: pd.DataFrame) -> pd.DataFrame:
    """Points whose numbers break a law that a table can show are `invalid`: nothing else tells an edit.

    R*, D and D_y are the means of their parts, D + R* is no less than H(x), and what is `ok` has the rate asked for.
    """
    wrong = _beyond(points) | _unparted(points)
    if wrong:
        points = points.copy()
        points.loc[[*wrong], "status"] = INVALID
        points.loc[[*wrong], "reason"] = [*wrong.values()]
    return points


def _beyond(points: pd.DataFrame) -> dict[Any, str]:
    """Index of a point → the law between its own numbers that it breaks."""
    names = ("status", "sigma", "rate_err", "D", "R_star", "H_x", "H_x_kind", "gap_RD_se", "D_se", "R_star_se")
    there = points[points["status"].isin(MEASURED)]
    each = zip(there.index, there.reindex(columns=[*names]).itertuples(index=False, name=None), strict=True)
    return {i: said[0] for i, row in each if (said := [*beyond(dict(zip(names, row, strict=True)))])}


def _unparted(points: pd.DataFrame) -> dict[Any, str]:
    """Index of a point → which of its numbers is not the mean of its parts."""
    if "folds" not in points:
        return {}
    known = [name for name in ("status", "folds", "R_star", "D", "D_null", "Dy", "Hy_V") if name in points]
    each = zip(points.index, points[known].itertuples(index=False, name=None), strict=True)
    return {i: said[0] for i, row in each if (said := _unlike(dict(zip(known, row, strict=True))))}


def _unlike(point: Mapping[str, Any]) -> list[str]:
    """What of a point is not the mean of its parts, in words."""
    given = json.loads(point["folds"] or "{}") if isinstance(point["folds"], str) else {}
    if point["status"] not in MEASURED or not given:
        return []
    named = ((name, point.get(name)) for name in given if name != "n")
    values = {name: None if value is None or value != value else value for name, value in named}
    return [*of_folds({"folds": given, "values": values, "data": {}})]
