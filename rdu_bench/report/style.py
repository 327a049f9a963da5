"""One colour and one marker a model, the same in every figure and on the page."""

from __future__ import annotations

from typing import NamedTuple

# Wong 2011 (Nature Methods 8:441) and Tol's bright and muted sets, which the colour-blind tell apart within a set, and
# by their markers beyond; black is the reference's
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#AA3377", "#7A7A7A", "#4B5D16", "#5E3C99"),
    *("#E69F00", "#332288", "#44AA99", "#882255", "#CC6677", "#117733"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
PLOTLY = dict(
    zip(
        MARKERS,
        (
            "circle",
            "square",
            "triangle-up",
            "diamond",
            "triangle-down",
            "cross",
            "x",
            "triangle-left",
            "triangle-right",
        ),
        strict=True,
    )
)


class Look(NamedTuple):
    """How a model is drawn."""

    colour: str
    marker: str  # matplotlib's name

    @property
    def symbol(self) -> str:
        """Plotly's name."""
        return PLOTLY[self.marker]


class Palette:
    """Names → looks; the `first` is black and round."""

    def __init__(self, names: list[str], first: str | None = None):
        self.first = first
        others = [name for name in names if name != first]
        self.looks = {first: Look("#111111", "o")} if first else {}
        for i, name in enumerate(others):
            self.looks[name] = Look(COLOURS[i % len(COLOURS)], MARKERS[(i + 1 + i // len(COLOURS)) % len(MARKERS)])

    def __getitem__(self, name: str) -> Look:
        return self.looks[name]


def shown(name: str, labels: str) -> str:
    """A model's name with a dagger where it was trained on labels."""
    return name if labels in ("", "none") else f"{name} †"
