"""All measurements of one frozen model, merged: one that fails costs its own numbers, says why, and no others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from .._hash import named_seed
from .._lean import lean
from ..scores import Undefined
from .blocks import blocks
from .clusters import clusters
from .distortion import distortion, entropy
from .efficiency import efficiency
from .found import Found, together, without
from .information import information
from .latents import latents
from .leakage import leakage
from .levels import levels
from .pictures import pictures
from .prediction import prediction
from .rate import rate
from .receiver import NAMES, receiver
from .robustness import robustness
from .scores import scores, unscored
from .streams import seeded
from .study import Study
from .total_correlation import total_correlation, total_correlation_low
from .usefulness import controls, uncontrolled, usefulness, useless


class Measured(NamedTuple):
    """What a record says of a model."""

    values: dict[str, Any]
    factors: dict[str, dict[str, Any]]
    vectors: dict[str, np.ndarray]  # float32, one number a test point; and arrays, under pictures/ and latents/
    nulls: dict[str, str]  # field → why it has no number
    folds: dict[str, list[float | None]]  # n test points in each part; means there of R_star, D, D_null, Dy, Hy_V, nats
    scores: dict[str, float | None]  # by score, protocol and representation
    mi: dict[str, Any]  # I(z_j; y_k), nats
    pictures: dict[str, Any]  # what the arrays under pictures/ show
    structure: dict[str, Any]  # clusters, levels, blocks, leakage, efficiency, noise: those that mean something


class Measurement(NamedTuple):
    """A function of a study, and all that it gives without a number, which stands in a record when it fails."""

    run: Callable[[Study], Found]
    blank: Callable[[Study], Found] | None  # None: without this there is no point, and its exception is raised


def _fields(*names: str) -> Callable[[Study], Found]:
    return lambda study: without(names)


def _absent(*names: str) -> Callable[[Study], Found]:
    """Of tables that are not there: a reason and nothing else."""
    return lambda study: Found(nulls=dict.fromkeys(names, ""))


D = ("D_null", "D_own", "D_star", "D", "gap_RD")
MEASUREMENTS: dict[str, Measurement] = {
    "rate": Measurement(rate, None),
    "receiver": Measurement(receiver, _fields(*NAMES)),
    "total correlation": Measurement(total_correlation, _fields("TC", "TC_se")),
    "bound on total correlation": Measurement(total_correlation_low, _fields("TC_low", "TC_low_se")),
    "information": Measurement(information, _fields("I_low", "I_low_se", "log_N", "saturated")),
    "distortion": Measurement(
        distortion,
        _fields(
            *(f"{name}{se}" for name in D for se in ("", "_se")),
            *(
                "D_train",
                "D_star_kind",
                "D_source",
                "D_per_dim",
                "D_bits_per_dim",
                "elbo_gen_D",
                "likelihood",
                "D_own_lost",
            ),
        ),
    ),
    "prediction": Measurement(prediction, _absent("D_pred")),
    "entropy": Measurement(entropy, _fields("H_x", "H_x_kind")),
    "usefulness": Measurement(usefulness, useless),
    "controls": Measurement(controls, uncontrolled),
    "scores": Measurement(scores, unscored),
    "latents": Measurement(latents, _absent("latents")),
    "clusters": Measurement(clusters, _absent("structure.clusters")),
    "levels": Measurement(levels, _absent("structure.levels")),
    "blocks": Measurement(blocks, _absent("structure.blocks")),
    "leakage": Measurement(leakage, _absent("structure.leakage")),
    "efficiency": Measurement(efficiency, _absent("structure.efficiency")),
    "noise": Measurement(robustness, _absent("structure.noise")),
    "pictures": Measurement(pictures, _absent("pictures")),
}


@lean()
@torch.no_grad()
def measure(study: Study) -> Measured:
    """Every measurement of a study; the same numbers for the same seed.

    Raises what drawing codes or R* raise: without them there is no point.  What another measurement raises is the
    reason of all its fields, which are null, and changes no other number.
    """
    parts = []
    for name, (run, blank) in MEASUREMENTS.items():
        with seeded(named_seed("measure", name, study.seed), study.device):
            try:
                parts.append(run(study))
            except MemoryError:  # of the machine, no fault of what was measured
                raise
            except (Exception, SystemExit) as error:
                if blank is None:
                    raise
                reason = str(error) if isinstance(error, Undefined) else f"{type(error).__name__}: {error}"
                parts.append(blank(study).because(reason))
    found = together(parts)
    nulls = dict(found.nulls)
    values = _finite("", found.values, nulls)
    factors = {
        factor: {name: _finite(f"{name}[{factor}]", value, nulls) for name, value in fields.items()}
        for factor, fields in found.factors.items()
    }
    tables = {name: found.tables.get(name, {}) for name in ("folds", "scores", "mi", "pictures", "structure")}
    rest = {name: _finite("" if name == "scores" else name, table, nulls) for name, table in tables.items()}
    return Measured(values, factors, found.vectors, nulls, **rest)


def _finite(name: str, value: Any, nulls: dict[str, str]) -> Any:
    """With None, and a reason for it, for every float that is NaN or infinite."""
    if isinstance(value, dict):
        return {key: _finite(f"{name}.{key}" if name else key, v, nulls) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(f"{name}[{i}]", v, nulls) for i, v in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        nulls[name] = "not finite"
        return None
    return value
