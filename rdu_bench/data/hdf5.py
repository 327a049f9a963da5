"""Rows of an HDF5 file, read when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import NamedTuple, Self

import h5py
import numpy as np

from .error import DataError
from .examples import Source
from .files import stamp

NEAR = 2**16  # bytes that are rather read than skipped
SMALL = 2**25  # bytes that are as well held in memory
SPAN = 2**23  # bytes read in one piece at most
PIECE = 2**24  # bytes read in one piece at most where all rows are read in their order
HELD = 2**28  # most bytes of unpacked chunks that are held for the next piece then
PLAIN = 8  # times as fast as unpacked bytes are those read that are not packed


class Chunks(NamedTuple):
    """How a data set of an HDF5 file is cut."""

    rows: int  # that are read together; 1 where it is not cut
    row_bytes: int  # of all chunks that hold a row, for each of these rows
    packed: bool  # whether they are compressed, or filtered otherwise

    @property
    def bytes(self) -> int:
        """Bytes that are unpacked where one row is read."""
        return self.rows * self.row_bytes


def chunks_of(stored: h5py.Dataset) -> Chunks:
    """How `stored`, of one dimension or more, is cut."""
    cut = stored.chunks
    if not cut:
        return Chunks(1, math.prod(stored.shape[1:]) * stored.dtype.itemsize, False)
    padded = math.prod(math.ceil(n / step) * step for n, step in zip(stored.shape[1:], cut[1:], strict=True))
    packed = stored.id.get_create_plist().get_nfilters() > 0
    return Chunks(min(cut[0], stored.shape[0]), padded * stored.dtype.itemsize, packed)


def pieces_of(stored: h5py.Dataset) -> tuple[int, int]:
    """How many chunks of `stored` are in the file, and how many there are to be; (1, 1) where it is not cut.

    Those that are not there would be read as zeros.
    """
    if not stored.chunks:
        return 1, 1
    wanted = math.prod(math.ceil(n / step) for n, step in zip(stored.shape, stored.chunks, strict=True))
    return stored.id.get_num_chunks(), wanted


def in_order(stored: h5py.Dataset) -> Iterator[slice]:
    """Rows of `stored` that are best read at once where all are read in their order, in `PIECE` bytes or little more.

    Chunks that are larger are unpacked once if the file was opened with the cache that `cache_of` says.
    """
    cut = chunks_of(stored)
    rows = max(1, (PIECE if cut.bytes <= HELD else HELD) // max(1, cut.row_bytes))
    if cut.rows <= rows:
        rows -= rows % cut.rows
    return (slice(i, min(i + rows, stored.shape[0])) for i in range(0, stored.shape[0], rows))


def cache_of(stored: h5py.Dataset) -> int:
    """Bytes of a chunk cache, `rdcc_nbytes`, with which each chunk of `stored` is unpacked once by `in_order`."""
    found = chunks_of(stored).bytes
    return max(2**20, found if found <= HELD else 0)


class HDF5Source(Source):
    """x in a data set of an HDF5 file, its examples along the first axis.

    `shape` is what an example is taken for where the file has another of as many numbers, such as (1, 16, 16) for
    (16, 16).  The file is open only while rows are read, so this may be pickled, sent to a process that was forked,
    and forgotten.  Rows are read in the order of the file, each once, and given in the order asked for.  Raises
    `DataError` for a file or a data set that cannot be read, also when the file is changed later.
    """

    slow = True
    layout = ""  # how examples are turned that a subclass gives otherwise than they lie in the file

    def __init__(self, path: str | Path, key: str, shape: tuple[int, ...] | None = None):
        self.path, self.key = Path(path).resolve(), key
        with _opened(self.path) as file:
            stored = file.get(key)
            if not isinstance(stored, h5py.Dataset) or stored.ndim < 1:
                raise DataError(f"{path} has no data set {key} with rows.")
            self.dtype, n, one = np.dtype(stored.dtype), stored.shape[0], stored.shape[1:]
            self.chunks = chunks_of(stored)
        self.shape = (n, *(one if shape is None else shape))
        if self.dtype.kind not in "biuf":
            raise DataError(f"{path}: {key} holds {self.dtype}; it must hold whole numbers or floats.")
        if np.prod(self.shape[1:]) != np.prod(one):
            raise DataError(f"{path}: {key} has examples of shape {one}, which cannot be taken for {shape}.")
        self.stored_shape = tuple(one)  # of an example as it lies in the file
        self.row_bytes = max(1, int(np.prod(one)) * self.dtype.itemsize)
        self._near = max(self.chunks.rows, NEAR // self.row_bytes)
        self.stamp = stamp(self.path)

    def held(self, most: int = SMALL) -> Source | np.ndarray:
        """Its rows as an array in memory where they take `most` bytes at most, else itself."""
        return self[np.arange(self.shape[0])] if self.shape[0] * self.row_bytes <= most else self

    def elsewhere(self, other: HDF5Source) -> Self:
        """The same examples, read from a copy that holds them as they lie in this file.

        Raises `ValueError` for a copy of other numbers.
        """
        if (other.dtype, other.shape[0], other.stored_shape) != (self.dtype, self.shape[0], self.stored_shape):
            raise ValueError(f"{other.path} holds other examples than {self.path}")
        found = copy(self)
        found.path, found.key, found.stamp = other.path, other.key, other.stamp
        found.chunks, found._near = other.chunks, other._near
        return found

    def unpacked(self, wanted: int, together: int) -> float:
        """Bytes unpacked for each that is wanted, where `wanted` of its rows are shuffled and trained on.

        `together` bytes of them are read at once; a row that is asked for twice then is read once.
        """
        n, asked = self.shape[0], max(1, together // self.row_bytes)
        rows = min(n, min(asked, wanted) * self.chunks.rows) / asked
        again = 1 + self.chunks.bytes / SPAN  # pieces that have a chunk in common unpack it one by one
        every = rows * again * self.chunks.row_bytes / self.row_bytes
        return every if self.chunks.packed else every / PLAIN

    def pieces(self) -> Iterator[np.ndarray]:
        """All rows in the order of the file and as they lie there, little of them at a time.  Raises `DataError`."""
        if stamp(self.path) != self.stamp:
            raise DataError(f"{self.path} was changed while it was in use; start again.")
        with _opened(self.path) as file:
            cache = cache_of(file[self.key])
        with _opened(self.path, cache) as file:
            for rows in in_order(file[self.key]):
                try:
                    piece = file[self.key][rows]
                except (OSError, RuntimeError) as error:
                    raise DataError(f"{self.path}: rows of {self.key} cannot be read; get the file again.") from error
                yield piece

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        wanted, back = np.unique(rows, return_inverse=True)
        found = np.empty((len(wanted), *self.stored_shape), self.dtype)
        if len(wanted):
            if stamp(self.path) != self.stamp:
                raise DataError(f"{self.path} was changed while it was in use; start again.")
            with _opened(self.path) as file:
                self._read(file[self.key], wanted, found)
        ordered = len(wanted) == len(rows) and bool((back == np.arange(len(rows))).all())
        return (found if ordered else found[back]).reshape(len(rows), *self.shape[1:])

    def _read(self, stored: h5py.Dataset, wanted: np.ndarray, into: np.ndarray) -> None:
        try:
            for first, last in self._pieces(wanted):
                start, stop = int(wanted[first]), int(wanted[last - 1]) + 1
                piece = stored[start:stop]
                into[first:last] = piece if len(piece) == last - first else piece[wanted[first:last] - start]
        except (OSError, RuntimeError) as error:
            raise DataError(f"{self.path}: rows of {self.key} cannot be read; get the file again.") from error

    def _pieces(self, wanted: np.ndarray) -> Iterator[tuple[int, int]]:
        """Ranges of `wanted`, sorted row numbers, that are read in one piece each."""
        longest = max(1, SPAN // self.row_bytes)
        first = 0
        for cut in [*(np.flatnonzero(np.diff(wanted) > self._near) + 1), len(wanted)]:
            while first < cut:
                last = min(int(np.searchsorted(wanted, wanted[first] + longest)), int(cut))
                yield first, last
                first = last


def _opened(path: Path, cache: int = 2**20) -> h5py.File:
    try:
        return h5py.File(path, "r", rdcc_nbytes=cache)
    except (OSError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read as HDF5; is it there and whole?") from error
