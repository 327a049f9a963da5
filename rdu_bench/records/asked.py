"""What runs asked of a folder, row by row: the recipe that is current, and the points that it should have."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import _files
from .._hash import canonical, digest
from .raw import read_file
from .recipes import recipe_of_spec
from .schema import Damaged

NAME = "asked.json"
Spec = Mapping[str, Any]


def read(folder: Path) -> set[str] | None:
    """Keys of the points asked for last, of all rows; None where no run said so or the file is damaged."""
    rows = _rows(folder)
    return None if rows is None else {key for row in rows.values() for key in row["keys"]}


def rows(folder: Path) -> dict[str, set[str]]:
    """Keys of the points asked for last, by row, as `vae on digits`; none where no run said so."""
    found: dict[str, set[str]] = {}
    for name, row in (_rows(folder) or {}).items():
        found.setdefault(_called(name), set()).update(row["keys"])
    return found


def _called(name: str) -> str:
    """A row in words; as it stands in the file where that is none that `write` made."""
    try:
        place, model, variant = json.loads(name)
        return f"{model}{f'-{variant}' if variant else ''} on {json.loads(place)[0]}"
    except (ValueError, LookupError, TypeError, RecursionError):
        return name


def expected(folder: Path) -> dict[str, float]:
    """CPU seconds that points were expected to take when they were asked for last, by key; of those known."""
    rows = (_rows(folder) or {}).values()
    return {key: row["seconds"] for row in rows if _lasts(row.get("seconds")) for key in row["keys"]}


def _lasts(seconds: Any) -> bool:
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < math.inf


def write(folder: Path, specs: Iterable[Mapping[str, Any]], seconds: Callable[[Spec], float] | None = None) -> None:
    """Add the points of a run, and the `seconds` that one of each row is expected to take.

    A row with another recipe than before begins anew.  Raises `WriteError`.
    """
    rows = _rows(folder) or {}
    now: dict[str, dict[str, Any]] = {}
    for spec in specs:
        name = canonical([spec.get(field) for field in ("dataset_label", "dataset", "dataset_params")])
        name = canonical([name, spec["model"], spec["variant"]])
        if name not in now:
            now[name] = {"recipe": recipe_of_spec(spec), "keys": set(), "time": round(time.time(), 3)}
            now[name] |= {"seconds": round(seconds(spec), 3)} if seconds else {}
        mine = now[name]
        mine["keys"].add(digest(spec))
    for name, row in now.items():
        before = rows.get(name, {})
        kept = before["keys"] if before.get("recipe") == row["recipe"] else ()
        first = {"seconds": before["seconds"]} if kept and "seconds" in before else {}  # as expected when it began
        rows[name] = {**row, **first, "keys": sorted(row["keys"].union(kept))}
    _files.write(folder / NAME, json.dumps({"schema": 1, "rows": rows}, ensure_ascii=False, indent=0) + "\n")


def packed(folder: Path) -> bytes | None:
    """What `read` and `datasets` need, as bytes for an archive: without times, so that equal runs make equal ones."""
    rows = _rows(folder)
    if rows is None:
        return None
    kept = {name: {"recipe": row.get("recipe"), "keys": row["keys"]} for name, row in rows.items()}
    return (json.dumps({"schema": 1, "rows": kept}, ensure_ascii=False, indent=0) + "\n").encode("utf-8", "replace")


def datasets(folder: Path) -> list[tuple[str, ...]]:
    """Label, name and parameters of the data sets asked for, in that order, as canonical JSON; none where unknown."""
    try:
        return [tuple(map(canonical, json.loads(json.loads(name)[0]))) for name in _rows(folder) or ()]
    except (ValueError, LookupError, TypeError, RecursionError):
        return []


def _rows(folder: Path) -> dict[str, dict[str, Any]] | None:
    try:
        rows = json.loads(read_file(folder / NAME))["rows"]
        lists = all(isinstance(row["keys"], list) for row in rows.values())
        whole = lists and all(isinstance(k, str) for row in rows.values() for k in row["keys"])
        return {name: dict(row) for name, row in rows.items()} if whole else None
    except (Damaged, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
