"""D_y = E −log p(y|z) with z ~ q(z|x): heads on frozen draws, mean of logs, next to what no code would give."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MultivariateNormal

from .. import registry
from .._hash import named_seed
from ..budget import Budget
from ..data import Dataset, Factor
from ..nn.whitening import whitening
from ..probe import Head, Probe, Target
from .codes import Codes

FLOOR = 1e-6  # of a class probability, so that one test point cannot cost infinity
MEAN_DIRECTIONS = 64  # of posterior means that are probed; probabilities of symbols have hundreds
NARROW = 64  # columns up to which codes are filled up to one width and fitted together
CONFIDENCES = 15  # bins of the calibration error
BINS = 20  # of equal mass, that a real factor is cut into
SHARPEST = 5.0  # times by which logits may be stretched or shrunk


class Drawn(NamedTuple):
    """Draws of a code as the receiver gets them, before any whitening."""

    fit: Tensor  # (S, N, d)
    val: Tensor  # (S, M, d)
    test: Tensor  # (S', L, d)


class Scored(NamedTuple):
    """A factor read from a code by the head that is best on validation, no head at all being one of them."""

    loss: Tensor  # (L,) test, −log p(y|z), mean over draws; its mean is D_y
    nothing: Tensor  # (L,) the same without any code
    head: str  # which it is; "null" is none
    by_head: dict[str, Tensor]  # (L,) loss of every head
    settings: dict[str, dict[str, float]]  # what each chose on validation
    predicted: Distribution | None  # p(y|z) on test; None without any code

    @property
    def gained(self) -> Tensor:
        """(L,) whose mean is I_V."""
        return self.nothing - self.loss


class Useful(NamedTuple):
    """Usefulness of a code for every factor of a data set."""

    factors: dict[str, dict[str, Any]]
    losses: dict[str, Tensor]  # (N,) test, −log p(y|z) a factor, mean over draws


def heads_on(
    codes: Sequence[Drawn],
    targets: Sequence[Target],
    truth: Sequence[Tensor],
    *,
    heads: Sequence[str],
    budget: Budget,
    seed: int,
    most: int | None = None,
) -> list[list[Scored]]:
    """Every target read from every code, code by code: heads fitted on fit, chosen on val, scored on test.

    `truth` holds y on test, a tensor a target.  Codes are whitened here, in their `most` leading directions; those of
    the same draws and examples are fitted together.
    """
    targets = list(targets)
    white = [whitening(code.fit, most) for code in codes]
    whitened = [Drawn(*(w(part) for part in code)) for w, code in zip(white, codes, strict=True)]
    found: list[list[Scored]] = [[] for _ in codes]
    for group in _together(whitened):
        filled = _filled([whitened[p] for p in group])
        fitted = {}
        for name in heads:
            probe: Probe = registry.load("probes", name)()
            fit, val = (torch.stack(part) for part in list(zip(*filled, strict=True))[:2])
            fitted[name] = probe.fit_many(fit, val, targets, seed=named_seed(seed, name), budget=budget)
        for i, p in enumerate(group):
            found[p] = [
                _scored({name: many[i][j] for name, many in fitted.items()}, filled[i], target, y)
                for j, (target, y) in enumerate(zip(targets, truth, strict=True))
            ]
    return found


def _together(codes: list[Drawn]) -> list[list[int]]:
    """Which codes are fitted in one go; wide ones are not worth filling others up to."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for p, code in enumerate(codes):
        width = code.fit.shape[2]
        groups.setdefault((code.fit.shape[:2], code.val.shape[:2], max(width, NARROW)), []).append(p)
    return list(groups.values())


def _filled(codes: list[Drawn]) -> list[Drawn]:
    """With columns of zeros up to one width."""
    width = max(code.fit.shape[2] for code in codes)
    return [Drawn(*(torch.nn.functional.pad(part, (0, width - part.shape[2])) for part in code)) for code in codes]


def _scored(heads: Mapping[str, Head], z: Drawn, target: Target, y: Tensor) -> Scored:
    constant = _constant(target)
    nothing = -_log_prob(constant, y)
    best, chosen, loss = -float(_log_prob(constant, target.val).mean()), "null", nothing
    predicted: Distribution | None = None
    losses, settings = {}, {}
    for name, head in heads.items():
        calibrated, temperature = _calibrated(head, z.val, target.val, target.factor)
        on_test = calibrated(z.test)
        losses[name] = -_log_prob(on_test, y).mean(0)
        settings[name] = {**head.settings, "temperature": temperature}
        now = -float(_log_prob(calibrated(z.val), target.val).mean())
        if now < best:
            best, chosen, loss, predicted = now, name, losses[name], on_test
    return Scored(loss, nothing, chosen, losses, settings, predicted)


def usefulness(
    data: Dataset,
    train: Codes,
    val: Codes,
    test: Codes,
    *,
    at: Tensor,
    heads: Sequence[str],
    budget: Budget,
    seed: int,
) -> Useful:
    """Fit every head on the training draws `at`, choose on validation, score test."""
    targets, truth = labels(data, at, len(test))
    if not targets:
        return Useful({}, {})
    cut = [binned(*pair) for pair in zip(targets, truth, strict=True)]  # after all else, whose places it must not move
    code = Drawn(train.z, val.z, test.z)
    [found] = heads_on(
        [code],
        [*targets, *(t for bins, _ in cut for t in bins)],
        [*truth, *(y for _, ys in cut for y in ys)],
        heads=heads,
        budget=budget,
        seed=seed,
    )
    out: dict[str, dict[str, Any]] = {}
    rest = iter(found[len(targets) :])
    for target, y, scored, (bins, _) in zip(targets, truth, found, cut, strict=False):
        out[target.factor.name] = _fields(scored, target, y) | _bin_fields([next(rest) for _ in bins])
    _controls(out, targets, truth, code, Drawn(train.mean[None], val.mean[None], test.mean[None]), budget, seed)
    return Useful(out, {t.factor.name: scored.loss for t, scored in zip(targets, found, strict=False)})


