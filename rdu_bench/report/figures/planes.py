"""R–D and R–D_y frontiers of one data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...analysis.points import published
from ..context import Context
from ..plots import limits, panels
from ..style import Palette
from ..text import drawn
from .sheet import GREY, RATE, STAR, bars, dashes, handles, joined, legend, mark, reach, sheet, width_of

AXIS = {"D": "D (nats)  ≥ H(x|z)", "Dy": "D$_y$ (nats)  ≥ H(y|z)"}
SIZE = (3.6, 2.75)  # inches of the axes of a panel
ROOM = 14  # points between the axes and a title over a second axis
MARKS = 400  # means of one model that are drawn, those on its hull first


def plane(context: Context, dataset: str, name: str) -> Figure | None:
    """The frontiers of all models, a few to a panel; None where nothing was measured."""
    frame = context.planes[name]
    rows = frame[(frame["dataset"] == dataset) & frame["seed"].isna()]  # means over seeds
    if rows.empty:
        return None
    palette, bound = context.palette, limits(context.of(dataset), name)
    parts = panels(palette.sorted(rows["name"].tolist()), rows, palette.first)
    crowded = len(parts) > 2
    others = _extra(rows, bound)
    single = [*handles(rows, palette, [n for _, names in parts for n in names]), *others]
    beside = 0.0 if crowded else width_of(single)
    figure, axes = sheet(len(parts), 3, SIZE, beside)
    frames = frames_of(context, dataset)
    for ax, (title, names) in zip(axes, parts, strict=True):
        mine = rows[rows["autoregressive"] == rows.loc[rows["name"].isin(names), "autoregressive"].iloc[0]]
        _panel(ax, mine, bound, palette, names)
        ax.set_xlabel(RATE if frames == 1 else f"R* (nats; above R*/{frames}, a frame)  ≥ I(x; z)")
        ax.set_ylabel(AXIS[name])
        said, pad = drawn(f"{dataset}, {title}" if title else dataset, 60), None if frames == 1 else ROOM
        ax.set_title(said, loc="left", fontsize=10, pad=pad)
        if frames > 1:
            _a_frame(ax, frames)
        if crowded:
            keys = [*handles(rows, palette, names), *_extra(rows[rows["name"].isin(names)], bound, dagger=False)]
            ax.legend(handles=keys, loc="upper right", fontsize=7)
    if not crowded:
        legend(figure, single, beside)
    return figure


def frames_of(context: Context, dataset: str) -> int:
    """Frames of an example of a data set of sequences; 1 of any other."""
    measured = context.of(dataset)
    for key in measured.loc[measured["measured"] & ~published(measured), "key"].head(1):
        shape = context.whole(key).get("data", {}).get("shape") or []
        return int(shape[0]) if len(shape) == 4 else 1
    return 1


def _a_frame(ax: Axes, frames: int) -> None:
    """A second axis, of rates a frame."""

    def fewer(rate: Any) -> Any:
        return np.asarray(rate, dtype=float) / frames

    def all_of(rate: Any) -> Any:
        return np.asarray(rate, dtype=float) * frames

    above = ax.secondary_xaxis("top", functions=(fewer, all_of))
    above.tick_params(labelsize=7, length=2, pad=1)


def _panel(ax: Axes, rows: pd.DataFrame, bound: float | None, palette: Palette, names: Sequence[str]) -> None:
    grey = []
    for (name, labels), mean in rows.groupby(["name", "labels"], sort=True):
        line = mean[mean["hull"]].sort_values("R_star")
        if name not in names:
            grey.append((line["R_star"].to_numpy(float), line["loss"].to_numpy(float)))
            continue
        colour, marker = palette[str(name)]
        ax.plot(line["R_star"], line["loss"], color=colour, lw=1.3, zorder=2, ls=dashes(str(labels)))
        points = mean[~mean["null"]].sort_values("hull", ascending=False, kind="stable").head(MARKS)
        at = points[["R_star", "loss"]].to_numpy(float)
        rate, loss = (points[c].fillna(0).to_numpy(float) for c in ("R_star_se", "loss_se"))
        bars(ax, at, (rate, loss), colour)
        for good, part in points.groupby(points["status"] == "ok"):
            face = colour if good and labels == "none" else "white"
            ax.scatter(
                part["R_star"], part["loss"], s=22 if good else 14, marker=marker, facecolor=face, edgecolor=colour,
                linewidth=1.0, alpha=1.0 if good else 0.6, zorder=3,
            )  # fmt: skip
    ax.plot(*joined(grey), color=GREY, lw=0.8, zorder=1)
    reach(ax, rows[~rows["null"]])
    nulls = rows.loc[rows["null"], "loss"]
    ax.scatter(np.zeros(1), [nulls.median()], marker="*", color=STAR, s=50, zorder=4, clip_on=False)
    if bound is not None:
        (low, high), right = ax.get_ylim(), ax.get_xlim()[1]
        floor = min(low, bound - right)
        ax.fill_between([0, right], [bound, bound - right], floor, color="#d9d9d9", zorder=0, lw=0)
        ax.set_ylim(low, high)  # of the points: the region below goes as far down as rates go to the right
        ax.set_xlim(0, right)


def _extra(rows: pd.DataFrame, bound: float | None, dagger: bool = True) -> list:  # type: ignore[type-arg]
    """What a legend says beyond the models."""
    found = [mark("no code", color=STAR, marker="*", ms=7, lw=0)]
    if bound is not None:
        found.append(mark("infeasible", color="#d9d9d9", lw=6))
    if (rows["status"].isin(["ok", "null"])).eq(False).any():
        found.append(mark("not as asked: hollow, small", color=STAR, marker="o", mfc="white", ms=3.5, lw=0))
    if dagger and (rows["labels"] != "none").any():
        found.append(mark("† trained on labels", lw=0))
    return found
