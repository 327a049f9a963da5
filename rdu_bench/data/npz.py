"""Arrays of an .npz file, read a piece at a time and never before what the file says of itself was held to the file."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from .error import DataError
from .files import regular

AGAIN = "get the file again"
PIECE = 2**24  # bytes of an array that are held at once
BAD = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError, ValueError, OverflowError)


class NpzArray:
    """The array `key` of an .npz file: `shape` and `dtype` from its header, its rows when they are asked for.

    With `tail` all axes but that many are one, row-major.
    Raises `DataError` for a file that is not there, cut short or of another kind, and for an array that is not there,
    of objects, or larger than what the file holds.
    """

    def __init__(self, path: Path, key: str, tail: int | None = None):
        self.path, self.key = path, key
        with _member(path, key) as (file, size):
            self.shape, self._columns, self.dtype = _header(file)
            start = file.tell()
        if self.dtype.hasobject:
            raise DataError(f"{path}: {key} holds objects of Python, which are not read; {AGAIN}.")
        self._start, want = start, math.prod(self.shape) * self.dtype.itemsize
        if size != start + want:
            said = f"{'×'.join(map(str, self.shape)) or 'one'} {self.dtype}"
            raise DataError(f"{path}: {key} has {size - start:,} bytes where {said} take {want:,}; {AGAIN}.")
        if tail is not None and len(self.shape) > tail:
            axes = len(self.shape) - tail
            self.shape = (math.prod(self.shape[:axes]), *self.shape[axes:])

    def pieces(self, most: int = PIECE) -> Iterator[np.ndarray]:
        """Its rows in order, as many at a time as `most` bytes hold; (n, …) each.  Raises `DataError`."""
        if self._columns and len(self.shape) > 1:
            raise DataError(f"{self.path}: {self.key} is stored column by column; save it in C order.")
        one = max(1, math.prod(self.shape[1:]) * self.dtype.itemsize)
        step = max(1, most // one)
        with _member(self.path, self.key) as (file, _):
            file.read(self._start)
            for first in range(0, self.shape[0], step):
                n = min(step, self.shape[0] - first)
                raw = file.read(n * one)
                if len(raw) != n * one:
                    raise DataError(f"{self.path}: {self.key} ends early; {AGAIN}.")
                yield np.frombuffer(raw, self.dtype).reshape(n, *self.shape[1:])
            file.read(1)  # so that the checksum is looked at

    def whole(self) -> np.ndarray:
        """All of it, for what is small."""
        with _member(self.path, self.key) as (file, _):
            file.read(self._start)
            found = np.frombuffer(file.read(), self.dtype)
            return found.reshape(self.shape[::-1]).T if self._columns else found.reshape(self.shape)


def npz_bytes(path: Path, key: str, most: int = 2**20) -> bytes:
    """The first `most` bytes of a member as they are stored, header and all; b"" where there is none.

    Raises `DataError` for a file that cannot be read.
    """
    try:
        with zipfile.ZipFile(regular(path)) as file:
            if f"{key}.npy" not in file.namelist():
                return b""
            with file.open(f"{key}.npy") as member:
                return member.read(most)
    except DataError:
        raise
    except BAD as error:
        raise DataError(_unread(path, error)) from error


class _member:
    """With it, the open member `key` of an .npz file and its size in bytes; trouble inside is a `DataError`."""

    def __init__(self, path: Path, key: str):
        self.path, self.key = path, key

    def __enter__(self) -> tuple[IO[bytes], int]:
        path = regular(self.path)
        try:
            self.zip = zipfile.ZipFile(path)
        except BAD as error:
            raise DataError(_unread(self.path, error)) from error
        try:
            names = self.zip.namelist()
            if f"{self.key}.npy" not in names:
                there = ", ".join(sorted(name.removesuffix(".npy") for name in names)[:10]) or "nothing"
                raise DataError(f"{self.path} has no array {self.key}; it has {there}.")
            file = self.zip.open(f"{self.key}.npy")
            return file, self.zip.getinfo(f"{self.key}.npy").file_size
        except BaseException as error:
            self.zip.close()
            if isinstance(error, BAD) and not isinstance(error, DataError):
                raise DataError(_unread(self.path, error)) from error
            raise

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.zip.close()
        if isinstance(error, BAD) and not isinstance(error, DataError):
            raise DataError(f"{self.path}: {self.key} cannot be read ({error}); {AGAIN}.") from error


def _unread(path: Path, error: BaseException) -> str:
    return f"{path} cannot be read as .npz ({error}); is it whole? {AGAIN.capitalize()}."


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version[0]}.{version[1]} of .npy")
    shape, fortran, dtype = read(file)
    return shape, fortran, dtype
