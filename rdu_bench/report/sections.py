"""What the page shows of scores and of usefulness, factor by factor; each is None where no record has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..analysis.points import heads
from ..analysis.scores import COLUMN, PROTOCOLS, REPRESENTATIONS, SCORES, Score, averages, by_target
from ..analysis.tables import number, range_text
from .lineup import Lineup
from .text import short

REASONS = 8  # told of each score; a run can have as many as points


def scores(tidy: pd.DataFrame, agreed: pd.DataFrame | None, lineup: Lineup) -> dict[str, Any] | None:
    """For each column of scores: a curve against R* for each model, its average, and why points lack it.

    `agreed` is UDR of all seeds of a target, where there are enough of them; it joins the scores.
    """
    if not tidy["value"].notna().any():
        return None
    curves, mean = by_target(tidy), averages(tidy)
    lacking = _lacking(tidy, lineup)
    if agreed is not None and agreed["udr_robust_mean"].notna().any():
        long = _agreement(agreed)
        tidy = pd.concat([tidy, long], ignore_index=True)
        curves = pd.concat([curves, long], ignore_index=True)
        mean = pd.concat([mean, averages(long.assign(seed=0))], ignore_index=True)
        lacking |= _lacking(long, lineup)
    named = [s for s in (*SCORES, *sorted(set(tidy["score"]) - SCORES.keys())) if (tidy["score"] == s).any()]
    return {
        "scores": [_described(name) for name in named],
        "protocols": [p for p in PROTOCOLS if (tidy["protocol"] == p).any()],
        "reps": [[r, text] for r, text in REPRESENTATIONS.items() if (tidy["rep"] == r).any()],
        "curves": _curves(curves, lineup),
        "averages": _averages(mean, lineup),
        "lacking": lacking,
        "points": {"_".join(map(str, key)): len(rows) for key, rows in tidy.groupby(COLUMN, sort=False)},
    }


def _agreement(agreed: pd.DataFrame) -> pd.DataFrame:
    """UDR in the columns of means over seeds, and in those of single points; a row is all seeds of a target."""
    parts = [
        agreed.assign(score="udr", protocol=protocol, rep="mean", value=agreed[f"udr_{protocol}_mean"], value_se=None)
        for protocol in PROTOCOLS
    ]
    long = pd.concat(parts, ignore_index=True)
    return long.assign(n=long["seeds"].where(long["value"].notna(), 0), of=long["seeds"])


def _described(name: str) -> dict[str, Any]:
    """A score's names, and how it is to be read."""
    score = SCORES.get(name, Score(name))
    reading = "Higher is more disentangled" if score.higher else "Lower is more independent"
    if name.endswith("informativeness") or name == "explicitness":
        reading = "Higher is more informative"
    if name == "udr":
        reading = "One number for all seeds of a σ, without labels: higher where they found the same latents"
    unit = f", {score.unit}" if score.unit else ""
    return {"id": name, "title": score.title, "axis": f"{score.title} (estimate{unit})", "reading": reading}


def _column(row: Any) -> str:
    return "_".join(str(row[c]) for c in COLUMN)


def _curves(curve: pd.DataFrame, lineup: Lineup) -> dict[str, dict[int, list[Any]]]:
    """column → model → points (R*, score, its error, target, seeds with it, seeds), by rate."""
    out: dict[str, dict[int, list[Any]]] = {}
    for row in curve[curve["n"] > 0].sort_values("R_star").to_dict("records"):
        point = [short(row["R_star"]), short(row["value"]), short(row["value_se"], 3), lineup.target(row)]
        out.setdefault(_column(row), {}).setdefault(lineup.number(row), []).append([*point, row["n"], row["of"]])
    return out


def _averages(table: pd.DataFrame, lineup: Lineup) -> dict[str, dict[int, list[Any]]]:
    """column → model → (mean over targets, its interval in words, points that entered, points)."""
    out: dict[str, dict[int, list[Any]]] = {}
    for row in table.to_dict("records"):
        interval = range_text(row["low"], row["high"])
        said = [short(row["value"]), "" if interval == "–" else interval, row["n"], row["of"]]
        out.setdefault(_column(row), {})[lineup.number(row)] = said
    return out


