"""D_y = E −log p(y|z) with z ~ q(z|x): heads on frozen draws, mean of logs, next to what no code would give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution

from .found import Found, folds, mean_and_error, standard_error, stored, together, without
from .heads import Drawn, Reading, constant, logits, read
from .labels import Labels, binned
from .study import Study

MEAN_DIRECTIONS = 64  # of posterior means that are probed; probabilities of symbols have hundreds
CONFIDENCES = 15  # bins of the calibration error
CHOSEN = ("H_y", "settings", "Hy_V", "Dy", "Dy_se", "Dy_head", "IV", "IV_se", "acc", "bal_acc", "ece")
BINNED = ("Dy_bins", "Dy_bins_se", "Hy_bins", "IV_bins")
CONTROLS = ("IV_shuffled", "IV_shuffled_se", "Dy_mean")


def usefulness(study: Study) -> Found:
    """D_y and I_V of every factor, and of the task together, in nats."""
    factors: dict[str, dict[str, Any]] = {}
    nulls: dict[str, str] = {}
    vectors: dict[str, np.ndarray] = {}
    for factor in study.data.factors:
        name, readings = factor.name, [study.readings[one.factor.name] for one in study.asked[factor.name]]
        bins = [[study.readings[b.factor.name] for b in binned(one)] for one in study.asked[name]]
        each = [
            _fields(reading, one) | _bin_fields(cut)
            for reading, one, cut in zip(readings, study.asked[name], bins, strict=True)
        ]
        factors[name] = averaged_over_frames(each) | {"H_y": factor.entropy}
        vectors[f"Dy_i/{name}"] = stored(torch.stack([reading.loss.double() for reading in readings]).mean(0))
        for head, reason in (failure for reading in readings for failure in reading.failed.items()):
            factors[name] |= {f"Dy_{head}": None, f"Dy_{head}_se": None}
            nulls[f"Dy_{head}[{name}]"] = reason
    values, missing = _summary(study, factors)
    return Found(values, factors, vectors, {"folds": _folds(study)}, nulls | missing)


def averaged_over_frames(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Fields of a factor at each frame looked at → their means, nats a frame; whatever is no number as at the first.

    The mean over frames of what a code tells of y_t is bounded by its rate, for I(y_t; z) is at each of them; their sum
    is not, for frames say much the same.  Errors are averaged too, as if all frames erred together: the most there can
    be.
    """
    first = each[0]
    if len(each) == 1:
        return first
    known = {name: [fields.get(name) for fields in each] for name in first}
    return {
        name: sum(values) / len(values) if all(isinstance(v, float) for v in values) else first[name]  # type: ignore[arg-type]
        for name, values in known.items()
    }


def _folds(study: Study) -> dict[str, list[float]]:
    """D_y and H_V of the task together, by parts of the test points."""
    task = [study.readings[name] for name in study.data.task]
    if not task:
        return {}
    return {"Dy": folds(_sum(r.loss for r in task)), "Hy_V": folds(_sum(r.nothing for r in task))}


def _sum(losses: Iterable[Tensor]) -> Tensor:
    """(L,) float64 nats of several factors together."""
    return torch.stack([each.double() for each in losses]).sum(0)


def useless(study: Study) -> Found:
    """All that `usefulness` gives, without a number."""
    names = [*CHOSEN, *(f"Dy_{head}{se}" for head in study.heads for se in ("", "_se"))]
    return together([_factors_without(study, names, BINNED), without(_summed(study))])


def controls(study: Study) -> Found:
    """What a linear head gets from shuffled labels, which is nothing, and from posterior means, which have no rate."""
    labels, means = [one for parts in study.asked.values() for one in parts], study.codes
    if not labels:
        return Found()
    generator = torch.Generator().manual_seed(study.seeded("shuffled"))

    def shuffle(y: Tensor) -> Tensor:
        return y[torch.randperm(len(y), generator=generator)]

    false = [one._replace(train=shuffle(one.train), val=shuffle(one.val)) for one in labels]
    false = [one._replace(test=shuffle(one.test)) for one in false]
    linear = study.readers("linear")
    [shuffled] = read([Drawn.of(study.codes)], false, linear)
    [noiseless] = read([Drawn(*(part.mean[None] for part in means))], labels, linear, most=MEAN_DIRECTIONS)
    found = {
        one.factor.name: {
            "IV_shuffled": float(nothing.gained.mean()),
            "IV_shuffled_se": standard_error(nothing.gained),
            "Dy_mean": float(mean.heads["linear"].loss.mean()),
        }
        for one, nothing, mean in zip(labels, shuffled, noiseless, strict=True)
    }
    return Found(
        factors={
            name: averaged_over_frames([found[one.factor.name] for one in parts]) for name, parts in study.asked.items()
        }
    )


