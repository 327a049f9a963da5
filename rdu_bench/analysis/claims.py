"""What papers say their models are for, held to the points: effect at equal R*, its interval, and a verdict.

A claim is about a difference: the quantity of the model less that of its reference, both along their own curves.  D
and D_y are of hulls over the rates of the reference, as on the leaderboard, so the effect is its ΔD, or −ΔI_V; all else
is of straight lines between points, over the rates that both have.  No effect is a bound: it is a difference of two
bounds or estimates.  What targets or rates that one of the two alone has would decide is undecided.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.integrate import trapezoid

from .._claims import Claim, Quantity, Said
from .._claims import claims as parsed
from .._text import cited
from ..records.recipes import other_terms
from .frontiers import AXES, null_levels, rows_of, seed_hulls
from .hull import ENOUGH, Hull, first_folds
from .intervals import Interval, alike, interval
from .leaderboard import gaps_of, reference_row
from .points import Results, points
from .quantities import unit, values
from .remarks import cut_off, swept, target_text, unshared
from .tables import markdown_head, markdown_row, number, range_text

HELD, FAILED, UNDECIDED, UNTESTED = "held", "not held", "undecided", "not tested"
VERDICTS = (HELD, FAILED, UNDECIDED, UNTESTED)
COLUMNS = ["dataset", "model", "variant", "name", "claim", "effect", "low", "high", "unit", "seeds", "R_low", "R_high"]
COLUMNS += ["verdict", "why", "paper"]
HULLS = {"D": "D", "D_y": "Dy"}  # quantities that time sharing makes a hull of, and their planes

Key = tuple[str, str, str]


class Compared(NamedTuple):
    """Effects by seed, each (F,): the number, and what it is without a part of the test points; and rates compared."""

    effects: dict[int, np.ndarray]
    low: float
    high: float


def claims(results: Results, said: Mapping[str, Said], *, every: bool = False) -> pd.DataFrame:
    """A row a claim and variant of its model: `effect` with its 95 % t interval over paired seeds, and `verdict`.

    `held` where the whole interval is on the side that was claimed, `not held` where it is on the other, `undecided`
    where 0 is in it, with one seed, with too little in common, with other terms than those of the reference, or where
    it is decided by targets or rates that one of the two alone has; `not tested` where the model or its reference is
    not in these results.  For "within m of", all of the interval has to be inside ±m, or outside.  `why` says, too,
    which targets one of the two lacks, and whose points were cut off while they improved.  `said` has the claims by
    model.  Raises `ValueError` for a claim that cannot be read.
    """
    found = points(results, every=every)
    named = '"' + found["dataset"] + '"'  # as JSON; a panel may have the name of another data set
    found = found[found["spec.dataset"] == named]
    rows = dict(rows_of(found))
    levels = {name: null_levels(found, AXES[name]) for name in AXES}
    lines: list[dict[str, Any]] = []
    for model in sorted(said):
        for claim in parsed(said[model].claim):
            about = {"dataset": claim.dataset, "model": model, "claim": claim.text, "paper": cited(said[model].paper)}
            about["unit"] = unit(claim.quantity)
            mine = {key: row for key, row in rows.items() if key[:2] == (claim.dataset, model)}
            for key, row in mine.items():
                tested = _tested(claim, key, rows, levels)
                lines.append({**about, "variant": key[2], "name": row["name"].iloc[0], **tested})
            if not mine:
                why = f"no points of {model} on {claim.dataset}"
                lines.append({**about, "variant": "", "name": model, "verdict": UNTESTED, "why": why})
    table = pd.DataFrame(lines, columns=COLUMNS)
    order = table["verdict"].map(VERDICTS.index)
    return table.assign(order=order).sort_values(["order", "model", "dataset"], kind="stable").drop(columns="order")


def _tested(
    claim: Claim, key: Key, rows: dict[Key, pd.DataFrame], levels: dict[str, dict[Key, float]]
) -> dict[str, Any]:
    """Effect, interval, rates and verdict of a claim for one row."""
    base = key if not claim.reference else _reference(rows, claim)
    if base is None:
        return {"verdict": UNTESTED, "why": f"no points of {claim.reference} on {claim.dataset}"}
    row, its = rows[key], rows[base]
    plane = HULLS.get(claim.quantity.kind) if not claim.quantity.of and claim.reference else None
    if plane:
        nulls = levels[plane][key], levels[plane][base]
        whole = _by_hulls((row, its), nulls, plane)
    else:
        whole = _by_lines(row, its, claim)
    found = interval(list(whole.effects.values()))
    verdict, why = _judged(claim, found)
    if not whole.effects:
        why = _lacking(claim, row, its)
    apart = _apart(row, its, claim.reference, plane is not None)
    if verdict in (HELD, FAILED) and (apart or plane):
        rest = _shared(row, its)
        part = _by_hulls(rest, nulls, plane, common=True) if plane else _by_lines(*rest, claim)
        again, said = _judged(claim, interval(list(part.effects.values())))
        if again != verdict:
            verdict, why = UNDECIDED, f"targets or rates of one of the two alone decide it (of both: {said or again})"
    if verdict in (HELD, FAILED) and (unlike := other_terms(row, its)):
        verdict, why = UNDECIDED, f"made on other terms than {claim.reference} ({unlike})"
    return {
        "effect": found.mean,
        "low": found.low,
        "high": found.high,
        "seeds": found.n,
        "R_low": whole.low,
        "R_high": whole.high,
        "verdict": verdict,
        "why": "; ".join(filter(None, (why, apart, _stopped(row, its)))),
    }


def _stopped(row: pd.DataFrame, base: pd.DataFrame) -> str:
    """Whose points, most of them, were still improving when their steps ran out, in words."""
    names = dict.fromkeys(part["name"].iloc[0] for part in (row, base) if 2 * len(cut_off(part)) > len(part))
    return f"most points of {' and of '.join(names)} were still improving when their steps ran out" if names else ""


def _apart(row: pd.DataFrame, base: pd.DataFrame, reference: str, hulls: bool) -> str:
    """Which targets one of two rows has points of and the other has not, in any seed that both have, in words."""
    if swept(row) or swept(base):  # which have no targets; lines are compared where both have rates
        unlike = hulls and swept(row) != swept(base)
        return f"points at other rates than those of {reference}, which alone move a hull" if unlike else ""
    lost, more = unshared(base, row), unshared(row, base)
    return "; ".join(
        [f"no points at {target_text(lost)}, where {reference} has some"] * bool(lost)
        + [f"points at {target_text(more)}, where {reference} has none"] * bool(more)
    )


def _shared(row: pd.DataFrame, base: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The points of two rows at the seeds and targets that both have; of sweeps, which have no targets, none."""
    if swept(row) != swept(base):
        return row[:0], base[:0]
    cells = [pd.MultiIndex.from_arrays([part["seed"], part["sigma"].fillna(np.inf)]) for part in (row, base)]
    return row[cells[0].isin(cells[1])], base[cells[1].isin(cells[0])]


