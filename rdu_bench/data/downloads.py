"""Files of others: where they are from, under which licence, what they must hash to, and how they are fetched."""

from __future__ import annotations

import difflib
import logging
import os
import shutil
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from .. import _files
from .._hash import file_hash
from .error import DataError
from .files import Beside
from .resuming import PARTIAL, Broken, Net, Resuming
from .unpacked import unpack

TABLE = Path(__file__).parent / "downloads.toml"


class DownloadError(OSError):
    """A file could not be fetched; nothing stands under its name, and the message says why of each place."""


class Wanted(NamedTuple):
    """A file, or the folder that an archive is unpacked to."""

    path: str  # below the data folder
    urls: tuple[str, ...]  # one after the other, until one has it
    hash: str = ""  # sha256:… or md5:… as published, of what is fetched; "" where none is
    size: int = 0  # bytes of what is fetched; 0 where that is not published
    unpack: str = ""  # "", "gzip", or "tar:FOLDER"

    @property
    def fetched(self) -> str:
        """The name under which it is fetched, which is its own unless it is unpacked."""
        name = Path(self.path).name
        return {"": name, "gzip": f"{name}.gz"}.get(self.unpack, f"{name}.tar.gz")


class Entry(NamedTuple):
    """What one name fetches."""

    name: str
    title: str
    licence: str
    cite: str
    files: tuple[Wanted, ...]
    by_content: bool = False  # whether the data set itself compares what is in the files, however they are packed

    @property
    def size(self) -> int | None:
        """Bytes that are fetched; None where that is not known of every file."""
        return sum(file.size for file in self.files) if all(file.size for file in self.files) else None


class Fetched(NamedTuple):
    """What became of a file."""

    path: Path
    new: bool  # False: it was there already
    sha256: str  # of a file of which no hash is published; "" else


@cache
def _table() -> dict[str, dict[str, Any]]:
    return tomllib.loads(TABLE.read_text("utf-8"))


def fetchable(name: str, params: dict[str, Any] | None = None) -> str:
    """What `data get` calls the files of a data set with these parameters; "" where it has none."""
    versions = [f"{name}_{value}" for value in (params or {}).values() if isinstance(value, str)]
    return next((known for known in (*versions, name) if known in _table()), "")


def entries(name: str) -> list[Entry]:
    """What is fetched for a name, in order.  Raises `LookupError` with the nearest name and all that there are."""
    wanted = name.replace("-", "_")
    if wanted not in _table():
        near = difflib.get_close_matches(wanted[:60], list(_table()), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        shown = repr(name) if len(name) <= 60 else f"{name[:60]!r}…"
        raise LookupError(f"there are no files to get of {shown}.{hint} There are {', '.join(_table())}.")
    told = _table()[wanted]
    if "needs" in told:
        return [entry for one in told["needs"] for entry in entries(one)]
    files = tuple(Wanted(**{**file, "urls": tuple(file["urls"])}) for file in told["files"])
    return [Entry(wanted, told["title"], told["licence"], told["cite"], files, told.get("by_content", False))]


def get(wanted: Wanted, folder: Path, net: Net) -> Fetched:
    """The file, fetched unless it is there, in one step and only if its hash is the published one.

    What was fetched of it before an interruption is kept beside it, as is an archive that there was no room to
    unpack, and the rest is asked for.  Raises `DataError` for another thing in its place, `DownloadError`
    where no place has it, `WriteError` where it cannot be written.
    """
    place = folder / wanted.path
    if os.path.lexists(place):
        return _there(wanted, place)
    with _files.explained(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    _room(wanted, place)
    archive = place.parent / (f".{wanted.fetched}" if wanted.unpack else wanted.fetched)
    _from_anywhere(wanted, archive, net)
    sha256 = "" if wanted.hash else file_hash(archive, "sha256").removeprefix("sha256:")
    if wanted.unpack:
        try:
            unpack(archive, place, wanted.unpack)
        except DataError:  # it is not what it should be; where the disk was full it is, and is not fetched again
            archive.unlink(missing_ok=True)
            raise
        archive.unlink(missing_ok=True)
        Beside(place).put("fetched", wanted.hash)
    return Fetched(place, True, sha256)


def _there(wanted: Wanted, place: Path) -> Fetched:
    for sentence in wrong(wanted, place):
        raise DataError(f"{sentence}; delete it, and get it again.")
    known = wanted.hash or wanted.unpack
    return Fetched(place, False, "" if known else file_hash(place, "sha256").removeprefix("sha256:"))


def wrong(wanted: Wanted, place: Path) -> Iterator[str]:
    """What is wrong with what is in the place of a file, without a full stop; nothing where all is well or unknown."""
    folder = wanted.unpack.startswith("tar")
    try:
        about = place.stat()
        if folder != place.is_dir() or not (folder or place.is_file()):
            yield f"{place} is no {'folder' if folder else 'regular file'}"
            return
        if wanted.unpack or not wanted.hash:  # what is unpacked has another hash than what was fetched
            return
        if wanted.size and about.st_size != wanted.size:
            yield f"{place} has {about.st_size:,} bytes; {wanted.size:,} were published"
            return
        found = file_hash(place, wanted.hash.partition(":")[0])
    except OSError as error:
        yield f"{place} cannot be read ({error.strerror})"
        return
    if found != wanted.hash:
        yield f"{place} has {found}; {wanted.hash} was published"


def _room(wanted: Wanted, place: Path) -> None:
    """Raises `DownloadError` where the disk has less room than is needed."""
    free = shutil.disk_usage(place.parent).free
    if free < wanted.size:
        room = f"{wanted.size / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free"
        raise DownloadError(f"{place}: {room}; free some space, or name another folder with --data-dir.")


def _from_anywhere(wanted: Wanted, archive: Path, net: Net) -> None:
    """Fetch a file to `archive` from the first place that has it whole."""
    import pooch

    pooch.get_logger().setLevel(logging.CRITICAL)  # what it would say is said here
    lost = []
    for url in wanted.urls:
        getting = Resuming(archive, wanted.hash, wanted.size, net)
        for _ in range(2):
            try:
                with _files.explained(archive):
                    pooch.retrieve(url, wanted.hash or None, archive.name, archive.parent, downloader=getting)
                return
            except Broken as error:
                lost.append(f"{url} {error}")
                if not error.again:  # a part from before may be the reason, and is gone now
                    break
    expected = f" with {wanted.hash}" if wanted.hash else ""
    kept = archive.with_name(f".{archive.name.lstrip('.')}{PARTIAL}")
    rest = " What was fetched of it is kept, and the same command goes on from there." if kept.exists() else ""
    raise DownloadError(
        f"{archive.name.lstrip('.')}{expected} could not be fetched to {archive.parent}: {'; '.join(lost)}.{rest}"
    )
