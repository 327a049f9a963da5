"""Control of the rate: what steers R to σ during training, and what became of it afterwards.

Derivation, gains and tolerances are those of a clamped primal-dual method: max over |β| ≤ w of β(R − σ) is
w|R − σ|, so dual ascent on a clamped β optimises the absolute value itself, with smooth gradients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..model import Batch, Model
from ..records.laws import tolerance

FLOOR = 1e-4  # the smallest β; where it is reached, no more rate helps
FARTHEST = 0.3  # the largest relative error of the rate that a correction of β acts upon


class RateTarget:
    """The multiplier β ∈ [1e-4, w] of the rate, one a cell, that a PI rule on log β steers until R = σ.

    At rest R = σ and β = −dD/dR, the slope of the frontier there.  A σ of NaN stands for w = 1 below its reach,
    which is the ELBO: β ≡ 1.  β < 0, paying the sender to say more, is left out: such a σ is unreachable.
    """

    def __init__(
        self, sigma: Tensor, *, w: float = 100.0, kp: float = 1.0, ki: float = 0.02, log_beta: Tensor | None = None
    ):
        self.free = sigma.isnan()
        self.sigma, self.w, self.kp, self.ki = torch.where(self.free, 1.0, sigma), w, kp, ki
        self.ends = math.log(FLOOR), math.log(w)
        self.log_beta = torch.zeros_like(sigma) if log_beta is None else log_beta.clone()

    def __call__(self, rate: Tensor) -> Tensor:
        """(cells,) mean rate of this batch → (cells,) β, without gradient."""
        error = (rate.detach() / self.sigma).sub_(1).clamp_(-1, 1).masked_fill_(self.free, 0.0)
        self.log_beta = (self.log_beta + self.ki * error).clamp_(*self.ends)
        return (self.log_beta + self.kp * error).exp_().clamp_(max=self.w)


@dataclass(frozen=True)
class Control:
    """What became of one rate target."""

    sigma: float | None  # nats; None is the ELBO, the w = 1 solution for every σ below its rate
    w: float
    price: float | None = None  # β of a nat of rate where training stopped; None where σ needed none
    beta_end: float | None = None  # slope −dD/dR there: the price, and what the model's own terms charge for a nat
    R_train: float = math.nan  # nats, mean over the training set, as if unlabelled
    rate_err: float | None = None  # R_train/σ − 1
    literal_ok: bool | None = None  # whether this is also the solution of D + |σ − R|
    steps: int = 0  # trained
    kept_at: int | None = None  # of them, when validation liked the weights best; None: the last ones are kept
    last_gain: float | None = None  # nats of validation loss that the later half of those bought
    capped: bool | None = None  # whether there were no more steps while validation still gained
    strategy: str = ""
    status: str = "ok"  # ok, rate_missed, unreachable, collapsed or diverged
    reason: str | None = None

    def corrected(self) -> Control:
        """With the price moved by what R_train misses, which batches cannot tell as well, for what is trained on."""
        if self.price is None or self.rate_err is None:
            return self
        error = min(max(self.rate_err, -FARTHEST), FARTHEST)
        return replace(self, price=self.price * math.exp(error))

    def judged(self, rate: float, limit: str = "") -> Control:
        """With the rate on the training set in nats, and what to call it; `limit` is a reason known before.

        A point that diverged stays so.
        """
        if self.status == "diverged":
            return self
        if not math.isfinite(rate):
            return replace(self, status="diverged", reason="the rate on the training set is not finite")
        if self.sigma is None:
            return replace(self, R_train=rate)
        status, reason = verdict(rate, self.sigma, self.price, self.w)
        if status != "ok" and limit:
            status, reason = "unreachable", f"{limit}: R = {rate:.2f} nats"
        return replace(self, R_train=rate, rate_err=rate / self.sigma - 1, status=status, reason=reason)


def own_price(model: Model, batch: Batch, price: float) -> float:
    """What the model's own terms charge for a nat of rate, whichever block it is in; negative where they pay for it.

    `price` is that of R itself, and so of what is `priced`.  Where blocks are charged differently it is what they have
    in common: 0 where one of them is free.
    """
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        sent = model.encode(batch)
        code = {name: block._replace(rate=block.rate.detach().requires_grad_()) for name, block in sent.items()}
        rates = [block.rate for block in code.values()]
        loss = model.regularizer(batch, code) + price * model.priced(batch, code)
        if not loss.requires_grad:
            return 0.0
        slopes = torch.autograd.grad(loss, rates, allow_unused=True)
    each = [0.0 if slope is None else float(slope.sum()) for slope in slopes]
    return max(min(each), 0.0) + min(max(each), 0.0)


def verdict(rate: float, sigma: float, beta: float | None, w: float) -> tuple[str, str | None]:
    """Status and reason of a point that reached `rate` nats when `sigma` were asked, with β at `beta` in the end."""
    error, most = rate / sigma - 1, tolerance(sigma)
    if abs(error) <= most:
        return "ok", None
    if beta is not None and beta <= FLOOR * 1.01 and error < 0:
        return "unreachable", f"more rate does not lower the loss: R = {rate:.2f} nats at β = {beta:.0e}"
    if beta is not None and beta >= w * 0.99 and error > 0:
        return "unreachable", f"the slope of the frontier exceeds w = {w:g}: R = {rate:.2f} nats"
    if error < -0.95:
        return "collapsed", f"R = {rate:.2f} nats, under 5 % of σ = {sigma:g}"
    return "rate_missed", f"R = {rate:.2f} nats is {error:+.1%} off σ = {sigma:g} (tolerance {most:.0%})"


def check_target(sigma: float | None) -> None:
    """Raises `ValueError` for a σ that is neither None nor a positive finite number of nats."""
    if sigma is not None and not 0 < sigma < math.inf:
        raise ValueError(f"σ = {sigma}: a rate target is a positive number of nats, or None for the ELBO")
