"""Places of points that others made: those that come with the package, a folder, an archive, a file of points."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .columns import POINTS, WORD, shipped
from .flatten import table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["POINTS", "WORD", "points_at", "shipped"]


def points_at(place: str | Path) -> pd.DataFrame:
    """The points at a place, as `load_results` gives them: a folder, an archive of records, a file of points.

    `published` stands for those that come with the package; a folder of that name is `./published`.  Raises
    `FileNotFoundError` where there is nothing, `ValueError` for a file that holds no points.
    """
    if str(place) == WORD:
        place = shipped()
        if not place.is_file():
            raise FileNotFoundError(f"no published points came with this package; give a folder that holds {POINTS}")
    if not Path(place).exists():
        raise FileNotFoundError(
            f"{place} does not exist; give a folder, an archive, a .parquet file, or the word {WORD}"
        )
    return table(place)
