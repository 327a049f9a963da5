"""Numbers of a table against the means over parts of the test split that stand beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .laws import of_folds
from .schema import INVALID, MEASURED

if TYPE_CHECKING:
    import pandas as pd


def held_to_parts(points: pd.DataFrame) -> pd.DataFrame:
    """Points whose R*, D or D_y is not the mean of its parts are `invalid`: of a table nothing else tells an edit."""
    if "folds" not in points:
        return points
    known = [name for name in ("status", "folds", "R_star", "D", "D_null", "Dy", "Hy_V") if name in points]
    each = zip(points.index, points[known].itertuples(index=False, name=None), strict=True)
    wrong = {i: said[0] for i, row in each if (said := _unlike(dict(zip(known, row, strict=True))))}
    if wrong:
        points = points.copy()
        points.loc[[*wrong], "status"] = INVALID
        points.loc[[*wrong], "reason"] = [*wrong.values()]
    return points


def _unlike(point: Mapping[str, Any]) -> list[str]:
    """What of a point is not the mean of its parts, in words."""
    given = json.loads(point["folds"] or "{}") if isinstance(point["folds"], str) else {}
    if point["status"] not in MEASURED or not given:
        return []
    named = ((name, point.get(name)) for name in given if name != "n")
    values = {name: None if value is None or value != value else value for name, value in named}
    return [*of_folds({"folds": given, "values": values, "data": {}})]
