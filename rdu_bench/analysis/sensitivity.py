"""Which conclusions of a board survive on other panels: the same models with other networks, budgets or splits.

A panel is what one label of a data set has on the board.  Models are compared by the two scores that rank them, rate
saved at equal distortion (`bd_nats`) and usable information gained at equal rate (`dIV`), inside their section.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from .agreement import agreement
from .frontiers import OF_BOARD
from .intervals import paired
from .leaderboard import scored
from .points import Results, points
from .tables import markdown_head, markdown_row, number, range_text

BASE = "digits"
SUITE = "sensitivity"
SCORES = {"bd_nats": ("nats", -1), "dIV": ("dIV", 1)}  # column of the board: name in `Scored.scores`, better's sign
KEY = ["section", "score"]
TAUS = ["panel", *KEY, "tau", "tau_low", "tau_high", "over", "seeds", "models", "tau_seeds", "without"]
PAIRS = [*KEY, "ahead", "behind", "lead", "lead_low", "lead_high", "over", "resolved", "panels"]
PAIRS += ["flips", "flips_resolved", "missing", "conclusion"]
SEPARATOR = "; "  # between names in a cell

Row = tuple[str, str]  # model and variant
Models = dict[Row, dict[int, np.ndarray]]  # their scores by seed, (F,), higher is better
Panel = dict[tuple[str, str], Models]  # by section and score


def sensitivity(results: Results, base: str = BASE) -> pd.DataFrame:
    """A row for each other panel, section and score: how far it orders the models as `base` does, by `agreement`.

    `tau` with `tau_low` and `tau_high`, `over` what that interval is, the numbers of `seeds` and `models` that were
    compared, `tau_seeds` (mean τ-b between two seeds of the base, which is what chance leaves of 1), and `without`: the
    models of the base that the panel has no such score of.  Raises `LookupError` where `base` is none of the panels,
    or the only one.
    """
    panels, names = _panels(results, base)
    rows = []
    for (section, score), mine, others in _compared(panels, base):
        for panel, its in others.items():
            found = agreement(mine, its)
            lost = [names[row] for row in mine if not mine[row].keys() & its.get(row, {}).keys()]
            about = [found.tau, found.low, found.high, found.over, found.seeds, found.models, found.between]
            rows.append([panel, section, score, *about, SEPARATOR.join(lost)])
    return pd.DataFrame(rows, columns=TAUS)


def comparisons(results: Results, base: str = BASE) -> pd.DataFrame:
    """A row for each section, score and pair of models: who is ahead on `base`, and whether that survives elsewhere.

    `lead` is by how much, in nats, with its 95 % interval `lead_low` to `lead_high`, each comparison by itself, over
    seeds and test points, or with one seed over test points alone (`over`); `resolved` where that excludes 0.  `panels`
    is in how many others both models are, `missing` names the rest.  `flips` names the panels where the other model is
    ahead, `flips_resolved` those of them whose interval there excludes 0.  `conclusion`: `survives` where the lead is
    resolved and has the same sign in all panels, `flips` where it is and a panel's flip is resolved too, else `open`.
    Raises as `sensitivity` does.
    """
    panels, names = _panels(results, base)
    rows = [
        {"section": section, "score": score, **_comparison(pair, mine, others, names)}
        for (section, score), mine, others in _compared(panels, base)
        for pair in combinations(mine, 2)
        if mine[pair[0]].keys() & mine[pair[1]].keys()
    ]
    return pd.DataFrame(rows, columns=PAIRS)


def _comparison(
    pair: tuple[Row, Row], mine: Models, others: Mapping[str, Models], names: Mapping[Row, str]
) -> dict[str, Any]:
    """What `comparisons` says of one pair of models."""
    a, b = pair
    lead = paired(mine[a], mine[b])
    if lead.mean < 0:
        a, b, lead = b, a, paired(mine[b], mine[a])
    found = {panel: paired(its.get(a, {}), its.get(b, {})) for panel, its in others.items()}
    there = {panel: i for panel, i in found.items() if i.n}
    flips = [panel for panel, i in there.items() if i.mean * lead.mean < 0]
    resolved = [panel for panel in flips if there[panel].sign]
    kept = len(there) == len(found) and all(i.mean * lead.mean > 0 for i in there.values())
    conclusion = "open" if not lead.sign else "survives" if kept else "flips" if resolved else "open"
    over = "" if np.isnan(lead.low) else "test points" if lead.n == 1 else "seeds and test points"
    cells = {"ahead": names[a], "behind": names[b], "lead": lead.mean, "lead_low": lead.low, "lead_high": lead.high}
    cells |= {"over": over, "resolved": bool(lead.sign), "panels": len(there), "flips": SEPARATOR.join(flips)}
    missing = SEPARATOR.join(panel for panel in found if panel not in there)
    return cells | {"flips_resolved": SEPARATOR.join(resolved), "missing": missing, "conclusion": conclusion}


def has_panels(found: pd.DataFrame) -> bool:
    """Whether a table of records is of the suite that was made for this, with its base and another panel."""
    mine = found[(found["suite"] == SUITE) & found["current"]]
    return mine["dataset"].nunique() > 1 and bool((mine["dataset"] == BASE).any())


def _panels(results: Results, base: str) -> tuple[dict[str, Panel], dict[Row, str]]:
    """The scores of every panel, and what its models are called.  Raises `LookupError` without base or others."""
    panels: dict[str, Panel] = {}
    names: dict[Row, str] = {}
    for (dataset, _), table in points(results)[OF_BOARD].groupby(["dataset", "autoregressive"], sort=True):
        panel, here = panels.setdefault(str(dataset), {}), scored(table)
        for (_, model, variant), points_of_row in here.rows.items():
            section = str(points_of_row["section"].iloc[0])
            names.setdefault((model, variant), str(points_of_row["name"].iloc[0]))
            for score, (source, sign) in SCORES.items():
                by_seed = here.scores[source].get((str(dataset), model, variant), {})
                known = {seed: sign * v for seed, v in by_seed.items() if np.isfinite(v[0])}
                if known:
                    panel.setdefault((section, score), {})[model, variant] = known
    if base not in panels:
        raise LookupError(f"there is no panel {base!r} to compare others with; take one of {', '.join(panels)}")
    if len(panels) == 1:
        raise LookupError(f"{base!r} is the only panel here; give results that have another label of a data set too")
    return panels, names


def _compared(panels: Mapping[str, Panel], base: str) -> Iterator[tuple[tuple[str, str], Models, dict[str, Models]]]:
    """For each section and score of the base with two models or more: their scores there, and in every other panel."""
    for key, mine in panels[base].items():
        if len(mine) > 1:
            yield key, mine, {name: panel.get(key, {}) for name, panel in panels.items() if name != base}


def to_markdown(taus: pd.DataFrame, pairs: pd.DataFrame, base: str = BASE, *, every: bool = False) -> str:
    """Both as Markdown: how far orders agree, then the comparisons that flip, or with `every` all of them."""
    out = ["# Sensitivity", "", f"Kendall's τ-b between the order of models on {base} and on each other panel, by rate"]
    out[-1] += " saved at equal distortion (BD-nats) and usable information gained at equal rate (ΔI_V), with what its"
    out[-1] += " 95 % interval is over.  Between seeds: τ-b of two seeds of the base itself."
    if "test points" in {*taus["over"], *pairs["over"]}:
        out[-1] += "  Over test points alone, all is said of the models as they were trained: another seed may differ."
    head = ["panel", "section", "score", "τ-b", "95 %", "over", "seeds", "models", "between seeds", "without"]
    out += ["", *markdown_head(head)]
    for row in taus.to_dict("records"):
        cells = [row["panel"], row["section"], SHOWN[row["score"]], number(row["tau"], 2, True)]
        cells += [range_text(row["tau_low"], row["tau_high"], 2), row["over"] or "–", row["seeds"], row["models"]]
        out.append(markdown_row([*cells, number(row["tau_seeds"], 2, True), row["without"] or "–"]))
    out += ["", f"## {'Comparisons' if every else 'Comparisons that flip'}", ""]
    for (section, score), part in pairs.groupby(KEY, sort=False):
        ends = part["conclusion"].value_counts()
        told = f"{section}, {SHOWN[str(score)]}: of {len(part)} comparisons {part['resolved'].sum()} are resolved"
        out.append(f"- {told} on {base}; survive: {ends.get('survives', 0)}, flip: {ends.get('flips', 0)}.")
    head = ["section", "score", "ahead", "behind", "lead, nats", "95 %"]
    head += ["flips on", "of these resolved", "not on", "conclusion"]
    shown = pairs if every else pairs[pairs["flips"] != ""]
    out += ["", *(markdown_head(head) if len(shown) else ["No comparison flips."])]
    for row in shown.to_dict("records"):
        digits = 3 if row["score"] == "dIV" else 2
        cells = [row["section"], SHOWN[row["score"]], row["ahead"], row["behind"], number(row["lead"], digits)]
        cells += [
            range_text(row["lead_low"], row["lead_high"], digits),
            row["flips"] or "–",
            row["flips_resolved"] or "–",
        ]
        out.append(markdown_row([*cells, row["missing"] or "–", row["conclusion"]]))
    return "\n".join(out) + "\n"


SHOWN = {"bd_nats": "BD-nats", "dIV": "ΔI_V"}
