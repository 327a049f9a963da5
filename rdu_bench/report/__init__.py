"""Records in, a page and figures out.  Never a model."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from .. import analysis
from ..analysis.leaderboard import write as write_board
from ..analysis.points import ROW, Results, records_of
from ..analysis.scores import by_target, wide
from ..records.store import Store
from . import figures, page
from .pictures import Vectors
from .style import Palette

__all__ = ["render"]

SEEDS = 5  # that UDR needs; with fewer there is no number, and no use in reading every record's latents


def render(results: Results, out: str | Path, *, title: str | None = None, vectors: Vectors | None = None) -> Path:
    """Write `index.html`, `figures/`, the leaderboard, the frontiers and the scores as tables into `out`.

    `results` are records, or a table from `load_results`.  `vectors(record)` returns the arrays of a record, of which
    the pictures are drawn; by default those beside the record's `path` where it has one, else those of the store at
    `out`, which is where a run draws its own report.  Each file is replaced in one step and the page last, so that
    drawing again, also from a run that is still going, never breaks what is there.  Returns the page;
    raises `ValueError` when there is no record.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    records = records_of(results)
    table = analysis.points(results)
    planes = {name: analysis.frontier(results, name) for name in ("D", "Dy")}
    board = analysis.leaderboard(results)
    tidy = analysis.scores(records)
    read = readable(vectors or beside(folder))
    agreed = analysis.udr(records, read) if _seeds(table) >= SEEDS else None
    palette = Palette(sorted(set(table["name"])), first=_reference(table))
    drawn = figures.draw(table, planes, palette, folder / "figures", replacing, by_target(tidy))
    write_board(board, folder)
    tables = {f"frontier-{name}": frame for name, frame in planes.items()}
    if not tidy.empty:
        tables["scores"] = wide(tidy)
    if agreed is not None and agreed["udr_robust_mean"].notna().any():
        tables["udr"] = agreed
    for name, frame in tables.items():
        with replacing(folder / f"{name}.csv") as file:
            file.write(frame.to_csv(index=False).encode())
    html = page.build(records, table, planes, board, palette, drawn, tidy, agreed, read, title=title)
    with replacing(folder / "index.html") as file:
        file.write(html.encode())
    return folder / "index.html"


def _seeds(table: pd.DataFrame) -> int:
    """The most seeds that any row of the leaderboard has."""
    return int(table.groupby(ROW)["seed"].nunique().max())


def readable(vectors: Vectors) -> Vectors:
    """The same, with nothing for a record whose file is damaged, which must not cost the others their page."""

    def read(record: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
        try:
            return vectors(record)
        except (OSError, ValueError):
            return {}

    return read


def beside(folder: Path) -> Vectors:
    """Reads what lies beside a record: by its `path`, or in the store at `folder`."""

    def read(record: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
        path = record.get("path")
        return Store(Path(path).parents[3] if path else folder).vectors(record)

    return read


def _reference(table) -> str | None:  # type: ignore[no-untyped-def]
    names = table.loc[table["model"] == "vae", "name"]
    return None if names.empty else str(names.iloc[0])


class replacing:
    """A binary file that appears at `path` in one step when the block ends well, and not at all otherwise."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> IO[bytes]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, self.temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".", suffix=".part")
        os.chmod(self.temporary, 0o644)
        self.file: IO[bytes] = os.fdopen(handle, "wb")
        return self.file

    def __exit__(self, kind: object, *_: object) -> None:
        self.file.close()
        if kind is None:
            os.replace(self.temporary, self.path)
        else:
            os.unlink(self.temporary)


Replacing = Callable[[Path], replacing]
