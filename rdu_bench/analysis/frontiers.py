"""Frontiers: for each curve and for their mean over seeds, the hull of what was measured and of the null point."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .hull import Hull, hull, vertices
from .points import ROW, Results, points


class Axis(NamedTuple):
    """One plane: R* against a loss, which a constant code brings down to `null`."""

    loss: str
    se: str
    null: str


AXES = {"D": Axis("D", "D_se", "D_null"), "Dy": Axis("Dy", "Dy_se", "Hy_V")}


def axis(name: str) -> Axis:
    """The plane (R*, D) or (R*, D_y), by the name of its loss."""
    if name not in AXES:
        raise ValueError(f"there is no frontier in {name!r}; take one of {', '.join(AXES)}.")
    return AXES[name]


def null_of(row: pd.DataFrame, plane: Axis) -> float:
    """Loss of a code that says nothing, nats: the median over the points that measured it, NaN if none did."""
    return float(row[plane.null].median())


def usable(table: pd.DataFrame, plane: Axis) -> pd.Series:
    """Which points of a table lie in this plane."""
    return table["measured"] & table[plane.loss].notna()


def seed_hulls(row: pd.DataFrame, plane: Axis, null: float) -> dict[int, Hull]:
    """The hull of each seed of one leaderboard row, null point included.

    A failed or missing cell is the null point once more, so a seed of which nothing was measured is the null
    point alone.  Without a null there is no frontier in this plane.
    """
    if not np.isfinite(null):
        return {}
    hulls = {}
    for seed, curve in row.groupby("seed"):
        good = curve[usable(curve, plane)]
        level = null_of(good, plane)
        level = level if np.isfinite(level) else null
        hulls[int(str(seed))] = hull([0.0, *good["R_star"]], [level, *good[plane.loss]])
    return hulls


def mean_points(row: pd.DataFrame, plane: Axis, null: float) -> pd.DataFrame:
    """The seed-mean curve of one leaderboard row: sigma, R_star, loss, their standard errors, seeds, failed.

    The error is that of the mean over seeds, or of the test points where there is one seed.  A cell that
    failed, or that other seeds have and this one lacks, enters the mean as the null point.
    """
    seeds = row["seed"].nunique()
    out = []
    for (sigma, _), cell in row.groupby(["sigma", "params"], dropna=False):  # a target, or a value that is swept
        good = cell[usable(cell, plane)]
        lost = seeds - good["seed"].nunique()
        if good.empty or (lost and not np.isfinite(null)):
            continue
        R = np.concatenate([good["R_star"], np.zeros(lost)])
        loss = np.concatenate([good[plane.loss], np.full(lost, null)])
        errors = [good["R_star_se"].iloc[0], good[plane.se].iloc[0]]
        if len(R) > 1:
            errors = [float(v.std(ddof=1) / np.sqrt(len(v))) for v in (R, loss)]
        statuses = sorted(set(cell["status"]) - {"ok"})
        out.append((sigma, R.mean(), errors[0], loss.mean(), errors[1], len(R), lost, " + ".join(statuses) or "ok"))
    return pd.DataFrame(out, columns=["sigma", "R_star", "R_star_se", "loss", "loss_se", "seeds", "failed", "status"])


def null_levels(table: pd.DataFrame, plane: Axis) -> dict[tuple[str, str, str], float]:
    """The null of every leaderboard row; one with nothing measured borrows the median of its decoders' class."""
    levels = {}
    for _, panel in table.groupby(["dataset", "autoregressive"]):
        common = null_of(panel, plane)
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
    one of each row are there with `every` only, see `points`.
    """
    plane, table = axis(metric), points(results, every=every)
    nulls, parts = null_levels(table, plane), []
    for key, row in rows_of(table):
        null = nulls[key]
        if not np.isfinite(null):
            continue
        curves: list[tuple[int | None, pd.DataFrame]] = [(None, mean_points(row, plane, null))]
        for seed, curve in row.groupby("seed"):
            good = curve[usable(curve, plane)]
            columns = {plane.loss: "loss", plane.se: "loss_se"}
            kept = good[["sigma", "R_star", "R_star_se", plane.loss, plane.se, "status"]].rename(columns=columns)
            curves.append((int(str(seed)), kept.assign(seeds=1, failed=0)))
        for number, curve in curves:
            level = null
            if number is not None:
                own = null_of(row[(row["seed"] == number) & usable(row, plane)], plane)
                level = own if np.isfinite(own) else null
            first = {"R_star": 0.0, "loss": level, "status": "null", "seeds": 1 if number is not None else None}
            whole = pd.concat([pd.DataFrame([first]), curve], ignore_index=True)
            on = vertices(np.maximum(whole["R_star"].to_numpy(float), 0), whole["loss"].to_numpy(float))
            info: dict[str, Any] = {**dict(zip(ROW, key, strict=True)), "seed": number}
            info |= {c: row[c].iloc[0] for c in ("name", "section", "labels", "autoregressive")}
            info |= {"hull": whole.index.isin(on), "null": whole.index == 0, "metric": metric}
            parts.append(whole.assign(**info))
    names = [*ROW, "name", "section", "labels", "autoregressive", "metric", "seed", "sigma", "R_star", "R_star_se"]
    names += ["loss", "loss_se", "status", "seeds", "failed", "hull", "null"]
    if not parts:
        return pd.DataFrame(columns=names)
    frame = pd.concat(parts, ignore_index=True)[names]
    return frame.astype({"seed": "Int64", "seeds": "Int64", "failed": "Int64"})
