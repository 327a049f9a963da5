"""R: what the model charges, and R*, the axis of every comparison, under the best marginal refitted after training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .codes import Codes
from .found import Found, averaged, folds, parts, per_point, stored
from .posteriors import MOST
from .study import Study


def rate(study: Study) -> Found:
    """R_own by the model's own marginal, R* by the refitted one, and I where the population is known, in nats.

    Raises `ValueError` where R* is not a number: without it a point has no place on any axis.
    """
    train, _, test = study.codes
    marginal = study.marginal
    unknown = ~per_point(marginal.rate).isfinite()
    if bool(unknown.any()):
        raise ValueError(
            f"R* is not a number: log q(z|x) − log m*(z) is not finite on {int(unknown.sum())} of {len(unknown)} test "
            "examples"
        )
    charged, information = _charged(test), marginal.parts.get("population")
    values: dict[str, Any] = {
        **averaged("R_own", charged),
        **averaged("R_own_mc", test.log_q - test.log_p),
        "R_own_train": float(_charged(train).mean()),
        "R_parts": {name: float(nats.double().mean()) for name, nats in test.rate.items()},
        **averaged("R_star", marginal.rate),
        "R_star_parts": {name: float(nats.mean()) for name, nats in marginal.parts.items()},
        "R_star_w": marginal.weights,
        "I_exact": None,
        **({} if information is None else averaged("I_exact", information)),
    }
    values["elbo_gen_R"] = values["R_own"] - values["R_own_train"]
    nulls = {f"R_star_parts.{name}": reason for name, reason in marginal.left_out.items()}
    population = study.data.population
    if information is None and population is None:
        nulls["I_exact"] = "the population is not finite and known"
    elif information is None and population is not None and len(population) > MOST:
        nulls["I_exact"] = f"the population has {len(population):,} examples; it is computed for {MOST:,} at most"
    elif information is None:
        nulls["I_exact"] = "blocks depend on each other's draws: the aggregate has no closed form"
    each = per_point(marginal.rate)
    vectors = {"R_i": stored(per_point(charged)), "R_star_i": stored(each)}
    found: dict[str, Any] = {"n": [len(part) for part in parts(each)], "R_star": folds(each)}
    return Found(values, vectors=vectors, tables={"folds": found}, nulls=nulls)


def _charged(codes: Codes) -> Tensor:
    """(S, N) nats, all blocks."""
    return torch.stack(list(codes.rate.values())).sum(0)
