"""Sums over the pixels of training examples, a chunk at a time, in float64."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .examples import CHUNK, Examples


class Pixels(NamedTuple):
    """What training examples are on average; N examples of `shape`."""

    n: int
    mean: Tensor  # (*shape) float64, of each pixel
    variance: Tensor  # (*shape) float64, of each pixel about its mean, divided by N
    low: float  # the least pixel of all
    high: float  # the greatest

    @property
    def deviation(self) -> float:
        """Standard deviation of all pixels about their common mean, divided by one less than their number."""
        count = self.n * self.mean.numel()
        total = self.variance.sum() + (self.mean - self.mean.mean()).square().sum()
        return math.sqrt(float(total) * self.n / max(1, count - 1))


def pixels(examples: Examples) -> Pixels:
    """Of all examples; sums are taken about the mean of the first chunk, so that a large offset costs no digits."""
    shift: Tensor | None = None
    low, high = math.inf, -math.inf
    for chunk in examples.chunks(CHUNK):
        x = chunk.double()
        if shift is None:
            shift = x.mean(0)
            first, second = torch.zeros_like(shift), torch.zeros_like(shift)
        first += (x - shift).sum(0)
        second += (x - shift).square().sum(0)
        low, high = min(low, float(x.min())), max(high, float(x.max()))
    if shift is None:
        raise ValueError("there is no training example")
    n = len(examples)
    return Pixels(n, shift + first / n, (second / n - (first / n).square()).clamp(min=0), low, high)
