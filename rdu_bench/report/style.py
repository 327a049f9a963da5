"""One colour and one marker a model, the same in every figure and on the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

# Okabe and Ito's colours without black and yellow, and two of Tol's muted set, which the colour-blind tell apart; black
# is the reference's.  Neighbours in the order of names, which are those that share a panel, never share one.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#882255", "#5E3C99")
SHADES = (0.0, -0.35, 0.3, -0.18, 0.16, -0.5, 0.42)  # towards black where negative, towards white where positive
REFERENCE = "#111111"
PLOTLY = {  # matplotlib's markers and plotly's names for them
    **{"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross"},
    **{"X": "x", "<": "triangle-left", ">": "triangle-right", "p": "pentagon", "h": "hexagon", "*": "star"},
}
MARKERS = tuple(PLOTLY)[:-1]  # the star is the point of no code


class Look(NamedTuple):
    """How a model is drawn."""

    colour: str
    marker: str  # matplotlib's name

    @property
    def symbol(self) -> str:
        """Plotly's name."""
        return PLOTLY[self.marker]


class Palette:
    """Names → looks, no two of one colour; the `first` is black and round, the others in the order given."""

    def __init__(self, names: Sequence[str], first: str | None = None):
        self.first = first
        self.order = {name: i for i, name in enumerate(dict.fromkeys([*([first] if first else []), *names]))}
        colours = _colours()
        self.looks = {first: Look(REFERENCE, "o")} if first else {}
        for i, name in enumerate(n for n in self.order if n != first):
            marker = MARKERS[(i + 1 + i // len(COLOURS)) % len(MARKERS)]
            self.looks[name] = Look(next(colours), marker)

    def __getitem__(self, name: str) -> Look:
        return self.looks[name]

    def sorted(self, names: Sequence[str]) -> list[str]:
        """These names, each once, in the order of the palette."""
        return sorted(set(names), key=lambda name: self.order[name])


def _colours() -> Iterator[str]:
    """Colours without end, none twice: those above, then all of them again, darker or lighter."""
    seen, turn = {REFERENCE}, 0
    while True:
        shade = SHADES[turn % len(SHADES)] * (1 - 0.07 * (turn // len(SHADES)) % 1)
        for colour in COLOURS:
            made = _mixed(colour, shade)
            while made in seen:
                made = f"#{(int(made[1:], 16) + 0x010203) % 0xFFFFFF:06X}"
            seen.add(made)
            yield made
        turn += 1


def _mixed(colour: str, shade: float) -> str:
    target = 255 if shade > 0 else 0
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(p + abs(shade) * (target - p)):02X}" for p in parts)


def shown(name: str, labels: str) -> str:
    """A model's name with a dagger where it was trained on labels."""
    return name if labels in ("", "none") else f"{name} †"
