"""The map: all models of a data set by the rate they save and the usefulness they gain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..context import Context
from ..plots import Place, places
from ..style import shown
from ..text import drawn
from .sheet import LEFT, LETTER, STAR, columns_for, handles, legend, mark, sheet, width_of

SIZE = (5.6, 4.4)
SAVED = "rate saved at equal distortion (nats, −BD)    better →"
GAINED = "usefulness gained at equal rate (nats, ΔI$_V$)    better →"


def chart(context: Context, dataset: str) -> Figure | None:
    """Every model with both coordinates, its 95 % intervals as bars; None where there are fewer than two models."""
    found = [p for p in places(context, dataset) if p.placed]
    if len(found) < 2:
        return None
    rows = pd.DataFrame({"name": [p.name for p in found], "labels": [p.labels for p in found]})
    lines = handles(rows, context.palette, [p.name for p in found])
    for line in lines:
        line.set_linestyle("none")
    if (rows["labels"] != "none").any():
        lines.append(mark("† trained on labels", lw=0))
    columns = columns_for(lines, SIZE[1])
    beside = width_of(lines, columns)
    figure, [ax] = sheet(1, 1, SIZE, beside, above=0.3)
    ax.axhline(0, color=STAR, lw=0.8, zorder=1)
    ax.axvline(0, color=STAR, lw=0.8, zorder=1)
    for p in found:
        colour, marker = context.palette[p.name]
        if p.intervals:
            ax.plot([p.x_low, p.x_high], [p.y, p.y], color=colour, lw=1, zorder=2)
            ax.plot([p.x, p.x], [p.y_low, p.y_high], color=colour, lw=1, zorder=2)
        face = colour if p.labels == "none" else "white"
        ax.scatter([p.x], [p.y], s=36, marker=marker, facecolor=face, edgecolor=colour, linewidth=1.2, zorder=3)
    ax.margins(0.08)
    ax.set_xlabel(SAVED)
    ax.set_ylabel(GAINED, verticalalignment="top")  # the side of a turned word that looks to the left
    ax.tick_params(axis="y", labelsize=8)
    ax.yaxis.set_label_coords((0.03 - LEFT) / SIZE[0], 0.5)  # at the edge, however many digits its ticks have
    base = next((p.name for p in found if p.reference), "the reference")
    some = sum(p.intervals for p in found if not p.reference)
    bars = "bars are 95 % intervals over seeds" if some else "one seed: no intervals"
    ax.set_title(drawn(f"{dataset}: all models against {base}, at the origin; {bars}", 110), loc="left", fontsize=9)
    _names(ax, found)
    legend(figure, lines, beside, columns)
    return figure


def _names(ax: Axes, found: Sequence[Place]) -> None:
    """The name beside a mark, outermost first, where it hides neither a mark nor another name; the legend has all."""
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    scale = np.array([SIZE[0] / (right - left), SIZE[1] / (high - low)])  # inches
    at = np.array([[p.x - left, p.y - low] for p in found]) * scale
    centre = at.mean(axis=0)
    taken = [(x - 0.06, y - 0.06, x + 0.06, y + 0.06) for x, y in at]
    for i in np.argsort(-np.abs(at - centre).max(axis=1)):
        text = drawn(shown(found[i].name, found[i].labels), 28)
        width, (x, y) = len(text) * LETTER * 0.87, at[i]
        sides = [(0.09, -0.06), (-0.09 - width, -0.06)]
        for dx, dy in (*sides, *((dx, dy) for dx in (-width / 2, -width, 0) for dy in (0.08, -0.2))):
            box = (x + dx, y + dy, x + dx + width, y + dy + 0.12)
            inside = box[0] >= 0 and box[2] <= SIZE[0] and box[1] >= 0 and box[3] <= SIZE[1]
            if inside and not any(_meet(box, other) for k, other in enumerate(taken) if k != i):
                where = np.array([box[0], box[1] + 0.02]) / scale + (left, low)
                ax.text(float(where[0]), float(where[1]), text, fontsize=7, color="#333333", zorder=4)
                taken.append(box)
                break


def _meet(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
