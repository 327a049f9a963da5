"""What the first blocks of a code cost, and how useful they are, before the next are sent."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..scores import Undefined
from .found import Found, mean_and_error, per_point
from .heads import Drawn, read
from .marginals import Marginal, refit
from .prefixes import DEEPEST
from .study import Study


def levels(study: Study) -> Found:
    """R* and D_y of z₁, of z₁ and z₂, and so on, in the order in which blocks are sent; nats.

    Raises `Undefined` for codes of one block, and of more than 6.
    """
    names = study.blocks
    if not 2 <= len(names) <= DEEPEST:
        raise Undefined(f"the code has {len(names)} block{'s' * (len(names) > 1)}; levels are 2 to {DEEPEST}")
    labels = [one for one in study.labels.values() if one.factor.kind == "class"]
    out: dict[str, Any] = {}
    for level in study.levels:
        marginal = refit(level.codes, study.budget.mixtures, study.seed, level.aggregates)
        [found] = read([Drawn.of(level.codes)], labels, study.readers("linear")) if labels else [[]]
        about = {
            one.factor.name: useful(reading.heads["linear"].loss, reading.nothing)
            for one, reading in zip(labels, found, strict=True)
        }
        out[level.name] = _level(_least(marginal, study), about)
    about = {}
    for one in labels:
        about[one.factor.name] = useful(study.linear[one.factor.name].loss, study.nothing(one))
    out[names[-1]] = _level(study.marginal.rate, about)
    return Found(tables={"structure": {"levels": out}})


def _least(marginal: Marginal, study: Study) -> Tensor:
    """The rate of the first blocks; that of all, where they have no marginal of their own and cost less together."""
    whole = study.marginal.rate
    return whole if "own" in marginal.left_out and whole.mean() < marginal.rate.mean() else marginal.rate


def useful(loss: Tensor, nothing: Tensor) -> dict[str, float]:
    """D_y of (L,) nats on test, and what that is below those of a constant code."""
    (dy, dy_se), (gain, gain_se) = mean_and_error(loss.double()), mean_and_error(nothing.double() - loss.double())
    return {"Dy": dy, "Dy_se": dy_se, "Hy_V": float(nothing.double().mean()), "IV": gain, "IV_se": gain_se}


def _level(rate: Tensor, factors: dict[str, dict[str, float]]) -> dict[str, Any]:
    mean, error = mean_and_error(per_point(rate))
    return {"R_star": mean, "R_star_se": error, "factors": factors}
