"""The page: one file that opens offline, with plotly and everything it shows inside."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, select_autoescape

from .. import __version__, _paths, analysis
from ..analysis.leaderboard import counts_text, interval_text, number, rank_text
from . import codes, sections
from .figures import limits
from .lineup import Lineup, swept
from .pictures import BUDGET, Vectors
from .structure import structure
from .style import Palette, shown

EXTRAS = ("scores", "codes", "useful", "structure")  # what the script is told of a data set, where it is there
WORDS = {
    "ok": "the rate asked for was reached (within 2 %, 1 % from 2 nats on)",
    "rate_missed": "training ended at another rate; the point is drawn where it is, which is a valid point",
    "unreachable": "no rate that high lowers the loss, or none that low is worth its price at w",
    "collapsed": "the code says next to nothing although more was asked for",
    "diverged": "the loss stopped being finite; counts as a code that says nothing",
    "error": "an exception; counts as a code that says nothing",
}


def build(
    records: Sequence[Mapping[str, Any]],
    table: pd.DataFrame,
    planes: dict[str, pd.DataFrame],
    board: pd.DataFrame,
    palette: Palette,
    drawn: dict[tuple[str, str], str],
    tidy: pd.DataFrame,
    agreed: pd.DataFrame | None,
    vectors: Vectors,
    *,
    title: str | None,
) -> str:
    """The whole page as text."""
    home = _paths.builtin("report")
    env = Environment(loader=FileSystemLoader(home / "templates"), autoescape=select_autoescape(default=True))
    env.filters["number"] = lambda value, digits=3: number(_float(value), digits)
    suites = sorted({str(r["spec"].get("suite")) for r in records})
    names = sorted(set(table["dataset"]))
    sets = [_dataset(name, records, table, planes, board, palette, drawn) for name in names]
    by_key = {str(r["key"]): r for r in records}
    pictured = table.loc[[bool(by_key[k].get("pictures")) for k in table["key"]], "dataset"].nunique()
    for name, about in zip(names, sets, strict=True):
        mine = table[table["dataset"] == name]
        scored = tidy[tidy["dataset"] == name]
        agreeing = None if agreed is None else agreed[agreed["dataset"] == name]
        about |= _extras(mine, by_key, about["data"], scored, agreeing, palette, vectors, BUDGET // max(pictured, 1))
    payload = {
        "plots": {f"{s['id']}-{p}": s["plots"][p] for s in sets for p in s["plots"]},
        "sets": {s["id"]: {name: s[name] for name in ("looks", *EXTRAS) if s[name]} for s in sets},
    }
    return env.get_template("index.html.j2").render(
        title=title or ", ".join(suites),
        suites=suites,
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        counts=Counter(table["status"]),
        total=len(table),
        words=WORDS,
        sets=sets,
        failures=analysis.failures(table).to_dict("records"),
        impossible=analysis.impossible(table).to_dict("records"),
        across=analysis.across(board).to_dict("records"),
        provenance=_provenance(records),
        css=(home / "assets" / "report.css").read_text("utf-8"),
        js="\n".join((home / "assets" / name).read_text("utf-8") for name in ("report.js", "sections.js")),
        plotly=(home / "vendor" / "plotly-basic.min.js").read_text("utf-8"),
        payload=json.dumps(payload, allow_nan=False).replace("<", "\\u003c"),
    )


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)


def _clean(value: Any) -> Any:
    """A number that JSON can say, or None."""
    return None if value is None or pd.isna(value) else float(value)


def _dataset(
    name: str,
    records: Sequence[Mapping[str, Any]],
    table: pd.DataFrame,
    planes: dict[str, pd.DataFrame],
    board: pd.DataFrame,
    palette: Palette,
    drawn: dict[tuple[str, str], str],
) -> dict[str, Any]:
    mine = table[table["dataset"] == name]
    keys = set(mine["key"])
    data: Mapping[str, Any] = next((r["data"] for r in records if r["key"] in keys and r["data"]), {})
    rows = board[board["dataset"] == name]
    about = [f for f in data.get("factors", {}).items()]
    return {
        "id": "".join(c if c.isalnum() else "-" for c in name),
        "name": name,
        "data": data,
        "factors": [f"{k} ({f['size']} {'values' if f['kind'] == 'class' else 'reals'})" for k, f in about],
        "plots": {p: _plot(f[f["dataset"] == name], mine, p, palette) for p, f in planes.items() if (name, p) in drawn},
        "figures": {p: drawn[name, p] for p in (*planes, "scores") if (name, p) in drawn},
        "board": [_board_row(row, palette) for _, row in rows.iterrows()],
    }


def _extras(
    table: pd.DataFrame,
    records: Mapping[str, Mapping[str, Any]],
    data: Mapping[str, Any],
    tidy: pd.DataFrame,
    agreed: pd.DataFrame | None,
    palette: Palette,
    vectors: Vectors,
    budget: int,
) -> dict[str, Any]:
    """The parts of a data set that a record may or may not have, None where none has."""
    lineup = Lineup(table, palette)
    mine = [records[key] for key in table["key"]]
    useful, best = sections.useful(mine, data, lineup)
    return {
        "looks": lineup.looks,
        "scores": sections.scores(tidy, agreed, lineup),
        "codes": codes.codes(records, table, lineup, vectors, budget),
        "useful": useful,
        "best": best,
        "structure": structure(mine, data, lineup),
    }


def _board_row(row: Any, palette: Palette) -> dict[str, Any]:
    return {
        "name": shown(row["name"], row["labels"]),
        "colour": palette[row["name"]].colour,
        "section": row["section"].removeprefix("labels: "),
        "rank": rank_text(row),
        "rank_y": rank_text(row, "_y"),
        "rank_sort": _clean(row["rank"]),
        "rank_y_sort": _clean(row["rank_y"]),
        "cells": [
            {"text": number(row[c], d, s), "sort": _clean(row[c]), "interval": interval_text(row, c, d) if i else ""}
            for c, d, s, i in (
                ("bd_nats", 2, True, True),
                ("bd_rate", 1, True, False),
                ("bd_D", 2, True, False),
                ("area", 2, False, False),
                ("dIV", 3, True, True),
                ("area_y", 3, False, False),
            )
        ],
        "seeds": int(row["seeds"]),
        "counts": counts_text(row),
        "note": row["note"],
        "reference": bool(row["reference"]),
    }


def _plot(frame: pd.DataFrame, points: pd.DataFrame, plane: str, palette: Palette) -> dict[str, Any]:
    """What the script draws: for each model its hull, its points and what hovering tells of them."""
    more = points.set_index(["model", "variant", "seed", "sigma"])
    models = []
    for (name, model, variant), rows in frame.groupby(["name", "model", "variant"], sort=True):
        look, first = palette[str(name)], rows.iloc[0]
        mean = rows[rows["seed"].isna()]
        hull = mean[mean["hull"]].sort_values("R_star")
        each = rows[rows["seed"].notna() & ~rows["null"]]
        models.append(
            {
                "name": shown(str(name), first["labels"]),
                "colour": look.colour,
                "symbol": look.symbol,
                "labels": first["labels"],
                "autoregressive": bool(first["autoregressive"]),
                "hull": [[float(r), float(v)] for r, v in zip(hull["R_star"], hull["loss"], strict=True)],
                "points": [_point(p, more, str(model), str(variant)) for p in each.to_dict("records")],
            }
        )
    nulls = frame.loc[frame["null"], "loss"].dropna()
    return {
        "plane": plane,
        "models": models,
        "bound": limits(points, str(frame["dataset"].iloc[0]), plane),
        "null": None if nulls.empty else float(nulls.median()),
    }


def _point(p: Mapping[Any, Any], more: pd.DataFrame, model: str, variant: str) -> dict[str, Any]:
    sigma = None if pd.isna(p["sigma"]) else float(p["sigma"])
    found = more[(more.index.get_level_values(0) == model) & (more.index.get_level_values(1) == variant)].reset_index()
    found = found[(found["seed"] == p["seed"]) & (found["R_star"] == p["R_star"])]
    row = found.iloc[0] if len(found) else None
    extra = ("D", "Dy", "R_own", "I_low", "beta_end")
    return {
        "R": float(p["R_star"]),
        "loss": float(p["loss"]),
        "R_se": _clean(p["R_star_se"]),
        "loss_se": _clean(p["loss_se"]),
        "sigma": sigma,
        "seed": int(p["seed"]),
        "status": p["status"],
        "swept": _swept(row, model, more),
        **{name: None if row is None else _clean(row[name]) for name in extra},
    }


def _swept(row: Any, model: str, more: pd.DataFrame) -> str:
    """What sets this point of an ELBO sweep apart from the others, `beta = 4`; empty for points with a target."""
    if row is None or not pd.isna(row["sigma"]):
        return ""
    return swept(row["params"], more.xs(model, level=0)["params"])


def _provenance(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Facts of provenance and the values they took over the run."""
    facts: dict[str, Counter[str]] = {}
    for record in records:
        for name, value in (record.get("provenance") or {}).items():
            if name not in ("started", "finished", "peak_mb"):
                facts.setdefault(name, Counter())[str(value)] += 1
    seconds = sum(sum(v for v in (r.get("times") or {}).values() if v) for r in records)
    out = [(name, ", ".join(value for value, _ in counted.most_common())) for name, counted in facts.items()]
    return [*out, ("seconds of work", f"{seconds:.0f}")]
