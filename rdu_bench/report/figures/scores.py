"""Scores of codes against what the codes cost, as small panels."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...analysis.scores import SCORES
from ..context import Context
from ..style import Palette
from ..text import drawn
from .sheet import bars, columns_for, dashes, handles, legend, mark, sheet, width_of

PANELS = (
    *("mig", "dci_disentanglement", "dci_completeness", "sap"),
    *("modularity", "explicitness", "factorvae", "irs"),
)
SIZE = (2.0, 1.6)


def shown_scores(tidy: pd.DataFrame) -> pd.DataFrame:
    """Those of the robust protocol on sampled z that have a panel."""
    if tidy.empty:
        return tidy
    return tidy[(tidy["protocol"] == "robust") & (tidy["rep"] == "sample") & tidy["score"].isin(PANELS)]


def scores(context: Context, dataset: str, means: pd.DataFrame) -> Figure | None:
    """Each score against R*, from 0 up to what it reaches; `means` over seeds.  None where there is no score."""
    rows = means[means["n"] > 0]
    there = [name for name in PANELS if (rows["score"] == name).any()]
    if not there:
        return None
    lines = handles(rows, context.palette, context.palette.sorted(rows["name"].tolist()))
    if (rows["labels"] != "none").any():
        lines.append(mark("† trained on labels", lw=0))
    high = -(-len(there) // 4) * (SIZE[1] + 0.84) - 0.4
    columns = columns_for(lines, high)
    beside = width_of(lines, columns)
    figure, axes = sheet(len(there), 4, SIZE, beside, above=0.35)
    right = float(rows["R_star"].max()) * 1.05
    for ax, name in zip(axes, there, strict=True):
        mine = rows[rows["score"] == name]
        _curves(ax, mine, context.palette)
        ax.set_ylim(bottom=min(0.0, float((mine["value"] - mine["value_se"].fillna(0)).min())))
        ax.set_xlim(0, right)
        ax.set_title(SCORES[name].title, loc="left", fontsize=9)
    for i, ax in enumerate(axes):
        if i + 4 >= len(there):
            ax.set_xlabel("R* (nats)  ≥ I(x; z)", fontsize=8)
        if i % 4 == 0:
            ax.set_ylabel("score (estimate)", fontsize=8)
    height = figure.get_size_inches()[1]
    said = "scores of sampled z, robust protocol, mean over seeds ± standard error; estimates, no bounds"
    figure.text(0.01, 1 - 0.1 / height, f"{drawn(dataset, 40)}: {said}", ha="left", va="top", fontsize=10)
    legend(figure, lines, beside, columns)
    return figure


def _curves(ax: Axes, rows: pd.DataFrame, palette: Palette) -> None:
    for (name, labels), row in rows.groupby(["name", "labels"], sort=True):
        (colour, marker), line = palette[str(name)], row.sort_values("R_star")
        face = colour if labels == "none" else "white"
        ax.plot(
            line["R_star"], line["value"], color=colour, marker=marker, mfc=face, ms=3, lw=1, ls=dashes(str(labels))
        )
        at = line[["R_star", "value"]].to_numpy(float)
        bars(ax, at, (None, line["value_se"].fillna(0).to_numpy(float)), colour)
