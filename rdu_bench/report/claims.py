"""What papers say their models are for, held to the points, as the page shows it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._text import page_of
from ..analysis.claims import UNTESTED, VERDICTS
from ..analysis.tables import number, range_text
from .context import Context
from .text import counted, plain, short


def claims(context: Context) -> dict[str, Any] | None:
    """How many claims came out how, a row for each one tested and a line for each other; None without any."""
    table = context.claims
    if table is None or table.empty:
        return None
    rows = table.to_dict("records")
    tested = [_row(context, row) for row in rows if row["verdict"] != UNTESTED]
    counts = table["verdict"].value_counts()
    return {
        "counts": ", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts.get(v)),
        "many": counted(len(rows), "claim"),
        "rows": tested,
        "rest": [f"{plain(r['name'], 80)}: {r['claim']} ({r['why']})" for r in rows if r["verdict"] == UNTESTED],
        "single": bool(tested) and all(row["seeds"] < 2 for row in tested),
    }


def _row(context: Context, row: dict[Any, Any]) -> dict[str, Any]:
    return {
        "name": plain(row["name"], 80),
        "colour": context.palette[row["name"]].colour,
        "claim": row["claim"],
        "effect": f"{number(row['effect'], 3, True)} {row['unit']}".strip() if np.isfinite(row["effect"]) else "–",
        "sort": short(row["effect"]),
        "interval": range_text(row["low"], row["high"], 3),
        "rates": range_text(row["R_low"], row["R_high"], 1),
        "seeds": int(row["seeds"]),
        "verdict": row["verdict"],
        "why": row["why"],
        "paper": plain(row["paper"], 80),
        "link": page_of(row["paper"].partition(":")[2]) if row["paper"] else "",
    }
