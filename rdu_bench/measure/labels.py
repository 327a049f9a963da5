"""What heads are asked for: factors of a data set, and real ones cut into bins."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..data import Factor
from ..probe import Target

BINS = 20  # of equal mass, that a real factor is cut into


class Labels(NamedTuple):
    """A factor on the examples that have codes: class (N,) int64, real (N, size) float32."""

    factor: Factor
    train: Tensor
    val: Tensor
    test: Tensor

    @property
    def values(self) -> tuple[Tensor, Tensor, Tensor]:
        """On train, val and test."""
        return self.train, self.val, self.test

    @property
    def target(self) -> Target:
        """All that a probe may see."""
        return Target(self.factor, self.train, self.val)


def binned(labels: Labels) -> list[Labels]:
    """Each component of a real factor as 20 classes of equal mass on train; nothing for a class."""
    if labels.factor.kind == "class":
        return []
    inner = torch.arange(1, BINS, dtype=torch.float64) / BINS
    found = []
    for j in range(labels.factor.size):
        edges = labels.train[:, j].double().quantile(inner)
        parts = (torch.bucketize(y[:, j].double(), edges) for y in labels.values)
        found.append(Labels(Factor(f"{labels.factor.name}[{j}]", BINS), *parts))
    return found