def uncontrolled(study: Study) -> Found:
    """All that `controls` gives, without a number."""
    return _factors_without(study, CONTROLS, ())


def _factors_without(study: Study, names: Sequence[str], of_reals: Sequence[str]) -> Found:
    factors = {f.name: dict.fromkeys([*names, *(of_reals if f.kind == "real" else ())]) for f in study.data.factors}
    nulls = {f"{name}[{f}]": "" for f, fields in factors.items() for name in fields if not name.endswith("_se")}
    return Found(factors=factors, nulls=nulls)


def _summed(study: Study) -> list[str]:
    """Fields of the task together."""
    names = ["Dy", "Dy_se", "Hy_V", "H_y", "IV", "IV_se", "Dy_sum", "U"] if study.data.task else []
    names += [f"Dy_{head}{se}" for head in study.heads for se in ("", "_se")] if study.data.task else []
    return names + (["Ds", "leakage_s"] if study.data.task and study.data.sensitive else [])


def _summary(study: Study, factors: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], dict[str, str]]:
    data, nulls = study.data, {}
    if not data.task:
        return {}, {}
    task = [factors[name] for name in data.task]
    dy, dy_se = mean_and_error(_sum(study.readings[name].loss for name in data.task))
    known = [f["H_y"] for f in task]
    values: dict[str, Any] = {
        "Dy": dy,
        "Dy_se": dy_se,
        "Hy_V": sum(f["Hy_V"] for f in task),
        "H_y": None if None in known else sum(known),
        "IV": sum(f["Hy_V"] for f in task) - dy,
        "IV_se": standard_error(_sum(study.readings[name].gained for name in data.task)),
        "Dy_sum": sum(factors[f.name]["Dy"] for f in data.factors if not f.frames),
    }
    if values["H_y"] is None:
        nulls["H_y"] = "H(y) is not known"
    classes = [factors[f.name] for f in data.factors if f.kind == "class" and not f.frames]
    values["U"] = sum(f["IV"] / f["Hy_V"] for f in classes) / len(classes) if classes else None
    if not classes:
        nulls["U"] = "no factor is a class"
    for head in study.heads:
        of_head = [study.readings[name].heads.get(head) for name in data.task]
        losses = [fitted.loss for fitted in of_head if fitted]
        found = mean_and_error(_sum(losses)) if len(losses) == len(of_head) else (None, None)
        values |= dict(zip((f"Dy_{head}", f"Dy_{head}_se"), found, strict=True))
        if found[0] is None:
            nulls[f"Dy_{head}"] = "the head failed on a factor of the task"
    if data.sensitive:
        values |= {"Ds": factors[data.sensitive]["Dy"], "leakage_s": factors[data.sensitive]["IV"]}
    return values, nulls


def _fields(reading: Reading, labels: Labels) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "H_y": labels.factor.entropy,
        "settings": {name: fitted.settings for name, fitted in reading.heads.items()},
        "Hy_V": float(reading.nothing.mean()),
    }
    for name, fitted in reading.heads.items():
        fields |= {f"Dy_{name}": float(fitted.loss.mean()), f"Dy_{name}_se": standard_error(fitted.loss)}
    fields |= {"Dy": float(reading.loss.mean()), "Dy_se": standard_error(reading.loss), "Dy_head": reading.head}
    fields |= {"IV": float(reading.gained.mean()), "IV_se": standard_error(reading.gained)}
    return fields | _classification(reading.predicted, labels)


def _bin_fields(bins: Sequence[Reading]) -> dict[str, float]:
    """D_y of a real factor's components in 20 bins each, summed; nothing for a class."""
    if not bins:
        return {}
    loss, nothing = (torch.stack(each).sum(0) for each in ([b.loss for b in bins], [b.nothing for b in bins]))
    return {
        "Dy_bins": float(loss.mean()),
        "Dy_bins_se": standard_error(loss),
        "Hy_bins": float(nothing.mean()),
        "IV_bins": float((nothing - loss).mean()),
    }


def _classification(predicted: Distribution | None, labels: Labels) -> dict[str, float | None]:
    """Accuracy, balanced accuracy and calibration error of the chosen head on test; diagnostics, not scores."""
    if labels.factor.kind == "real":
        return {"acc": None, "bal_acc": None, "ece": None}
    y = labels.test
    if predicted is None:
        frequencies = constant(labels.target)
        assert isinstance(frequencies, Categorical)
        probs = frequencies.probs.expand(1, len(y), -1)
    else:
        probs = logits(predicted).softmax(-1)
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
