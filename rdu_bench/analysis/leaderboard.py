"""The leaderboard: a row is a whole curve (all sigmas, all seeds, failures included), never a single point."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ..records.schema import STATUSES
from .frontiers import AXES, OF_BOARD, Axis, null_folds, null_levels, rows_of, seed_hulls, usable
from .hull import ENOUGH, Gap, Hull, area, first_folds, gap, mean_over_rates
from .intervals import Interval, alike, interval, shared_ranks
from .points import LABELS, Results, of_task, points, published
from .remarks import SIZE, Key, apart, remarks
from .tables import cell, markdown_head, markdown_row, number, range_text

REFERENCE = "vae"
BySeed = dict[Key, dict[int, np.ndarray]]  # (F,) each: the score, and what it is without a part of the test points


def leaderboard(results: Results, reference: str = REFERENCE, *, every: bool = False) -> pd.DataFrame:
    """One row a (data set, model, variant), ranked inside its data set and section.

    Columns in nats unless said: `bd_nats` (rate saved at equal D against the reference, negative is better),
    `bd_D` (mean D difference at equal R*), `bd_rate` (%), `overlap`, `area` (mean of D_null − D(R), higher is
    better), `bd_nats_y`, `dIV` (mean I_V difference at equal R*, higher is better), each main score with `_low`
    and `_high`, its 95 % t interval over paired seeds and test points; `mismatch` (mean of R_own − R*: what is paid for
    a marginal that does not fit, such as for total correlation that is not there); `Dy_<head>` (mean D_y of the task by
    that head); `rank`, `rank_y` and what they go by (`by`, `by_y`); the number of points of each status, and `missing`.
    Means of `area`, `mismatch` and `Dy_<head>` are over rates from 0 to the highest target of the panel, whatever a row
    was measured at.  Other recipes than the current one of each row are there with `every` only, see `points`.
    Without a measured row of the model `reference`, differences are NaN and ranks go by area.  Raises as `points` does.
    """
    found = points(results, every=every)
    found = found[[*OF_BOARD, *of_task(found.columns), *found.columns.intersection([SIZE])]]
    frames = [_panel(panel, reference) for _, panel in found.groupby(["dataset", "autoregressive"], sort=True)]
    board = pd.concat(frames, ignore_index=True)
    order = [board["dataset"], board["autoregressive"], board["labels"].map(LABELS.index), board["rank"].fillna(1e9)]
    sort = pd.DataFrame({i: column for i, column in enumerate(order)}).assign(bd=board["bd_nats"], name=board["name"])
    return board.loc[sort.sort_values(list(sort.columns)).index].reset_index(drop=True)


class Scored(NamedTuple):
    """The rows of one panel, which of them is the reference, and what each scores by seed: `nats`, `dIV`, ..."""

    rows: dict[Key, pd.DataFrame]
    reference: Key | None
    scores: dict[str, BySeed]
    overlaps: dict[str, BySeed]


def scored(panel: pd.DataFrame, reference: str = REFERENCE) -> Scored:
    """The scores of one data set and one class of decoders, which alone may share a score."""
    rows = dict(rows_of(panel))
    R_ref = _highest(panel)
    base = reference_row(rows, reference)
    scores: dict[str, BySeed] = {}
    overlaps: dict[str, BySeed] = {}
    for name, plane in AXES.items():
        suffix = "" if name == "D" else "_y"
        nulls = null_levels(panel, plane)
        hulls = {key: seed_hulls(row, plane, nulls[key]) for key, row in rows.items()}
        source = rows[base] if base else panel
        corner = null_folds(source[usable(source, plane)], plane)
        gaps = {key: gaps_of(by, hulls[base]) if base else {} for key, by in hulls.items()}
        scores |= {f"{c}{suffix}": _each(gaps, c) for c in ("nats", "loss", "percent")}
        overlaps[f"overlap{suffix}"] = _each(gaps, "overlap")
        scores[f"area{suffix}"] = {k: {s: _area(h, R_ref, corner) for s, h in by.items()} for k, by in hulls.items()}
    scores["dIV"] = {key: {s: -v for s, v in by.items()} for key, by in scores["loss_y"].items()}
    return Scored(rows, base, scores, overlaps)


def _highest(panel: pd.DataFrame) -> float:
    """The highest target rate of a panel, or the highest R* where no point has a target, nats."""
    target = float(panel["sigma"].max())
    return target if np.isfinite(target) else float(panel["R_star"].max())


def _absolute(panel: pd.DataFrame, rows: dict[Key, pd.DataFrame]) -> dict[str, dict[Key, float]]:
    """D_y by every head and R_own − R* of every row, means over the rates of the panel and over seeds, nats."""
    R_ref = _highest(panel)
    found: dict[str, dict[Key, float]] = {"mismatch": {key: _mean(_mismatch(row, R_ref)) for key, row in rows.items()}}
    for head in of_task(panel.columns):
        plane = Axis(head, "", "Hy_V")
        nulls = null_levels(panel, plane)
        found[head] = {}
        for key, row in rows.items():
            hulls = seed_hulls(row, plane, nulls[key]) if usable(row, plane).any() else {}
            found[head][key] = _mean({s: mean_over_rates(h.R, h.D, R_ref) for s, h in hulls.items()})
    return found


def _mismatch(row: pd.DataFrame, R_ref: float) -> dict[int, np.ndarray]:
    """By seed (1,), the mean of R_own − R* over rates from 0, where nothing is paid, to `R_ref`, nats."""
    found = {}
    there = row[row["measured"]].dropna(subset=["R_own", "R_star"])
    for seed, curve in there.sort_values("R_star").groupby("seed"):
        R = np.concatenate([[0.0], np.maximum(curve["R_star"].to_numpy(float), 0.0)])
        paid = np.concatenate([[0.0], (curve["R_own"] - curve["R_star"]).to_numpy(float)])
        found[int(str(seed))] = mean_over_rates(R[None], paid[None], R_ref)
    return found


def _panel(panel: pd.DataFrame, reference: str) -> pd.DataFrame:
    """The board of one panel."""
    rows, base, scores, overlaps = scored(panel, reference)
    absolute = _absolute(panel, rows)
    unlike = apart(rows, base)
    ranks = _ranks(rows, scores, base, unlike)
    notes = _notes(rows, scores, base, unlike)
    grid = _grid(rows)
    out = []
    for key, row in rows.items():
        cells: dict[str, Any] = dict(zip(("dataset", "model", "variant"), key, strict=True))
        cells |= {c: row[c].iloc[0] for c in ("name", "title", "section", "labels", "decoder", "autoregressive")}
        cells |= {"seeds": row["seed"].nunique(), "points": len(row)} | ranks[key]
        for column, source_name in _COLUMNS.items():
            cells |= _cells(column, interval(list(scores[source_name].get(key, {}).values())))
        cells |= {c: _mean(by.get(key, {})) for c, by in overlaps.items()}
        cells |= {column: by[key] for column, by in absolute.items()}
        cells |= {status: int((row["status"] == status).sum()) for status in STATUSES}
        if published(row).any():
            notes[key].insert(0, "published")
        notes[key] += remarks(row, rows.get(base) if base else None)
        cells |= {"missing": grid[key] - len(row), "reference": key == base, "comparable": key not in unlike}
        cells["note"] = "; ".join(notes[key])
        out.append(cells)
    return pd.DataFrame(out)


_COLUMNS = {  # of the board: name in `Scored.scores`
    **{"bd_nats": "nats", "bd_D": "loss", "bd_rate": "percent", "area": "area"},
    **{"bd_nats_y": "nats_y", "dIV": "dIV", "area_y": "area_y"},
}


def _cells(column: str, found: Interval) -> dict[str, float]:
    return {column: found.mean, f"{column}_low": found.low, f"{column}_high": found.high}


def _mean(by: dict[int, np.ndarray]) -> float:
    return float(np.mean([v[0] for v in by.values()])) if by else float("nan")


def reference_row(rows: dict[Key, pd.DataFrame], reference: str) -> Key | None:
    """The reference's plain variant among these rows, or its first; None where nothing of it was measured."""
    named = sorted(key for key, row in rows.items() if key[1] == reference and row["measured"].any())
    return named[0] if named else None


