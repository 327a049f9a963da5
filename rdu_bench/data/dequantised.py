"""Stored bytes as real numbers, so that a density of them says something of the bytes."""

from __future__ import annotations

import math

import numpy as np

from .._hash import named_seed
from .examples import Source

FIRST, SECOND, STEP = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0x9E3779B97F4A7C15  # of SplitMix64


class Dequantised(Source):
    """x = level + u of the bytes `levels` (N, …), u uniform in [0, 1): float32, in units of one step of a byte.

    A density of bytes has no bound: where pixels are constant it may be as high as one likes.  Of x it has one, since
    P(level) = ∫ p(level + u) du makes a probability of the bytes of any density p, and by Jensen's inequality

        −log P(level) ≤ E_u −log p(level + u)

    (Theis, van den Oord & Bethge 2016, arXiv:1511.01844).  So D of x in these units is at least the nats that the
    stored bytes take, H(x) is the entropy of the bytes, and x/256 in [0, 1) would have a D lower by log 256 = 5.545
    nats a pixel.  u is drawn once by the named seed of `name`; it depends on the row and the place in it, never on
    which rows are asked for, and is made when they are, so that no more than bytes are held.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, levels: Source | np.ndarray, name: str):
        if levels.dtype != np.uint8:
            raise ValueError(f"levels are {levels.dtype}; only uint8 have steps of one")
        self.levels, self.shape, self.name = levels, tuple(levels.shape), name
        self.slow = isinstance(levels, Source) and levels.slow
        self._seed = np.uint64(named_seed("dequantise", name))

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        size = math.prod(self.shape[1:])
        x = self._sixteen_bits(rows, size).astype(np.float32)  # with 8 before the point, what a float32 holds exactly
        x *= 2.0**-16
        x += self.levels[rows].reshape(len(rows), size)
        return x.reshape(len(rows), *self.shape[1:])

    def _sixteen_bits(self, rows: np.ndarray, size: int) -> np.ndarray:
        """(n, size) uint16: of row i the numbers from 4i⌈size/4⌉ on of SplitMix64 (Steele, Lea & Flood 2014)."""
        words = -(-size // 4)
        z: np.ndarray = np.arange(1, words + 1, dtype=np.uint64) + np.uint64(words) * rows.astype(np.uint64)[:, None]
        z *= np.uint64(STEP)
        z += self._seed
        z ^= z >> np.uint64(30)
        z *= np.uint64(FIRST)
        z ^= z >> np.uint64(27)
        z *= np.uint64(SECOND)
        z ^= z >> np.uint64(31)
        return z.astype("<u8", copy=False).view("<u2")[:, :size]
