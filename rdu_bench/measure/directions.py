"""Densities by area of unit spheres: uniform, von Mises–Fisher, and mixtures of the latter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.special import gammaln, ive
from torch import Tensor

from .charts import Placed

ROUNDS = 100  # of EM
SHARPEST = 1e5  # κ, that no component may collapse on a draw
BLUNTEST = 1e-3


def directional(train: Placed, d: int, mixtures: Sequence[int], seed: int) -> dict[str, Callable[[Placed], Tensor]]:
    """Over spheres in d dimensions, each by itself: uniform, and mixtures of one and of the given numbers."""
    places = train.real.shape[-1] // (d - 1)
    uniform = -places * log_area(d)
    found: dict[str, Callable[[Placed], Tensor]] = {"uniform": lambda placed: torch.full_like(placed.volume, uniform)}
    z = _directions(train, d).flatten(0, 1)  # (n, P, d)
    for k in (1, *mixtures):
        if len(z) < 10 * k:
            continue
        parts = [_em(z[:, i], k, seed) for i in range(places)]
        if all(bool(part(z[:1, i]).isfinite().all()) for i, part in enumerate(parts)):
            found["von Mises–Fisher" if k == 1 else f"von Mises–Fisher-{k}"] = _product(parts, d)
    return found


def log_area(d: int) -> float:
    """Of the unit sphere in d dimensions."""
    return math.log(2) + d / 2 * math.log(math.pi) - float(gammaln(d / 2))


def log_constant(sharp: Tensor, d: int) -> Tensor:
    """log C(κ) of C(κ) exp(κ cos); not finite where κ is too near 0 for its Bessel function."""
    order = d / 2 - 1
    with np.errstate(divide="ignore"):
        bessel = torch.from_numpy(np.log(ive(order, sharp.numpy()))) + sharp
    return order * sharp.log() - d / 2 * math.log(2 * math.pi) - bessel


def _directions(placed: Placed, d: int) -> Tensor:
    """(S, N, P, d) unit vectors, turned so that the first coordinate is that of the chart's middle."""
    u = placed.real.unflatten(-1, (-1, d - 1))
    square = u.square().sum(-1, keepdim=True)
    return torch.cat([(1 - square) / (1 + square), 2 * u / (1 + square)], -1)


def _em(z: Tensor, k: int, seed: int) -> Callable[[Tensor], Tensor]:
    """Log-density of a mixture of k, fitted to z (n, d), at (…, d); κ by Banerjee et al. 2005 (JMLR 6)."""
    n, d = z.shape
    generator = torch.Generator().manual_seed(seed % 2**62)
    axis = z[torch.randperm(n, generator=generator)[:k]]
    sharp, log_w = torch.full((k,), 5.0 * d, dtype=z.dtype), torch.full((k,), -math.log(k), dtype=z.dtype)

    def each(at: Tensor) -> Tensor:
        return log_w + log_constant(sharp, d) + sharp * (at @ axis.T)

    for _ in range(ROUNDS):
        mine = each(z).softmax(-1)
        mass = mine.sum(0).clamp(min=1e-9)
        sums = mine.T @ z
        length = sums.norm(dim=-1)
        mean = (length / mass).clamp(max=1 - 1e-9)
        axis, log_w = sums / length[:, None].clamp(min=1e-30), (mass / mass.sum()).log()
        sharp = (mean * (d - mean.square()) / (1 - mean.square())).clamp(BLUNTEST, SHARPEST)
    return lambda at: each(at).logsumexp(-1)


def _product(parts: Sequence[Callable[[Tensor], Tensor]], d: int) -> Callable[[Placed], Tensor]:
    def log_density(placed: Placed) -> Tensor:
        z = _directions(placed, d)
        return torch.stack([part(z[..., i, :]) for i, part in enumerate(parts)]).sum(0)

    return log_density