def gaps_of(hulls: dict[int, Hull], base: dict[int, Hull]) -> dict[int, Gap]:
    """By seed, how the hulls of one row lie relative to those of another, in the folds that both have."""
    found = {}
    for seed in sorted(hulls.keys() & base.keys()):
        folds = alike(hulls[seed].R, base[seed].R)
        found[seed] = gap(first_folds(hulls[seed], folds), first_folds(base[seed], folds))
    return found


def _area(h: Hull, R_ref: float, corner: np.ndarray) -> np.ndarray:
    folds = alike(h.R, corner)
    return area(first_folds(h, folds), R_ref, corner[:folds])


def _each(gaps: dict[Key, dict[int, Gap]], field: str) -> BySeed:
    return {key: {seed: getattr(g, field) for seed, g in by.items()} for key, by in gaps.items()}


def _grid(rows: dict[Key, pd.DataFrame]) -> dict[Key, int]:
    """How many points each row should have: its own targets times all seeds that any row of the panel has.

    Published rows beside those of a run are held to the seeds of published rows, and those of the run to its own.
    """
    seeds: dict[bool, set[int]] = {}
    for row in rows.values():
        seeds.setdefault(bool(published(row).any()), set()).update(row["seed"])
    return {
        key: row.groupby(["sigma", "params"], dropna=False).ngroups * len(seeds[bool(published(row).any())])
        for key, row in rows.items()
    }


