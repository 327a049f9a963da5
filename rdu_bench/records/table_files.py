"""Tables of points from their files, CSV and Parquet."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .columns import COLUMNS, FIX, TableError, given, shipped

if TYPE_CHECKING:
    import pandas as pd

TABLE = re.compile(r"\.(csv(\.(gz|xz|bz2|zst))?|parquet)$", re.IGNORECASE)  # how files of points end
PARQUET = b"PAR1"
KINDS = {  # of files that are no text, by how they begin
    PARQUET: "it is a Parquet file, whose name ends in .parquet",
    b"\x1f\x8b": "it is packed by gzip: unpack it",
    b"\xfd7zXZ": "it is packed by xz: unpack it",
    b"BZh": "it is packed by bzip2: unpack it",
    b"\x28\xb5\x2f\xfd": "it is packed by zstd: unpack it",
    b"PK\x03\x04": "it is a zip archive, or a sheet that was not saved as CSV",
}


def is_table(place: Any) -> bool:
    """Whether a source is a file of points by its name."""
    return isinstance(place, str | Path) and TABLE.search(Path(place).name) is not None


def read(path: Path) -> pd.DataFrame:
    """A table from its file, every text as it was written.  Raises `FileNotFoundError` or `TableError`.

    Only what came with the package is `published` there: what a file says of itself is not.
    """
    import pandas as pd

    if not path.is_file():
        there = "is a folder, and its name ends as that of a file of points does" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{path} {there}")
    try:
        _check_kind(path)
        if path.suffix.lower() == ".parquet":
            found = _parquet(path)
        else:
            _check_head(path)
            found = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=["NA"], encoding="utf-8-sig")  # of R
    except UnicodeDecodeError as error:
        raise TableError(
            f"{path} is no table of records (it is not UTF-8, as sheets save it if told); {FIX}"
        ) from error
    except (ValueError, OSError) as error:
        raise TableError(f"{path} is no table of records ({str(error).splitlines()[0]}); {FIX}") from error
    return _held_to_published(given(found, str(path)))


def _parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise ValueError("it is a Parquet file that is damaged: get it again") from error


def _check_kind(path: Path) -> None:
    """Raises `ValueError` for a file that is of another kind than its name says, by how it begins."""
    with path.open("rb") as file:
        start = file.read(8)
    if path.suffix.lower() == ".parquet":
        if start[:4] != PARQUET:
            raise ValueError("it is no Parquet file")
    elif kind := next((kind for mark, kind in KINDS.items() if start.startswith(mark)), ""):
        raise ValueError(kind)


def _check_head(path: Path) -> None:
    """Raises `ValueError` for another separator, for blanks around names, and for two columns of one name."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline(2**20)
    mark = next((mark for mark in ",;\t|" if "key" in [name.strip('"\r\n ') for name in head.split(mark)]), ",")
    if mark != ",":
        raise ValueError(f"its values are separated by {mark!r} and not by ','")  # as some sheets write it
    names = next(csv.reader([head]), [])
    if blank := next((name for name in names if name != name.strip() and name.strip() in COLUMNS), None):
        raise ValueError(f"the name of its column {blank!r} has blanks around it")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"its column {twice!r} is there twice")


def _held_to_published(found: pd.DataFrame) -> pd.DataFrame:
    """The points of a file, of which those are `published` that came with the package, by their keys and numbers."""
    import pandas as pd

    marked = found["published"].fillna(False).astype(bool)
    if marked.any():
        names = ["key", "R_star", "D", "Dy"]
        known = pd.read_parquet(shipped(), columns=names) if shipped().is_file() else found[names].iloc[:0]
        there = found[names].merge(known, how="left", indicator=True)["_merge"] == "both"
        found.loc[marked & ~there.to_numpy(), "published"] = False
    return found
