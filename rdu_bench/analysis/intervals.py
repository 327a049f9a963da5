"""Intervals over seeds and test points, and ranks that admit when two models cannot be told apart.

A number of one seed is (F,): the number itself first, then what it would be without one part of the test points after
the other, which tells how much it owes to which they are.  F = 1 where a record does not say.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

if TYPE_CHECKING:
    import pandas as pd
    from pandas.api.typing import DataFrameGroupBy

K = TypeVar("K", bound=Hashable)


class Interval(NamedTuple):
    """A mean over n seeds with its 95 % interval; `low` and `high` are NaN where there is none."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def holds_zero(self) -> bool:
        """Whether 0 lies in the interval."""
        return bool(self.low <= 0 <= self.high)

    @property
    def sign(self) -> int:
        """1 or −1 where the interval is above or below 0; 0 where it holds 0 or there is none."""
        return int(self.low > 0) - int(self.high < 0)


class Spread(NamedTuple):
    """The variance of a mean over seeds: what seeds make of it and what test points do, each with its freedom."""

    seeds: float
    freedom: int
    points: float = 0.0
    parts: int = 0

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return float(np.sqrt(self.seeds + self.points))

    def half(self, level: float) -> float:
        """Half the width of a t interval, by Cochran and Cox: t is the mean of both parts' t, weighed by variance.

        Exact where one part is all there is; Satterthwaite's degrees of freedom cover .88 with two seeds.
        """
        if self.parts < 2 or not self.error > 0:
            return float(stats.t.ppf((1 + level) / 2, max(self.freedom, 1))) * self.error
        t = stats.t.ppf((1 + level) / 2, [self.freedom, self.parts - 1])
        return float(t @ [self.seeds, self.points]) / self.error


def spread(by_seed: Sequence[ArrayLike]) -> Spread:
    """Of the mean over S ≥ 2 seeds of numbers (F,): s² / S over seeds, plus the jackknife over parts of test points.

    Test points are the same for all seeds, so their share does not shrink with S: it is J of the mean over seeds, with
    J = (G − 1) / G Σ_g (m_g − m̄)² where m_g leaves out part g of G.  The interaction is in both; by what J of single
    seeds has more, on average, it is counted once.  With one seed there is no error: NaN.
    """
    values = [np.atleast_1d(np.asarray(v, float)) for v in by_seed]
    first = np.array([v[0] for v in values])
    S, G = len(values), len(values[0]) - 1
    seeds = float(first.var(ddof=1) / S) if S > 1 else np.nan
    if G < 2 or S < 2 or any(len(v) != G + 1 or not np.isfinite(v).all() for v in values):
        return Spread(seeds, S - 1)
    without = np.array([v[1:] for v in values])  # (S, G)
    mean, each = (G - 1) * without.mean(0).var(), (G - 1) * without.var(1).mean()
    return Spread(seeds, S - 1, max(float(mean - (each - mean) / (S - 1)), 0.0), G)


def errors(groups: DataFrameGroupBy, column: str) -> pd.Series:
    """Standard error of the mean of a column over the seeds of each group: √(s² / S + e²), e over test points.

    As `spread`, for numbers of which no parts are known, only the error of each seed over test points, `<column>_se`.
    Test points are the same for all seeds, so that e is the mean of these.  It is e with one seed, and over seeds alone
    where no error is known: NaN with one.
    """
    seeds = groups[column].var(ddof=1) / groups[column].count().clip(lower=1)
    if f"{column}_se" not in groups.obj.columns:
        return seeds**0.5
    points = groups[f"{column}_se"].mean()
    return ((seeds + points.fillna(0) ** 2) ** 0.5).fillna(points)


def interval(by_seed: Sequence[ArrayLike], level: float = 0.95) -> Interval:
    """The mean over seeds of numbers (F,), and its interval over seeds and test points together.

    Student's t: the percentile bootstrap over 3 to 10 seeds covers .80 to .89 where it claims .95.  Seeds of which the
    number is NaN are left out and not counted.
    """
    values = [v for v in (np.atleast_1d(np.asarray(v, float)) for v in by_seed) if np.isfinite(v[0])]
    if not values:
        return Interval(np.nan, np.nan, np.nan, 0)
    mean = float(np.mean([v[0] for v in values]))
    half = spread(values).half(level)
    return Interval(mean, mean - half, mean + half, len(values))


def over_points(value: ArrayLike, level: float = 0.95) -> Interval:
    """The number (F,) of one seed with its interval over test points, NaN where F < 3.

    Student's t by the jackknife over parts of the test points, (G − 1) / G Σ_g (v_g − v̄)².  It holds for the models
    as they were trained and says nothing of another training.
    """
    found = np.atleast_1d(np.asarray(value, float))
    without, G = found[1:], len(found) - 1
    error = float(np.sqrt((G - 1) * without.var())) if G > 1 else np.nan
    half = float(stats.t.ppf((1 + level) / 2, max(G - 1, 1))) * error
    return Interval(float(found[0]), float(found[0]) - half, float(found[0]) + half, 1)


def paired(a: Mapping[int, ArrayLike], b: Mapping[int, ArrayLike], level: float = 0.95) -> Interval:
    """a − b over the seeds in which both have a number: their `interval`, or `over_points` where that is one seed."""
    each = [difference(a[seed], b[seed]) for seed in sorted(a.keys() & b.keys())]
    known = [v for v in each if np.isfinite(v[0])]
    return over_points(known[0], level) if len(known) == 1 else interval(known, level)


def alike(a: np.ndarray, b: np.ndarray) -> int:
    """How many folds two numbers (F, …) can be compared in: all where they have as many, else the first alone."""
    return len(a) if len(a) == len(b) else 1


def difference(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """a − b of one seed, (F,), or (1,) where their parts are not the same."""
    one, other = np.atleast_1d(np.asarray(a, float)), np.atleast_1d(np.asarray(b, float))
    folds = alike(one, other)
    return one[:folds] - other[:folds]


def shared_ranks(scores: Mapping[K, Mapping[int, ArrayLike]]) -> dict[K, int]:
    """Rank of each key by its mean score over seeds, lowest first; keys with a NaN or without a seed get none.

    Going down the order, a key shares the rank of the best key of the group above while the interval of
    their differences, seed by seed and test point by test point, contains 0; otherwise it opens a group and its rank is
    its position.  With one seed there is no interval, so nothing says which is better, and there is no rank.
    """
    several = {key: [np.atleast_1d(v)[0] for v in by.values()] for key, by in scores.items() if len(by) > 1}
    mean = {key: float(np.mean(values)) for key, values in several.items() if np.isfinite(values).all()}
    order = sorted(mean, key=lambda key: (mean[key], str(key)))
    ranks: dict[K, int] = {}
    leader: K | None = None
    for position, key in enumerate(order, 1):
        if leader is not None:
            seeds = sorted(scores[key].keys() & scores[leader].keys())
            apart = interval([difference(scores[key][s], scores[leader][s]) for s in seeds])
            if apart.holds_zero or apart.n < 2 or apart.mean == 0:
                ranks[key] = ranks[leader]
                continue
        leader, ranks[key] = key, position
    return ranks