def _ranks(
    rows: dict[Key, pd.DataFrame], scores: dict[str, BySeed], base: Key | None, unlike: dict[Key, list[str]]
) -> dict[Key, dict[str, Any]]:
    """Ranks in each section, by the score against the reference, or by dominated area where there is none.

    Rows that are `unlike` the others have none.
    """
    sections: dict[str, list[Key]] = {}
    for key, row in rows.items():
        sections.setdefault(row["section"].iloc[0], []).append(key)
    ranks: dict[Key, dict[str, Any]] = {key: {} for key in rows}
    for keys in sections.values():
        for suffix, score, sign, fallback in (("", "nats", 1, "area"), ("_y", "dIV", -1, "area_y")):
            compared = base is not None and any(np.isfinite(_mean(scores[score].get(key, {}))) for key in keys)
            by, sign = (score, sign) if compared else (fallback, -1)
            signed = {key: {s: sign * v for s, v in scores[by].get(key, {}).items()} for key in keys}
            seen = {key: by for key, by in signed.items() if rows[key]["measured"].any() and key not in unlike}
            found = shared_ranks(seen)
            shown = {"nats": "bd_nats", "dIV": "dIV"}.get(by, by)
            for key in keys:
                rank = found.get(key)
                tied = rank is not None and sum(r == rank for r in found.values()) > 1
                ranks[key] |= {f"rank{suffix}": rank, f"tied{suffix}": tied, f"by{suffix}": shown if found else ""}
    return ranks


