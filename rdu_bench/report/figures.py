"""Figures for a paper: R–D and R–D_y frontiers and scores against R*, for each data set, as PNG, SVG and PDF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..analysis.scores import SCORES
from .style import Palette, shown

FORMATS = ("png", "svg", "pdf")
AXIS = {"D": "D (nats)  ≥ H(x|z)", "Dy": "D$_y$ (nats)  ≥ H(y|z)"}
PANELS = (
    *("mig", "dci_disentanglement", "dci_completeness", "sap"),
    *("modularity", "explicitness", "factorvae", "irs"),
)
SIZE = (4.4, 3.6)  # inches of one panel
CROWD, FEW = 12, 7  # models that one panel names at most, and how many where there are more
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.hashsalt": "rdu-bench",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


def slug(text: str) -> str:
    """`text` as part of a file name."""
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in text).strip("-")


def draw(
    table: pd.DataFrame,
    planes: dict[str, pd.DataFrame],
    palette: Palette,
    folder: Path,
    replacing: Callable[[Path], Any],
    scores: pd.DataFrame | None = None,
) -> dict[tuple[str, str], str]:
    """Write every figure; returns its stem for each (data set, plane), where the plane of `scores` is "scores"."""
    found = {}
    for name, frame in planes.items():
        for dataset, rows in frame.groupby("dataset"):
            stem = found[str(dataset), name] = f"{slug(str(dataset))}-R-{name}"
            with mpl.rc_context(STYLE):
                figure = _figure(rows, name, limits(table, str(dataset), name), palette, str(dataset))
                _save(figure, folder / stem, replacing)
    shown = _shown_scores(scores)
    for dataset, rows in shown.groupby("dataset"):
        stem = found[str(dataset), "scores"] = f"{slug(str(dataset))}-scores"
        with mpl.rc_context(STYLE):
            _save(_scores(rows, palette, str(dataset)), folder / stem, replacing)
    return found


def _save(figure: Figure, stem: Path, replacing: Callable[[Path], Any]) -> None:
    for kind in FORMATS:
        with replacing(stem.with_name(f"{stem.name}.{kind}")) as file:
            stamp = {"CreationDate": None} if kind == "pdf" else {"Date": None} if kind == "svg" else {}
            figure.savefig(file, format=kind, dpi=200, bbox_inches="tight", metadata=stamp)


def limits(table: pd.DataFrame, dataset: str, plane: str) -> float | None:
    """H(x) or H(y) in nats where it is known well enough to forbid something; None elsewhere."""
    rows = table[(table["dataset"] == dataset) & table["measured"]]
    if plane == "D":
        rows = rows[rows["H_x_kind"].isin(["exact", "differential"])]
    known = rows["H_x" if plane == "D" else "H_y"].dropna()
    return None if known.empty else float(known.median())


class Facet(NamedTuple):
    """One panel of a plane: what is in it, and which of it is named."""

    title: str
    rows: pd.DataFrame
    names: tuple[str, ...]  # drawn in colour; all others of the rows are grey


def facets(rows: pd.DataFrame, palette: Palette, dataset: str) -> list[Facet]:
    """A panel for all, and one for autoregressive decoders; with more than `CROWD` models, panels of a few each.

    Then models that saw labels have panels of their own, the reference is in every panel of its own axes, and what is
    named elsewhere is grey.
    """
    found = []
    for auto, part in rows.groupby("autoregressive"):
        title = f"{dataset}, autoregressive decoders" if auto else dataset
        names = sorted(set(part["name"]))
        if len(names) <= CROWD:
            found.append(Facet(title, part, tuple(names)))
            continue
        first = [name for name in names if palette.first == name]
        for seen, of in part[part["name"] != palette.first].groupby(part["labels"] != "none"):
            others = sorted(set(of["name"]))
            size = -(-len(others) // -(-len(others) // FEW))  # panels as even as they can be
            for i in range(0, len(others), size):
                found.append(
                    Facet(f"{title}, trained on labels †" if seen else title, part, (*first, *others[i : i + size]))
                )
    return found


def _figure(rows: pd.DataFrame, plane: str, bound: float | None, palette: Palette, dataset: str) -> Figure:
    panels = facets(rows, palette, dataset)
    crowded = len(panels) > 2
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(SIZE[0] * columns, SIZE[1] * lines))
    axes = figure.subplots(lines, columns, squeeze=False)
    for ax, facet in zip(axes.flat, panels, strict=False):
        _panel(ax, facet.rows, bound, palette, facet.names)
        ax.set_xlabel("R* (nats)  ≥ I(x; z)")
        ax.set_ylabel(AXIS[plane])
        ax.set_title(facet.title, loc="left", fontsize=10)
        if crowded:
            mine = facet.rows[facet.rows["name"].isin(facet.names)]
            ax.legend(handles=_handles(mine, palette, bound, dagger=False), loc="upper right", fontsize=7)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    figure.tight_layout()
    if not crowded:
        _legend(figure, rows, palette, bound)
    return figure


def _panel(ax: Axes, rows: pd.DataFrame, bound: float | None, palette: Palette, names: Sequence[str]) -> None:
    for (name, labels), row in rows.groupby(["name", "labels"], sort=True):
        look = palette[str(name)]
        mean = row[row["seed"].isna()]
        line = mean[mean["hull"]].sort_values("R_star")
        if name not in names:
            ax.plot(line["R_star"], line["loss"], color="#d0d0d0", lw=0.8, zorder=1)
            continue
        ax.plot(line["R_star"], line["loss"], color=look.colour, lw=1.3, zorder=2, ls=_dashes(str(labels)))
        points = mean[~mean["null"]]
        ax.errorbar(
            points["R_star"],
            points["loss"],
            xerr=points["R_star_se"].fillna(0),
            yerr=points["loss_se"].fillna(0),
            fmt="none",
            ecolor=look.colour,
            elinewidth=0.8,
            zorder=2,
        )
        for good, part in points.groupby(points["status"] == "ok"):
            face = look.colour if good and labels == "none" else "white"
            ax.scatter(
                part["R_star"], part["loss"], s=22 if good else 14, marker=look.marker, facecolor=face,
                edgecolor=look.colour, linewidth=1.0, alpha=1.0 if good else 0.6, zorder=3,
            )  # fmt: skip
    ax.set_xlim(left=0)
    nulls = rows.loc[rows["null"], "loss"]
    ax.scatter(np.zeros(1), [nulls.median()], marker="*", color="#777777", s=50, zorder=4, clip_on=False)
    if bound is not None:
        low, right = ax.get_ylim()[0], ax.get_xlim()[1]
        floor = min(low, bound - right)
        ax.fill_between([0, right], [bound, bound - right], floor, color="#d9d9d9", zorder=0, lw=0)
        ax.set_ylim(bottom=low)
        ax.set_xlim(0, right)


def _shown_scores(scores: pd.DataFrame | None) -> pd.DataFrame:
    """Of the scores' means over seeds, those of the robust protocol on sampled z that have a panel."""
    if scores is None or scores.empty:
        return pd.DataFrame(columns=["dataset"])
    mine = (scores["protocol"] == "robust") & (scores["rep"] == "sample") & scores["score"].isin(PANELS)
    return scores[mine & (scores["n"] > 0)]


