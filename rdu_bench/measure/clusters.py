"""Whether classes are clusters of z, found without labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

from ..nn.whitening import principal
from ..scores import Undefined
from ..scores.clustering import Agreement, clustering, fit_each
from .found import Found
from .study import Study

DIRECTIONS = 64  # of z that clusters are sought in
SYMBOLS = 100  # most values of a symbol that may stand for a cluster


def clusters(study: Study) -> Found:
    """Agreement with the first class of the task, the clusters chosen by likelihood on validation.

    Raises `Undefined` without a class in the task, and for codes of too few distinct values.
    """
    factor = next((f for f in study.task if f.kind == "class"), None)
    if factor is None:
        raise Undefined("no factor of the task is a class")
    y, test = study.labels[factor.name].test.numpy(), study.codes.test
    each: dict[str, dict[str, Any]] = {}
    likelihood: dict[str, float] = {}
    if test.own == 1 and 2 <= test.sizes[0] <= SYMBOLS:
        each["own classes"] = _averaged(test.sizes[0], [clustering(k[:, 0].numpy(), y) for k in test.symbols])
        likelihood["own classes"] = math.inf
    fit, held, scored = (z.double().numpy() for z in _leading([codes.z for codes in study.codes]))
    seed = study.seeded("clusters")
    try:
        for method, found in fit_each(fit[0], factor.size, seed=seed).items():
            likelihood[method] = found.log_likelihood(held[0])
            each[method] = _averaged(factor.size, [clustering(found.assign(z), y) for z in scored])
    except Undefined:
        if not each:
            raise
    best = max(likelihood, key=lambda name: likelihood[name])
    about = {"from": best, "factor": factor.name, **each[best], **each}
    return Found(tables={"structure": {"clusters": about}})


def _leading(parts: list[Tensor]) -> list[Tensor]:
    """Codes (S, N, d) turned, and cut to their leading directions where there are many."""
    if parts[0].shape[-1] <= DIRECTIONS:
        return parts
    leading = principal(parts[0], DIRECTIONS)
    return [leading.turned(part) for part in parts]


def _averaged(k: int, found: list[Agreement]) -> dict[str, Any]:
    """Over draws."""
    mean = np.mean(found, axis=0).tolist()
    return {"k": k, **dict(zip(Agreement._fields, mean, strict=True))}
