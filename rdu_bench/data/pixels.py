"""Sums over the pixels of training examples, a chunk at a time, in float64."""

from __future__ import annotations

import base64
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .content import choice_of, files_of
from .examples import CHUNK, Examples
from .files import Beside

NEAR = 2**18  # numbers that are summed at once, few enough to stay near the processor


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
    """Of all examples; sums are taken about the mean of the first chunk, so that a large offset costs no digits.

    Raises `ValueError` where there is no example.
    """
    shift: Tensor | None = None
    low, high = math.inf, -math.inf
    if examples.slow and examples.rows is not None:
        examples = examples.subset(np.argsort(examples.rows, kind="stable"))  # each piece of the file is unpacked once
    for chunk in examples.chunks(CHUNK):
        for x in chunk.split(max(1, NEAR // max(1, chunk[0].numel()))):
            x = x.double()
            if shift is None:
                shift = x.mean(0)
                first, second = torch.zeros_like(shift), torch.zeros_like(shift)
            x -= shift
            first += x.sum(0)
            second += x.square_().sum(0)
        low, high = min(low, float(chunk.min())), max(high, float(chunk.max()))
    if shift is None:
        raise ValueError("there is no training example")
    n = len(examples)
    return Pixels(n, shift + first / n, (second / n - (first / n).square()).clamp(min=0), low, high)


def kept_pixels(examples: Examples) -> Pixels:
    """As `pixels`; of rows of a file they are kept beside it, and read again from there until they would be others."""
    split = {"train": examples.relabelled({})}
    files = files_of(split)
    if not files:
        return pixels(examples)
    beside, key = Beside(files[0].path), f"pixels of {choice_of(split)}"
    found = _told(beside.get(key), examples)
    if found is None:
        found = pixels(examples)
        beside.put(key, [found.n, *map(_text, (found.mean, found.variance)), found.low, found.high])
    return found


def _text(numbers: Tensor) -> str:
    return base64.b64encode(numbers.numpy().astype("<f8").tobytes()).decode()


def _told(kept: Any, examples: Examples) -> Pixels | None:
    """What is kept, if it is of such examples."""
    try:
        n, mean, variance, low, high = kept
        numbers = [np.frombuffer(base64.b64decode(text), "<f8").astype(np.float64) for text in (mean, variance)]
        first, second = (torch.from_numpy(of.reshape(examples.shape)) for of in numbers)
        return Pixels(int(n), first, second, float(low), float(high)) if n == len(examples) else None
    except (TypeError, ValueError):
        return None
