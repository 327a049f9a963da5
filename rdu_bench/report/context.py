"""What a report is drawn from: one table of points, what follows from it, and the few whole records that are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import analysis
from .._claims import Said
from ..analysis.frontiers import AXES
from ..analysis.leaderboard import REFERENCE
from ..analysis.points import ROW, Shown, left_out_of, named, published
from ..records import asked, flatten
from ..records.recipes import BASE
from ..records.store import Store, read_record
from ..records.unmade import homes, unmade
from .lineup import Lineup
from .style import Palette
from .text import identifiers, plain, slugs

Record = Mapping[str, Any]
Vectors = Callable[[Record], Mapping[str, np.ndarray]]

SEEDS = 5  # that UDR needs
AGREEING = 60  # targets for which a page computes UDR, each of which reads the latents of its first five seeds


@dataclass
class Context:
    """Everything that figures and page are drawn from.  `troubles` collects a sentence for each part that failed."""

    table: pd.DataFrame
    planes: dict[str, pd.DataFrame]
    board: pd.DataFrame
    tidy: pd.DataFrame
    agreed: pd.DataFrame | None
    useful: pd.DataFrame
    structure: dict[str, pd.DataFrame]
    left: pd.DataFrame
    ignored: list[str]  # sentences on files that are no records
    told: list[str]  # what else is to be known of the points that are there, a sentence each
    beside: list[str]  # sentences on published points that were to stand beside a run
    whole: Callable[[str], Record]  # the record of a key, read when it is wanted
    vectors: Vectors
    datasets: list[str]  # in the order of the suite
    title: str
    claims: pd.DataFrame | None = None
    palette: Palette = field(init=False)
    lineups: dict[str, Lineup] = field(init=False)
    files: dict[str, str] = field(init=False)  # data set → part of file names
    ids: dict[str, str] = field(init=False)  # data set → part of the page's anchors
    troubles: dict[tuple[str, str], str] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)  # notes on what was left out of the page

    def __post_init__(self) -> None:
        first = self.table.loc[self.table["model"] == REFERENCE, "name"]
        self.palette = Palette(_ranked(self.board, self.datasets), None if first.empty else str(first.iloc[0]))
        self.lineups = {name: Lineup(self.of(name), self.palette) for name in self.datasets}
        self.files, self.ids = slugs(self.datasets), identifiers(self.datasets)

    def hold(self, said: Mapping[str, Said]) -> None:
        """Holds the claims of papers to the points."""
        self.claims = self.attempt("", "claims", lambda: analysis.claims(Shown(self.table), said))

    def of(self, dataset: str) -> pd.DataFrame:
        """The points of one data set."""
        return self.table[self.table["dataset"] == dataset]

    def attempt(self, dataset: str, part: str, make: Callable[[], Any]) -> Any:
        """What `make` gives; where it fails, None and a sentence in `troubles`: a part costs itself alone."""
        try:
            return make()
        except Exception as error:
            said = plain(f"{type(error).__name__}: {error}", 300)
            self.troubles[dataset, part] = f"This part could not be drawn ({said}); the rest of the page is whole."
            return None


def gather(results: Any, folder: Path, title: str | None, vectors: Vectors | None) -> Context:
    """Reads `results` once and computes all that pages show.  Raises what `analysis.points` raises."""
    damaged: list[str] = []
    given = None if isinstance(results, pd.DataFrame | str | Path) else flatten.records_of(results, damaged)
    found = flatten.table(results if given is None else given)
    table = named(found)
    ignored, told = [*damaged, *found.attrs.get("ignored", ())], [*found.attrs.get("told", ())]
    table.attrs = {}  # which pandas would copy at every step
    shown = Shown(table)
    keys = list(found["key"]) if given is None else [str(r["key"]) for r in given]
    read = _readable(vectors or _beside(folder))
    tidy = analysis.scores(shown)
    context = Context(
        table=table,
        planes={name: analysis.frontier(shown, name) for name in AXES},
        board=analysis.leaderboard(shown),
        tidy=tidy,
        agreed=None,
        useful=analysis.by_factor(shown),
        structure=analysis.structure(shown),
        left=left_out_of(found),
        ignored=ignored,
        told=[*told, *unmade(found)],
        beside=list(results.attrs.get("beside", ())) if isinstance(results, pd.DataFrame) else [],
        whole=_whole(given, table),
        vectors=read,
        datasets=_in_order(table, keys, [folder, *homes(table)[:20]]),
        title=plain(title, 200) if title else ", ".join(sorted(set(map(plain, table["suite"])))) or "records",
    )
    context.agreed = context.attempt("", "udr", lambda: _agreed(context, given))
    return context


def _ranked(board: pd.DataFrame, datasets: Sequence[str]) -> list[str]:
    """All names: by section, then by their rank on the first data set that has them."""
    place = {name: i for i, name in enumerate(datasets)}
    rows = board.assign(place=board["dataset"].map(place), seen=board["labels"] != "none")
    rows = rows.sort_values(["autoregressive", "seen", "place", "rank", "bd_nats", "name"], kind="stable")
    return list(dict.fromkeys(rows["name"]))


def _whole(given: Sequence[Record] | None, table: pd.DataFrame) -> Callable[[str], Record]:
    held = {str(r["key"]): r for r in given or ()}
    paths = dict(zip(table["key"], table["path"], strict=True)) if "path" in table else {}

    def whole(key: str) -> Record:
        if key in held:
            return held[key]
        path = paths.get(key)
        if not path:
            return {}
        found = read_record(Path(path))
        return {} if found is None else found | {"path": path}

    return whole


def _readable(vectors: Vectors) -> Vectors:
    """The same, with nothing for a record whose file is damaged, which must not cost the others their page."""

    def read(record: Record) -> Mapping[str, np.ndarray]:
        try:
            return vectors(record)
        except (OSError, ValueError, LookupError, TypeError):
            return {}

    return read


def _beside(folder: Path) -> Vectors:
    """Reads what lies beside a record: by its `path`, or in the store at `folder`."""

    def read(record: Record) -> Mapping[str, np.ndarray]:
        path = record.get("path")
        return Store(Path(path).parents[3] if path else folder).vectors(record)

    return read


def _in_order(table: pd.DataFrame, keys: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Data sets as the suite asked for them, then by when a point of theirs was first made."""
    place = {key: i for i, key in enumerate(keys)}
    first = table.assign(
        place=table["key"].map(place).fillna(len(place)), made=table["provenance.finished"].fillna(float("inf"))
    )
    late = first.groupby("dataset")[["made", "place"]].min().sort_values(["made", "place"])
    kinds = table[[*BASE[:3], "dataset"]].drop_duplicates()  # label, name and parameters
    shown: dict[tuple[str, ...], list[str]] = {}
    for row in kinds.itertuples(index=False, name=None):
        shown.setdefault(tuple(row[:3]), []).append(row[3])
    first_come = [name for folder in folders for kind in asked.datasets(folder) for name in shown.get(kind, ())]
    return list(dict.fromkeys([*first_come, *map(str, late.index)]))


def _agreed(context: Context, given: Sequence[Record] | None) -> pd.DataFrame | None:
    """UDR of the targets with seeds enough, of their first five; None with fewer, or where there are too many."""
    measured = context.table[context.table["measured"] & ~published(context.table)]
    cells = measured.groupby([*ROW, "sigma", "params"], dropna=False)["seed"].nunique()
    many = int((cells >= SEEDS).sum())
    if not many:
        return None
    if many > AGREEING:
        context.found["udr"] = (
            f"UDR is left out: {many} targets have {SEEDS} seeds or more, and a page computes it for up to {AGREEING}; "
            "`rdu_bench.analysis.udr` gives all of them."
        )
        return None
    chosen = measured.sort_values("seed", kind="stable").groupby([*ROW, "sigma", "params"], dropna=False).head(SEEDS)
    records = [r for r in (context.whole(key) for key in chosen["key"]) if r]
    return analysis.udr(records, context.vectors) if records else None  # a table of points has no records
