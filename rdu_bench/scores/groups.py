"""Scores of groups of examples that share one factor: BetaVAE score and FactorVAE score."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ._inputs import Protocol, Sample, Undefined, by_appearance, check_protocol, column_order, sample
from .unsupervised import normal_scores

SIZE = 64  # of a group: pairs for the BetaVAE score, examples for the FactorVAE score
GROUPS = 10_000  # fitted on; half as many are scored
ACTIVE = 0.05  # standard deviation of a latent that is in use, where the marginal is N(0, 1)


def betavae_score(z: Any, factors: Any, protocol: Protocol = "robust", *, groups: int = GROUPS, seed: int = 0) -> float:
    """BetaVAE score: accuracy of a linear classifier that names the factor which pairs of examples share.

    A group is 64 pairs that agree on factor k, its feature the mean of |z¹ − z²|, (d,); fitted on `groups` of them,
    10 000 unless told, and scored on half as many.  Saturates: axis-aligned codes and many rotated ones get 1.
    `dlib`: accuracy, 1/K by guessing.  `robust`: of z as normal scores, so that no outlier counts, on standardised
    features and rescaled so that guessing is 0.
    z (n, d), factors (n, K ≥ 2).  Groups are drawn among the examples given, by `seed`.
    Higgins et al. (2017), openreview Sy2fzU9gl.  Raises as `sample`.
    """
    from sklearn.linear_model import LogisticRegression

    given = _prepared(z, factors, protocol, groups)
    code = normal_scores(given.z) if protocol == "robust" else given.z
    draw = _Draw(given, seed)

    def features(k: int, count: int) -> np.ndarray:
        first = draw.any((count, SIZE))
        return np.abs(code[first] - code[draw.alike(k, first)]).mean(1)

    (fit, shared), (held, truth) = (draw.groups(count, features) for count in (groups, -(-groups // 2)))
    if len(np.unique(shared)) < 2:
        raise Undefined(f"all {groups} groups share the same factor; draw more")
    if protocol == "robust":
        mean, scale = fit.mean(0), fit.std(0) + 1e-12
        fit, held = (fit - mean) / scale, (held - mean) / scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an early stop, which changes no prediction worth the name
        model = LogisticRegression(random_state=seed).fit(fit, shared)
    return _rescaled(float((model.predict(held) == truth).mean()), len(given.sizes), protocol)


def factorvae_score(
    z: Any, factors: Any, protocol: Protocol = "robust", *, groups: int = GROUPS, seed: int = 0,
    threshold: float | None = None,
) -> float:  # fmt: skip
    """FactorVAE score: accuracy of naming the factor that a group shares from the latent that varies least in it.

    A group is 64 examples that agree on factor k; its vote is the latent of least variance relative to that of all
    examples; each latent stands for the factor it is voted for most in `groups` of them, 10 000 unless told, and half
    as many are scored.  Latents of a standard deviation below `threshold` have no vote: `dlib` 0, so all vote that
    vary; `robust` 0.05, of the original code.  `robust` takes variances of normal scores, since one outlier in ten
    thousand otherwise decides, and rescales so that guessing is 0.
    z (n, d), factors (n, K ≥ 2).  Groups are drawn among the examples given, by `seed`.
    Kim and Mnih (2018), arXiv:1802.05983.  Raises as `sample`, and `Undefined` when no latent is active.
    """
    given = _prepared(z, factors, protocol, groups)
    least = threshold if threshold is not None else ACTIVE if protocol == "robust" else 0.0
    active = (given.z.std(0, ddof=1) >= least) & (np.ptp(given.z, axis=0) > 0)
    if not active.any():
        raise Undefined(f"no latent has a standard deviation of {least:g} or more, so none has a vote")
    code = given.z[:, active]
    code = normal_scores(code) if protocol == "robust" else code
    spread = code.var(0, ddof=1)
    draw = _Draw(given, seed)

    def vote(k: int, count: int) -> np.ndarray:
        members = draw.alike(k, np.repeat(draw.any((count, 1)), SIZE, axis=1))
        return (code[members].var(1, ddof=1) / spread).argmin(1)

    (votes, shared), (held, truth) = (draw.groups(count, vote) for count in (groups, -(-groups // 2)))
    table = np.zeros((code.shape[1], len(given.sizes)), dtype=np.int64)
    np.add.at(table, (votes, shared), 1)
    return _rescaled(float((table.argmax(1)[held] == truth).mean()), len(given.sizes), protocol)


class _Draw:
    """Draws groups of examples, and examples that share a factor's value with others."""

    def __init__(self, given: Sample, seed: int):
        self.given, self.random = given, np.random.default_rng(seed)
        self.orders = [np.argsort(y, kind="stable") for y, _ in given.factors]
        self.ends = [np.cumsum(np.bincount(y, minlength=size)) for y, size in given.factors]

    def any(self, shape: tuple[int, ...]) -> np.ndarray:
        """Examples, uniformly."""
        return self.random.integers(len(self.given.z), size=shape)

    def alike(self, k: int, like: np.ndarray) -> np.ndarray:
        """Examples that have the value of factor k of the examples `like`, in the same shape."""
        value = self.given.y[like, k]
        end = self.ends[k][value]
        start = np.where(value > 0, self.ends[k][value - 1], 0)
        return self.orders[k][(start + self.random.random(like.shape) * (end - start)).astype(np.int64)]

    def groups(self, count: int, feature: Callable[[int, int], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """`feature` of `count` groups (count, …) and the factor each shares (count,), uniform over factors."""
        many = self.random.multinomial(count, np.full(len(self.given.sizes), 1 / len(self.given.sizes)))
        parts = [feature(k, g) for k, g in enumerate(many) if g]
        return np.concatenate(parts), np.repeat(np.arange(len(many)), many)


def _prepared(z: Any, factors: Any, protocol: Protocol, groups: int) -> Sample:
    check_protocol(protocol)
    if groups < 2:
        raise ValueError(f"groups is {groups}; at least 2 are needed")
    given = sample(z, factors)
    if len(given.sizes) < 2:
        raise Undefined("groups are told apart by the factor they share, and there is only one factor")
    named = np.stack([by_appearance(y)[y] for y, _ in given.factors], 1)
    order = column_order(named)  # groups are drawn at random: neither order nor names of factors may matter
    return Sample(given.z[:, column_order(given.z)], named[:, order], tuple(given.sizes[k] for k in order))


def _rescaled(accuracy: float, many: int, protocol: Protocol) -> float:
    return accuracy if protocol == "dlib" else (accuracy - 1 / many) / (1 - 1 / many)
