"""Numbers and tables as people, Markdown and spreadsheets read them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def number(value: float, digits: int = 2, signed: bool = False) -> str:
    """A number for people, with a true minus sign; a dash where there is none."""
    if value is None or not np.isfinite(value):
        return "–"
    text = f"{value + 0.0:{'+' if signed else ''}.{digits}f}"
    zero = float(text) == 0
    return (text.lstrip("+-") if zero else text).replace("-", "−")


def range_text(low: float, high: float, digits: int = 2) -> str:
    """`low to high`, or a dash where either is none."""
    return f"{number(low, digits)} to {number(high, digits)}" if np.isfinite([low, high]).all() else "–"


def markdown_head(cells: Sequence[str]) -> list[str]:
    """The first two rows of a table in Markdown."""
    return [markdown_row(cells), markdown_row(["---"] * len(cells))]


def markdown_row(cells: Sequence[object]) -> str:
    """A row of a table in Markdown."""
    return "| " + " | ".join(cell(str(c)) for c in cells) + " |"


def cell(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return "".join(f"\\{c}" if c in "\\`*_[]#|~!$" else "&lt;" if c == "<" else c for c in shown)


FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets begin a formula with


def to_csv(frame: pd.DataFrame) -> str:
    """A table as CSV in which no text can be taken for a formula: such a cell begins with an apostrophe."""
    texts = [c for c in frame.columns if frame[c].dtype == object or str(frame[c].dtype).startswith("str")]
    safe = {c: ["'" + v if isinstance(v, str) and v.startswith(FORMULA) else v for v in frame[c]] for c in texts}
    heads = {c: f"'{c}" for c in map(str, frame.columns) if c.startswith(FORMULA)}
    return frame.assign(**safe).rename(columns=heads).to_csv(index=False, lineterminator="\n")
