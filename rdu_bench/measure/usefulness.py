"""D_y = E −log p(y|z) with z ~ q(z|x): heads on frozen draws, mean of logs, next to what no code would give."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MultivariateNormal

from .. import registry
from .._hash import named_seed
from ..data import Dataset, Factor
from ..probe import Head, Probe, Target
from .codes import Codes

FLOOR = 1e-6  # of a class probability, so that one test point cannot cost infinity
EIGENVALUE_FLOOR = 1e-6  # of the largest; directions below it are not part of the code
MEAN_DIRECTIONS = 64  # of posterior means that are probed; probabilities of symbols have hundreds
BINS = 15  # of the calibration error


class Useful(NamedTuple):
    """Usefulness of a code for every factor of a data set."""

    factors: dict[str, dict[str, Any]]
    losses: dict[str, Tensor]  # (N,) test, −log p(y|z) a factor, mean over draws


class Whitening(NamedTuple):
    """z → (z − mean) W with unit covariance on the training draws."""

    mean: Tensor
    matrix: Tensor

    def __call__(self, z: Tensor) -> Tensor:
        return ((z.double() - self.mean) @ self.matrix).float()


def whitening(z: Tensor, most: int | None = None) -> Whitening:
    """Of draws (…, d), in its `most` leading directions; a constant code keeps one dimension of zeros."""
    flat = z.reshape(-1, z.shape[-1]).double()
    mean = flat.mean(0)
    values, vectors = torch.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
    if most is not None:
        values, vectors = values[-most:], vectors[:, -most:]
    kept = values > EIGENVALUE_FLOOR * values.amax().clamp(min=1e-30)
    if not bool(kept.any()):
        return Whitening(mean, torch.zeros(len(mean), 1, dtype=torch.float64))
    return Whitening(mean, vectors[:, kept] / values[kept].sqrt())


def usefulness(
    data: Dataset,
    train: Codes,
    val: Codes,
    test: Codes,
    *,
    at: Tensor,
    heads: Sequence[str],
    budget: Mapping[str, Any],
    seed: int,
) -> Useful:
    """Fit every head on the training draws `at`, choose on validation, score test."""
    factors = list(data.factors)
    if not factors:
        return Useful({}, {})
    seen = {f.name: data.splits["train"].factors[f.name][at] for f in factors}
    checked = {f.name: data.splits["val"].factors[f.name] for f in factors}
    truth = {f.name: data.splits["test"].factors[f.name][: len(test)] for f in factors}
    targets = [Target(f, seen[f.name], checked[f.name]) for f in factors]
    white = whitening(train.z)
    z = [white(codes.z) for codes in (train, val, test)]

    out: dict[str, dict[str, Any]] = {f.name: {"H_y": f.entropy, "settings": {}} for f in factors}
    candidates: dict[str, list[tuple[float, str, Tensor, Distribution | None]]] = {f.name: [] for f in factors}
    for target in targets:
        name = target.factor.name
        constant = _constant(target)
        nothing = -_log_prob(constant, truth[name])
        out[name] |= {"Hy_V": float(nothing.mean())}
        candidates[name].append((-float(_log_prob(constant, checked[name]).mean()), "null", nothing, None))

    for head_name in heads:
        probe: Probe = registry.load("probes", head_name)()
        fitted = probe.fit(z[0], z[1], targets, seed=named_seed(seed, head_name) % 2**63, budget=budget)
        for target, head in zip(targets, fitted, strict=True):
            name = target.factor.name
            calibrated, temperature = _calibrated(head, z[1], checked[name], target.factor)
            on_val, predicted = calibrated(z[1]), calibrated(z[2])
            loss = -_log_prob(predicted, truth[name]).mean(0)
            out[name] |= {f"Dy_{head_name}": float(loss.mean()), f"Dy_{head_name}_se": _se(loss)}
            out[name]["settings"][head_name] = {**head.settings, "temperature": temperature}
            candidates[name].append((-float(_log_prob(on_val, checked[name]).mean()), head_name, loss, predicted))

    losses = {}
    for target in targets:
        name = target.factor.name
        _, chosen, loss, predicted = min(candidates[name], key=lambda c: c[0])
        nothing = candidates[name][0][2]
        losses[name] = loss
        out[name] |= {"Dy": float(loss.mean()), "Dy_se": _se(loss), "Dy_head": chosen}
        out[name] |= {"IV": float((nothing - loss).mean()), "IV_se": _se(nothing - loss)}
        out[name] |= _classification(predicted, truth[name], target)
    _controls(out, targets, truth, z, data, train, val, test, budget, seed)
    return Useful(out, losses)


def _controls(
    out: dict[str, dict[str, Any]],
    targets: list[Target],
    truth: dict[str, Tensor],
    z: list[Tensor],
    data: Dataset,
    train: Codes,
    val: Codes,
    test: Codes,
    budget: Mapping[str, Any],
    seed: int,
) -> None:
    """What a linear head gets from shuffled labels, which is nothing, and from posterior means, which have no rate."""
    probe: Probe = registry.load("probes", "linear")()
    generator = torch.Generator().manual_seed(named_seed("shuffled", seed))
    shuffled = [
        Target(
            t.factor,
            t.fit[torch.randperm(len(t.fit), generator=generator)],
            t.val[torch.randperm(len(t.val), generator=generator)],
        )
        for t in targets
    ]
    for target, head in zip(shuffled, probe.fit(z[0], z[1], shuffled, seed=seed, budget=budget), strict=True):
        name = target.factor.name
        order = torch.randperm(len(truth[name]), generator=generator)
        y = truth[name][order]
        calibrated, _ = _calibrated(head, z[1], target.val, target.factor)
        loss = -_log_prob(calibrated(z[2]), y).mean(0)
        constant = _constant(target)
        if -float(_log_prob(constant, target.val).mean()) < -float(_log_prob(calibrated(z[1]), target.val).mean()):
            loss = -_log_prob(constant, y)
        gained = -_log_prob(constant, y) - loss
        out[name] |= {"IV_shuffled": float(gained.mean()), "IV_shuffled_se": _se(gained)}

    white = whitening(train.mean, MEAN_DIRECTIONS)
    means = [white(codes.mean)[None] for codes in (train, val, test)]
    for target, head in zip(targets, probe.fit(means[0], means[1], targets, seed=seed, budget=budget), strict=True):
        name = target.factor.name
        calibrated, _ = _calibrated(head, means[1], target.val, target.factor)
        out[name]["Dy_mean"] = float(-_log_prob(calibrated(means[2]), truth[name]).mean())


def _constant(target: Target) -> Distribution:
    """The best head of a constant code: class frequencies, or one Gaussian."""
    y = target.fit
    if target.factor.kind == "class":
        counts = torch.bincount(y, minlength=target.factor.size).double() + 0.5
        return Categorical(probs=counts / counts.sum())
    y = y.double()
    covariance = torch.cov(y.T).reshape(y.shape[1], y.shape[1])
    return MultivariateNormal(y.mean(0), covariance + 1e-12 * torch.eye(len(covariance), dtype=covariance.dtype))


def _log_prob(predicted: Distribution, y: Tensor) -> Tensor:
    """(…, N) log p(y|z)."""
    return predicted.log_prob(y.double() if isinstance(predicted, MultivariateNormal) else y)


def _calibrated(head: Head, val: Tensor, y: Tensor, factor: Factor) -> tuple[Any, float]:
    """The head with its logits divided by the temperature that is best on validation; reals are left alone."""
    if factor.kind == "real":
        return head.predict, 1.0
    logits = _logits(head.predict(val))

    def loss(log_t: float) -> float:
        return -float(_floored(logits / math.exp(log_t)).log_prob(y).mean())

    centre, width = 0.0, 1.6
    for _ in range(3):
        grid = [centre + width * (i / 8 - 1) for i in range(17)]
        centre, width = min(grid, key=loss), width / 8
    temperature = math.exp(centre)
    return (lambda z: _floored(_logits(head.predict(z)) / temperature)), temperature


def _logits(predicted: Distribution) -> Tensor:
    assert isinstance(predicted, Categorical)
    return predicted.logits


def _floored(logits: Tensor) -> Categorical:
    k = logits.shape[-1]
    return Categorical(probs=(1 - k * FLOOR) * logits.softmax(-1) + FLOOR)


def _se(per_point: Tensor) -> float:
    return float(per_point.std() / math.sqrt(len(per_point)))


def _classification(predicted: Distribution | None, y: Tensor, target: Target) -> dict[str, float | None]:
    """Accuracy, balanced accuracy and calibration error of the chosen head on test; diagnostics, not scores."""
    if target.factor.kind == "real":
        return {"acc": None, "bal_acc": None, "ece": None}
    if predicted is None:
        constant = _constant(target)
        assert isinstance(constant, Categorical)
        probs = constant.probs.expand(1, len(y), -1)
    else:
        probs = _logits(predicted).softmax(-1)
    confidence, guess = probs.max(-1)  # (S, N)
    right = (guess == y).double()
    present = y.unique()
    balanced = torch.stack([right[:, y == k].mean() for k in present]).mean()
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    gaps = [
        (bins == b).double().mean() * (right[bins == b].mean() - confidence[bins == b].mean()).abs()
        for b in bins.unique()
    ]
    return {"acc": float(right.mean()), "bal_acc": float(balanced), "ece": float(sum(gaps))}
