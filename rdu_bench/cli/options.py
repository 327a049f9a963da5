"""Options and arguments that several verbs share, and what they accept."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from .._text import one_line


def path(text: str | Path) -> Path:
    """A path that a file system can hold; an empty one would be this folder."""
    if isinstance(text, Path):  # a default
        return text
    if not text.strip():
        raise typer.BadParameter("an empty text is no path; this folder is .")
    try:
        os.lstat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no path ({error})") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise typer.BadParameter(f"{text} is too long for the name of a file") from error
    return Path(text)


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError as error:
        raise typer.BadParameter(f"{one_line(repr(text), 60)} is no whole number") from error


def number(text: str) -> float:
    """A number; which ones will do is not for the command line to say."""
    try:
        return float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{one_line(repr(text), 60)} is no number") from error


def target(text: str) -> float:
    """A target rate; several are given one by one."""
    if len(text.replace(",", " ").split()) > 1:
        raise typer.BadParameter(f"{one_line(repr(text), 60)} is no number; give --sigma again for each target")
    return number(text)


def seeds(text: str) -> int:
    """How many seeds; they are not named one by one."""
    if "," in text:
        raise typer.BadParameter(f"{one_line(repr(text), 60)} is no whole number; N means the seeds 0 to N − 1")
    return whole(text)


def shard(text: str) -> tuple[int, int]:
    """`i/n` → (i, n)."""
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise typer.BadParameter(f"{text!r}: give i/n with 1 ≤ i ≤ n, such as 1/4")
    return int(found[1]), int(found[2])


class Setting(NamedTuple):
    """The value of a parameter as it was typed."""

    key: str
    text: str

    def read(self) -> Any:
        """As TOML says it; a text needs no quotes.  Raises `typer.BadParameter` for a list or table that is none."""
        import tomllib

        try:
            found = tomllib.loads(f"value = {self.text}")
        except (ValueError, RecursionError):
            found = {}
        if [*found] == ["value"]:
            return found["value"]
        if self.text[:1] in ("[", "{", '"', "'"):
            like = """ such as task='["shape"]' or factors='{ digit = "labels" }'"""
            raise typer.BadParameter(f"--set {self.key}: {one_line(repr(self.text), 60)} is no value of TOML,{like}")
        return self.text


def setting(text: str) -> tuple[str, Setting]:
    """`NAME=VALUE` → the name, and the value."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise typer.BadParameter(f"--set {one_line(repr(text), 60)}: give NAME=VALUE, such as limit=1000")
    return key.strip(), Setting(key.strip(), value.strip())


Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A parameter, its value as in a suite or plain text; may be given again."
    ),
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugins", parser=path, metavar="DIR", help="Folder with models/, probes/ or datasets/."),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        parser=path,
        metavar="DIR",
        help="Folder with data files [RDU_BENCH_DATA or DISENTANGLEMENT_LIB_DATA].",
    ),
]
Out = Annotated[Path | None, typer.Option(parser=path, metavar="DIR", help="Where to [results/runs/SUITE].")]
Folders = Annotated[
    list[Path] | None,
    typer.Argument(parser=path, metavar="[FOLDER]...", help="Folders or archives; by default the run written last."),
]
Tables = Annotated[
    list[Path] | None,
    typer.Argument(
        parser=path,
        metavar="[FOLDER]...",
        help="Folders, archives, .csv or .parquet of points, or `published`; by default the run written last.",
    ),
]
Csv = Annotated[bool, typer.Option("--csv", help="As CSV, not as Markdown.")]
Beside = Annotated[
    str | None,
    typer.Option(metavar="PLACE", help="Put the points of a folder, archive or .parquet file, or `published`, beside."),
]
Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of them.")]


def folders(given: Sequence[Path] | None, *, tables: bool = False) -> list[Path]:
    """The folders that are given, or that of the run written last; an archive of records counts as one.

    With `tables`, so does a file of points, and the word `published`.
    Raises `FileNotFoundError`, and `ArchiveError` for an archive that is not safe to read.
    """
    from ..records.columns import meant
    from ..records.packs import check_archive, is_archive

    places = list(dict.fromkeys(given or ()))
    for place in places:
        if is_archive(place):
            check_archive(place)
        elif not place.is_dir() and not (tables and _holds_points(meant(place))):
            raise FileNotFoundError(f"{place} is not a folder of records{_why_not(place, tables)}")
    if places:
        return [*map(meant, places)] if tables else places
    runs = {place: written for place in Path("results/runs").glob("*") if (written := _written(place))}
    if not runs:
        raise FileNotFoundError("no run in results/runs; give the folder of one, or start one with `rdu-bench run`")
    return [max(runs, key=lambda place: runs[place])]


def _written(run: Path) -> float:
    """When a run last asked for points or wrote a record, in seconds; 0 for what is no run."""
    from ..records.asked import NAME

    places = [run / NAME, run / "records", *run.glob("records/*/*")]  # a folder is as old as the names in it
    return max((place.stat().st_mtime for place in places if place.exists()), default=0.0)


def _holds_points(place: Path) -> bool:
    """Whether a place is a file of points."""
    from ..records.table_files import is_table

    return is_table(place) and place.is_file()


def _why_not(place: Path, tables: bool) -> str:
    """What a place is that is no folder, nor a file of points where `tables` are read, and what to do."""
    from ..records.columns import meant

    if _holds_points(meant(place)):
        return ", but a table of points, which `leaderboard`, `claims`, `sensitivity` and `report` read"
    if not place.exists():
        return ": it does not exist"
    return (
        f"; give the folder of a run, {'its archive, or a .csv or .parquet of points' if tables else 'or its archive'}"
    )


def overview(app: typer.Typer) -> None:
    """Without a verb, `app` shows its help and exits with 2, whatever the version of typer does by itself."""

    @app.callback(invoke_without_command=True)
    def _no_verb(context: typer.Context) -> None:
        no_verb(context)


def no_verb(context: typer.Context) -> None:
    """Show the help and exit with 2 when there is no verb."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)
