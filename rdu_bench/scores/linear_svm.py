"""Linear support vector machines on one feature, exactly and for all classes at once.

What scikit-learn's `LinearSVC` minimises, for each class against the rest,

    ½ (w² + b²) + C₊ Σ_own max(0, 1 − (w x + b))² + C Σ_rest max(0, 1 + (w x + b))²,   C₊ = C n / (classes · n_own)

depends on a sorted feature through a few running sums: the examples inside the margin are those to one side of a
threshold.  Newton's method then costs a search per step and class instead of a pass over the data.
"""

from __future__ import annotations

import numpy as np

STEPS, HALVINGS = 100, 40
STILL = 1e-14  # decrease per example, relative to C, at which Newton's method stops


class Feature:
    """A feature x (n,) with what machines for any classes need of it."""

    def __init__(self, x: np.ndarray):
        self.order = np.argsort(x, kind="stable")
        self.sorted = x[self.order]
        self.sums = _running(self.sorted)


class Machines:
    """One machine a class on a feature with classes y (n,) < `size`; for two classes the only one needed.

    `weights` and `biases` are (m,), m = size, or 1 for two classes.  A class that never occurs raises `ValueError`.
    """

    def __init__(self, feature: Feature, y: np.ndarray, size: int, penalty: float = 0.01):
        n = len(y)
        counts = np.bincount(y, minlength=size)
        if not counts.all():
            raise ValueError(f"class {int(counts.argmin())} of {size} has no example; number the classes that occur")
        self.sorted, self.everyone = feature.sorted, feature.sums
        ranked = y[feature.order].astype(np.int16 if size < 2**15 else np.int64)  # short whole numbers sort faster
        by_class = np.argsort(ranked, kind="stable")
        self.classes = np.arange(size) if size > 2 else np.array([1])
        self.width = n + 1
        self.keys = np.repeat(np.arange(size), counts) * self.width + by_class  # class, then rank of x
        self.by_class = _running(self.sorted[by_class])
        ends = np.concatenate([[0], np.cumsum(counts)])
        self.start = self.by_class[ends[self.classes]]
        self.own = self.by_class[ends[self.classes + 1]] - self.start
        balanced = penalty * n / (size * counts)
        self.inside = balanced[self.classes]
        self.outside = np.full(len(self.classes), penalty) if size > 2 else balanced[:1]
        self.weights, self.biases = self._solve(STILL * penalty * n)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """(m,) classes of x (m,)."""
        margin = x[:, None] * self.weights + self.biases
        return margin.argmax(1) if len(self.classes) > 1 else (margin[:, 0] > 0).astype(np.int64)

    def _solve(self, still: float) -> tuple[np.ndarray, np.ndarray]:
        w, b = np.zeros(len(self.classes)), np.zeros(len(self.classes))
        sums = self._margin(w, b)
        value = self._value(w, b, *sums)
        for _ in range(STEPS):
            dw, db, decrease = self._newton(w, b, *sums)
            if decrease.max() <= still:
                break
            scale = np.ones(len(w))
            for _ in range(HALVINGS):
                trial = w + scale * dw, b + scale * db
                sums = self._margin(*trial)
                found = self._value(*trial, *sums)
                worse = found > value - 1e-4 * scale * decrease + 1e-12 * value
                if not worse.any():
                    break
                scale = np.where(worse, scale / 2, scale)
            (w, b), value = trial, found
        return w, b

    def _margin(self, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(m, 3) sums of 1, x, x² over own examples with w x + b < 1, and over the rest with w x + b > −1."""
        slope = np.where(w == 0, 1e-300, w)
        with np.errstate(over="ignore"):
            first, second = (1 - b) / slope, (-1 - b) / slope
        _, own = self._below(first, "left")
        everyone, mine = self._below(second, "right")
        below = everyone - mine
        rising = (slope > 0)[:, None]
        rest = self.everyone[-1] - self.own
        return np.where(rising, own, self.own - own), np.where(rising, rest - below, below)

    def _below(self, threshold: np.ndarray, side: str) -> tuple[np.ndarray, np.ndarray]:
        """(m, 3) sums over all examples below each class's threshold, and over its own."""
        rank = np.searchsorted(self.sorted, threshold, side)  # type: ignore[call-overload]
        mine = self.by_class[np.searchsorted(self.keys, self.classes * self.width + rank)] - self.start
        return self.everyone[rank], mine

    def _value(self, w: np.ndarray, b: np.ndarray, own: np.ndarray, rest: np.ndarray) -> np.ndarray:
        losses = []
        for (one, x, xx), sign in ((own.T, -1), (rest.T, 1)):
            losses.append(one + 2 * sign * (w * x + b * one) + w * w * xx + 2 * w * b * x + b * b * one)
        return 0.5 * (w * w + b * b) + self.inside * losses[0] + self.outside * losses[1]

    def _newton(
        self, w: np.ndarray, b: np.ndarray, own: np.ndarray, rest: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Newton's step and the decrease it promises."""
        one, x, xx = 2 * (self.inside * own.T + self.outside * rest.T)
        pull = 2 * (self.outside * rest.T - self.inside * own.T)
        grad_w = w + w * xx + b * x + pull[1]
        grad_b = b + w * x + b * one + pull[0]
        determinant = (1 + xx) * (1 + one) - x * x
        dw = -((1 + one) * grad_w - x * grad_b) / determinant
        db = -((1 + xx) * grad_b - x * grad_w) / determinant
        return dw, db, -(grad_w * dw + grad_b * db)


def _running(x: np.ndarray) -> np.ndarray:
    """(n + 1, 3) running sums of 1, x, x²."""
    out = np.zeros((len(x) + 1, 3))
    out[1:, 0] = np.arange(1, len(x) + 1)
    np.cumsum(x, out=out[1:, 1])
    np.cumsum(x * x, out=out[1:, 2])
    return out
