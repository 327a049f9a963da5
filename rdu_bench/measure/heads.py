"""Heads on frozen draws: fitted on train, chosen and calibrated on validation, scored on test by the mean of logs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MultivariateNormal
from torch.nn.functional import pad

from .. import registry
from .._hash import named_seed
from ..budget import Budget
from ..nn.whitening import Whitening, whitening
from ..probe import Head, Probe, Target
from .codes import Splits
from .labels import Labels

FLOOR = 1e-6  # of a class probability, so that one test point cannot cost infinity
NARROW = 64  # columns up to which codes are filled up to one width and fitted together
SHARPEST = 5.0  # times by which logits may be stretched or shrunk


class Drawn(NamedTuple):
    """Draws of a code as the receiver gets them, before any whitening."""

    fit: Tensor  # (S, N, d)
    val: Tensor  # (S, M, d)
    test: Tensor  # (S', L, d)

    @classmethod
    def of(cls, codes: Splits) -> Drawn:
        """What probes are given of codes."""
        return cls(*(part.z for part in codes))


class Readers(NamedTuple):
    """By which heads codes are read."""

    heads: tuple[str, ...]
    budget: Budget
    seed: int


class Fitted(NamedTuple):
    """One head on codes as they come: it whitens them, and is calibrated on validation."""

    predict: Callable[[Tensor], Distribution]  # z (S, N, d) → p(y|z)
    loss: Tensor  # (L,) test, −log p(y|z), mean over draws
    val: float  # nats, its loss on validation
    settings: dict[str, float]  # what it chose there


class Reading(NamedTuple):
    """A factor read from a code by the head that is best on validation, no head at all being one of them."""

    loss: Tensor  # (L,) test, −log p(y|z), mean over draws; its mean is D_y
    nothing: Tensor  # (L,) the same without any code
    head: str  # which it is; "null" is none
    heads: dict[str, Fitted]  # all of them, by name
    failed: dict[str, str]  # heads that could not be fitted, and why
    predicted: Distribution | None  # p(y|z) on test; None without any code

    @property
    def gained(self) -> Tensor:
        """(L,) whose mean is I_V."""
        return self.nothing - self.loss


def read(
    codes: Sequence[Drawn], labels: Sequence[Labels], readers: Readers, most: int | None = None
) -> list[list[Reading]]:
    """Every factor read from every code, code by code.

    Codes are whitened here, in their `most` leading directions; those of the same draws and examples are fitted
    together.  A head that cannot be fitted costs its own numbers; when none can, the last one's exception is raised.
    """
    white = [whitening(code.fit, most) for code in codes]
    whitened = [Drawn(*(w(part) for part in code)) for w, code in zip(white, codes, strict=True)]
    found: list[list[Reading]] = [[] for _ in codes]
    for group in _together(whitened):
        width = max(whitened[p].fit.shape[2] for p in group)
        filled = [Drawn(*(_filled(part, width) for part in whitened[p])) for p in group]
        fitted, failed = _fit(filled, [one.target for one in labels], readers)
        for i, p in enumerate(group):
            found[p] = [
                _reading({name: many[i][j] for name, many in fitted.items()}, failed, _Code(filled[i], white[p]), one)
                for j, one in enumerate(labels)
            ]
    return found


def _fit(
    codes: list[Drawn], targets: list[Target], readers: Readers
) -> tuple[dict[str, list[list[Head]]], dict[str, str]]:
    """Heads by name, code and target, and why others are missing."""
    fit, val = (torch.stack([code[part] for code in codes]) for part in (0, 1))
    fitted: dict[str, list[list[Head]]] = {}
    failed: dict[str, str] = {}
    for name in readers.heads:
        try:
            probe: Probe = registry.load("probes", name)()
            fitted[name] = probe.fit_many(fit, val, targets, seed=named_seed(readers.seed, name), budget=readers.budget)
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
            if len(failed) == len(readers.heads):
                raise
    return fitted, failed


class _Code(NamedTuple):
    """A code as heads were given it, and how it was made so."""

    z: Drawn
    white: Whitening

    def given(self, z: Tensor) -> Tensor:
        """Other draws of the same code, made so too."""
        return _filled(self.white(z), self.z.fit.shape[2])


def _together(codes: list[Drawn]) -> list[list[int]]:
    """Which codes are fitted in one go; wide ones are not worth filling others up to."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for p, code in enumerate(codes):
        width = code.fit.shape[2]
        groups.setdefault((code.fit.shape[:2], code.val.shape[:2], max(width, NARROW)), []).append(p)
    return list(groups.values())


