"""Rows of an HDF5 file, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from .error import DataError
from .examples import Source
from .files import stamp

NEAR = 2**16  # bytes that are rather read than skipped
SMALL = 2**25  # bytes that are as well held in memory
SPAN = 2**23  # bytes read in one piece at most


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
            step = stored.chunks[0] if stored.chunks else 1
        self.shape = (n, *(one if shape is None else shape))
        if self.dtype.kind not in "biuf":
            raise DataError(f"{path}: {key} holds {self.dtype}; it must hold whole numbers or floats.")
        if np.prod(self.shape[1:]) != np.prod(one):
            raise DataError(f"{path}: {key} has examples of shape {one}, which cannot be taken for {shape}.")
        self._one = one
        self._bytes = max(1, int(np.prod(one)) * self.dtype.itemsize)
        self._near = max(step, NEAR // self._bytes)
        self.stamp = stamp(self.path)

    def held(self, most: int = SMALL) -> Source | np.ndarray:
        """Its rows as an array in memory where they take `most` bytes at most, else itself."""
        return self[np.arange(self.shape[0])] if self.shape[0] * self._bytes <= most else self

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        wanted, back = np.unique(rows, return_inverse=True)
        found = np.empty((len(wanted), *self._one), self.dtype)
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
        longest = max(1, SPAN // self._bytes)
        first = 0
        for cut in [*(np.flatnonzero(np.diff(wanted) > self._near) + 1), len(wanted)]:
            while first < cut:
                last = min(int(np.searchsorted(wanted, wanted[first] + longest)), int(cut))
                yield first, last
                first = last


def _opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except (OSError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read as HDF5; is it there and whole?") from error
