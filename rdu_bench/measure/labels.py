"""What heads are asked for: factors of a data set, those of frames at a few of them, and real ones cut into bins."""

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


def looked_at(frames: int) -> list[int]:
    """The first, the middle and the last of T frames: those at which a factor of frames is read."""
    return sorted({0, frames // 2, frames - 1})


def frame_by_frame(labels: Labels) -> list[Labels]:
    """A factor of frames, values (N, T, …), as a factor of the example at each frame looked at; any other as it is."""
    factor = labels.factor
    if not factor.frames:
        return [labels]
    return [
        Labels(factor._replace(name=f"{factor.name}@{t}", frames=0, entropy=None), *(y[:, t] for y in labels.values))
        for t in looked_at(factor.frames)
    ]


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
