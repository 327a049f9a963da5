"""Scores of codes against what the codes cost, as small panels."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...analysis.scores import SCORES
from ..context import Context
from ..plots import APART, panels
from ..style import Palette
from ..text import drawn
from .sheet import (
    BOTTOM,
    GREY,
    RATE,
    TOP,
    bars,
    columns_for,
    dashes,
    handles,
    joined,
    legend,
    mark,
    reach,
    sheet,
    width_of,
)

PANELS = (
    *("mig", "dci_disentanglement", "dci_completeness", "sap"),
    *("modularity", "explicitness", "factorvae", "irs"),
)
SIZE, COLUMNS = (2.0, 1.6), 4
ABOVE = 0.35  # inches for what the figure shows


def shown_scores(tidy: pd.DataFrame) -> pd.DataFrame:
    """Those of the robust protocol on sampled z that have a panel."""
    if tidy.empty:
        return tidy
    return tidy[(tidy["protocol"] == "robust") & (tidy["rep"] == "sample") & tidy["score"].isin(PANELS)]


def scores(context: Context, dataset: str, means: pd.DataFrame) -> Figure | None:
    """Each score against R*, from 0 up to what it reaches; `means` over seeds.  None where there is no score.

    With many models a few of them are named in each line of panels, and the others are grey.
    """
    rows = means[means["n"] > 0]
    there = [name for name in PANELS if (rows["score"] == name).any()]
    if not there:
        return None
    table = context.of(dataset).drop_duplicates("name").set_index("name")
    rows = rows.assign(autoregressive=rows["name"].map(table["autoregressive"]).astype(bool))
    palette = context.palette
    groups = panels(palette.sorted(rows["name"].tolist()), rows, palette.first)
    if len(groups) < 3:  # as many as one legend names
        groups = [("", tuple(n for _, names in groups for n in names))]
    columns = min(COLUMNS, len(there))
    deep = -(-len(there) // columns)  # lines of panels of a group
    keys = [_keys(rows, palette, names, title, len(groups) > 1) for title, names in groups]
    split = max(columns_for(lines, deep * (TOP + SIZE[1] + BOTTOM) - BOTTOM) for lines in keys)
    beside = max(width_of(lines, split) for lines in keys)
    figure, axes = sheet(len(groups) * deep * columns, columns, SIZE, beside, above=ABOVE)
    for g, (_, names) in enumerate(groups):
        auto = rows.loc[rows["name"].isin(names), "autoregressive"].iloc[0]
        mine = rows if len(groups) == 1 else rows[rows["autoregressive"] == auto]
        _group(axes[g * deep * columns : (g + 1) * deep * columns], mine, there, palette, names)
        legend(figure, keys[g], beside, split, ABOVE + g * deep * (TOP + SIZE[1] + BOTTOM))
    high = figure.get_size_inches()[1]
    said = "scores of sampled z, robust protocol, mean over seeds ± standard error; estimates, no bounds"
    figure.text(0.01, 1 - 0.1 / high, f"{drawn(dataset, 40)}: {said}", ha="left", va="top", fontsize=10)
    return figure


def _keys(rows: pd.DataFrame, palette: Palette, names: Sequence[str], title: str, grey: bool) -> list[Line2D]:
    lines = handles(rows, palette, names)
    if title == APART:
        lines.insert(0, mark(title, lw=0))
    if (rows.loc[rows["name"].isin(names), "labels"] != "none").any():
        lines.append(mark("† trained on labels", lw=0))
    return [*lines, mark("the others", color=GREY, lw=0.8)] if grey else lines


def _group(
    axes: Sequence[Axes], rows: pd.DataFrame, there: Sequence[str], palette: Palette, names: Sequence[str]
) -> None:
    """The panels of the models that are named together, one for each score."""
    for i, ax in enumerate(axes):
        of = rows[rows["score"] == there[i]] if i < len(there) else rows.iloc[:0]
        if of.empty:
            ax.set_axis_off()
            continue
        grey = [line for name, line in of.groupby("name") if name not in names]
        lines = [line.sort_values("R_star")[["R_star", "value"]].to_numpy(float).T for line in grey]
        ax.plot(*joined([(x, y) for x, y in lines]), color=GREY, lw=0.8, zorder=1)
        _curves(ax, of[of["name"].isin(names)], palette)
        ax.set_ylim(bottom=min(0.0, float((of["value"] - of["value_se"].fillna(0)).min())))
        reach(ax, of, size=6)
        ax.set_title(SCORES[there[i]].title, loc="left", fontsize=9)
        if i + COLUMNS >= len(there):
            ax.set_xlabel(RATE, fontsize=8)
        if i % COLUMNS == 0:
            ax.set_ylabel("score (estimate)", fontsize=8)


def _curves(ax: Axes, rows: pd.DataFrame, palette: Palette) -> None:
    for (name, labels), row in rows.groupby(["name", "labels"], sort=True):
        (colour, marker), line = palette[str(name)], row.sort_values("R_star")
        face = colour if labels == "none" else "white"
        ax.plot(
            line["R_star"], line["value"], color=colour, marker=marker, mfc=face, ms=3, lw=1, ls=dashes(str(labels))
        )
        at = line[["R_star", "value"]].to_numpy(float)
        bars(ax, at, (None, line["value_se"].fillna(0).to_numpy(float)), colour)
