"""What is known of the structure of codes, as tables: clusters, levels, blocks, leakage, data efficiency, noise.

Each is a mean over seeds for every (data set, model, variant, target).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd

from .intervals import errors
from .points import CELL, Results, points

Row = dict[str, Any]


def structure(results: Results, *, every: bool = False) -> dict[str, pd.DataFrame]:
    """Tables by name, each only where a record has it: clusters, levels, blocks, leakage, efficiency, codelength,
    noise, prediction.

    Losses and rates are nats; each `_se` is over seeds and test points together.
    """
    found = points(results, every=every)
    predicted = _prediction(found)
    held = [(key, json.loads(text)) for key, text in zip(found["key"], found["structure"], strict=True) if text]
    found = found.set_index("key")
    out = {}
    for name, (parts, keys) in _PARTS.items():
        rows = [{"key": key, **row} for key, structure in held for row in parts(structure)]
        if rows:
            frame = pd.DataFrame(rows).join(found[[*CELL, "seed"]], on="key")
            out[name] = _over_seeds(frame, [*CELL, *keys])
    if not predicted.empty:
        out["prediction"] = _over_seeds(predicted, CELL)
    return out


PREDICTED = ["R_star", "R_star_se", "D_pred", "D_pred_se", "D_pred_null", "H_pred"]


def _prediction(found: pd.DataFrame) -> pd.DataFrame:
    """One row a point of a predictor: its rate, and D of the frames to come."""
    if "D_pred" not in found:
        return pd.DataFrame()
    mine = found[found["measured"] & found["D_pred"].notna()]
    return mine[[*CELL, "seed", "key", *(c for c in PREDICTED if c in mine)]].copy()


def _over_seeds(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Means of what is a number, the first of what is text, and the number of seeds."""
    numbers = [c for c in map(str, frame.columns) if c not in (*keys, "key", "seed", *_TEXT)]
    frame[numbers] = frame[numbers].apply(pd.to_numeric, errors="coerce").astype(float)
    groups = frame.groupby(keys, dropna=False, sort=False)
    mean = groups[numbers].mean()
    seeds = groups["seed"].nunique()
    for column in numbers:
        if f"{column}_se" in numbers:
            mean[f"{column}_se"] = errors(groups, column)
    for column in (c for c in _TEXT if c in frame):
        mean[column] = groups[column].agg(lambda v: "/".join(sorted({str(t) for t in v if t is not None and t == t})))
    order = [c for c in ("dataset", "model", "variant", "sigma") if c in keys]
    return mean.assign(seeds=seeds).reset_index().sort_values(order, kind="stable", ignore_index=True)


_TEXT = ("head", "sdl_bound", "kind", "chosen")


def _clusters(found: Mapping[str, Any]) -> Iterator[Row]:
    """One row a method; `chosen` is the one that needed no label to be chosen."""
    given = found.get("clusters") or {}
    each = {k: v for k, v in given.items() if isinstance(v, Mapping)} or ({given.get("from"): given} if given else {})
    best = given.get("from") if given.get("from") in each else None
    for method, values in each.items():
        numbers = {k: values.get(k) for k in ("k", "ari", "ami", "nmi", "acc")}
        yield {"method": str(method), "chosen": "chosen" if best == method and len(each) > 1 else "", **numbers}


def _levels(found: Mapping[str, Any]) -> Iterator[Row]:
    """One row a level and factor; levels are cumulative prefixes of the code, in sending order."""
    sent: list[str] = []
    for depth, (block, values) in enumerate((found.get("levels") or {}).items()):
        sent.append(block)
        rate = {k: values.get(k) for k in ("R_star", "R_star_se")}
        numbers = ("Dy", "Dy_se", "Hy_V", "IV", "IV_se")
        for factor, scores in (values.get("factors") or {"": {}}).items():
            said = {k: scores.get(k) for k in numbers}
            yield {"depth": depth, "level": " + ".join(sent), "factor": factor, **rate, **said}


def _blocks(found: Mapping[str, Any]) -> Iterator[Row]:
    """One row a block and factor, with what a head on this block alone gets.

    `gap` is how much more of the factor the best block tells than the second, as a share of H_V(y): what MIG is for
    latents.
    """
    given = found.get("blocks") or {}
    told: dict[str, list[float]] = {}
    for values in given.values():
        for factor, scores in (values.get("factors") or {}).items():
            told.setdefault(factor, []).append(max(0.0, (scores.get("IV") or 0.0) / (scores.get("Hy_V") or 1.0)))
    for place, (block, values) in enumerate(given.items()):
        rate = {k: values.get(k) for k in ("R", "R_se")}
        for factor, scores in (values.get("factors") or {"": {}}).items():
            most = sorted(told.get(factor, []))[-2:]
            gap = most[-1] - most[0] if len(most) == 2 else None
            said = {k: scores.get(k) for k in ("Dy", "Dy_se", "Hy_V", "IV", "IV_se")}
            yield {"place": place, "block": block, "factor": factor, **rate, **said, "gap": gap}


def _leakage(found: Mapping[str, Any]) -> Iterator[Row]:
    """One row; the strongest head against s."""
    given = found.get("leakage") or {}
    if given:
        yield {"s": str(given.get("s")), **{k: given.get(k) for k in ("head", "Ds", "Ds_se", "IV", "IV_se")}}


def _efficiency(found: Mapping[str, Any]) -> Iterator[Row]:
    """One row a factor and number of labels."""
    for factor, given in (found.get("efficiency") or {}).items():
        errors = given.get("Dy_se") or [None] * len(given.get("n") or [])
        for n, Dy, se in zip(given.get("n") or [], given.get("Dy") or [], errors, strict=False):
            yield {"factor": factor, "n": n, "Dy": Dy, "Dy_se": se}


def _codelength(found: Mapping[str, Any]) -> Iterator[Row]:
    """One row a factor."""
    for factor, given in (found.get("efficiency") or {}).items():
        numbers = {k: given.get(k) for k in ("mdl", "mdl_ratio", "sdl", "sdl_eps", "sdl_bound")}
        yield {"factor": factor, "labels_most": max(given.get("n") or [0]), **numbers}


def _noise(found: Mapping[str, Any]) -> Iterator[Row]:
    """One row a factor and level of noise."""
    given = found.get("noise") or {}
    levels = given.get("levels") or []
    for factor, losses in (given.get("Dy") or {}).items():
        errors = (given.get("Dy_se") or {}).get(factor) or [None] * len(levels)
        for level, Dy, se in zip(levels, losses, errors, strict=False):
            yield {"kind": given.get("kind"), "factor": factor, "level": level, "Dy": Dy, "Dy_se": se}


_PARTS: dict[str, tuple[Callable[[Mapping[str, Any]], Iterator[Row]], list[str]]] = {
    "clusters": (_clusters, ["method"]),
    "levels": (_levels, ["depth", "level", "factor"]),
    "blocks": (_blocks, ["place", "block", "factor"]),
    "leakage": (_leakage, ["s"]),
    "efficiency": (_efficiency, ["factor", "n"]),
    "codelength": (_codelength, ["factor"]),
    "noise": (_noise, ["factor", "level"]),
}
