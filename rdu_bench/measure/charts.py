"""Coordinates of draws in which Gaussians, mixtures and histograms are densities by the measure of the space of q.

With u the coordinates of z, log m(z) = log m(u) + log |du/dz|: a positive draw has its logarithm, one of the unit
interval its log-odds, a simplex the log-ratios to its last part, a sphere its stereographic projection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .spaces import Space

LEAST = 1e-37  # of a positive number, before its logarithm
WIDEST = 1000  # whole numbers that have a symbol of their own
SINGULAR = 1e-12  # least eigenvalue of a correlation matrix, below which draws fill fewer dimensions
REPEATED = 0.5  # share of draws that are all different, below which there are atoms


class Placed(NamedTuple):
    """Draws in coordinates."""

    real: Tensor  # (S, N, c) float64, c may be 0
    symbols: Tensor  # (S, N, P) int64, P may be 0
    sizes: tuple[int, ...]  # (P,) alphabets
    volume: Tensor  # (S, N) log |du/dz|, and of whole numbers beyond the last symbol what these cost


Chart = Callable[[Tensor], Placed]  # draws (S, N, …) of one block → their coordinates


def chart(space: Space, train: Tensor) -> Chart:
    """For draws (S, N, …) of a space that is known, fitted to those of training examples."""
    if space == "one-hot":
        return _symbols
    if space == "integers":
        return _integers(train)
    if space == "sphere":
        return _sphere(train)
    return {"real": _real, "positive": _positive, "interval": _interval, "simplex": _simplex}[space]


def together(parts: Sequence[Placed]) -> Placed:
    """Several blocks as one."""
    return Placed(
        torch.cat([part.real for part in parts], -1),
        torch.cat([part.symbols for part in parts], -1),
        tuple(size for part in parts for size in part.sizes),
        torch.stack([part.volume for part in parts]).sum(0),
    )


def fewer_dimensions(placed: Placed) -> bool:
    """Whether the draws lie on a flat set of fewer dimensions than they have coordinates."""
    u = placed.real.flatten(0, 1)
    if u.shape[1] > 1:
        u = u[:, u.std(0) > 0]
    if u.shape[1] < 2 or len(u) <= u.shape[1]:
        return False
    return bool(torch.linalg.eigvalsh(torch.corrcoef(u.T))[0] < SINGULAR)


def atoms(placed: Placed) -> bool:
    """Whether some coordinate takes the same values again and again, as no draw from a density does."""
    u = placed.real.flatten(0, 1)
    return any(len(column.unique()) < REPEATED * len(u) for column in u.T)


def _only_real(u: Tensor, volume: Tensor) -> Placed:
    return Placed(u, torch.zeros(*u.shape[:2], 0, dtype=torch.int64), (), volume)


def _real(z: Tensor) -> Placed:
    u = z.flatten(2).double()
    return _only_real(u, u.new_zeros(u.shape[:2]))


def _positive(z: Tensor) -> Placed:
    u = z.flatten(2).double().clamp(min=LEAST).log()
    return _only_real(u, -u.sum(-1))


def _interval(z: Tensor) -> Placed:
    p = z.flatten(2).double().clamp(LEAST, 1 - 2**-25)
    return _only_real(p.logit(), -(p.log() + torch.log1p(-p)).sum(-1))


def _simplex(z: Tensor) -> Placed:
    log_p = z.double().clamp(min=LEAST).log()
    u = log_p[..., :-1] - log_p[..., -1:]
    return _only_real(u.flatten(2), -log_p.flatten(2).sum(-1))


def _sphere(train: Tensor) -> Chart:
    """From the point opposite to the mean, so that what is drawn most lies near 0: |u| = tan of half the angle."""
    mean = train.double().reshape(-1, *train.shape[2:]).mean(0).reshape(-1, train.shape[-1])  # (P, d)
    d = mean.shape[1]
    bases = [torch.linalg.qr(torch.cat([m[:, None], torch.eye(d, dtype=m.dtype)], 1)).Q for m in mean]
    base = torch.stack([q * torch.where(q[:, 0] @ m < 0, -1.0, 1.0) for q, m in zip(bases, mean, strict=True)])

    def place(z: Tensor) -> Placed:
        t = torch.einsum("snpd,pde->snpe", z.double().reshape(*z.shape[:2], -1, d), base)
        near = (1 + t[..., :1]).clamp(min=1e-9)
        return _only_real((t[..., 1:] / near).flatten(2), -(d - 1) * near.log().flatten(2).sum(-1))

    return place


def _symbols(hot: Tensor) -> Placed:
    symbols = hot.reshape(*hot.shape[:2], -1, hot.shape[-1]).argmax(-1)
    nothing = torch.zeros(symbols.shape[:2], dtype=torch.float64)
    return Placed(nothing[..., None][..., :0], symbols, (hot.shape[-1],) * symbols.shape[-1], nothing)


def _integers(train: Tensor) -> Chart:
    """A symbol for every whole number near the median, and one for all others, which pay a geometric tail on top."""
    seen = train.flatten(2).flatten(0, 1).long()  # (n, k)
    low, high = seen.amin(0), seen.amax(0)
    low = torch.maximum(low, seen.median(0).values - WIDEST // 2)
    high = torch.minimum(high, low + WIDEST - 1)
    sizes = tuple((high - low + 2).tolist())
    mean_tail = 2 + seen.double().std(0, correction=0)  # how far out the tails reach on average

    def place(z: Tensor) -> Placed:
        k = z.flatten(2).long()
        out = torch.where(k > high, k - high - 1, low - 1 - k).clamp(min=0)
        tail = -math.log(2) - mean_tail.log() + out * torch.log1p(-1 / mean_tail)
        outside = (k < low) | (k > high)
        symbols = torch.where(outside, high - low + 1, k - low)
        return Placed(k[..., :0].double(), symbols, sizes, torch.where(outside, tail, 0.0).sum(-1))

    return place