def _scores(rows: pd.DataFrame, palette: Palette, dataset: str) -> Figure:
    """Small multiples: each score against R*, from 0 up to what it reaches."""
    there = [name for name in PANELS if (rows["score"] == name).any()]
    columns = min(4, len(there))
    lines = -(-len(there) // columns)
    figure = Figure(figsize=(2.5 * columns, 2.2 * lines + 0.3))
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True)
    for ax, name in zip(axes.flat, there, strict=False):
        mine = rows[rows["score"] == name]
        _curves(ax, mine, palette)
        ax.set_ylim(bottom=min(0.0, float((mine["value"] - mine["value_se"].fillna(0)).min())))
        ax.set_title(SCORES[name].title, loc="left", fontsize=9)
    for ax in axes.flat[len(there) :]:
        ax.set_axis_off()
    axes[0, 0].set_xlim(left=0)
    for i, ax in enumerate(axes.flat[: len(there)]):
        ax.tick_params(labelbottom=i + columns >= len(there))
    figure.suptitle(
        f"{dataset}: scores of sampled z, robust protocol, mean over seeds ± standard error; estimates, no bounds",
        x=0.01,
        ha="left",
        fontsize=10,
    )
    figure.supxlabel("R* (nats)  ≥ I(x; z)", fontsize=9, y=0.04)
    figure.supylabel("score", fontsize=9)
    figure.tight_layout()
    _legend(figure, rows, palette, None, null=False)
    return figure


def _curves(ax: Axes, rows: pd.DataFrame, palette: Palette) -> None:
    for (name, labels), row in rows.groupby(["name", "labels"], sort=True):
        look, line = palette[str(name)], row.sort_values("R_star")
        ax.errorbar(
            line["R_star"],
            line["value"],
            yerr=line["value_se"].fillna(0),
            color=look.colour,
            marker=look.marker,
            mfc=look.colour if labels == "none" else "white",
            ms=3.5,
            lw=1.1,
            elinewidth=0.7,
            ls=_dashes(str(labels)),
        )


def _dashes(labels: str) -> str:
    return "-" if labels == "none" else "--"


def _legend(figure: Figure, rows: pd.DataFrame, palette: Palette, bound: float | None, null: bool = True) -> None:
    figure.legend(handles=_handles(rows, palette, bound, null=null), loc="center left", bbox_to_anchor=(1.0, 0.5))


def _handles(
    rows: pd.DataFrame, palette: Palette, bound: float | None, *, null: bool = True, dagger: bool = True
) -> list[Line2D]:
    handles = []
    for (name, labels), _ in rows.groupby(["name", "labels"], sort=True):
        look, text = palette[str(name)], shown(str(name), str(labels))
        face = look.colour if labels == "none" else "white"
        handles.append(
            Line2D(
                [],
                [],
                color=look.colour,
                marker=look.marker,
                mfc=face,
                ms=5,
                lw=1.3,
                ls=_dashes(str(labels)),
                label=text,
            )
        )
    if null:
        handles.append(Line2D([], [], color="#777777", marker="*", ms=7, lw=0, label="no code"))
    if bound is not None:
        handles.append(Line2D([], [], color="#d9d9d9", lw=6, label="infeasible"))
    if dagger and (rows["labels"] != "none").any():
        handles.append(Line2D([], [], lw=0, label="† trained on labels"))
    return handles