def _reference(rows: dict[Key, pd.DataFrame], claim: Claim) -> Key | None:
    return reference_row({key: row for key, row in rows.items() if key[0] == claim.dataset}, claim.reference)


def _judged(claim: Claim, found: Interval) -> tuple[str, str]:
    effect, low, high = found.mean, found.low, found.high
    if not np.isfinite(effect):
        return UNDECIDED, "no effect can be computed"
    if not (np.isfinite(low) and np.isfinite(high)):
        return UNDECIDED, "one seed: no interval"
    if claim.direction == "within":
        held, failed = -claim.margin < low and high < claim.margin, low > claim.margin or high < -claim.margin
        open_ = "the interval is on both sides"
    else:
        held, failed = (low > 0, high < 0) if claim.direction == "higher" else (high < 0, low > 0)
        open_ = "0 is in the interval"
    return (HELD, "") if held else (FAILED, "") if failed else (UNDECIDED, open_)


def _lacking(claim: Claim, row: pd.DataFrame, base: pd.DataFrame) -> str:
    """Why there is no effect."""
    for what, of, who in ((claim.quantity, row, "the model"), (claim.other, base, claim.reference or "the model")):
        if not values(of[of["measured"]], what).notna().any():
            return f"{_words(what)} was not measured of {who}"
    return f"the ranges of R* have less than {ENOUGH:g} of the reference's in common"


def _words(quantity: Quantity) -> str:
    return " of ".join(filter(None, (quantity.at or quantity.kind, quantity.of)))


