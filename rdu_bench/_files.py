"""Writing files: whole or not at all, under the permissions and the encoding that were asked for."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PART = ".part"  # the end of the name of a file that is being written
STALE = 3600.0  # seconds after which such a file belongs to nobody
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class WriteError(OSError):
    """A file could not be written; what was there before is untouched.  The message names the file and the fix."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A binary file that stands at `path` in one step when the block ends well, and not at all otherwise.

    It can be read, too, while it is written, as HDF5 does of large ones.  It has the permissions that the umask leaves
    of 0666, is on the disk before its name is seen, and takes the place of a symbolic link rather than following it.
    Folders that are missing are made.  Raises `WriteError`.
    """
    short = os.fsdecode(os.fsencode(path.name)[-100:].lstrip(bytes(range(0x80, 0xC0))))  # no half of a letter
    part = path.with_name(f".{short}.{secrets.token_hex(4)}{PART}")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with explained(path), os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            with suppress(OSError):  # some file systems cannot, and the content is there all the same
                os.fsync(file.fileno())
        with explained(path):
            os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    _settle(path.parent)


def write(path: Path, content: str | bytes) -> None:
    """Put `content`, text as UTF-8, at `path` in one step.  Raises `WriteError`, and `UnicodeEncodeError` for text
    that UTF-8 cannot say."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with replacing(path) as file:
        file.write(data)


def sweep(folder: Path, pattern: str = f"**/.*{PART}") -> None:
    """Remove what writers that were killed left in a folder; what is younger than `STALE` may still be written."""
    for path in folder.glob(pattern):
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > STALE:
                path.unlink()


def check_folder(folder: Path, *, make: bool = False) -> None:
    """Whether files can be put into `folder`, and nowhere else through it.

    Raises `NotADirectoryError` for a file, and for a folder with folders inside that are symbolic links out of it;
    it may be a link itself.  Raises `WriteError` when it cannot be written.  With `make` it is made, and a file is
    written to see.
    """
    home = folder.resolve()
    for depth in ("*", "*/*", "*/*/*"):
        for inside in home.glob(depth):
            if inside.is_symlink() and inside.is_dir() and not inside.resolve().is_relative_to(home):
                said = f"{folder / inside.relative_to(home)} is a link that leads out of {folder}"
                raise NotADirectoryError(f"{said}; remove it, or choose another folder")
    there = folder.absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is not a folder, so nothing can be put into {folder}; choose another")
    with explained(folder):
        if make:
            folder.mkdir(parents=True, exist_ok=True)
            trial = folder / f".{secrets.token_hex(4)}{PART}"
            trial.touch()
            trial.unlink()
        elif not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, f"{there} may not be written")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Inside, trouble of the disk is a `WriteError` that names `path` and what to do."""
    try:
        yield
    except (TimeoutError, WriteError):  # of a lock, which is nobody's fault; and what is explained already
        raise
    except OSError as error:
        fix = "free some space" if error.errno in FULL else "mend that"
        raise WriteError(error.errno, f"cannot write {path}: {error.strerror or error}; {fix} and run again") from error


def _settle(folder: Path) -> None:
    """So that the name, too, outlives a power cut, where the folder can be opened and synced."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
