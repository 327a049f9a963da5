"""The learning curve: D, R and β as training went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MOST = 50  # points of a curve in a record


@dataclass(frozen=True)
class Learning:
    """Points of a learning curve, each the mean over the batches since the point before it."""

    step: tuple[int, ...] = ()  # batches seen so far
    D: tuple[float, ...] = ()  # nats
    R: tuple[float, ...] = ()  # nats
    beta: tuple[float, ...] = ()  # multiplier of the rate; 1 where there is no target

    def then(self, more: Learning) -> Learning:
        """With what was trained afterwards behind it."""
        done = self.step[-1] if self.step else 0
        return Learning(
            self.step + tuple(done + step for step in more.step),
            self.D + more.D,
            self.R + more.R,
            self.beta + more.beta,
        )

    def table(self, most: int = MOST) -> dict[str, list[int] | list[float | None]]:
        """As a record says it: at most `most` points, neighbours joined; null where a mean is not finite."""
        batches = [step - before for step, before in zip(self.step, (0, *self.step), strict=False)]
        joined = -(-len(self.step) // most)  # points that become one
        starts = range(0, len(self.step), joined) if joined else ()

        def mean(values: tuple[float, ...], at: int) -> float | None:
            weights = batches[at : at + joined]
            total = sum(n * value for n, value in zip(weights, values[at : at + joined], strict=True))
            return float(f"{total / sum(weights):.5g}") if math.isfinite(total) else None

        return {
            "step": [self.step[min(at + joined, len(self.step)) - 1] for at in starts],
            "D": [mean(self.D, at) for at in starts],
            "R": [mean(self.R, at) for at in starts],
            "beta": [mean(self.beta, at) for at in starts],
        }


class Recorder:
    """Takes D, R and β (cells,) of every batch, and makes a point of them at every look; never waits for the device."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.points: list[Tensor] = []  # (3, cells)
        self.batches: list[Tensor] = []

    def add(self, distortion: Tensor, rate: Tensor, beta: Tensor) -> None:
        """One batch."""
        self.batches.append(torch.stack((distortion.detach(), rate.detach(), beta)))

    def look(self, step: int) -> None:
        """Make a point of the batches since the last one, the last being number `step`, counted from 0."""
        self.steps.append(step + 1)
        self.points.append(torch.stack(self.batches).mean(0))
        self.batches.clear()

    def curves(self, cells: int) -> list[Learning]:
        """One a cell."""
        if not self.points:
            return [Learning()] * cells
        columns: Sequence[Sequence[Sequence[float]]] = torch.stack(self.points, -1).permute(1, 0, 2).tolist()
        return [Learning(tuple(self.steps), *map(tuple, cell)) for cell in columns]
