"""The bytes of a file, whatever lies there in its place."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .packs import archived, member
from .schema import Damaged

LARGEST = 64 * 2**20  # bytes; no record comes near
FIRST, LAST = 4096, 1024  # bytes at the ends; what took time and where a record comes from stand last


def read_ends(path: str | Path) -> tuple[bytes, bytes]:
    """The first and the last bytes of a regular file.  Raises `Damaged`."""
    inside = archived(path)
    if inside:
        whole = member(*inside, LARGEST)
        return whole[:FIRST], whole[-LAST:]
    with _regular(path) as (handle, size):
        start = os.read(handle, FIRST)
        os.lseek(handle, max(size - LAST, 0), os.SEEK_SET)
        return start, os.read(handle, LAST)


def read_file(path: Path, limit: int = LARGEST) -> bytes:
    """The bytes of a regular file; raises `Damaged` for anything else, and never waits for a pipe."""
    inside = archived(path)
    if inside:
        return member(*inside, limit)
    with _regular(path) as (handle, size):
        if size > limit:
            raise Damaged(f"it has {size} bytes, more than any record")
        with os.fdopen(os.dup(handle), "rb") as file:
            return file.read()


@contextmanager
def _regular(path: str | Path) -> Iterator[tuple[int, int]]:
    """The handle and the size in bytes of a regular file; inside, trouble of the disk is `Damaged`, too."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise Damaged(f"it cannot be read ({getattr(error, 'strerror', None) or error})") from None
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise Damaged("it is a folder" if stat.S_ISDIR(about.st_mode) else "it is no regular file")
        yield handle, about.st_size
    except OSError as error:
        raise Damaged(f"it cannot be read ({error.strerror or error})") from None
    finally:
        os.close(handle)
