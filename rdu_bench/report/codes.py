"""Single codes looked into: which latent knows which factor, and what the receiver draws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ..analysis.leaderboard import REFERENCE
from ..analysis.scores import REPRESENTATIONS
from .lineup import Lineup
from .pictures import BUDGET, Point, Vectors, album

LATENTS = 24  # shown of a matrix, those that know most


def codes(
    records: Mapping[str, Mapping[str, Any]],
    table: pd.DataFrame,
    lineup: Lineup,
    vectors: Vectors,
    budget: int = BUDGET,
) -> dict[str, Any] | None:
    """One point of every model and target, of its first seed; None where no record has a matrix or pictures."""
    rows = _first_seeds(records, table)
    if not rows:
        return None
    held = [Point(lineup.number(r), _order(r), records[r["key"]]) for r in rows]
    drawn = [i for i, point in enumerate(held) if point.record.get("pictures")]
    kept = album([held[i] for i in drawn], vectors, budget)
    pages = dict(zip(drawn, kept.pages, strict=True))
    points = [
        {
            "model": point.model,
            "target": lineup.target(row),
            "seed": int(row["seed"]),
            "mi": matrix(point.record.get("mi") or {}),
            "pictures": pages.get(i),
        }
        for i, (row, point) in enumerate(zip(rows, held, strict=True))
    ]
    return {
        "points": points,
        "start": _start(rows),
        "reps": [[r, text] for r, text in REPRESENTATIONS.items()],
        "matrices": any(p["mi"] for p in points),
        "pictures": bool(kept.images),
        "images": kept.images,
        "note": kept.note,
    }


def _order(row: Mapping[Any, Any]) -> float:
    return math.inf if pd.isna(row["sigma"]) else float(row["sigma"])


def _first_seeds(records: Mapping[str, Mapping[str, Any]], table: pd.DataFrame) -> list[dict[Any, Any]]:
    """For each model and target the point of the lowest seed that has something to show, by name and σ."""
    shown = [bool(records[key].get("mi") or records[key].get("pictures")) for key in table["key"]]
    rows = table[shown].sort_values(["name", "model", "variant", "sigma", "params", "seed"])
    return rows.drop_duplicates(["model", "variant", "sigma", "params"]).to_dict("records")


def _start(rows: Sequence[Mapping[Any, Any]]) -> int:
    """The middle σ of the plain reference, or of whoever comes first."""
    plain = [i for i, r in enumerate(rows) if (r["model"], r["variant"]) == (REFERENCE, "")]
    first = [i for i, r in enumerate(rows) if (r["model"], r["variant"]) == (rows[0]["model"], rows[0]["variant"])]
    mine = plain or first
    aimed = [i for i in mine if math.isfinite(_order(rows[i]))] or mine
    return aimed[len(aimed) // 2]


def matrix(mi: Mapping[str, Any]) -> dict[str, Any] | None:
    """I(z_j; y_k) in nats, of the latents that know most where there are many."""
    reps = [r for r in REPRESENTATIONS if mi.get(r)]
    if not reps or not mi.get("factors"):
        return None
    rows = zip(*(mi[r] for r in reps), strict=True)  # of each latent, one for each representation
    best = [max(_share(v, h) for row in both for v, h in zip(row, mi["H"], strict=True)) for both in rows]
    kept = sorted(sorted(range(len(best)), key=lambda j: -best[j])[:LATENTS])
    return {
        "latents": [mi["latents"][j] for j in kept],
        "factors": mi["factors"],
        "H": mi["H"],
        "of": len(best),
        **{r: [[None if v is None else round(float(v), 4) for v in mi[r][j]] for j in kept] for r in reps},
    }


def _share(value: float | None, entropy: float | None) -> float:
    return value / entropy if value and entropy else 0.0
