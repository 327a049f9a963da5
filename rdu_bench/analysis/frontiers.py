"""Frontiers: for each curve and for their mean over seeds, the hull of what was measured and of the null point."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .folds import folded
from .hull import Hull, hull, vertices
from .intervals import spread
from .points import ROW, Results, points


class Axis(NamedTuple):
    """One plane: R* against a loss, which a constant code brings down to `null`."""

    loss: str
    se: str
    null: str


OF_BOARD = [  # columns of the points that a board is made of; the others would be copied with every group
    *(*ROW, "name", "title", "section", "labels", "decoder", "autoregressive", "seed", "sigma", "params", "status"),
    *("measured", "capped", "last_gain", "published", "R_own", "R_star", "R_star_se"),
    *("D", "D_se", "D_null", "Dy", "Dy_se", "Hy_V", "folds"),
    *("spec.budget", "spec.network", "spec.strategy", "spec.heads", "spec.plugins"),  # of which `recipes.terms` are
]
AXES = {"D": Axis("D", "D_se", "D_null"), "Dy": Axis("Dy", "Dy_se", "Hy_V")}


def axis(name: str) -> Axis:
    """The plane (R*, D) or (R*, D_y), by the name of its loss.  Raises `ValueError` for any other."""
    if name not in AXES:
        raise ValueError(f"there is no frontier in {name!r}; take one of {', '.join(AXES)}.")
    return AXES[name]


def null_of(row: pd.DataFrame, plane: Axis) -> float:
    """Loss of a code that says nothing, nats: the median over the points that measured it, NaN if none did."""
    return float(_median(row[plane.null].to_numpy(float)[None])[0])


def null_folds(row: pd.DataFrame, plane: Axis) -> np.ndarray:
    """`null_of` and the same without each part of the test points, (F,)."""
    return _median(folded(row, (plane.null,))[0])


def _median(nulls: np.ndarray) -> np.ndarray:
    """(F, P) → (F,) over the points that have one, NaN where none has."""
    known = np.isfinite(nulls[0])
    found: np.ndarray = np.median(nulls[:, known], axis=1) if known.any() else np.full(len(nulls), np.nan)
    return found


def usable(table: pd.DataFrame, plane: Axis) -> pd.Series:
    """Which points of a table lie in this plane."""
    return table["measured"] & table[plane.loss].notna()


def seed_hulls(row: pd.DataFrame, plane: Axis, null: float) -> dict[int, Hull]:
    """The hull of each seed of one leaderboard row, null point included, with its folds, (F, V).

    A failed or missing cell is the null point once more, so a seed of which nothing was measured is the null
    point alone.  Without a null there is no frontier in this plane.
    """
    if not np.isfinite(null):
        return {}
    hulls = {}
    for seed, curve in row.groupby("seed"):
        good = curve[usable(curve, plane)]
        R, loss, nulls = folded(good, ("R_star", plane.loss, plane.null))
        level = _median(nulls)[:, None]
        level = level if np.isfinite(level[0, 0]) else np.full((len(R), 1), null)
        rates = np.concatenate([np.zeros_like(level), R], axis=1)
        hulls[int(str(seed))] = hull(rates, np.concatenate([level, loss], axis=1))
    return hulls


def mean_points(row: pd.DataFrame, plane: Axis, null: float) -> pd.DataFrame:
    """The seed-mean curve of one leaderboard row: sigma, R_star, loss, their standard errors, seeds, failed.

    The error is that of the mean over seeds and test points, or of test points where there is one seed.  A cell that
    failed, or that other seeds have and this one lacks, enters the mean as the null point.
    """
    seeds = row["seed"].nunique()
    out = []
    for (sigma, _), cell in row.groupby(["sigma", "params"], dropna=False):  # a target, or a value that is swept
        good = cell[usable(cell, plane)]
        lost = seeds - good["seed"].nunique()
        if good.empty or (lost and not np.isfinite(null)):
            continue
        each = folded(good, ("R_star", plane.loss))
        parts = [np.full((len(each[0]), lost), level) for level in (0.0, null)]
        R, loss = (np.concatenate(both, axis=1) for both in zip(each, parts, strict=True))  # (F, seeds)
        errors = [good["R_star_se"].iloc[0], good[plane.se].iloc[0]]
        if R.shape[1] > 1:
            errors = [spread(list(v.T)).error for v in (R, loss)]
        R, loss = R[0], loss[0]
        statuses = sorted(set(cell["status"]) - {"ok"})
        out.append((sigma, R.mean(), errors[0], loss.mean(), errors[1], len(R), lost, " + ".join(statuses) or "ok"))
    return pd.DataFrame(out, columns=["sigma", "R_star", "R_star_se", "loss", "loss_se", "seeds", "failed", "status"])


def null_levels(table: pd.DataFrame, plane: Axis) -> dict[tuple[str, str, str], float]:
    """The null of every leaderboard row; one with nothing measured borrows the median of its decoders' class."""
    levels = {}
    for _, panel in table.groupby(["dataset", "autoregressive"]):
        common = null_of(panel[usable(panel, plane)], plane)
        for key, row in rows_of(panel):
            own = null_of(row[usable(row, plane)], plane)
            levels[key] = own if np.isfinite(own) else common
    return levels