def _notes(
    rows: dict[Key, pd.DataFrame], scores: dict[str, BySeed], base: Key | None, unlike: dict[Key, list[str]]
) -> dict[Key, list[str]]:
    """What keeps a row from a rank, or from some of its scores, a remark each."""
    notes: dict[Key, list[str]] = {key: [] for key in rows}
    for key, row in rows.items():
        if not row["measured"].any():
            notes[key].append("nothing measured")
        elif base is None:
            notes[key].append("no reference of this decoder class, ranked by area")
        else:
            blank = [s for s, v in scores["nats"].get(key, {}).items() if not np.isfinite(v[0])]
            if blank:
                seeds = ", ".join(map(str, blank))
                notes[key].append(f"BD undefined (ranges overlap less than {ENOUGH:g}) for seed {seeds}")
            lonely = sorted(set(row["seed"]) - scores["nats"].get(key, {}).keys())
            if lonely:
                notes[key].append(f"reference lacks seed {', '.join(map(str, lonely))}")
        if row["seed"].nunique() == 1:
            notes[key].append("one seed: no rank, no interval")
        notes[key] += unlike.get(key, [])
    return notes


def across(board: pd.DataFrame) -> pd.DataFrame:
    """Mean rank over data sets in each section, best first, with Friedman's p; never a mean of raw nats.

    Only rows ranked on every data set of their section enter; empty with fewer than two data sets.
    """
    out = []
    for section, rows in board.groupby("section"):
        ranks = rows.assign(row=rows["name"]).pivot_table(index="row", columns="dataset", values="rank").dropna()
        if ranks.shape[1] < 2 or ranks.empty:
            continue
        p = stats.friedmanchisquare(*ranks.to_numpy()).pvalue if len(ranks) > 2 else float("nan")
        for name, rank in ranks.mean(axis=1).sort_values(kind="stable").items():
            out.append({"section": section, "name": name, "mean_rank": rank, "datasets": ranks.shape[1], "p": p})
    return pd.DataFrame(out, columns=["section", "name", "mean_rank", "datasets", "p"])


def interval_text(row: Any, column: str, digits: int = 2) -> str:
    """`low to high`, or a dash."""
    return range_text(row[f"{column}_low"], row[f"{column}_high"], digits)


def rank_text(row: Any, suffix: str = "") -> str:
    """`3`, or `3=` where it is shared, or a dash."""
    rank = row[f"rank{suffix}"]
    return "–" if rank is None or not np.isfinite(rank) else f"{int(rank)}{'=' if row[f'tied{suffix}'] else ''}"


def counts_text(row: Any) -> str:
    """`38 ok, 2 rate_missed`: how many points ended how."""
    return ", ".join(f"{int(row[s])} {s}" for s in (*STATUSES, "missing") if row[s]) or "none"


def to_markdown(board: pd.DataFrame) -> str:
    """The leaderboard as Markdown, a table for each data set and section."""
    out = ["# Leaderboard", "", NOTE]
    heads = of_task(board.columns)
    head = ["rank", "model", "BD-nats", "95 %", "BD-rate %", "ΔD", "area", "R_own − R*", "rank y", "ΔI_V", "95 %"]
    head += [f"D_y {name.removeprefix('Dy_')}" for name in heads] + ["seeds", "points", "note"]
    for (dataset, section), rows in board.groupby(["dataset", "section"], sort=False):
        out += ["", f"## {cell(f'{dataset}, {section}')}", "", *markdown_head(head)]
        for _, row in rows.iterrows():
            cells = [rank_text(row), row["name"] + (" (reference)" if row["reference"] else "")]
            cells += [number(row["bd_nats"], 2, True), interval_text(row, "bd_nats"), number(row["bd_rate"], 1, True)]
            cells += [number(row["bd_D"], 2, True), number(row["area"]), number(row["mismatch"]), rank_text(row, "_y")]
            cells += [number(row["dIV"], 3, True), interval_text(row, "dIV", 3)]
            cells += [*(number(row[name], 3) for name in heads), str(row["seeds"])]
            out.append(markdown_row([*cells, counts_text(row), row["note"]]))
    return "\n".join(out) + "\n"


NOTE = (
    "BD-nats: rate saved at equal distortion against the reference, negative is better; ΔI_V: usable information "
    "gained at equal rate, positive is better; area, R_own − R* and D_y ≥ H(y|z): means over rates from 0 to the "
    "highest target, time shared between points. 95 % t intervals over paired seeds and test points."
)