def _lacking(tidy: pd.DataFrame, lineup: Lineup) -> dict[str, list[tuple[str, int, str]]]:
    """column → (reason, points, models), commonest first."""
    out: dict[str, list[tuple[str, int, str]]] = {}
    lacking = tidy[tidy["value"].isna()]
    for key, rows in lacking.groupby(COLUMN, sort=False):
        told: list[tuple[str, int, str]] = []
        for reason, part in rows.groupby("reason"):
            models = sorted({lineup.name(r) for r in part[["model", "variant"]].to_dict("records")})
            told.append((str(reason), len(part), ", ".join(models)))
        told.sort(key=lambda item: (-item[1], item[0]))
        more = told[REASONS:]
        rest = [(f"{len(more)} other reasons", sum(n for _, n, _ in more), "")] if more else []
        out["_".join(map(str, key))] = told[:REASONS] + rest
    return out


def useful(
    table: pd.DataFrame, data: Mapping[str, Any], lineup: Lineup
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Usefulness of each factor, from `analysis.by_factor`: what the script draws, and a table of highest targets."""
    if table.empty:
        return None, None
    found = [c for c in heads(table.columns) if table[c].notna().any()]
    about = data["factors"]
    names = [f for f in (*about, *sorted(set(table["factor"]) - about.keys())) if (table["factor"] == f).any()]
    drawn = {
        "factors": names,
        "heads": [["Dy", "the one chosen on validation"], *([c, _head(c)] for c in found)],
        "H": {f: short(about.get(f, {}).get("H_y")) for f in names},
        "null": {f: _nulls(table[table["factor"] == f], found) for f in names},
        "real": [f for f in names if about.get(f, {}).get("kind") == "real"],
        "curves": _losses(table, ["Dy", *found], lineup),
    }
    return drawn, _best_known(table, found, names, lineup)


def _head(column: str) -> str:
    return "factor cut in bins" if column == "Dy_bins" else column.removeprefix("Dy_").replace("_", " ")


def _nulls(table: pd.DataFrame, found: list[str]) -> dict[str, float | None]:
    """Loss of a constant code, nats, which is the same for every head, but not for a factor cut in bins."""
    whole = short(table["Hy_V"].median())
    bins = short(table["Hy_bins"].median()) if "Hy_bins" in table else None
    return {column: bins if column == "Dy_bins" else whole for column in ["Dy", *found]}


def _losses(table: pd.DataFrame, columns: list[str], lineup: Lineup) -> dict[str, dict[str, dict[int, list[Any]]]]:
    """factor → head → model → points (R*, D_y, its error, target, seeds)."""
    out: dict[str, dict[str, dict[int, list[Any]]]] = {}
    for row in table[table["R_star"].notna()].sort_values("R_star").to_dict("records"):
        for column in columns:
            if pd.notna(row[column]):
                point = [short(row["R_star"]), short(row[column]), short(row[f"{column}_se"], 3), lineup.target(row)]
                by_model = out.setdefault(row["factor"], {}).setdefault(column, {})
                by_model.setdefault(lineup.number(row), []).append([*point, row["seeds"]])
    return out


def _best_known(table: pd.DataFrame, found: list[str], names: list[str], lineup: Lineup) -> dict[str, Any] | None:
    """The point of each model with the highest target, where most is there to be read; every head's loss."""
    top = table.groupby(["model", "variant"])["sigma"].transform("max")
    rows = table[table["sigma"].notna() & (table["sigma"] == top)]
    if rows.empty:
        return None
    columns = [
        ("H_V(y)", "Hy_V", "loss of the best constant head, nats"),
        ("D_y ≥ H(y|z)", "Dy", "loss of the head that was chosen on validation, nats: an upper bound"),
        ("± se", "Dy_se", ""),
        ("I_V", "IV", "H_V(y) − D_y, nats: what the code is worth to the head"),
        ("± se", "IV_se", ""),
        *((f"{_head(c)} ≥ H(y|z)", c, f"D_y of {_head(c)}, nats: an upper bound") for c in found),
        ("accuracy", "acc", "of the chosen head"),
    ]
    cells = [
        {
            "name": lineup.name(r),
            "factor": r["factor"],
            "sigma": r["sigma"],
            "head": r["head"].replace("_", " "),
            "numbers": [{"text": number(float(r[c]), 3), "sort": short(r[c])} for _, c, _ in columns],
        }
        for r in sorted(rows.to_dict("records"), key=lambda r: (lineup.number(r), names.index(r["factor"])))
    ]
    return {"columns": [(text, title) for text, _, title in columns], "rows": cells}
