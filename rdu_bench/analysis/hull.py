"""Lower convex hulls of (rate, loss) points, and how far apart two of them lie.

A loss is D or D_y; both axes are nats.  The hull is what is achievable: a sender who tosses a coin that the
receiver also sees can use two codes in turn and so reach every point of the segment between them.

All arrays may have a leading axis of folds, (F, …): the curve itself first, then the same curve without one part of the
test points after the other.  Every number that is made of them has that axis too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

ENOUGH = 0.3  # of the other's range must be common, else a mean over it says little about what was measured
CAP = 1.25  # times the other's highest rate: what a loss costs that is not reached, or only at a higher rate


class Hull(NamedTuple):
    """The falling part of a lower convex hull; R rises and D falls strictly from vertex to vertex.

    In folds the vertices are those of the whole curve, so that what they do to a number is smooth.
    """

    R: np.ndarray  # (…, V) nats
    D: np.ndarray  # (…, V) nats
    reach: np.ndarray  # (…) nats, the highest rate measured; from the last vertex to here the hull is flat


class Gap(NamedTuple):
    """How one hull lies relative to another; negative is better.  NaN where the two hardly overlap.  Each (…)."""

    nats: np.ndarray  # mean difference in rate at equal loss, nats
    loss: np.ndarray  # mean difference in loss at equal rate, nats
    percent: np.ndarray  # the first as a percentage of the other's mean rate
    overlap: np.ndarray  # common part of the two ranges of loss, as a fraction of the other's


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


def hull(R: ArrayLike, D: ArrayLike) -> Hull:
    """The hull of points (…, P), nats; rates below 0, which are Monte Carlo noise, count as 0.

    Raises `ValueError` where there is no point.
    """
    rates, losses = np.maximum(np.asarray(R, float), 0.0), np.asarray(D, float)
    if not rates.size:
        raise ValueError("a hull needs at least one point; add the null point (0, D_null).")
    first = rates.reshape(-1, rates.shape[-1])[0]
    on = vertices(first, losses.reshape(-1, losses.shape[-1])[0])
    return Hull(rates[..., on], losses[..., on], rates[..., first.argmax()])


def first_folds(h: Hull, folds: int) -> Hull:
    """A hull (F, V) with its first `folds` folds."""
    return Hull(h.R[:folds], h.D[:folds], h.reach[:folds])


def gap(a: Hull, b: Hull) -> Gap:
    """Bjøntegaard differences of hull `a` from hull `b`, along the straight segments that time sharing achieves.

    Rates are compared over all losses of `b`, and capped at `CAP` times its highest: a loss that `a` does not reach
    costs that much.  Since neither range nor cap depends on `a`, and a hull only falls when a point is added, no point
    more makes a curve worse, and none that is left out makes it better.  Losses are compared over all rates of `b`.

    `percent` compares mean rates rather than the mean of log rates, which the null point (R = 0) would make
    infinite; a curve 1.1 times as expensive everywhere reads +10 % in both.
    """
    low, high, cap = b.D[..., -1], b.D[..., 0], CAP * b.reach
    common = np.minimum(a.D[..., 0], high) - np.maximum(a.D[..., -1], low)
    overlap = np.maximum(_ratio(common, high - low), 0.0)
    overlap = np.where(high > low, overlap, 0.0)
    mine, its = (_mean_rate(h, low, high, cap) for h in (a, b))
    enough = overlap.flat[0] >= ENOUGH
    nats = mine - its if enough else np.full_like(mine, np.nan)
    return Gap(nats, _mean_loss_difference(a, b), 100 * _ratio(nats, its), overlap)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where the whole is not positive."""
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=np.asarray(whole) > 0)


def _at(x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Value (…) at q (…) of straight segments through (x, y), (…, V), x rising; flat beyond both ends."""
    gone = np.clip(q[..., None], x[..., :-1], x[..., 1:]) - x[..., :-1]
    found: np.ndarray = y[..., 0] + (_slopes(x, y) * gone).sum(-1)
    return found


def _slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    run = np.diff(x)
    return np.divide(np.diff(y), run, out=np.zeros_like(run), where=run != 0)


def _integral(x: np.ndarray, y: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """∫ y dx over [left, right], (…), of the same segments."""
    ends = np.clip(x, left[..., None], right[..., None])
    start, stop = ends[..., :-1], ends[..., 1:]
    middle = y[..., :-1] + _slopes(x, y) * ((start + stop) / 2 - x[..., :-1])
    inside = (middle * (stop - start)).sum(-1)
    total: np.ndarray = inside + y[..., 0] * (ends[..., 0] - left) + y[..., -1] * (right - ends[..., -1])
    return total


def _mean_rate(h: Hull, low: np.ndarray, high: np.ndarray, cap: np.ndarray) -> np.ndarray:
    """Mean over losses in [low, high] of the least rate that reaches them, at most `cap`, nats."""
    reached = np.where(h.R[..., 0] <= cap, np.clip(_at(h.R, h.D, cap), low, high), high)
    cost = _integral(h.D[..., ::-1], h.R[..., ::-1], reached, high)  # by rising loss
    return _ratio(cost + cap * (reached - low), high - low)


def _mean_loss_difference(a: Hull, b: Hull) -> np.ndarray:
    left, right = np.maximum(a.R[..., 0], b.R[..., 0]), b.reach
    common = _ratio(np.minimum(a.reach, right) - left, right - b.R[..., 0])
    lost = _integral(a.R, a.D, left, right) - _integral(b.R, b.D, left, right)
    return _ratio(lost, right - left) if common.flat[0] >= ENOUGH else np.full_like(lost, np.nan)


def area(h: Hull, R_ref: float, D_ref: ArrayLike) -> np.ndarray:
    """Mean of (D_ref − D(R))₊ over 0 ≤ R ≤ R_ref, nats, (…): what the hull dominates of the corner (R_ref, D_ref).

    Needs no overlap with another curve.  Segments are straight, because that is what is achievable.
    """
    level = np.broadcast_to(np.asarray(D_ref, float), h.reach.shape)
    if R_ref <= 0:
        return np.full(level.shape, np.nan)
    end = np.full(level.shape, R_ref)
    start = np.clip(_at(h.D[..., ::-1], h.R[..., ::-1], level), 0.0, end)  # where D falls below D_ref
    return np.maximum(level * (end - start) - _integral(h.R, h.D, start, end), 0.0) / R_ref


def mean_over_rates(R: np.ndarray, loss: np.ndarray, R_ref: float) -> np.ndarray:
    """Mean over 0 ≤ R ≤ R_ref of straight segments through (R, loss), (…, V), R rising, flat beyond both ends, nats."""
    if R_ref <= 0:
        return np.full(R.shape[:-1], np.nan)
    end = np.full(R.shape[:-1], R_ref)
    return _integral(R, loss, np.zeros_like(end), end) / R_ref
