"""D of the frames to come against the rate of the code of those before."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ..context import Context
from ..text import drawn
from .sheet import RATE, STAR, bars, handles, legend, mark, sheet, width_of

SIZE = (3.6, 2.75)  # inches of the axes


def prediction(context: Context, dataset: str) -> Figure | None:
    """All models that predict; None where there is none.  (0, D of no code) and (H(x_f), 0) are marked."""
    frame = context.structure.get("prediction")
    rows = None if frame is None else frame[frame["dataset"] == dataset]
    if rows is None or rows.empty:
        return None
    names = context.palette.sorted(rows["name"].unique().tolist())
    extra = [mark("no code", color=STAR, marker="*", ms=7, lw=0)]
    known = rows["H_pred"].dropna().to_numpy(float) if "H_pred" in rows else np.zeros(0)
    if len(known):
        extra.append(mark("all that is to come", color=STAR, marker="P", ms=6, lw=0))
    keys = [*handles(rows, context.palette, names), *extra]
    beside = width_of(keys)
    figure, [ax] = sheet(1, 1, SIZE, beside)
    for name in names:
        mine = rows[rows["name"] == name].sort_values("R_star")
        colour, marker = context.palette[name]
        at = mine[["R_star", "D_pred"]].to_numpy(float)
        ax.plot(*at.T, color=colour, lw=1.3, marker=marker, ms=4.5)
        bars(ax, at, (mine["R_star_se"].to_numpy(float), mine["D_pred_se"].to_numpy(float)), colour)
    ax.scatter([0], [rows["D_pred_null"].median()], marker="*", color=STAR, s=50, zorder=4, clip_on=False)
    if len(known):
        ax.scatter([float(np.median(known))], [0], marker="P", color=STAR, s=40, zorder=4, clip_on=False)
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    ax.set_xlabel(RATE)
    ax.set_ylabel("D$_{pred}$ (nats)  ≥ H(x$_f$|z)")
    ax.set_title(drawn(f"{dataset}, frames to come", 60), loc="left", fontsize=10)
    legend(figure, keys, beside)
    return figure
