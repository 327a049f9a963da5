"""Stored bytes as reals, so that a density of them says something of the bytes, by noise that is fixed by row."""

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
    which rows are asked for, and is made when they are, so that no more than bytes are held.  Raises `ValueError` for
    levels that are no whole numbers of one byte or two.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, levels: Source | np.ndarray, name: str):
        if levels.dtype.kind not in "iu" or levels.dtype.itemsize > 2:
            raise ValueError(f"levels are {levels.dtype}; only whole numbers of one byte or two have steps of one")
        self.levels, self.shape = levels, tuple(levels.shape)
        self.rule = f"dequantised {name}"
        self.slow = isinstance(levels, Source) and levels.slow
        self._seed = named_seed("dequantise", name)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        size = math.prod(self.shape[1:])
        x = uniforms(self._seed, rows, size)
        x += self.levels[rows].reshape(len(rows), size)
        return x.reshape(len(rows), *self.shape[1:])


def uniforms(seed: int, rows: np.ndarray, size: int) -> np.ndarray:
    """(n, size) float32 in [0, 1), of 16 bits, which 8 bits before the point leave exact; by row, whatever the others.

    Of row i they are the numbers from 4i⌈size/4⌉ on of SplitMix64 (Steele, Lea & Flood 2014), four of a word.
    """
    words = -(-size // 4)
    z: np.ndarray = rows.astype(np.uint64)[:, None] * np.uint64(words) + np.arange(1, words + 1, dtype=np.uint64)
    z *= np.uint64(STEP)
    z += np.uint64(seed)
    z ^= z >> np.uint64(30)
    z *= np.uint64(FIRST)
    z ^= z >> np.uint64(27)
    z *= np.uint64(SECOND)
    z ^= z >> np.uint64(31)
    x = z.astype("<u8", copy=False).view("<u2")[:, :size].astype(np.float32)
    x *= 2.0**-16
    return x
