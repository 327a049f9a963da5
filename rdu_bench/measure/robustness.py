"""D_y when x is corrupted and nothing is fitted anew."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from .._hash import named_seed
from ..data import View
from ..model import Batch
from ..scores import Undefined
from .codes import draw
from .found import Found, mean_and_error
from .heads import log_prob
from .study import Study

FLIPS = (0.0, 0.02, 0.05, 0.1, 0.2)  # probability that a pixel of binary x is the other one
BLURS = (0.0, 0.1, 0.25, 0.5, 1.0)  # standard deviation of noise added to real x, in that of x
BLOCK = 16  # numbers that torch draws of a normal density at a time


class Corrupted:
    """Examples whose pixels are turned over with probability `flip`, or have noise of deviation `noise` added."""

    def __init__(self, view: View, seed: int, *, flip: float = 0.0, noise: float = 0.0):
        self.view, self.seed, self.flip, self.noise = view, seed, flip, noise

    def chunks(self, size: int) -> Iterator[Batch]:
        """As of the view; each pass draws the same noise, the same for every `size` that `BLOCK` divides."""
        generator = torch.Generator().manual_seed(self.seed)
        missing = len(self.view) * math.prod(self.view.examples.shape)
        left = torch.empty(0)
        for batch in self.view.chunks(size):
            count = batch.x.numel()
            if len(left) < count:
                rest = missing - count  # of which a few would be drawn otherwise than among many
                left = torch.cat([left, self._draw(count - len(left) + (rest if rest < BLOCK else 0), generator)])
            draws, left, missing = left[:count].view_as(batch.x), left[count:], missing - count
            yield batch._replace(x=self._worse(batch.x, draws))

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.rand(n, generator=generator) if self.flip else torch.randn(n, generator=generator)

    def _worse(self, x: Tensor, draws: Tensor) -> Tensor:
        return torch.where(draws < self.flip, 1 - x, x) if self.flip else x + self.noise * draws


def robustness(study: Study) -> Found:
    """Encoder and linear heads as they are, test examples corrupted; never below H(y|z′).

    Raises `Undefined` for data without a task.
    """
    return Found(tables={"structure": {"noise": under(study, None)}})


def under(study: Study, levels: Sequence[float] | None) -> dict[str, object]:
    """D_y of every factor of the task under noise of some levels, by default those of the data's likelihood.

    Nats, with their standard errors; raises as `robustness`.
    """
    if not study.task:
        raise Undefined("the data set has no task")
    flips = study.data.likelihood == "bernoulli"
    levels = (FLIPS if flips else BLURS) if levels is None else levels
    loss: dict[str, list[float]] = {f.name: [] for f in study.task}
    error: dict[str, list[float]] = {f.name: [] for f in study.task}
    test = study.codes.test
    for level in levels:
        codes = test
        if level:
            seed = named_seed("noise", study.data.drawn_by, level)
            view = study.view("test")
            noise = 0.0 if flips else level * study.pixels.deviation
            worse = Corrupted(view, seed, flip=level if flips else 0.0, noise=noise)
            with study.divided():
                codes = draw(study.model, worse, min(len(test.z), 2), device=study.device, decode=False)
        for factor in study.task:
            y = study.labels[factor.name].test
            nats = -log_prob(study.linear[factor.name].predict(codes.z), y).double()
            mean, se = mean_and_error(nats if nats.dim() == 1 else nats.mean(0))
            loss[factor.name].append(mean)
            error[factor.name].append(se)
    return {"kind": "flip" if flips else "gaussian", "levels": list(levels), "Dy": loss, "Dy_se": error}
