"""Points that runs asked for and that are not there, whatever became of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from . import asked

if TYPE_CHECKING:
    import pandas as pd

NAMED = 3  # rows that a sentence calls by name


def homes(points: pd.DataFrame) -> list[Path]:
    """Folders and archives that the records of points lie in, first come first; none for points of a table's file."""
    if "path" not in points:
        return []
    folders = dict.fromkeys(str(Path(path).parent.parent) for path in points["path"] if path)
    return list(dict.fromkeys(Path(folder).parent.parent for folder in folders))


def unmade(points: pd.DataFrame) -> list[str]:
    """A sentence for each place of these points whose runs asked last for points that are not among them.

    A run that goes on has such points, and so has one from which some were taken.
    """
    keys = set(points["key"])
    return [words for home in homes(points) if (words := shortfall(home, keys))]


def shortfall(home: Path, keys: set[str]) -> str:
    """How many of the points that the runs of a place asked for last are not among `keys`, in words; "" for none."""
    rows = asked.rows(home)
    lost = {name: len(wanted - keys) for name, wanted in rows.items()}
    if not any(lost.values()):
        return ""
    short = sorted((name for name, n in lost.items() if n), key=lambda name: -lost[name])
    said = ", ".join(f"{lost[name]} of {name}" for name in short[:NAMED])
    more = f" and {len(short) - NAMED} more rows" if len(short) > NAMED else ""
    total = sum(map(len, rows.values()))
    return f"{home}: {sum(lost.values())} of {total} points that its runs asked for last are not there ({said}{more})"
