"""Examples as they are stored, in memory or in a file, and the only place where rows of pixels are picked.

A split may be larger than memory.  So x stays in the dtype and the place it is stored in, and `take` turns only the
rows that are asked for into float32; nothing else in the package indexes x.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._memory import give_back
from ..model import Batch
from .checked import factor, pixels
from .error import DataError

Rows = Tensor | np.ndarray | Sequence[int] | Sequence[bool] | slice
CHUNK = 1024  # examples turned into floats at once
AHEAD = 2**25  # bytes that training reads from a file at once
NEAR = 2**20  # and takes from memory at once: for small batches, asking costs as much as copying
ROOM = 2**21  # numbers of x that networks are given at once when they are measured
PASSED = 8  # times, after which the memory that they took goes back: small results lie between what was freed


class Source(ABC):
    """Where stored x lies when it is no array: something that reads or makes rows when they are asked for."""

    shape: tuple[int, ...]  # (N, *shape)
    dtype: np.dtype  # of the numbers as they are stored
    slow = False  # whether rows come from a file, so that many are better asked for at once
    rule = ""  # how rows are made of those of `levels`, if they are: what differs in that has another
    levels: Source | np.ndarray  # (N, …), where there is a rule

    @abstractmethod
    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """New array of the rows of these numbers (n,) int64, each in [0, N), in that order and as they are stored."""


def positions(at: Rows, n: int) -> np.ndarray:
    """(m,) int64 in [0, n): which of n examples `at` names.

    Numbers below 0 count from the end; a mask of n booleans names those that are true; nothing is named by an empty
    sequence.  Raises `IndexError` for numbers out of range, masks of another length and what is no vector of either.
    """
    if isinstance(at, slice):
        return np.arange(n)[at]
    rows = at.detach().cpu().numpy() if isinstance(at, Tensor) else np.asarray(at)
    if rows.ndim != 1:
        raise IndexError(f"rows have shape {rows.shape}; give a vector of numbers or booleans, or a slice")
    if rows.dtype == bool:
        if len(rows) != n:
            raise IndexError(f"a mask of {len(rows)} booleans was given for {n} examples; give one for each")
        return np.flatnonzero(rows)
    if not len(rows):
        return np.zeros(0, dtype=np.int64)
    if rows.dtype.kind not in "iu":
        raise IndexError(f"rows hold {rows.dtype}; give whole numbers or booleans")
    if rows.min() < -n or rows.max() >= n:
        wrong = int(rows[(rows < -n) | (rows >= n)][0])
        raise IndexError(f"there is no row {wrong}: there are {n} examples")
    rows = rows.astype(np.int64)
    return np.where(rows < 0, rows + n, rows)


class Examples:
    """A split's x (N, *shape) and its factors: class (N,) int64, real (N, size) float32.

    `source`, an array or a `Source`, holds x as it is stored, uint8 where its origin is; as a model sees it, x is
    float32, what is stored times `scale`.  `rows` (n,) picks these examples from the source, so that splits of one
    array share it.  Nothing of them is changed once it is given.  Raises `DataError` for what is no number: text,
    missing values, masks, complex numbers.
    """

    def __init__(
        self,
        source: Any,
        factors: Mapping[str, Any],
        *,
        scale: float = 1.0,
        rows: Rows | None = None,
    ):
        self.source: Source | np.ndarray = source if isinstance(source, Source) else pixels(source)
        self.scale = scale
        self.rows = None if rows is None else positions(rows, self.source.shape[0])
        self.factors = {name: factor(values, name, len(self)) for name, values in factors.items()}

    def __len__(self) -> int:
        return self.source.shape[0] if self.rows is None else len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return tuple(self.source.shape[1:])

    @property
    def slow(self) -> bool:
        """Whether rows are read from a file, so that many are better read at once."""
        return isinstance(self.source, Source) and self.source.slow

    @property
    def nbytes(self) -> int:
        """Of one example as it is stored."""
        return int(np.prod(self.shape)) * self.source.dtype.itemsize

    def stored(self, at: Rows = slice(None)) -> np.ndarray:
        """(n, *shape) of the examples `at`, in the dtype they are stored in."""
        picked = positions(at, len(self))
        return np.asarray(self.source[picked if self.rows is None else self.rows[picked]])

    def take(self, at: Rows = slice(None)) -> Tensor:
        """(n, *shape) float32, the examples `at` as a model sees them."""
        return self.as_seen(self.stored(at))

    def as_seen(self, stored: np.ndarray) -> Tensor:
        """What is stored as a model sees it, float32."""
        x = torch.from_numpy(np.ascontiguousarray(stored, dtype=np.float32))
        return x if self.scale == 1 else x * self.scale

    def chunks(self, size: int = CHUNK) -> Iterator[Tensor]:
        """x in order, float32, `size` examples at a time."""
        return (self.take(slice(i, i + size)) for i in range(0, len(self), size))

    def subset(self, at: Rows) -> Examples:
        """Some of the examples, which share their source."""
        picked = positions(at, len(self))
        rows = picked if self.rows is None else self.rows[picked]
        index = torch.from_numpy(picked)
        return Examples(self.source, {k: y[index] for k, y in self.factors.items()}, scale=self.scale, rows=rows)

    def relabelled(self, factors: Mapping[str, Any]) -> Examples:
        """The same x with other factors."""
        return Examples(self.source, factors, scale=self.scale, rows=self.rows)


class View:
    """Examples as a model is given them when it is measured: x, and s where it sends s, a chunk at a time."""

    def __init__(self, examples: Examples, at: Rows = slice(None), sensitive: str | None = None):
        self.examples, self.sensitive = examples, sensitive
        self.at = positions(at, len(examples))

    def __len__(self) -> int:
        return len(self.at)

    def rows(self, at: Rows) -> View:
        """Some of these examples."""
        return View(self.examples, self.at[positions(at, len(self))], self.sensitive)

    def batch(self) -> Batch:
        """All of them at once: for few."""
        s = self.examples.factors[self.sensitive][torch.from_numpy(self.at)] if self.sensitive else None
        return Batch.unlabelled(self.examples.take(self.at), s)

    def chunks(self, size: int = CHUNK) -> Iterator[Batch]:
        """All of them in order, `size` at a time, or fewer where they are large."""
        size = at_once(self.examples.shape, size)
        for number, i in enumerate(range(0, len(self), size), start=1):
            yield self.rows(slice(i, i + size)).batch()
            if number % PASSED == 0:
                give_back()


def at_once(shape: tuple[int, ...], most: int) -> int:
    """How many examples of `shape` networks are given at once: `most`, or sixteens that `ROOM` holds."""
    return min(most, max(16, ROOM // max(1, int(np.prod(shape))) // 16 * 16))


def batches(
    examples: Examples, size: int, steps: int, *, label: str | None, sensitive: str | None, seed: int
) -> Iterator[Batch]:
    """`steps` batches of `size` examples, reshuffled every epoch by `seed`; short last batches are not sent.

    As many are read at once as `AHEAD` bytes hold from a file, and `NEAR` from memory; the batches are the same.
    Raises `DataError` where there are no examples.
    """
    if not len(examples):
        raise DataError("there are no examples to train on; the train split is empty.")
    size = min(size, len(examples))
    unknown = torch.full((len(examples),), -1)
    y = examples.factors[label] if label else unknown
    s = examples.factors[sensitive] if sensitive else unknown
    together = max(1, (AHEAD if examples.slow else NEAR) // (size * examples.nbytes))
    orders = enumerate(_orders(len(examples), size, steps, seed))
    while window := list(islice(orders, together)):
        picked = torch.cat([pick for _, pick in window])
        stored, ys, ss = examples.stored(picked), y[picked].split(size), s[picked].split(size)
        for i, (step, _) in enumerate(window):
            x = examples.as_seen(stored[i * size : (i + 1) * size])
            yield Batch(x, ys[i], ss[i], torch.tensor(step / steps))


def _orders(n: int, size: int, steps: int, seed: int) -> Iterator[Tensor]:
    """`steps` times the rows (size,) of a batch; each epoch is a permutation fixed by `seed`."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if len(order) < size:
            order = torch.randperm(n, generator=generator)
        pick, order = order[:size], order[size:]
        yield pick
