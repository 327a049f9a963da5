"""How far two panels order the same models alike: Kendall's τ-b with an interval, for several seeds and for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from .intervals import Interval, difference, interval, over_points

LEVEL = 0.95
K = TypeVar("K")
Scores = Mapping[K, Mapping[int, ArrayLike]]  # of each model by seed, (F,), higher is better


class Agreement(NamedTuple):
    """Kendall's τ-b between two orders of the same models, with its 95 % interval."""

    tau: float
    low: float
    high: float
    over: str  # what the interval is over: "seeds", "test points", or "" where there is none
    seeds: int
    models: int
    between: float  # mean τ-b between two seeds of the first panel


def agreement(one: Scores[K], other: Scores[K]) -> Agreement:
    """How far two panels order their models alike: the models that both have, in the seeds that all of these have.

    With several seeds τ is the mean of one τ a paired seed, and the interval is Student's t over seeds, clipped to
    [−1, 1].  τ moves in steps of h = 2 / (number of pairs), so that seeds that agree exactly do not say that it never
    moves: its variance over seeds is taken to be h² / 12 at least, as that of any number rounded to h.  The interval is
    for the test points that are there, and for orders of single seeds, which chance alone keeps from agreeing: how much
    chance does is `between`.

    With one seed there is no interval over seeds.  The one given is over test points, for the models as they were
    trained.  A pair counts as ordered alike, or not, where the jackknife over parts of the test points tells its order
    on both panels, and may be either otherwise; low and high are τ with all of these against and for agreement.  All
    pairs are told together, on both panels, at 95 % (Bonferroni, an order being wrong on one side only), so it covers
    at least as often.
    A jackknife of τ itself, a step function of the scores, covers .85 to .99 where the truth is known, and is as wide.
    """
    rows = [row for row in one if row in other and one[row].keys() & other[row].keys()]
    seeds = sorted(set.intersection(*({*one[row]} & {*other[row]} for row in rows))) if rows else []
    if len(rows) < 2 or not seeds:
        return Agreement(np.nan, np.nan, np.nan, "", len(seeds), len(rows), np.nan)
    orders, others = (np.array([[np.ravel(p[row][s])[0] for row in rows] for s in seeds]) for p in (one, other))
    taus = [_tau(a, b) for a, b in zip(orders, others, strict=True)]
    pairs = list(combinations(rows, 2))
    if len(seeds) > 1:
        tau, low, high, _ = over_seeds(taus, 2 / len(pairs))
        between = float(np.mean([_tau(a, b) for a, b in combinations(orders, 2)]))
    else:
        tau, between = taus[0], np.nan
        low, high = _over_points(one, other, pairs, seeds[0])
        low, high = min(low, tau), max(high, tau)  # which rounding alone may have left outside
    over = "" if np.isnan(low) else "seeds" if len(seeds) > 1 else "test points"
    return Agreement(tau, low, high, over, len(seeds), len(rows), between)


def _tau(a: np.ndarray, b: np.ndarray) -> float:
    """Kendall's τ-b, NaN where all of one order are tied."""
    return float(stats.kendalltau(a, b, variant="b").statistic)


def over_seeds(taus: Sequence[float], step: float) -> Interval:
    """The mean of τ over seeds with a 95 % t interval in [−1, 1], no narrower than for numbers rounded to `step`."""
    found = interval(taus, LEVEL)
    if found.n < 2:
        return found
    least = float(stats.t.ppf((1 + LEVEL) / 2, found.n - 1)) * step / np.sqrt(12 * found.n)
    half = max(found.high - found.mean, least)
    return Interval(found.mean, max(found.mean - half, -1.0), min(found.mean + half, 1.0), found.n)


def _over_points(one: Scores[K], other: Scores[K], pairs: Sequence[tuple[K, K]], seed: int) -> tuple[float, float]:
    """The least and the highest τ that test points leave open; NaN where scores have no parts."""
    level = 1 - (1 - LEVEL) / len(pairs)  # two panels for each pair; a wrong order lies beyond one end of an interval
    found = [[over_points(difference(p[a][seed], p[b][seed]), level) for p in (one, other)] for a, b in pairs]
    if not np.isfinite([[i.low for i in both] for both in found]).all():
        return np.nan, np.nan
    alike = [a.sign * b.sign for a, b in found]
    return (sum(alike) - alike.count(0)) / len(pairs), (sum(alike) + alike.count(0)) / len(pairs)
