"""What runs asked of a folder, row by row: the recipe that is current, and the points that it should have."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import _files
from .._hash import canonical, digest
from .raw import read_file
from .recipes import recipe_of_spec
from .schema import Damaged

NAME = "asked.json"


def read(folder: Path) -> set[str] | None:
    """Keys of the points asked for last, of all rows; None where no run said so or the file is damaged."""
    rows = _rows(folder)
    return None if rows is None else {key for row in rows.values() for key in row["keys"]}


def write(folder: Path, specs: Iterable[Mapping[str, Any]]) -> None:
    """Add the points of a run.  A row with another recipe than before begins anew.  Raises `WriteError`."""
    rows = _rows(folder) or {}
    now: dict[str, dict[str, Any]] = {}
    for spec in specs:
        name = canonical([spec.get(field) for field in ("dataset_label", "dataset", "dataset_params")])
        name = canonical([name, spec["model"], spec["variant"]])
        mine = now.setdefault(name, {"recipe": recipe_of_spec(spec), "keys": set(), "time": round(time.time(), 3)})
        mine["keys"].add(digest(spec))
    for name, row in now.items():
        before = rows.get(name, {})
        kept = before["keys"] if before.get("recipe") == row["recipe"] else ()
        rows[name] = {**row, "keys": sorted(row["keys"].union(kept))}
    _files.write(folder / NAME, json.dumps({"schema": 1, "rows": rows}, ensure_ascii=False, indent=0) + "\n")


def _rows(folder: Path) -> dict[str, dict[str, Any]] | None:
    try:
        rows = json.loads(read_file(folder / NAME))["rows"]
        whole = all(isinstance(k, str) for row in rows.values() for k in row["keys"])
        return {name: dict(row) for name, row in rows.items()} if whole else None
    except (Damaged, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
