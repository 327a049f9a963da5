"""The binary matrices of NORB (LeCun, Huang & Bottou 2004): magic number, dimensions, then numbers, little-endian."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from .error import DataError
from .files import regular
from .npz import AGAIN

TYPES = {0x1E3D4C55: "u1", 0x1E3D4C54: "<i4", 0x1E3D4C51: "<f4", 0x1E3D4C53: "<f8"}
LEAST, MOST = 3, 8  # dimensions that the header has room for at least; more than anything has


class NorbMatrix:
    """A file of one array: `shape` and `dtype` from its header, its rows when they are asked for.

    Raises `DataError` for a file that is not there, of another kind, or of another size than its header says.
    """

    def __init__(self, path: Path):
        self.path = path
        size = regular(path).stat().st_size
        head = np.fromfile(path, "<i4", 2 + MOST).tolist()
        if len(head) < 2 + LEAST:
            raise DataError(f"{path} has {size} bytes, less than the header of a matrix; {AGAIN}.")
        magic, dims = head[0], head[1]
        if magic not in TYPES:
            gzipped = "it is gzipped; unpack it" if magic & 0xFFFF == 0x8B1F else AGAIN
            raise DataError(f"{path} starts with {magic & 0xFFFFFFFF:08x}, which is no matrix of NORB: {gzipped}.")
        if not 1 <= dims <= MOST or min(head[2 : 2 + dims], default=0) < 1:
            raise DataError(f"{path} says that it has {dims} dimensions, {head[2 : 2 + max(0, dims)]}; {AGAIN}.")
        self.dtype, self.shape = np.dtype(TYPES[magic]), tuple(head[2 : 2 + dims])
        self._start = 4 * (2 + max(LEAST, dims))
        want = self._start + math.prod(self.shape) * self.dtype.itemsize
        if size != want:
            raise DataError(f"{path} has {size:,} bytes where its header says {want:,}; {AGAIN}.")

    def take(self, rows: np.ndarray) -> np.ndarray:
        """(n, …) the rows of these numbers, in that order.  Raises `DataError` where the file ends before them."""
        one = math.prod(self.shape[1:])
        found = np.empty((len(rows), one), self.dtype)
        with self.path.open("rb") as file:
            for i, row in enumerate(rows.tolist()):
                file.seek(self._start + row * one * self.dtype.itemsize)
                read = np.fromfile(file, self.dtype, one)
                if len(read) != one:
                    raise DataError(f"{self.path} became shorter while it was read; {AGAIN}.")
                found[i] = read
        return found.reshape(len(rows), *self.shape[1:])

    def whole(self) -> np.ndarray:
        """All of it, for what is small."""
        return self.take(np.arange(self.shape[0]))
