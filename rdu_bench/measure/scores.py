"""Disentanglement scores of a frozen code, in both protocols, of posterior means and of sampled z."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from .. import scores as library
from ..budget import Budget
from ..data import Dataset, Factor
from ..scores import DCI, Undefined
from .found import Found
from .study import Study

PROTOCOLS: tuple[Literal["dlib", "robust"], ...] = ("dlib", "robust")
REPRESENTATIONS = ("mean", "sample")
ALONE = ("gaussian_tc", "gaussian_wasserstein", "mutual_info")  # scores that need no factors
OF_FACTORS = ("betavae", "factorvae", "mig", "dci", "sap", "modularity", "explicitness", "irs")
QUANTITIES = frozenset({"betavae", "factorvae", "explicitness", "irs", "gaussian_tc", "gaussian_wasserstein"})
SYMBOLS = "the code has symbols, whose numbers are no quantities"
MOST = 64  # latents of a matrix that is stored


class _Seen(NamedTuple):
    """One representation of the examples that scores are fitted on and of those that are held out."""

    fit: np.ndarray  # (n, d)
    held: np.ndarray  # (m, d)
    y_fit: np.ndarray  # (n, K) class factors
    y_held: np.ndarray  # (m, K)
    discrete: bool


def scores(study: Study) -> Found:
    """Every score; heads are fitted on the training codes, all else is of validation and test codes together.

    A score that fails or is undefined is None, its reason in `nulls` under its own name.
    """
    at, train = study.scored, study.codes.train
    discrete = max(at) >= train.continuous.shape[-1]
    factors = _factors(study.data)
    fit, *held = (_columns(study, factors, part) for part in ("train", "val", "test"))
    both = {"mean": [c.centre[:, at] for c in study.codes], "sample": [c.latents[0][:, at] for c in study.codes]}
    found: dict[str, float | None] = {}
    nulls: dict[str, str] = {}
    mi: dict[str, Any] = {}
    for name, parts in both.items():
        first, second, third = (part.double().numpy() for part in parts)
        seen = _Seen(first, np.concatenate([second, third]), fit, np.concatenate(held), discrete)
        for protocol in PROTOCOLS:
            for score, call in _calls(seen, protocol, study.budget, study.seeded("scores")).items():
                column = f"{score}_{protocol}_{name}"
                try:
                    if seen.discrete and (score in QUANTITIES or (score, protocol) == ("sap", "dlib")):
                        raise Undefined(SYMBOLS)
                    found |= _spread(column, score, call())
                except Exception as error:
                    reason = str(error) if isinstance(error, Undefined) else f"{type(error).__name__}: {error}"
                    found |= (lost := _spread(column, score, None))
                    nulls |= dict.fromkeys(lost, reason)
        if factors and len(at) <= MOST and np.ptp(seen.held, axis=0).any():
            mi[name] = library.mutual_information(seen.held, seen.y_held).clip(min=0).round(5).tolist()
    if mi:
        mi |= {"latents": [train.names[i] for i in at], "factors": [f.name for f in factors]}
        mi["H"] = [round(float(h), 5) for h in library.entropies(seen.y_held)]
    return Found(tables={"scores": found, "mi": mi}, nulls=nulls)


def unscored(study: Study) -> Found:
    """All that `scores` gives, without a number."""
    found: dict[str, float | None] = {}
    for score in (*ALONE, *(OF_FACTORS if _factors(study.data) else ())):
        for protocol in PROTOCOLS:
            for name in REPRESENTATIONS:
                found |= _spread(f"{score}_{protocol}_{name}", score, None)
    return Found(tables={"scores": found}, nulls=dict.fromkeys(found, ""))


def _factors(data: Dataset) -> list[Factor]:
    """Classes of the example that take more than one value."""
    test = data.splits["test"].factors
    return [f for f in data.factors if f.kind == "class" and not f.frames and len(test[f.name].unique()) > 1]


def _columns(study: Study, factors: Sequence[Factor], part: Literal["train", "val", "test"]) -> np.ndarray:
    """(N, K) of the examples of a split that have codes."""
    columns = [getattr(study.labels[f.name], part).numpy() for f in factors]
    return np.stack(columns, 1) if columns else np.zeros((len(getattr(study.codes, part)), 0))


def _calls(seen: _Seen, protocol: Literal["dlib", "robust"], budget: Budget, seed: int) -> dict[str, Callable[[], Any]]:
    """Every score of a representation by name; one that returns several is spread over columns."""
    z, y, groups, draw = seen.held, seen.y_held, budget.score_groups, seed % 2**32
    alone: dict[str, Callable[[], Any]] = {
        "gaussian_tc": lambda: library.gaussian_total_correlation(z, protocol),
        "gaussian_wasserstein": lambda: library.gaussian_wasserstein_correlation(z, protocol),
        "mutual_info": lambda: library.mutual_info_score(z, protocol),
    }
    if not y.shape[1]:
        return alone

    def fitted(score: Callable[..., Any]) -> Any:
        return score(seen.fit, seen.y_fit, protocol, z_test=z, factors_test=y)

    def dci() -> DCI:
        if protocol == "dlib" and not budget.score_trees:
            raise Undefined("boosted trees take minutes; this budget leaves them out (score_trees)")
        return library.dci(seen.fit, seen.y_fit, protocol, seed=draw, z_test=z, factors_test=y)

    return {
        "betavae": lambda: library.betavae_score(z, y, protocol, groups=groups, seed=draw),
        "factorvae": lambda: library.factorvae_score(z, y, protocol, groups=groups, seed=draw),
        "mig": lambda: library.mig(z, y, protocol),
        "dci": dci,
        "sap": lambda: fitted(library.sap),
        "modularity": lambda: library.modularity(z, y, protocol),
        "explicitness": lambda: fitted(library.explicitness),
        "irs": lambda: library.irs(z, y, protocol),
        **alone,
    }


def _spread(column: str, score: str, values: Any) -> dict[str, float | None]:
    """One column, or one for each part of DCI."""
    if score != "dci":
        return {column: values}
    rest = column.removeprefix("dci")
    return {f"dci_{part}{rest}": None if values is None else getattr(values, part) for part in DCI._fields}