def _by_hulls(
    rows: tuple[pd.DataFrame, pd.DataFrame], nulls: tuple[float, float], name: str, *, common: bool = False
) -> Compared:
    """Mean difference of the loss at equal rate between the hulls of two rows, as on the leaderboard.

    It is over all rates of the second, or over those that both have in `common`.
    """
    mine, its = (seed_hulls(part, AXES[name], null) for part, null in zip(rows, nulls, strict=True))
    if common:
        its = {seed: _until(mine[seed], its[seed]) for seed in mine.keys() & its.keys()}
    effects = {seed: gap.loss for seed, gap in gaps_of(mine, its).items() if np.isfinite(gap.loss[0])}
    if not effects:
        return Compared({}, np.nan, np.nan)
    return Compared(effects, 0.0, max(float(its[seed].reach[0]) for seed in effects))


def _until(mine: Hull, its: Hull) -> Hull:
    """The second hull, as far as the first reaches."""
    folds = alike(mine.R, its.R)
    kept = first_folds(its, folds)
    return kept._replace(reach=np.minimum(kept.reach, mine.reach[:folds]))


def _by_lines(row: pd.DataFrame, base: pd.DataFrame, claim: Claim) -> Compared:
    """Mean difference of a quantity at equal rate between the lines through the points of two rows."""
    mine, its = _lines(row, claim.quantity), _lines(base, claim.other)
    effects, ends = {}, []
    for seed in sorted(mine.keys() & its.keys()):
        found = _between(mine[seed], its[seed])
        if found is not None:
            effect, *range_ = found
            effects[seed] = np.array([effect])
            ends.append(range_)
    low, high = np.mean(ends, axis=0) if ends else (np.nan, np.nan)
    return Compared(effects, float(low), float(high))


def _lines(row: pd.DataFrame, quantity: Quantity) -> dict[int, np.ndarray]:
    """seed → (2, P) rates, rising, and values, of the points that have both."""
    known = row[row["measured"]].assign(value=values(row[row["measured"]], quantity)).dropna(subset=["value"])
    out = {}
    for seed, part in known.groupby("seed"):
        mean = part.groupby("R_star")["value"].mean()  # sorted by rate
        if len(mean) > 1:
            out[int(str(seed))] = np.array([mean.index.to_numpy(float), mean.to_numpy(float)])
    return out


def _between(mine: np.ndarray, its: np.ndarray) -> tuple[float, float, float] | None:
    """Mean of mine − its over the rates that both have, and the ends of these; None where they have too little."""
    left, right = max(mine[0, 0], its[0, 0]), min(mine[0, -1], its[0, -1])
    if right - left < ENOUGH * (its[0, -1] - its[0, 0]) or right <= left:
        return None
    knots = np.unique(np.clip(np.concatenate([mine[0], its[0]]), left, right))
    apart = np.interp(knots, *mine) - np.interp(knots, *its)
    return float(trapezoid(apart, knots) / (right - left)), float(left), float(right)


def to_markdown(table: pd.DataFrame) -> str:
    """The claims as Markdown, those that hold first; what is not tested comes last, in a list."""
    tested = table[table["verdict"] != UNTESTED]
    out = [TITLE, "", NOTE, "", *markdown_head(HEADINGS)]
    for row in tested.to_dict("records"):
        rates = range_text(row["R_low"], row["R_high"], 1)
        effect = number(row["effect"], 3, True)
        if np.isfinite(row["effect"]):
            effect = f"{effect} {row['unit']}".strip()
        said = f"{row['verdict']}{': ' if row['why'] else ''}{row['why']}"
        cells = [
            row["name"],
            row["claim"],
            effect,
            range_text(row["low"], row["high"], 3),
        ]
        out.append(markdown_row([*cells, rates, str(int(row["seeds"] or 0)), said, row["paper"]]))
    rest = table[table["verdict"] == UNTESTED]
    lines = [f"- {row['name']}: {row['claim']} ({row['why']})" for row in rest.to_dict("records")]
    return "\n".join([*out, *(["", "Not tested here:", "", *lines] if lines else [])]) + "\n"


TITLE = "# Claims"
NOTE = (
    "What a paper says its model is for, at equal R*: the quantity of the model less that of its reference, mean over "
    "the rates in column R* (of D and D_y all of the reference's, else those that both have; nats), with its 95 % "
    "interval over paired seeds, of D and D_y over test points too. What points or rates of one of the two alone would "
    "decide is undecided. Of models that do not differ, one interval in twenty leaves 0 out."
)
HEADINGS = ["model", "claim", "effect", "95 %", "R*", "seeds", "verdict", "paper"]
