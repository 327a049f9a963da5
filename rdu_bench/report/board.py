"""The rows of the leaderboards, and the table of what failed, as the page's templates want them."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd

from ..analysis.leaderboard import counts_text, rank_text
from ..analysis.points import severity
from ..analysis.tables import number
from .context import Context
from .style import shown
from .text import plain, short

LINES = 300  # of the table of failures


class Column(NamedTuple):
    """A number of the board: its heading, what it is, field, digits in nats, kind of its unit, sign and interval."""

    heading: str
    about: str
    field: str
    digits: int
    unit: str  # "x" for nats about the data, which may be told per dimension, "y" for nats about the task, "" for none
    signed: bool = True
    interval: bool = False


_REFERENCE = "against the reference"
COLUMNS = (
    Column("BD", f"rate at equal distortion, {_REFERENCE}; negative is better", "bd_nats", 2, "x", True, True),
    Column("BD-rate %", "the same in per cent of the reference's rate; negative is better", "bd_rate", 1, ""),
    Column("ΔD", f"distortion at equal rate, {_REFERENCE}; negative is better", "bd_D", 2, "x"),
    Column("area", "mean of D_null − D over rates up to the highest target; higher is better", "area", 2, "x", False),
    Column(
        "R_own − R*", "rate paid for a marginal that does not fit, mean over such; 0 is best", "mismatch", 2, "x", False
    ),
    Column("ΔI_V", f"usable information at equal rate, {_REFERENCE}; higher is better", "dIV", 3, "y", True, True),
    Column(
        "D_y linear", "≥ H(y|z), by the linear head, mean over such rates; lower is better", "Dy_linear", 3, "y", False
    ),
    Column("D_y MLP", "≥ H(y|z), by the MLP head, mean over such rates; lower is better", "Dy_mlp", 3, "y", False),
    Column("area y", "mean of H_V(y) − D_y over such rates; higher is better", "area_y", 3, "y", False),
)


def columns(context: Context) -> list[Column]:
    """Those that the board has: no run has all heads, and older records have none for the whole task."""
    return [c for c in COLUMNS if c.field in context.board]


def board(context: Context, dataset: str) -> list[dict[str, Any]]:
    """The rows of one data set, best first in each section."""
    rows = context.board[context.board["dataset"] == dataset]
    return [_row(context, row) for row in rows.to_dict("records")]


def _row(context: Context, row: dict[Any, Any]) -> dict[str, Any]:
    return {
        "name": shown(row["name"], row["labels"]),
        "colour": context.palette[row["name"]].colour,
        "section": str(row["section"]).removeprefix("labels: "),
        "rank": rank_text(row),
        "rank_y": rank_text(row, "_y"),
        "rank_sort": short(row["rank"]),
        "rank_y_sort": short(row["rank_y"]),
        "cells": [_cell(row, column) for column in columns(context)],
        "seeds": int(row["seeds"]),
        "counts": counts_text(row),
        "note": row["note"],
        "reference": bool(row["reference"]),
    }


def _cell(row: dict[Any, Any], column: Column) -> dict[str, Any]:
    low, high = (short(row.get(f"{column.field}_{end}"), 7) if column.interval else None for end in ("low", "high"))
    interval = "" if low is None or high is None else f"{number(low, column.digits)} to {number(high, column.digits)}"
    return {
        "text": number(row[column.field], column.digits, column.signed),
        "value": short(row[column.field], 7),
        "low": low,
        "high": high,
        "interval": interval,
        "column": column,
    }


def failed(table: pd.DataFrame) -> tuple[list[dict[str, Any]], int]:
    """Points that did not end as asked, those of one model, status and reason in one line; how many lines are left out.

    Worst first; a line has data set, name, status, reason, how many points, and their targets.
    """
    found = table[table["status"] != "ok"]
    if found.empty:
        return [], 0
    lines = found.assign(reason=found["reason"].map(lambda text: plain(text, 400)))
    out: list[dict[str, Any]] = []
    for (dataset, name, status, reason), part in lines.groupby(["dataset", "name", "status", "reason"], sort=True):
        targets = sorted(set(part["sigma"].dropna()))
        said = [f"{s:g}" for s in targets] + (["ELBO"] if part["sigma"].isna().any() else [])
        shown_targets = ", ".join(said[:8]) + (f" and {len(said) - 8} more" if len(said) > 8 else "")
        seeds = sorted({int(s) for s in part["seed"]})
        who = ", ".join(map(str, seeds[:8])) + (f" and {len(seeds) - 8} more" if len(seeds) > 8 else "")
        about = {"dataset": dataset, "name": name, "status": status, "reason": reason}
        out.append({**about, "points": len(part), "targets": shown_targets, "seeds": who})
    out.sort(key=lambda line: (severity(str(line["status"])), -int(line["points"])))
    return out[:LINES], max(0, len(out) - LINES)
