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


def archived(path: str | Path) -> tuple[Path, str] | None:
    """The archive and the name in it of a path such as `run/records.zip/records/…`; None for any other."""
    if ARCHIVE not in str(path):
        return None
    parts = Path(path).parts
    if ARCHIVE not in parts:
        return None
    at = parts.index(ARCHIVE) + 1
    return Path(*parts[:at]), "/".join(parts[at:])


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
