"""The opening of the page: what was compared, and what came out, in sentences made from the records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from ..analysis.folds import folded
from ..analysis.intervals import paired
from ..analysis.points import published
from ..analysis.remarks import stopped
from ..analysis.tables import cell, number, range_text
from ..records.flatten import IGNORED
from ..records.schema import STATUSES
from .context import Context
from .plots import Place, places
from .style import shown
from .text import counted, listed, plain

FIRST = 3  # models named of each ranking
SAID = 20  # lines of what was left out
LEAST = 4  # models that an order needs
NEAR_R, NEAR_D = 0.02, 0.01  # shares of R* and of D in which two points count as the same


def compared(context: Context) -> list[tuple[str, str]]:
    """What was compared, as pairs of a heading and a sentence."""
    table = context.table
    names = context.palette.sorted(table["name"].tolist())
    rows = table.drop_duplicates(["model", "variant"])
    seen = int((rows.drop_duplicates("name")["labels"] != "none").sum())
    seeds = sorted({int(s) for s in table["seed"]})
    each = table.groupby(["dataset", "model", "variant"])["seed"].nunique()
    seeds_said = counted(len(seeds), "seed") + (f" ({listed(map(str, seeds), 8)})" if len(seeds) > 1 else "")
    if each.nunique() > 1:
        seeds_said += f"; a model has {each.min()} to {each.max()} of them"
    counts = table["status"].value_counts()
    told = [f"{counts[s]:,} {s}" for s in STATUSES if counts.get(s)]
    targets = sorted({f"{s:g}" for s in table["sigma"].dropna()}, key=float)
    out = [
        ("Suite", listed(_versions(table))),
        ("Models", f"{len(names)}" + (f", of which {seen} trained on labels (†)" if seen else "")),
        ("Data sets", listed(context.datasets, 40)),
        ("Seeds", seeds_said),
        ("Target rates σ", (f"{listed(targets, 20)} nats" if targets else "none") + _sweeps(table)),
        ("Budget", _budget(table)),
        ("Points", f"{counted(len(table), 'point')}: {listed(told)}"),
        ("Published", _beside(context)),
    ]
    return [(what, said) for what, said in out if said]


def _versions(table: pd.DataFrame) -> list[str]:
    """Each suite with its versions."""
    versions = table["spec.suite_version"] if "spec.suite_version" in table else pd.Series(np.nan, table.index)
    found: dict[str, set[str]] = {}
    for suite, version in zip(table["suite"], versions, strict=True):
        found.setdefault(plain(suite, 60), set()).add("" if pd.isna(version) else f"{float(version):g}")
    return [
        f"{name} (version {listed(sorted(filter(None, seen)))})" if any(seen) else name for name, seen in found.items()
    ]


def _beside(context: Context) -> str:
    """What stands beside a run, and what was to and does not compare; empty where nothing was to."""
    rows = context.table[published(context.table)].groupby(["dataset", "model", "variant"]).ngroups
    said = [f"{counted(rows, 'row')} of others, marked published on the boards"] if rows else []
    if len(context.beside) > SAID:
        return ". ".join([*said, *context.beside[: SAID - 1], f"And {len(context.beside) - SAID + 1} more"])
    return ". ".join([*said, *context.beside])


def _sweeps(table: pd.DataFrame) -> str:
    free = table[table["sigma"].isna()]
    if free.empty:
        return ""
    swept = listed(sorted({text.partition(" = ")[0] for text in free["swept"] if text}))
    own = "; and each model's own loss without a target (ELBO)" if (free["swept"] == "").any() else ""
    return own + (f"; and a sweep of {swept} without one" if swept else "")


def _budget(table: pd.DataFrame) -> str:
    """What the points cost, in the terms in which all of them agree, else how many budgets there are."""
    texts = [t for t in dict.fromkeys(table["spec.budget"]) if t]
    try:
        budgets = [json.loads(text) for text in texts]
        if len(budgets) == 1 and {"steps", "batch"} <= budgets[0].keys():
            b = budgets[0]
            rate = f", learning rate {b['lr']:g}" if isinstance(b.get("lr"), int | float) else ""
            return f"{_steps(budgets)} of {b['batch']} examples a point{rate}"
        return f"{counted(len(budgets), 'budget')}: {_steps(budgets)}" if budgets else ""
    except (ValueError, LookupError, TypeError):
        return counted(len(texts), "budget") if texts else ""


def _steps(budgets: Sequence[Mapping[str, Any]]) -> str:
    """Of training: all of each budget, or the most where validation ends it."""
    said = []
    for watched, words in ((False, ""), (True, "until validation gains no more, at most ")):
        steps = sorted({int(b["steps"]) for b in budgets if bool(b.get("patience")) == watched})
        if steps:
            said.append(f"{words}{listed(f'{n:,}' for n in steps)} training steps")
    return "; or ".join(said)


def left_out(context: Context) -> list[str]:
    """What is in the folder and not on the page, a sentence each."""
    lines = [
        f"{counted(int(r['points']), 'point')} of {plain(r['name'], 80)} on {plain(r['dataset'], 80)}: "
        f"{plain(r['why'], 200)}."
        for r in context.left.to_dict("records")
    ]
    lines = [*(f"{plain(text, 300)}." for text in context.told), *lines]
    lines += [f"Not a record: {plain(text, 300)}." for text in context.ignored]
    if len(lines) > SAID:
        lines = [*lines[: SAID - 1], f"and {len(lines) - SAID + 1} more."]
    return lines


def _counts(context: Context) -> list[str]:
    """How many points and files are left out, of those there are."""
    points, files = int(context.left["points"].sum()) if len(context.left) else 0, len(context.ignored)
    more = " or more" if files >= IGNORED else ""
    said = [f"{counted(points, 'point')} of other recipes (budgets, versions of files)"] if points else []
    return [*said, f"{files}{more} that {'is' if files == 1 else 'are'} no whole record"] if files else said


def findings(context: Context, dataset: str) -> list[str]:
    """What the board of one data set says, in sentences that name numbers, units and intervals."""
    there = [p for p in places(context, dataset) if np.isfinite(p.x) or np.isfinite(p.y)]
    base = next((p for p in there if p.reference), None)
    others = [p for p in there if not p.reference and p.comparable]
    if base is None or not others:
        return ["No model can be compared with a reference here: the board below goes by dominated area."]
    if several := [p for p in others if p.seeds > 1]:
        alone, others = len(others) - len(several), several  # those of one seed have no rank
    out = []
    for axis, digits, what in (
        ("x", 2, "save the most rate at equal distortion (nats)"),
        ("y", 3, "gain the most usable information about the task at equal rate (nats)"),
    ):
        known = [p for p in others if np.isfinite(getattr(p, axis))]
        if known:
            out.append(_ranking(known, (axis, digits), what, base))
    both = [p for p in others if p.placed and p.x > 0 and p.y > 0]
    sure = [p for p in both if p.intervals and p.x_low > 0 and p.y_low > 0]
    many = counted(len(both), "model") if both else "No model"
    ahead = f"{many} of {len(others)} {'is' if len(both) < 2 else 'are'} ahead on both"
    if several:
        out.append(f"{ahead}, {len(sure)} of them with both 95 % intervals above 0." if both else f"{ahead}.")
        out[-1] += f" Not among these: {counted(alone, 'model')} of one seed." if alone else ""
    else:
        out.append(f"{ahead}. With one seed there are no intervals: such differences may be those of seeds.")
    table = context.of(dataset)
    if cut := stopped(table):
        out[-1] += f" {cut}."
    return [*out, *_orders(others), *_alike(table)]


def _orders(others: list[Place]) -> list[str]:
    """Whether those who save rate are those whose codes are useful; labels buy both, so of those without if enough."""
    once = {p.model: p for p in sorted(others, key=lambda p: p.variant, reverse=True) if p.placed}  # variants are alike
    placed = [*once.values()]
    free = [p for p in placed if p.labels == "none"]
    both, of = (free, " without labels") if len(free) >= LEAST else (placed, "")
    if len(both) < LEAST:
        return []
    found = kendalltau([p.x for p in both], [p.y for p in both])
    if not np.isfinite(found.statistic):
        return []
    tells = "is not known to tell" if found.pvalue > 0.05 else "goes with" if found.statistic > 0 else "goes against"
    said = (
        f"Kendall's τ = {number(found.statistic, 2, True)} over {len(both)} models{of}, p = {number(found.pvalue, 3)}"
    )
    return [f"How much rate a model saves {tells} how useful its code is: {said}."]


class _Point(NamedTuple):
    """One point of one model, means over seeds, and D_y of each seed, (F,)."""

    name: str
    autoregressive: bool
    R: float
    D: float
    Dy: float
    seeds: dict[int, np.ndarray]

    def __str__(self) -> str:
        return f"{self.name} (R* {number(self.R)}, D {number(self.D)})"


def _point(part: pd.DataFrame) -> _Point:
    """Of the rows of one point, a row a seed."""
    R, D, Dy = (float(part[name].mean()) for name in ("R_star", "D", "Dy"))
    seeds = {int(str(seed)): folded(row, ("Dy",))[0][:, 0] for seed, row in part.groupby("seed")}
    return _Point(str(part["name"].iloc[0]), bool(part["autoregressive"].iloc[0]), R, D, Dy, seeds)


def _alike(table: pd.DataFrame) -> list[str]:
    """Of models that saw no labels, the two points that agree in R* and D and differ most in D_y, as far as is known.

    D of both is by decoders of one class, as on a board: of one and the same code an autoregressive decoder has less.
    Its interval is for all such pairs together (Bonferroni): the largest of many differences is large by chance.
    """
    there = table[table["measured"] & table["Dy"].notna() & (table["labels"] == "none")]
    cells = there.groupby(["name", "model", "variant", "sigma", "params"], dropna=False)
    points = [_point(part) for _, part in cells]
    if not points:
        return []
    R, D = (np.array([getattr(p, name) for p in points]) for name in ("R", "D"))
    near = np.triu((_relative(R) <= NEAR_R) & (_relative(D) <= NEAR_D), 1)
    pairs = [
        sorted((points[i], points[j]), key=lambda p: p.Dy)
        for i, j in zip(*np.nonzero(near), strict=True)
        if points[i].name != points[j].name and points[i].autoregressive == points[j].autoregressive
    ]
    if not pairs:
        return ["No two models have a point with the same R* (2 %) and D (1 %)."]
    found = [(paired(b.seeds, a.seeds, 1 - 0.05 / len(pairs)), a, b) for a, b in pairs]
    sure = [one for one in found if one[0].low > 0]
    apart, one, other = max(sure or found, key=lambda f: f[2].Dy - f[1].Dy)
    known = f", 95 % interval for all pairs {range_text(apart.low, apart.high, 3)}" if np.isfinite(apart.low) else ""
    like = ", with decoders of one class" if len({p.autoregressive for p in points}) > 1 else ""
    over = " over test points" if known and apart.n == 1 else ""
    said = (
        f"{one} and {other} have D_y {number(one.Dy, 3)} and {number(other.Dy, 3)} nats, "
        f"{number(other.Dy - one.Dy, 3)} apart{known}{over}; "
        f"{counted(len(pairs), 'pair')} without labels within 2 % in R* and 1 % in D{like}."
    )
    if sure:
        return [f"At the same rate and distortion usefulness still differs: {said}"]
    return [f"At the same rate and distortion no two codes are known to differ in usefulness; furthest apart: {said}"]


def _relative(values: np.ndarray) -> np.ndarray:
    """(P, P) differences, as shares of the larger of both."""
    size = np.abs(values)
    found: np.ndarray = np.abs(values[:, None] - values[None]) / np.maximum(np.maximum(size[:, None], size[None]), 1e-9)
    return found


def _ranking(known: list[Place], way: tuple[str, int], what: str, base: Place) -> str:
    """Who is ahead on one axis, those who saw labels apart from those who did not, as on the board."""
    axis, digits = way
    order = sorted(known, key=lambda p: -getattr(p, axis))
    free, taught = [p for p in order if p.labels == "none"], [p for p in order if p.labels != "none"]
    ahead = [
        [_said(p, axis, digits) for p in group if getattr(p, axis) > 0][:FIRST] for group in (free or taught, taught)
    ]
    if ahead[0]:
        said = f"Against {base.name}, these {what}: {listed(ahead[0])}."
    else:
        aim = what.replace("save the most", "saves").replace("gain the most", "gains")
        said = f"Against {base.name}, no model {aim}; nearest is {_said((free or taught)[0], axis, digits)}."
    return f"{said} Trained on labels: {listed(ahead[1])}." if free and ahead[1] else said


def _said(place: Place, axis: str, digits: int) -> str:
    value, low, high = (getattr(place, f"{axis}{end}") for end in ("", "_low", "_high"))
    interval = f", 95 % interval {number(low, digits, True)} to {number(high, digits, True)}"
    return f"{shown(place.name, place.labels)} ({number(value, digits, True)}{interval if np.isfinite(low) else ''})"


QUESTION = "At equal rate and equal distortion, how useful is the code for a task?  Sentences made from the records."


class Answer(NamedTuple):
    """What was compared, what is left out of it, and what came out on each data set."""

    compared: list[tuple[str, str]]
    left: list[str]  # a sentence each
    left_out: list[str]  # how many of a kind
    findings: dict[str, list[str]]


def answered(context: Context) -> Answer:
    """All of the above; a part that fails is empty, and its reason is in `context.troubles`."""
    return Answer(
        context.attempt("", "compared", lambda: compared(context)) or [],
        context.attempt("", "left out", lambda: left_out(context)) or [],
        _counts(context),
        {name: context.attempt(name, "findings", partial(findings, context, name)) or [] for name in context.datasets},
    )


def to_markdown(answer: Answer) -> str:
    """What was compared, and what came out on each data set, as Markdown."""
    lines = ["# The answer", "", QUESTION, "", *(f"- **{what}**: {cell(said)}" for what, said in answer.compared)]
    for dataset, told in answer.findings.items():
        lines += ["", f"## {cell(dataset)}", "", *(f"- {cell(sentence)}" for sentence in told)]
    return "\n".join([*lines, ""])
