"""Lower convex hulls of (rate, loss) points, and how far apart two of them lie.

A loss is D or D_y; both axes are nats.  The hull is what is achievable: a sender who tosses a coin that the
receiver also sees can use two codes in turn and so reach every point of the segment between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

ENOUGH = 0.3  # of the other's range must be common, else a mean over it says little about what was measured
CAP = 1.25  # times the other's highest rate: what a loss costs that is not reached, or only at a higher rate


class Hull(NamedTuple):
    """The falling part of a lower convex hull; R rises and D falls strictly from vertex to vertex."""

    R: np.ndarray  # (V,) nats
    D: np.ndarray  # (V,) nats
    reach: float  # nats, the highest rate measured; from the last vertex to here the hull is flat

    def at(self, R: np.ndarray) -> np.ndarray:
        """Loss (…,) nats reachable at rate R by time sharing; infinite left of the first vertex."""
        return np.interp(R, self.R, self.D, left=np.inf)


class Gap(NamedTuple):
    """How one hull lies relative to another; negative is better.  NaN where the two hardly overlap."""

    nats: float  # mean difference in rate at equal loss, nats
    loss: float  # mean difference in loss at equal rate, nats
    percent: float  # the first as a percentage of the other's mean rate
    overlap: float  # common part of the two ranges of loss, as a fraction of the other's


def vertices(R: Sequence[float] | np.ndarray, D: Sequence[float] | np.ndarray) -> list[int]:
    """Indices of the points on the falling part of the lower convex hull, by rate (Andrew's monotone chain)."""
    R, D = np.asarray(R, float), np.asarray(D, float)
    if not len(R):
        return []
    slack = 1e-12 * max(float(np.ptp(R)) * float(np.ptp(D)), 1e-300)
    order = np.lexsort((D, R))
    chain: list[int] = []
    for i in order:
        if chain and D[i] >= D[chain[-1]] - 1e-12 * (abs(D[i]) + 1):
            continue  # costs more and buys nothing
        if chain and R[i] - R[chain[-1]] <= 1e-12 * (abs(R[i]) + 1):
            chain.pop()
        while len(chain) > 1:
            a, b = chain[-2:]
            if (R[b] - R[a]) * (D[i] - D[a]) - (D[b] - D[a]) * (R[i] - R[a]) > slack:
                break
            chain.pop()
        chain.append(int(i))
    return chain


def hull(R: Sequence[float] | np.ndarray, D: Sequence[float] | np.ndarray) -> Hull:
    """The hull of points (R, D), nats; rates below 0, which are Monte Carlo noise, count as 0."""
    rates, losses = np.maximum(np.asarray(R, float), 0.0), np.asarray(D, float)
    if not len(rates):
        raise ValueError("a hull needs at least one point; add the null point (0, D_null).")
    on = vertices(rates, losses)
    return Hull(rates[on], losses[on], float(rates.max()))


def gap(a: Hull, b: Hull) -> Gap:
    """Bjøntegaard differences of hull `a` from hull `b`, along the straight segments that time sharing achieves.

    Rates are compared over all losses of `b`, and capped at `CAP` times its highest: a loss that `a` does not reach
    costs that much.  Since neither range nor cap depends on `a`, and a hull only falls when a point is added, no point
    more makes a curve worse, and none that is left out makes it better.  Losses are compared over all rates of `b`.

    `percent` compares mean rates rather than the mean of log rates, which the null point (R = 0) would make
    infinite; a curve 1.1 times as expensive everywhere reads +10 % in both.
    """
    nan = float("nan")
    low, high = b.D[-1], b.D[0]
    overlap = max(float((min(a.D[0], high) - max(a.D[-1], low)) / (high - low)), 0.0) if high > low else 0.0
    nats = percent = nan
    if overlap >= ENOUGH:
        cap = CAP * b.reach
        costs = [_mean_rate(h, low, high, cap) for h in (a, b)]
        nats = costs[0] - costs[1]
        percent = 100 * nats / costs[1] if costs[1] > 0 else nan
    return Gap(nats, _mean_loss_difference(a, b), percent, overlap)


def _mean_rate(h: Hull, low: float, high: float, cap: float) -> float:
    """Mean over losses in [low, high] of the least rate that reaches them, at most `cap`, nats."""
    falling = h.R[::-1], h.D[::-1]  # by rising loss
    reached = float(np.interp(cap, h.R, h.D)) if h.R[-1] > cap else float(h.D[-1])
    start = min(max(reached, low), high) if h.R[0] <= cap else high
    grid = np.unique(np.clip(np.concatenate([[start, high], h.D]), start, high))
    cost = np.interp(grid, falling[1], falling[0])
    whole = float(np.diff(grid) @ (cost[1:] + cost[:-1])) / 2 + cap * (start - low)
    return whole / (high - low)


def _mean_loss_difference(a: Hull, b: Hull) -> float:
    left, right = max(a.R[0], b.R[0]), b.reach
    if b.reach <= b.R[0] or (min(a.reach, right) - left) / (b.reach - b.R[0]) < ENOUGH:
        return float("nan")
    return (_integral(a, left, right) - _integral(b, left, right)) / (right - left)


def _integral(h: Hull, left: float, right: float) -> float:
    """∫ D(R) dR over [left, right]: straight between vertices, flat from the last one on."""
    grid = np.unique(np.clip(np.concatenate([[left, right], h.R]), left, right))
    loss = h.at(grid)
    return float(np.diff(grid) @ (loss[1:] + loss[:-1])) / 2


def area(h: Hull, R_ref: float, D_ref: float) -> float:
    """Mean of (D_ref − D(R))₊ over 0 ≤ R ≤ R_ref, nats: what the hull dominates of the corner (R_ref, D_ref).

    Needs no overlap with another curve.  Segments are straight, because that is what is achievable.
    """
    if R_ref <= 0:
        return float("nan")
    ends = h.R[(h.R > 0) & (R_ref > h.R)]
    level = np.flatnonzero((h.D[:-1] - D_ref) * (h.D[1:] - D_ref) < 0)  # segments that cross D_ref
    slopes = (h.R[level + 1] - h.R[level]) / (h.D[level + 1] - h.D[level])
    crossings = h.R[level] + (D_ref - h.D[level]) * slopes
    start = min(max(float(h.R[0]), 0.0), R_ref)
    grid = np.unique(np.clip(np.concatenate([[start, R_ref], ends, crossings]), start, R_ref))
    above = np.maximum(D_ref - h.at(grid), 0)
    return float(np.diff(grid) @ (above[1:] + above[:-1])) / (2 * R_ref)
