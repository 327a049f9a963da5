"""A sheet of panels of a fixed size with a column for the legend beside them: no text has to be measured for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..plots import beyond
from ..style import Palette, shown
from ..text import drawn

STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.hashsalt": "rdu-bench",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "text.usetex": False,
    "text.parse_math": True,
}
GREY, STAR = "#d0d0d0", "#777777"
LETTER = 0.062  # inches of a letter of the legend
LINE = 0.175  # inches from one line of the legend to the next
LEFT, RIGHT, TOP, BOTTOM = 0.72, 0.12, 0.34, 0.5  # inches around the axes of each panel
RATE = "R* (nats)  ≥ I(x; z)"


def sheet(
    n: int, columns: int, size: tuple[float, float], beside: float, above: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """A figure of `n` panels with axes of `size` inches, `beside` inches on their right and `above` on top."""
    columns = min(columns, n)
    lines = -(-n // columns)
    width = columns * (LEFT + size[0] + RIGHT) + beside
    height = lines * (TOP + size[1] + BOTTOM) + above
    figure = Figure(figsize=(width, height))
    axes = []
    for i in range(n):
        x = (i % columns) * (LEFT + size[0] + RIGHT) + LEFT
        y = height - above - (i // columns + 1) * (TOP + size[1] + BOTTOM) + BOTTOM
        axes.append(figure.add_axes((x / width, y / height, size[0] / width, size[1] / height)))
    return figure, axes


def handles(rows: Any, palette: Palette, names: Sequence[str]) -> list[Line2D]:
    """A line of the legend for each of these models; `rows` say which saw labels."""
    labels = dict(zip(rows["name"], rows["labels"], strict=True))
    out = []
    for name in (n for n in names if n in labels):
        look = palette[name]
        face = look.colour if labels[name] == "none" else "white"
        line = Line2D([], [], color=look.colour, marker=look.marker, mfc=face, ms=5, lw=1.3, ls=dashes(labels[name]))
        line.set_label(drawn(shown(name, labels[name])))
        out.append(line)
    return out


def mark(label: str, **look: Any) -> Line2D:
    """A line of the legend that is no model."""
    return Line2D([], [], label=label, **look)


def width_of(lines: Sequence[Line2D], columns: int = 1) -> float:
    """Inches that a legend of these lines takes."""
    return columns * (max((len(str(h.get_label())) for h in lines), default=0) * LETTER + 0.45) + 0.15


def columns_for(lines: Sequence[Line2D], height: float) -> int:
    """Columns in which a legend of these lines fits beside axes of `height` inches."""
    return max(1, -(-len(lines) // max(1, int(height / LINE))))


def legend(figure: Figure, lines: list[Line2D], beside: float, columns: int = 1, down: float = 0.0) -> None:
    """The legend in the column beside the panels, `down` inches from the top of the first."""
    width, height = figure.get_size_inches()
    at = ((width - beside) / width, 1 - (down + TOP) / height)
    figure.legend(handles=lines, loc="upper left", bbox_to_anchor=at, borderaxespad=0, ncols=columns, columnspacing=1)


def reach(ax: Axes, rows: pd.DataFrame, size: float = 7) -> None:
    """Let R* go from 0 to what `rows` (`R_star`, `sigma`, `name`) reach, and name in `size` what lies `beyond`."""
    far = beyond(rows)
    ax.set_xlim(0, max(float(rows.loc[~far, "R_star"].max()) * 1.05, 1e-9))
    if far.any():
        ends = rows[far].groupby("name", sort=False)["R_star"].agg(["min", "max"]).round().astype(int)
        span = [str(low) if low == high else f"{low} to {high}" for low, high in ends.itertuples(index=False)]
        told = [f"{drawn(str(name), 24)} at {R}" for name, R in zip(ends.index, span, strict=True)]
        said = f"→ {', '.join(told[:2])}{f' and {len(told) - 2} more' if len(told) > 2 else ''}"
        look: Any = {"ha": "right", "va": "bottom", "fontsize": size, "color": "#555555"}
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
        ax.text(0.99, 0.03, said, transform=ax.transAxes, bbox=box, **look)


def dashes(labels: str) -> str:
    """Solid for models that saw no label."""
    return "-" if labels == "none" else "--"


def bars(ax: Axes, at: np.ndarray, errors: tuple[np.ndarray | None, np.ndarray], colour: str) -> None:
    """Error bars of points (n, 2), in x (or None) and y; as two lines, since `errorbar` is slow."""
    for axis, error in enumerate(errors):
        if error is not None and (error > 0).any():
            ends = np.repeat(at, 3, axis=0).astype(float)
            ends[0::3, axis] -= error
            ends[1::3, axis] += error
            ends[2::3] = np.nan
            ax.plot(ends[:, 0], ends[:, 1], color=colour, lw=0.8, zorder=2)


def joined(lines: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Many lines as one, with gaps between them."""
    gap = np.array([np.nan])
    parts = [(np.concatenate([x, gap]), np.concatenate([y, gap])) for x, y in lines]
    if not parts:
        return gap, gap
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])
