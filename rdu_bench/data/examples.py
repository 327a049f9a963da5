"""Examples as they are stored, in memory or in a file, and the only place where rows of pixels are picked.

A split may be larger than memory.  So x stays in the dtype and the place it is stored in, and `take` turns only the
rows that are asked for into float32; nothing else in the package indexes x.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from ..model import Batch

Rows = Tensor | np.ndarray | Sequence[int] | slice
CHUNK = 1024  # examples turned into floats at once


@runtime_checkable
class Source(Protocol):
    """Where stored x lies: an array, a tensor, or something that reads rows from a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, *shape)."""

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """The rows of these numbers (n,) int64, in that order, as they are stored."""


class Examples:
    """A split's x (N, *shape) and its factors: class (N,) int64, real (N, size) float32.

    `source` holds x as it is stored, uint8 where its origin is; as a model sees it, x is float32, what is stored
    times `scale`.  `rows` (N,) picks these examples from the source, so that splits of one array share it.
    """

    def __init__(
        self,
        source: Source | Tensor,
        factors: Mapping[str, Tensor],
        *,
        scale: float = 1.0,
        rows: Tensor | np.ndarray | None = None,
    ):
        self.source: Source = source.numpy() if isinstance(source, Tensor) else source
        self.factors = dict(factors)
        self.scale = scale
        self.rows = None if rows is None else np.asarray(rows, dtype=np.int64)

    def __len__(self) -> int:
        return self.source.shape[0] if self.rows is None else len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return tuple(self.source.shape[1:])

    def stored(self, at: Rows = slice(None)) -> np.ndarray:
        """(n, *shape) of the examples `at`, in the dtype they are stored in."""
        picked = np.arange(len(self))[np.asarray(at) if not isinstance(at, slice) else at]
        return np.asarray(self.source[picked if self.rows is None else self.rows[picked]])

    def take(self, at: Rows = slice(None)) -> Tensor:
        """(n, *shape) float32, the examples `at` as a model sees them."""
        x = torch.from_numpy(np.ascontiguousarray(self.stored(at))).float()
        return x if self.scale == 1 else x * self.scale

    def chunks(self, size: int = CHUNK) -> Iterator[Tensor]:
        """x in order, float32, `size` examples at a time."""
        return (self.take(slice(i, i + size)) for i in range(0, len(self), size))

    def subset(self, at: Rows) -> Examples:
        """Some of the examples, which share their source."""
        picked = np.arange(len(self))[np.asarray(at) if not isinstance(at, slice) else at]
        rows = picked if self.rows is None else self.rows[picked]
        index = torch.from_numpy(picked)
        return Examples(self.source, {k: y[index] for k, y in self.factors.items()}, scale=self.scale, rows=rows)

    def relabelled(self, factors: Mapping[str, Tensor]) -> Examples:
        """The same x with other factors."""
        return Examples(self.source, factors, scale=self.scale, rows=self.rows)

    @property
    def x(self) -> Tensor:
        """All of x as floats."""
        return self.take()


class View:
    """Examples as a model is given them when it is measured: x, and s where it sends s, a chunk at a time."""

    def __init__(self, examples: Examples, at: Rows = slice(None), sensitive: str | None = None):
        self.examples, self.sensitive = examples, sensitive
        self.at = np.arange(len(examples))[np.asarray(at) if not isinstance(at, slice) else at]

    def __len__(self) -> int:
        return len(self.at)

    def rows(self, at: Rows) -> View:
        """Some of these examples."""
        return View(self.examples, self.at[np.asarray(at) if not isinstance(at, slice) else at], self.sensitive)

    def batch(self) -> Batch:
        """All of them at once: for few."""
        s = self.examples.factors[self.sensitive][torch.from_numpy(self.at)] if self.sensitive else None
        return Batch.unlabelled(self.examples.take(self.at), s)

    def chunks(self, size: int = CHUNK) -> Iterator[Batch]:
        """All of them in order, `size` at a time."""
        return (self.rows(slice(i, i + size)).batch() for i in range(0, len(self), size))


def batches(
    examples: Examples, size: int, steps: int, *, label: str | None, sensitive: str | None, seed: int, device: str
) -> Iterator[Batch]:
    """`steps` batches of `size` examples, reshuffled every epoch by `seed`; short last batches are not sent."""
    size = min(size, len(examples))
    unknown = torch.full((len(examples),), -1)
    y = examples.factors[label] if label else unknown
    s = examples.factors[sensitive] if sensitive else unknown
    generator = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.int64)
    for step in range(steps):
        if len(order) < size:
            order = torch.randperm(len(examples), generator=generator)
        pick, order = order[:size], order[size:]
        yield Batch(examples.take(pick), y[pick], s[pick], torch.tensor(step / steps)).to(device)