def rows_of(table: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str], pd.DataFrame]]:
    """The leaderboard rows of a table: (data set, model, variant) and their points."""
    for key, row in table.groupby(ROW, sort=True):
        dataset, model, variant = key
        yield (str(dataset), str(model), str(variant)), row


def frontier(results: Results, metric: str = "D", *, every: bool = False) -> pd.DataFrame:
    """All points of all frontiers in the plane (R*, `metric`), metric "D" or "Dy", in nats.

    A row is a measured point, or the null point (`null`), of one seed; `seed` is missing for the seed-mean
    curve.  `hull` marks the vertices of the lower convex hull, which is the frontier.  Other recipes than the current
    one of each row are there with `every` only, see `points`.  Raises as that does, and `ValueError` for any other
    metric.
    """
    plane = axis(metric)
    about = ["name", "section", "labels", "autoregressive"]
    table = points(results, every=every)[[*ROW, *about, *_OF_CURVE, plane.loss, plane.se, plane.null]]
    nulls = null_levels(table, plane)
    curves: list[Curve] = []
    rows: list[dict[str, Any]] = []
    for key, row in rows_of(table):
        null = nulls[key]
        if not np.isfinite(null):
            continue
        mine = [_mean_curve(row, plane, null), *_seed_curves(row, plane, null)]
        info = dict(zip(ROW, key, strict=True)) | {c: row[c].iloc[0] for c in about}
        curves += mine
        rows += [info] * len(mine)
    names = [*ROW, *about, "metric", "seed", "sigma", "R_star", "R_star_se"]
    names += ["loss", "loss_se", "status", "seeds", "failed", "hull", "null"]
    if not curves:
        return pd.DataFrame(columns=names)
    sizes = [len(curve["R_star"]) for curve in curves]
    columns = {c: np.concatenate([curve[c] for curve in curves]) for c in curves[0]}
    columns |= {c: np.repeat(np.array([r[c] for r in rows], dtype=object), sizes) for c in (*ROW, *about)}
    frame = pd.DataFrame(columns).assign(metric=metric)[names]
    whole = {c: frame[c].astype("Int64") for c in ("seed", "seeds", "failed")}
    return frame.assign(**whole, autoregressive=frame["autoregressive"].astype(bool))


_OF_CURVE = ("seed", "sigma", "params", "R_star", "R_star_se", "status", "measured", "folds")
Curve = dict[str, np.ndarray]  # columns of one curve, the null point first


def _mean_curve(row: pd.DataFrame, plane: Axis, null: float) -> Curve:
    """The null point, and the means over the seeds of one row."""
    mean = mean_points(row, plane, null)
    columns = {name: mean[name].to_numpy() for name in mean.columns}
    return _curve(columns, null, seed=np.nan, seeds=np.nan)


def _seed_curves(row: pd.DataFrame, plane: Axis, null: float) -> Iterator[Curve]:
    """For each seed of one row the null point and what was measured."""
    good = usable(row, plane).to_numpy()
    seeds, place = np.unique(row["seed"].to_numpy(float), return_inverse=True)
    names = {"sigma": "sigma", "R_star": "R_star", "R_star_se": "R_star_se", "loss": plane.loss, "loss_se": plane.se}
    columns = {name: row[column].to_numpy(float) for name, column in names.items()}
    status, levels = row["status"].to_numpy(object), row[plane.null].to_numpy(float)
    for i, seed in enumerate(seeds):
        mine = np.flatnonzero((place == i) & good)
        known = levels[mine][np.isfinite(levels[mine])]
        each = {name: values[mine] for name, values in columns.items()} | {"status": status[mine]}
        each |= {"seeds": np.ones(len(mine)), "failed": np.zeros(len(mine))}
        yield _curve(each, float(np.median(known)) if len(known) else null, seed=float(seed), seeds=1.0)


def _curve(columns: Curve, null: float, *, seed: float, seeds: float) -> Curve:
    """Columns with the null point in front, the seed, and which points are vertices of the hull."""
    first = {"R_star": 0.0, "loss": null, "seeds": seeds}
    out = {
        name: np.concatenate([[first.get(name, np.nan)], values.astype(float)])
        for name, values in columns.items()
        if name != "status"
    }
    out["status"] = np.concatenate([np.array(["null"], dtype=object), columns["status"].astype(object)])
    n = len(out["R_star"])
    on = vertices(np.maximum(out["R_star"], 0), out["loss"])
    return out | {"seed": np.full(n, seed), "hull": np.isin(np.arange(n), on), "null": np.arange(n) == 0}
