"""IDX files, the format of MNIST: a header that says type and shape, then the numbers; plain or gzipped."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import stat
import struct
import zlib
from io import BufferedReader
from pathlib import Path

import numpy as np

from .error import DataError

MOST = 2**30  # bytes of numbers in one file that are read into memory
DENSEST = 1032  # bytes that a byte of deflate stands for at most
PIECE = 2**20  # bytes unpacked at once
AGAIN = "get the file again"


def read_idx(path: Path, shape: tuple[int | None, ...]) -> np.ndarray:
    """Unsigned bytes of an IDX file, plain or gzipped whatever its name, of `shape`, where None is any number.

    What a header says is held against the size of the file before anything is allocated, and no more is unpacked than
    it says.  Raises `DataError` with one sentence for every way in which a file may be bad.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise DataError(f"{path} is {'a folder' if stat.S_ISDIR(about.st_mode) else 'no file'}; {AGAIN}.")
        with path.open("rb") as file:
            return _read(path, file, shape)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} does not unpack ({error}); {AGAIN}.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); is it a file of yours?") from error


def idx_hash(array: np.ndarray) -> str:
    """SHA-256 of the unpacked IDX file that holds this array of unsigned bytes."""
    h = hashlib.sha256(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape))
    h.update(np.ascontiguousarray(array, np.uint8).data)
    return h.hexdigest()


def _read(path: Path, file: BufferedReader, shape: tuple[int | None, ...]) -> np.ndarray:
    size = os.fstat(file.fileno()).st_size
    if not size:
        raise DataError(f"{path} is empty; {AGAIN}.")
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    if path.suffix == ".gz" and not packed:
        raise DataError(f"{path} is named .gz but is not gzipped; {AGAIN}, or rename it if it is unpacked.")
    with gzip.GzipFile(fileobj=file) if packed else file as stream:
        found = _header(path, stream, len(shape))
        if any(expected not in (None, n) for n, expected in zip(found, shape, strict=True)):
            one, expected = ("×".join(map(str, s[1:])) for s in (found, shape))
            raise DataError(f"{path} holds examples of {one} numbers; expected {expected}.")
        head, count = 4 + 4 * len(shape), math.prod(found)
        _possible(path, count, head, size, packed)
        numbers = np.empty(count, np.uint8)
        got = 0
        while got < count and (n := stream.readinto(numbers.data[got : got + PIECE])):
            got += n
        if got < count:
            raise DataError(f"{path} is truncated: {head + got} bytes where its header says {head + count}; {AGAIN}.")
        if stream.read(1):  # of gzip this also compares the checksum
            raise DataError(f"{path} is too long: its header says {head + count} bytes, and more follow; {AGAIN}.")
    return numbers.reshape(found)


def _header(path: Path, stream: BufferedReader | gzip.GzipFile, dims: int) -> tuple[int, ...]:
    """The shape that a file says it has."""
    start = stream.read(4)
    if len(start) == 4 and start[:2] != b"\0\0":
        raise DataError(f"{path} starts with {start.hex()}, not with 000008{dims:02x}: it is no IDX file; {AGAIN}.")
    if len(start) == 4 and start[2] != 8:
        raise DataError(f"{path} holds numbers of IDX type {start[2]:#04x}; expected unsigned bytes, type 0x08.")
    if len(start) == 4 and start[3] != dims:
        raise DataError(f"{path} has {start[3]} dimensions; expected {dims}: are images and labels mixed up?")
    rest = stream.read(4 * dims)
    have, head = len(start) + len(rest), 4 + 4 * dims
    if have < head:
        raise DataError(f"{path} is truncated: {have} bytes do not even hold the header of {head}; {AGAIN}.")
    return struct.unpack(f">{dims}I", rest)


def _possible(path: Path, count: int, head: int, size: int, packed: bool) -> None:
    """Raises `DataError` where a file of `size` bytes cannot hold `count` numbers, or they are too many."""
    if packed and head + count > DENSEST * size:
        raise DataError(f"{path}: its header says {head + count:,} bytes, more than {size:,} unpack to; {AGAIN}.")
    if not packed and head + count != size:
        state = "is truncated" if size < head + count else "is too long"
        raise DataError(f"{path} {state}: {size} bytes where its header says {head + count}; {AGAIN}.")
    if count > MOST:
        raise DataError(f"{path} holds {count:,} numbers; at most {MOST:,} are read into memory: leave some out.")