def labels(data: Dataset, at: Tensor, n: int) -> tuple[list[Target], list[Tensor]]:
    """All factors: on the training examples `at` and on validation, and on the first n test points."""
    split = data.splits
    targets = [Target(f, split["train"].factors[f.name][at], split["val"].factors[f.name]) for f in data.factors]
    return targets, [split["test"].factors[f.name][:n] for f in data.factors]


def binned(target: Target, truth: Tensor) -> tuple[list[Target], list[Tensor]]:
    """Each component of a real factor as 20 classes of equal mass on fit; nothing for a class."""
    targets: list[Target] = []
    ys: list[Tensor] = []
    if target.factor.kind == "class":
        return targets, ys
    inner = torch.arange(1, BINS, dtype=torch.float64) / BINS
    for j in range(target.factor.size):
        edges = target.fit[:, j].double().quantile(inner)
        fit, val, y = (torch.bucketize(part[:, j].double(), edges) for part in (target.fit, target.val, truth))
        targets.append(Target(Factor(f"{target.factor.name}[{j}]", BINS), fit, val))
        ys.append(y)
    return targets, ys


def _fields(scored: Scored, target: Target, y: Tensor) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "H_y": target.factor.entropy,
        "settings": scored.settings,
        "Hy_V": float(scored.nothing.mean()),
    }
    for name, loss in scored.by_head.items():
        fields |= {f"Dy_{name}": float(loss.mean()), f"Dy_{name}_se": _se(loss)}
    fields |= {"Dy": float(scored.loss.mean()), "Dy_se": _se(scored.loss), "Dy_head": scored.head}
    fields |= {"IV": float(scored.gained.mean()), "IV_se": _se(scored.gained)}
    return fields | _classification(scored.predicted, y, target)


def _bin_fields(bins: list[Scored]) -> dict[str, float]:
    """D_y of a real factor's components in 20 bins each, summed; nothing for a class."""
    if not bins:
        return {}
    loss, nothing = sum(b.loss for b in bins), sum(b.nothing for b in bins)
    assert isinstance(loss, Tensor) and isinstance(nothing, Tensor)
    return {
        "Dy_bins": float(loss.mean()),
        "Dy_bins_se": _se(loss),
        "Hy_bins": float(nothing.mean()),
        "IV_bins": float((nothing - loss).mean()),
    }


def _controls(
    out: dict[str, dict[str, Any]],
    targets: list[Target],
    truth: list[Tensor],
    code: Drawn,
    means: Drawn,
    budget: Budget,
    seed: int,
) -> None:
    """What a linear head gets from shuffled labels, which is nothing, and from posterior means, which have no rate."""
    generator = torch.Generator().manual_seed(named_seed("shuffled", seed))

    def shuffle(y: Tensor) -> Tensor:
        return y[torch.randperm(len(y), generator=generator)]

    false = [Target(t.factor, shuffle(t.fit), shuffle(t.val)) for t in targets]
    wrong = [shuffle(y) for y in truth]
    how: dict[str, Any] = {"heads": ["linear"], "budget": budget, "seed": seed}
    [shuffled] = heads_on([code], false, wrong, **how)
    [noiseless] = heads_on([means], targets, truth, most=MEAN_DIRECTIONS, **how)
    for target, nothing, mean in zip(targets, shuffled, noiseless, strict=True):
        out[target.factor.name] |= {
            "IV_shuffled": float(nothing.gained.mean()),
            "IV_shuffled_se": _se(nothing.gained),
            "Dy_mean": float(mean.by_head["linear"].mean()),
        }


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


def _calibrated(head: Head, val: Tensor, y: Tensor, factor: Factor) -> tuple[Callable[[Tensor], Distribution], float]:
    """The head with its logits divided by the temperature that is best on validation; reals are left alone."""
    if factor.kind == "real":
        return head.predict, 1.0
    sharper = _sharper(_logits(head.predict(val)), y)
    return (lambda z: _floored(_logits(head.predict(z)) * sharper)), 1 / sharper


def _sharper(logits: Tensor, y: Tensor) -> float:
    """a that minimises E −log softmax(a logits)_y, which is convex in a, by Newton's method from 1."""
    table = logits.flatten(0, 1).float().T.contiguous()  # (K, n), over whose rows softmax is fast
    table -= table.amax(0)
    truth = table.gather(0, y.repeat(len(logits))[None])[0].mean()
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
    bins = (confidence * CONFIDENCES).long().clamp(max=CONFIDENCES - 1)
    gaps = [
        (bins == b).double().mean() * (right[bins == b].mean() - confidence[bins == b].mean()).abs()
        for b in bins.unique()
    ]
    return {"acc": float(right.mean()), "bal_acc": float(balanced), "ece": float(sum(gaps))}
