"""Archives unpacked in one step: the file or folder is there whole, or not at all."""

from __future__ import annotations

import gzip
import os
import secrets
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from .. import _files
from .error import DataError

CHUNK = 2**20  # bytes


def unpack(archive: Path, place: Path, how: str) -> None:
    """Unpack a gzipped file, or the files of one folder of an archive ("tar:FOLDER").

    Raises `DataError` for what does not unpack, `WriteError` where it cannot be written.
    """
    if how == "gzip":
        with _files.replacing(place) as file, _intact(archive), gzip.open(archive) as packed:
            shutil.copyfileobj(packed, file, CHUNK)
    else:
        _folder(archive, place, PurePosixPath(how.removeprefix("tar:")))


@contextmanager
def _intact(archive: Path) -> Iterator[None]:
    """Inside, what a damaged archive raises is a `DataError`."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(f"{archive} does not unpack ({error}); get it again.") from error


def _folder(archive: Path, place: Path, inside: PurePosixPath) -> None:
    """The regular files directly in the folder `inside` of an archive, under their own names alone."""
    part = place.with_name(f".{place.name}.{secrets.token_hex(4)}{_files.PART}")
    try:
        with _files.explained(place), _intact(archive):
            part.mkdir()
            with tarfile.open(archive, "r:*") as packed:
                for member in packed:
                    path = PurePosixPath(member.name)
                    content = packed.extractfile(member) if member.isfile() and path.parent == inside else None
                    if content is not None and path.name not in ("", ".."):
                        with content, (part / path.name).open("wb") as file:
                            shutil.copyfileobj(content, file, CHUNK)
            if not any(part.iterdir()):
                raise DataError(f"{archive} has no files in {inside}; what it is from has changed.")
            os.replace(part, place)
    finally:
        shutil.rmtree(part, ignore_errors=True)
