"""The bytes of a file, whatever lies there in its place."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path

from .schema import Damaged

LARGEST = 64 * 2**20  # bytes; no record comes near


ARCHIVE = "records.zip"  # holds the records of a folder that has none as files
UNPACKED = 2**35  # bytes that all files of an archive may have together
MEMBERS = 1_000_000  # files of an archive


class ArchiveError(ValueError):
    """An archive is not safe to read; the message names it, what in it is wrong, and what to do."""


def archived(path: str | Path) -> tuple[Path, str] | None:
    """The archive and the name in it of a path such as `run/records.zip/records/…` or `mine.zip/records/…`.

    None for any other.  A folder may be called so, too.
    """
    if ".zip" not in str(path):
        return None
    parts = Path(path).parts
    for at, part in enumerate(parts, start=1):
        if part.endswith(".zip") and (place := Path(*parts[:at])).is_file():
            return place, "/".join(parts[at:])
    return None


def check_archive(archive: Path) -> None:
    """Refuses an archive whose names lead out of it or whose files are too many or too large to unpack.

    Raises `ArchiveError`.
    """
    try:
        found = _opened(str(archive), archive.stat().st_mtime_ns).infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ArchiveError(f"{archive} cannot be read as an archive ({error}); get it again") from None
    wrong = next((why for about in found if (why := _unsafe(about))), None)
    names = [about.filename for about in found]
    if wrong is None and len(set(names)) < len(names):
        wrong = f"has two files of one name, {next(name for name in names if names.count(name) > 1)!r}"
    if wrong is None and (len(found) > MEMBERS or sum(about.file_size for about in found) > UNPACKED):
        wrong = f"has {len(found)} files of {sum(a.file_size for a in found) / 1e9:.0f} GB, more than any run"
    if wrong:
        raise ArchiveError(f"{archive} {wrong}: do not unpack it, and ask for one that `rdu-bench submit` wrote")


def _unsafe(about: zipfile.ZipInfo) -> str | None:
    """What is wrong with a member of an archive, in words."""
    parts = about.orig_filename.replace("\\", "/").split("/")
    if not parts[0] or ":" in parts[0] or ".." in parts or not about.orig_filename.isprintable():
        return f"holds {about.orig_filename!r}, a name that leads out of it"
    if stat.S_ISLNK(about.external_attr >> 16):
        return f"holds {about.orig_filename!r}, which is a link"
    return f"holds {about.orig_filename!r}, which is encrypted" if about.flag_bits & 1 else None


def names(archive: Path) -> list[str]:
    """Names of all files in an archive; none where it cannot be read."""
    try:
        return _opened(str(archive), archive.stat().st_mtime_ns).namelist()
    except (OSError, zipfile.BadZipFile, ValueError):
        return []


def has(path: Path) -> bool:
    """Whether anything lies at a path, on the disk or in an archive."""
    inside = archived(path)
    return inside[1] in names(inside[0]) if inside else os.path.lexists(path)


@lru_cache(maxsize=4)
def _opened(path: str, _: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def _member(archive: Path, name: str, limit: int) -> bytes:
    try:
        opened = _opened(str(archive), archive.stat().st_mtime_ns)
        if opened.getinfo(name).file_size > limit:
            raise Damaged(f"it has {opened.getinfo(name).file_size} bytes, more than any record")
        return opened.read(name)
    except (OSError, zipfile.BadZipFile, zlib.error, KeyError, ValueError, NotImplementedError) as error:
        if isinstance(error, Damaged):
            raise
        raise Damaged(f"it cannot be read from {archive.name} ({error})") from None


HEAD, TAIL = 4096, 1024  # bytes; what took time and where a record comes from stand last


def read_ends(path: str | Path) -> tuple[bytes, bytes]:
    """The first and the last bytes of a regular file.  Raises `Damaged`."""
    inside = archived(path)
    if inside:
        whole = _member(*inside, LARGEST)
        return whole[:HEAD], whole[-TAIL:]
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise Damaged(f"it cannot be read ({getattr(error, 'strerror', None) or error})") from None
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise Damaged("it is a folder" if stat.S_ISDIR(about.st_mode) else "it is no regular file")
        start = os.read(handle, HEAD)
        os.lseek(handle, max(about.st_size - TAIL, 0), os.SEEK_SET)
        return start, os.read(handle, TAIL)
    except OSError as error:
        raise Damaged(f"it cannot be read ({error.strerror or error})") from None
    finally:
        os.close(handle)


def read_file(path: Path, limit: int = LARGEST) -> bytes:
    """The bytes of a regular file; raises `Damaged` for anything else, and never waits for a pipe."""
    inside = archived(path)
    if inside:
        return _member(*inside, limit)
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise Damaged(f"it cannot be read ({getattr(error, 'strerror', None) or error})") from None
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise Damaged("it is a folder" if stat.S_ISDIR(about.st_mode) else "it is no regular file")
        if about.st_size > limit:
            raise Damaged(f"it has {about.st_size} bytes, more than any record")
        with os.fdopen(os.dup(handle), "rb") as file:
            return file.read()
    except OSError as error:
        raise Damaged(f"it cannot be read ({error.strerror or error})") from None
    finally:
        os.close(handle)
