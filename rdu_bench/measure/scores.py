"""Disentanglement scores of a frozen code, in both protocols, of posterior means and of sampled z."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from .. import scores
from ..budget import Budget
from ..data import Dataset
from ..scores import Undefined
from .codes import Codes

PROTOCOLS = ("dlib", "robust")
REPRESENTATIONS = ("mean", "sample")
QUANTITIES = frozenset({"betavae", "factorvae", "explicitness", "irs", "gaussian_tc", "gaussian_wasserstein"})
SYMBOLS = "the code has symbols, whose numbers are no quantities"
MOST = 64  # latents of a matrix that is stored


class Scored(NamedTuple):
    """What a record holds of the scores."""

    scores: dict[str, float | None]  # `mig_robust_mean` and so on
    mi: dict[str, Any]  # names, and I(z_j; y_k) in nats by representation; empty without class factors
    nulls: dict[str, str]


class _View(NamedTuple):
    """One representation of the examples that scores are fitted on and of those that are held out."""

    fit: np.ndarray  # (n, d)
    held: np.ndarray  # (m, d)
    discrete: bool


def scored(data: Dataset, train: Codes, val: Codes, test: Codes, *, at: Tensor, budget: Budget, seed: int) -> Scored:
    """Every score; heads are fitted on the training codes, all else is of validation and test codes together.

    `budget` has `score_groups`, groups of BetaVAE and FactorVAE scores, and `score_trees`, whether boosted trees are
    worth their time.  A score without a value is None, its reason in `nulls` under the same name.
    """
    factors = [f for f in data.factors if f.kind == "class" and len(data.splits["test"].factors[f.name].unique()) > 1]
    y = {part: _columns(data, [f.name for f in factors], part) for part in ("train", "val", "test")}
    fit = y["train"][at.numpy()]
    held = np.concatenate([y["val"], y["test"][: len(test)]])
    both = {
        "mean": [train.centre, val.centre, test.centre],
        "sample": [train.latents[0], val.latents[0], test.latents[0]],
    }
    found: dict[str, float | None] = {}
    nulls: dict[str, str] = {}
    mi: dict[str, Any] = {}
    for name, parts in both.items():
        first, second, third = (part.double().numpy() for part in parts)
        view = _View(first, np.concatenate([second, third]), train.own > 0)
        for protocol in PROTOCOLS:
            for score, call in _calls(view, fit, held, protocol, budget, seed).items():
                column = f"{score}_{protocol}_{name}"
                try:
                    if view.discrete and (score in QUANTITIES or (score, protocol) == ("sap", "dlib")):
                        raise Undefined(SYMBOLS)
                    values = call()
                except Undefined as reason:
                    values = None
                    nulls |= dict.fromkeys(_spread(column, score, None), str(reason))
                found |= _spread(column, score, values)
        if factors and len(train.names) <= MOST and np.ptp(view.held, axis=0).any():
            mi[name] = scores.mutual_information(view.held, held).clip(min=0).round(5).tolist()
    if mi:
        mi |= {"latents": list(train.names), "factors": [f.name for f in factors]}
        mi["H"] = [round(float(h), 5) for h in scores.entropies(held)]
    return Scored(found, mi, nulls)


def _columns(data: Dataset, names: list[str], part: str) -> np.ndarray:
    """(N, K) class factors."""
    split = data.splits[part]
    return np.stack([split.factors[name].numpy() for name in names], 1) if names else np.zeros((len(split), 0))


def _calls(
    view: _View, fit: np.ndarray, held: np.ndarray, protocol: Any, budget: Budget, seed: int
) -> dict[str, Callable[[], Any]]:
    """Every score of a representation by name; one that returns several is spread over columns."""
    z = view.held
    test: dict[str, Any] = {"z_test": view.held, "factors_test": held}
    groups = {"groups": budget.score_groups, "seed": seed % 2**32}
    alone: dict[str, Callable[[], Any]] = {
        "gaussian_tc": lambda: scores.gaussian_total_correlation(z, protocol),
        "gaussian_wasserstein": lambda: scores.gaussian_wasserstein_correlation(z, protocol),
        "mutual_info": lambda: scores.mutual_info_score(z, protocol),
    }
    if not held.shape[1]:
        return alone
    return {
        "betavae": lambda: scores.betavae_score(z, held, protocol, **groups),
        "factorvae": lambda: scores.factorvae_score(z, held, protocol, **groups),
        "mig": lambda: scores.mig(z, held, protocol),
        "dci": lambda: _dci(view.fit, fit, protocol, test, budget, seed),
        "sap": lambda: scores.sap(view.fit, fit, protocol, **test),
        "modularity": lambda: scores.modularity(z, held, protocol),
        "explicitness": lambda: scores.explicitness(view.fit, fit, protocol, **test),
        "irs": lambda: scores.irs(z, held, protocol),
        **alone,
    }


def _dci(z: np.ndarray, y: np.ndarray, protocol: Any, test: dict[str, Any], budget: Budget, seed: int) -> scores.DCI:
    if protocol == "dlib" and not budget.score_trees:
        raise Undefined("boosted trees take minutes; this budget leaves them out (score_trees)")
    return scores.dci(z, y, protocol, seed=seed % 2**32, **test)


def _spread(column: str, score: str, values: Any) -> dict[str, float | None]:
    """One column, or one for each part of DCI."""
    if score != "dci":
        return {column: values}
    rest = column.removeprefix("dci")
    return {f"dci_{part}{rest}": None if values is None else getattr(values, part) for part in scores.DCI._fields}
