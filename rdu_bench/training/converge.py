"""Training until validation says that it is trained.

The learning rate is constant and the weights are averaged.  At looks, ever farther apart, the average is judged on the
validation split by D there, brought to the rate asked for along the frontier; training ends once the last gain worth
counting is older than a share of the steps, and the best average is what is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from .._hash import named_seed
from ..data import Dataset, GroundTruth, at_once
from ..model import Batch, Model, Terms
from ..nn.critics import Critic
from .control import Control
from .stack import Single, Stack

POWER = 8  # after t steps, step i weighs as i⁸ in the average: it is over about the last ninth
APART, FIRST = 0.1, 100  # a look is due each time that the steps have grown by this share, and not before so many
GAIN = 0.005  # less than this share of the spread of the examples' losses is no gain to wait for another of
MOST, ROWS, DRAWS = 2048, 1024, 8  # validation examples looked at, how many at once, and how often each at most


class Watch:
    """What validation says of a training of one or more cells, and the average weights that it liked best."""

    def __init__(self, runner: Single | Stack, batches: Sequence[Batch], sigma: Tensor, *, patience: float, warm: int):
        self.runner, self.batches, self.sigma, self.patience = runner, batches, sigma, patience
        self.weights = runner.weights()
        self.now = [weight.detach() for weight in self.weights]  # the same numbers, whatever becomes of them
        self.means = [weight.clone() for weight in self.now]
        self.kept = [weight.clone() for weight in self.means]
        self.critics = any(isinstance(module, Critic) for module in runner.model.modules())
        self.due, self.steps, self.warm = FIRST, 0, warm
        self.looks: list[tuple[int, Tensor]] = []  # steps, and the (cells,) loss of the average then
        self.best = torch.full_like(sigma, math.inf)  # (cells,) nats
        self.at = torch.zeros_like(sigma)  # (cells,) steps when it was
        self.gained, self.counted = self.at.clone(), self.best.clone()  # (cells,) steps of the last gain, loss then
        self.beta = torch.ones_like(sigma)  # (cells,) price then
        self.done = torch.zeros_like(sigma, dtype=torch.bool)

    @torch.no_grad()
    def add(self) -> None:
        """The weights as they are after one more step."""
        self.steps += 1
        share = (POWER + 1) / (self.steps + POWER)
        torch._foreach_lerp_(self.means, self.now, share)

    def look(self, beta: Tensor) -> bool:
        """Judge the average at the prices (cells,) of now; whether all cells are done.  Long before the end of warming
        up, where none can be, nothing is judged."""
        self.due = max(self.steps + 1, math.ceil(self.steps * (1 + APART)))
        if self.steps * 2 * (1 + APART) < self.warm:  # neither an end, nor what the later half of one is compared with
            return False
        loss, spread = self._loss(beta)
        self.looks.append((self.steps, loss))
        better = ~self.done & (loss < self.best) & (self.steps >= self.warm)
        self.best, self.beta = torch.where(better, loss, self.best), torch.where(better, beta, self.beta)
        self.at = torch.where(better, float(self.steps), self.at)
        gain = better & (self.counted - loss >= GAIN * spread)
        self.counted = torch.where(gain, loss, self.counted)
        self.gained = torch.where(gain, float(self.steps), self.gained)
        for kept, mean in zip(self.kept, self.means, strict=True):
            self.runner.copy(mean, kept, better)
        stale = self.steps - self.gained >= self.patience * self.steps
        self.done |= (stale & (self.steps >= self.warm)) | ~loss.isfinite()
        return bool(self.done.all())

    def keep(self) -> None:
        """Put the best average in the place of the weights; cells without any keep their own."""
        for weight, kept in zip(self.weights, self.kept, strict=True):
            self.runner.copy(kept, weight.data, self.best.isfinite())

    def judged(self, i: int, control: Control) -> Control:
        """`control` of cell i as its best average left it, with what the later half of the steps until then bought."""
        best, at = float(self.best[i]), int(self.at[i])
        if not at or control.status == "diverged":
            return control
        before = [float(loss[i]) for step, loss in self.looks if step <= at / 2]
        bought = before[-1] - best if before and math.isfinite(before[-1]) else None
        price = float(self.beta[i])
        return replace(control, price=price, kept_at=at, last_gain=bought, capped=not bool(self.done[i]))

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        swap = [(weight, weight.data) for weight in self.weights]
        for (weight, _), mean in zip(swap, self.means, strict=True):
            weight.data = mean
        try:
            yield
        finally:
            for weight, data in swap:
                weight.data = data

    @torch.no_grad()
    def _loss(self, beta: Tensor) -> tuple[Tensor, Tensor]:
        """(cells,) nats, with the same noise at every look, and the standard deviation of D over the examples."""
        cuda = [beta.device] if beta.device.type == "cuda" else []
        self.runner.model.eval()
        with self._averaged(), torch.random.fork_rng(devices=cuda):
            torch.manual_seed(named_seed("look"))
            each = [self.runner(batch) for batch in self.batches]
        self.runner.model.train()
        weights = torch.tensor([len(batch.x) for batch in self.batches], dtype=beta.dtype, device=beta.device)
        terms = Terms(*(_mean(parts, weights) for parts in zip(*each, strict=True)))
        apart = torch.cat([parts.distortion.flatten(1) for parts in each], 1).std(1, correction=0)
        return at_rate(terms, beta, self.sigma) + (0 if self.critics else terms.regularizer), apart


def at_rate(terms: Terms, beta: Tensor, sigma: Tensor) -> Tensor:
    """(cells,) D that a model has where its rate is σ, of its mean terms (cells,) and the slope β of its frontier.

    D + β(R − σ) is that to first order, and less than it by β(R − σ)²/σ where D falls by e with every σ/2 nats of
    rate; with it a model far from its rate is not taken for a good one.  A σ of NaN stands for the ELBO: D + R.
    """
    free = sigma.isnan()
    off = torch.where(free, terms.rate, terms.rate - sigma)
    bend = torch.where(free, 0.0, off / sigma)
    return terms.distortion + torch.where(free, 1.0, beta) * (off * (1 + bend) + terms.priced)


def validation(data: Dataset, model: Model, *, seed: int, device: str, part: str = "val") -> list[Batch]:
    """Examples of a split as training sees its own, each several times where there are few.

    As large a share of their labels is known as of those in training.  Groups in which one factor varies are drawn.
    """
    if model.row.batches == "one-factor" and isinstance(data, GroundTruth):
        drawn = data.one_factor(ROWS, MOST // ROWS, seed=named_seed("validation", seed), device=device, part=part)
        return [batch._replace(progress=torch.ones_like(batch.progress)) for batch in drawn]
    split = data.splits[part]
    n = min(len(split), MOST)
    unknown = torch.full((n,), -1)
    y = split.factors[data.label.name][:n].clone() if data.label else unknown
    if model.labelled is not None:
        y[round(n * model.labelled / len(data.splits["train"])) :] = -1
    s = split.factors[data.sensitive][:n] if data.sensitive else unknown
    seen = Batch(split.take(slice(n)), y, s, torch.ones(())).to(device)
    return [part for _ in range(min(DRAWS, max(1, MOST // n))) for part in seen.chunks(at_once(data.shape, ROWS))]


def _mean(parts: Sequence[Tensor], weights: Tensor) -> Tensor:
    """(cells,) of terms (cells, B) or (cells,) of several batches."""
    each = torch.stack([part.flatten(1).mean(1) if part.dim() > 1 else part for part in parts], -1)
    return (each * (weights / weights.sum()).to(each)).sum(-1)