def _filled(z: Tensor, width: int) -> Tensor:
    """With columns of zeros up to a width."""
    return pad(z, (0, width - z.shape[2]))


def _reading(heads: dict[str, Head], failed: dict[str, str], code: _Code, labels: Labels) -> Reading:
    nothing_at_all = constant(labels.target)
    nothing = -log_prob(nothing_at_all, labels.test)
    best, chosen, loss = -float(log_prob(nothing_at_all, labels.val).mean()), "null", nothing
    predicted: Distribution | None = None
    fitted: dict[str, Fitted] = {}
    failed = dict(failed)
    for name, head in heads.items():
        try:
            found, on_test = _fitted(head, code, labels)
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
            if len(failed) == len(heads):
                raise
            continue
        fitted[name] = found
        if found.val < best:
            best, chosen, loss, predicted = found.val, name, found.loss, on_test
    return Reading(loss, nothing, chosen, fitted, failed, predicted)


def _fitted(head: Head, code: _Code, labels: Labels) -> tuple[Fitted, Distribution]:
    """A head with what it loses, and p(y|z) on test; raises `ValueError` where what it loses is not a number."""
    calibrated, temperature = _calibrated(head, code.z.val, labels)
    on_test = calibrated(code.z.test)
    loss, val = -log_prob(on_test, labels.test).mean(0), -float(log_prob(calibrated(code.z.val), labels.val).mean())
    if not (math.isfinite(val) and bool(loss.isfinite().all())):
        raise ValueError(f"its loss on validation or test is not finite for the factor {labels.factor.name}")
    settings = {**head.settings, "temperature": temperature}
    return Fitted(lambda z: calibrated(code.given(z)), loss, val, settings), on_test


def constant(target: Target) -> Distribution:
    """The best head of a constant code: class frequencies, or one Gaussian."""
    y = target.fit
    if target.factor.kind == "class":
        counts = torch.bincount(y, minlength=target.factor.size).double() + 0.5
        return Categorical(probs=counts / counts.sum())
    y = y.double()
    covariance = torch.cov(y.T).reshape(y.shape[1], y.shape[1])
    return MultivariateNormal(y.mean(0), covariance + 1e-12 * torch.eye(len(covariance), dtype=covariance.dtype))


def log_prob(predicted: Distribution, y: Tensor) -> Tensor:
    """(…, N) log p(y|z)."""
    return predicted.log_prob(y.double() if isinstance(predicted, MultivariateNormal) else y)


def _calibrated(head: Head, val: Tensor, labels: Labels) -> tuple[Callable[[Tensor], Distribution], float]:
    """The head with its logits divided by the temperature that is best on validation; reals are left alone."""
    if labels.factor.kind == "real":
        return head.predict, 1.0
    sharper = _sharper(logits(head.predict(val)), labels.val)
    return (lambda z: _floored(logits(head.predict(z)) * sharper)), 1 / sharper


def _sharper(table: Tensor, y: Tensor) -> float:
    """a that minimises E −log softmax(a logits)_y, which is convex in a, by Newton's method from 1."""
    draws = len(table)
    table = table.flatten(0, 1).float().T.contiguous()  # (K, n), over whose rows softmax is fast
    table -= table.amax(0)
    truth = table.gather(0, y.repeat(draws)[None])[0].mean()
    a = 1.0
    for _ in range(20):
        p = (a * table).softmax(0)
        mean = (p * table).sum(0)
        slope = float(mean.mean() - truth)
        bend = float(((p * table.square()).sum(0) - mean.square()).mean())
        if slope * slope < 1e-7 * bend or bend <= 0:
            break
        step = a - slope / bend
        last, a = a, min(max(step, a / 2, 1 / SHARPEST), 2 * a, SHARPEST)
        if a == last:
            break
    return a


def logits(predicted: Distribution) -> Tensor:
    """(…, K) of a head for classes; raises `TypeError` for any other distribution than Categorical."""
    if not isinstance(predicted, Categorical):
        raise TypeError(f"a head of classes gave a {type(predicted).__name__}; it must give a Categorical")
    found: Tensor = predicted.logits
    return found


def _floored(table: Tensor) -> Categorical:
    k = table.shape[-1]
    return Categorical(probs=(1 - k * FLOOR) * table.softmax(-1) + FLOOR)
