"""Single codes looked into: which latent knows which factor, what the receiver draws, and how training went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..analysis.leaderboard import REFERENCE
from ..analysis.points import published
from ..analysis.scores import REPRESENTATIONS
from .context import Context
from .lineup import Lineup
from .pictures import Point, album
from .text import short

LATENTS = 24  # shown of a matrix, those that know most
LOOKS = 12_000  # looks of all learning curves of a data set that a page draws
READ = 400  # whole records that a page reads of one data set


def codes(context: Context, dataset: str, budget: int) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """One point of every model and target, of its first seed; None where no record has a matrix or pictures.

    And learning curves of the same points; None where no record has any.
    """
    lineup = context.lineups[dataset]
    points = context.of(dataset)
    rows, note = chosen(points[~published(points)], lineup)
    held = [(row, context.whole(row["key"])) for row in rows]
    shown = [(row, record) for row, record in held if record.get("mi") or record.get("pictures")]
    return _codes(context, lineup, shown, (budget, note)), learning(held, lineup, note)


def _codes(
    context: Context, lineup: Lineup, shown: Sequence[tuple[Any, Any]], limit: tuple[int, str]
) -> dict[str, Any] | None:
    if not shown:
        return None
    budget, note = limit
    held = [Point(lineup.number(row), _order(row), record) for row, record in shown]
    drawn = [i for i, point in enumerate(held) if point.record.get("pictures")]
    kept = album([held[i] for i in drawn], context.vectors, budget)
    pages = dict(zip(drawn, kept.pages, strict=True))
    points = [
        {
            "model": point.model,
            "target": lineup.target(row),
            "seed": int(row["seed"]),
            "mi": matrix(point.record.get("mi") or {}),
            "pictures": pages.get(i),
        }
        for i, ((row, _), point) in enumerate(zip(shown, held, strict=True))
    ]
    return {
        "points": points,
        "start": _start([row for row, _ in shown]),
        "reps": [[r, text] for r, text in REPRESENTATIONS.items()],
        "matrices": any(p["mi"] for p in points),
        "pictures": bool(kept.images),
        "images": kept.images,
        "note": " ".join(filter(None, [note, kept.note])),
    }


def _order(row: Mapping[Any, Any]) -> float:
    return math.inf if pd.isna(row["sigma"]) else float(row["sigma"])


def chosen(table: pd.DataFrame, lineup: Lineup) -> tuple[list[dict[Any, Any]], str]:
    """For each model and target the measured point of the lowest seed, by model and σ; and what was left out."""
    rows = table[table["measured"]].sort_values(["model", "variant", "sigma", "params", "seed"], kind="stable")
    rows = rows.drop_duplicates(["model", "variant", "sigma", "params"])
    each = rows[["key", "model", "variant", "sigma", "params", "seed"]].to_dict("records")
    each.sort(key=lambda r: (lineup.number(r), _order(r)))
    if len(each) <= READ:
        return each, ""
    kept: list[dict[Any, Any]] = []
    by_model: dict[int, list[dict[Any, Any]]] = {}
    for row in each:
        by_model.setdefault(lineup.number(row), []).append(row)
    most = max(1, READ // len(by_model))
    for of in list(by_model.values())[:READ]:
        step = (len(of) - 1) / max(most - 1, 1)
        kept += [of[round(i * step)] for i in range(min(most, len(of)))] if most > 1 else [of[len(of) // 2]]
    return kept, f"Of {len(each)} models and targets, {len(kept)} are shown one by one."


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
        **{r: [[short(v, 4) for v in mi[r][j]] for j in kept] for r in reps},
    }


def _share(value: float | None, entropy: float | None) -> float:
    return value / entropy if value and entropy else 0.0


CURVES = ("D", "R", "beta")


def learning(held: Sequence[tuple[Any, Any]], lineup: Lineup, note: str) -> dict[str, Any] | None:
    """D, R (nats) and β as training went, for each point that has them; None where none has."""
    points, fewer = [], 0
    most = max(12, LOOKS // max(len(held), 1))
    for row, record in held:
        curve = record.get("learning")
        steps = curve.get("step") if isinstance(curve, Mapping) else None
        if not steps:
            continue
        columns: dict[str, list[Any]] = {"step": [int(s) for s in steps]}
        columns |= {name: [short(v, 4) for v in curve.get(name) or []] for name in CURVES}
        if all(len(values) == len(steps) for values in columns.values()):
            fewer += len(steps) > most
            kept = np.linspace(0, len(steps) - 1, min(most, len(steps))).round().astype(int)
            about = {"model": lineup.number(row), "target": lineup.target(row), "seed": int(row["seed"])}
            looks = {name: [values[i] for i in kept] for name, values in columns.items()}
            points.append({**about, "sigma": short(row["sigma"]), **looks})
    if not points:
        return None
    starts = [i for i, p in enumerate(points) if p["sigma"] is not None and p["model"] == points[0]["model"]]
    note = " ".join(filter(None, [note, f"Of more than {most} looks, {most} are drawn." if fewer else ""]))
    return {"points": points, "start": starts[len(starts) // 2] if starts else 0, "note": note}
