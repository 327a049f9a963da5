"""What came out: `status`, `report`, `leaderboard`, `sensitivity`, `verify`: at any time, also of an unfinished run."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._text import lasting, one_line
from .options import Beside, Csv, Folders, Tables, folders, path

if TYPE_CHECKING:
    import pandas as pd

    from ..records.store import Store

SCREEN = 20  # points that are named unless all are asked for


def status(
    given: Folders = None,
    every: Annotated[bool, typer.Option("--all", help="Name every point that is not ok.")] = False,
) -> None:
    """Count the points of runs by what became of them.

    As their records say; with why some failed, and how long those that are missing will take.
    """
    for folder in folders(given):
        _status(folder, None if every else SCREEN)


def _status(folder: Path, most: int | None) -> None:
    from ..engine.pace import spent
    from ..progress import where
    from ..records.schema import Damaged
    from ..records.store import Store, lacking

    store, counts, told = Store(folder), Counter[str](), []
    expected, there, asked, took = store.asked(), 0, 0, dict[str, float]()
    for file, record in store.heads():
        if isinstance(record, Damaged):
            told.append(f"not a whole record, and ignored: {file}: {one_line(record)}")
            continue
        if record["key"] in took:
            told.append(f"a copy, counted once: {file}: {where(record['spec'])}")
            continue
        there, asked = there + 1, asked + (record["key"] in (expected or ()))
        counts[record["status"]] += 1
        took[record["key"]] = spent(record["times"])
        if record["status"] != "ok":
            told.append(_sentence(record))
    if not there and not told and not expected:
        raise FileNotFoundError(lacking(folder))
    print(f"{folder}: {there} point{'s' * (there != 1)}")
    if expected is not None:
        older = f"; {there - asked} points of what was asked for before" if there > asked else ""
        print(f"  {asked} of {len(expected)} that runs asked for last, {len(expected) - asked} missing{older}")
    if any(took.values()):
        print(f"  {_time(took, store.expected())}")
    for name, count in counts.most_common():
        print(f"  {count:5} {name}")
    for sentence in told[:most]:
        print(f"  {sentence}")
    if most is not None and len(told) > most:
        print(f"  and {len(told) - most} more; --all names them")


def _time(took: dict[str, float], expected: dict[str, float]) -> str:
    """What points took and were expected to, and what those that are missing will; seconds of CPU, by key."""
    from ..engine.pace import left

    both = took.keys() & expected.keys()
    told = f", {lasting(sum(expected[key] for key in both))} expected" if both else ""
    if len(both) < len(took) and both:
        told = f"; {len(both)} of these points took {lasting(sum(took[key] for key in both))}{told}"
    rest = left(took, expected)
    more = f"; about {lasting(rest)} left, less with several workers" if rest else ""
    return f"{lasting(sum(took.values()))} of CPU{told}{more}"


def _sentence(record: dict[str, Any]) -> str:
    from ..progress import where

    return one_line(f"{where(record['spec'])}: {record['status']}: {record['reason']}")


def report(
    given: Tables = None,
    out: Annotated[Path | None, typer.Option(parser=path, metavar="DIR", help="Where to [the first folder].")] = None,
    title: Annotated[str | None, typer.Option(help="Of the page.")] = None,
    formats: Annotated[
        str, typer.Option(metavar="LIST", help="Of the figures: some of png, svg and pdf.")
    ] = "png,svg,pdf",
    beside: Beside = None,
) -> None:
    """Draw the page of a run, or one page of several runs.  By default beside the records of the first."""
    from .. import _files
    from ..records.table_files import is_table

    chosen = tuple(part.strip() for part in formats.split(","))
    if not set(chosen) <= {"png", "svg", "pdf"}:
        raise typer.BadParameter(f"--formats {formats}: give one or more of png, svg and pdf, such as png,svg")
    places = folders(given, tables=True)
    held = [place for place in places if not is_table(place)]
    home, damaged = _home(held)
    target = out or places[0]
    if not out and places[0].is_file():
        raise typer.BadParameter(f"{target} is a file: name the folder of the page with --out")
    results: Any = [*(record for record, _ in home.values()), *damaged]
    alone = held == places and len(places) == 1  # its records are read already, and none of them is elsewhere too
    if beside is not None or not alone:
        results, apart = joined(results if alone else places, beside)
        to_stderr(apart)
    _files.check_folder(target, make=True)
    from .. import registry
    from ..report import render

    drawn = render(
        results,
        target,
        title=title,
        formats=chosen,
        claims=registry.claims(),
        vectors=lambda record: home[record["key"]][1].vectors(record) if record["key"] in home else {},
    )
    print(f"report: {drawn}")


def _home(places: list[Path]) -> tuple[dict[str, tuple[dict[str, Any], Store]], list[Any]]:
    """Key → record and the store that it lies in, as on a board that made last; and what is not a whole record."""
    from ..records.schema import Damaged
    from ..records.store import Store, lacking

    found: dict[str, tuple[dict[str, Any], Store]] = {}
    damaged: list[Any] = []
    for place in places:
        store = Store(place)
        there = store.found()
        whole = [one for one in there if not isinstance(one, Damaged)]
        if not whole:
            raise FileNotFoundError(lacking(place))
        damaged += [one for one in there if isinstance(one, Damaged)]
        for record in whole:
            held = found.get(record["key"])
            if held is None or _made(record) >= _made(held[0]):
                found[record["key"]] = (record, store)
    return found, damaged


def _made(record: dict[str, Any]) -> float:
    """When a record was made, seconds; before all others where it does not say."""
    finished = record["provenance"].get("finished")
    return float("-inf") if finished is None else float(finished)


def joined(results: Any, beside: str | None) -> tuple[pd.DataFrame, list[str]]:
    """The points of results with those that `--beside` puts beside them, and what is to be known of both."""
    from .. import analysis
    from ..records.flatten import table
    from ..records.published import points_at

    found = table(results)
    told = known(found)
    if beside is None:
        return found, told
    joined, apart = analysis.beside(found, points_at(beside))
    return joined, [*told, *apart]


def known(points: pd.DataFrame) -> list[str]:
    """What is to be known of points before their numbers: those that are not there, and those with other numbers."""
    from ..records.unmade import unmade

    return [*points.attrs["told"], *unmade(points)]


def leaderboard(
    given: Tables = None,
    csv: Csv = False,
    every: Annotated[bool, typer.Option("--every", help="Rows of earlier runs and files too.")] = False,
    beside: Beside = None,
) -> None:
    """Print the leaderboard of one run or of several.  As Markdown or as CSV, and what it leaves out."""
    from .. import analysis

    found, apart = joined(folders(given, tables=True), beside)
    board = analysis.leaderboard(found, every=every)
    print(analysis.to_csv(board) if csv else analysis.to_markdown(board), end="" if csv else "\n")
    left = "" if every else analysis.left_out_text(analysis.left_out(found))
    ignored = [f"not a whole record, and ignored: {one_line(sentence)}" for sentence in found.attrs["ignored"]]
    to_stderr([left, *ignored])
    to_stderr(apart)


def to_stderr(sentences: Iterable[str]) -> None:
    """Print to standard error, a line each."""
    for line in "\n".join(sentences).splitlines():
        if line:
            print(one_line(line), file=sys.stderr)


def sensitivity(
    given: Tables = None,
    base: Annotated[str, typer.Option(metavar="LABEL", help="Data set that others are compared with.")] = "digits",
    every: Annotated[bool, typer.Option("--all", help="Comparisons that do not flip too.")] = False,
) -> None:
    """Print how far other settings order the models alike.  These are networks, budgets and splits; and what flips."""
    from .. import analysis
    from ..analysis.sensitivity import to_markdown
    from ..records.flatten import table

    found = table(folders(given, tables=True))
    to_stderr(known(found))
    taus, pairs = analysis.sensitivity(found, base), analysis.comparisons(found, base)
    print(to_markdown(taus, pairs, base, every=every), end="")


def verify(given: Folders = None) -> None:
    """Check every record against the laws of its numbers.  And its form, its key and its vectors."""
    from ..engine.submission import plugin_faults
    from ..records.archive import MANIFEST, manifest_faults
    from ..records.audit import audit
    from ..records.packs import names
    from ..records.store import Store, lacking
    from ..records.unmade import shortfall

    faults = 0
    for folder in folders(given):
        store, count, found = Store(folder), 0, 0
        for file, sentences in audit(store):
            count += 1
            found += len(sentences)
            for sentence in sentences:
                print(f"{file.relative_to(store.root)}: {one_line(sentence)}")
        if not count:
            raise FileNotFoundError(lacking(folder))
        for sentence in (*manifest_faults(folder), *plugin_faults(folder)):
            found += 1
            print(one_line(sentence))
        if folder.is_file() and MANIFEST not in names(folder):
            print(f"{folder} has no {MANIFEST}: nothing says what it should hold")
        if asked := shortfall(store.root.parent, store.keys()):
            print(one_line(asked))
        bare = "; their vectors are not in the archive, and were not compared" if store.without_vectors else ""
        print(f"{folder}: {count} record{'s' * (count != 1)}, {found} fault{'s' * (found != 1)}{bare}")
        faults += found
    if faults:
        raise typer.Exit(1)
