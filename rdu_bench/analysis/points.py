"""The points of a table as boards show them: the current recipe of each row, under the names that people read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from ..records.flatten import Source, table
from ..records.laws import SLACK
from ..records.recipes import BASE
from ..records.schema import INVALID, MEASURED, WORST_FIRST
from .intervals import errors

ROW = ["dataset", "model", "variant"]  # a row of the leaderboard: all sigmas, all seeds
CELL = [*ROW, "name", "labels", "sigma", "params"]  # all seeds of one target, or of one value that is swept
LABELS = ("none", "optional", "required")
Results = Source


@dataclass(frozen=True)
class Shown:
    """What `points` gave, for functions that take results: they need not find it again."""

    points: pd.DataFrame


def points(results: Results, *, every: bool = False) -> pd.DataFrame:
    """A clean table, a row a point; no point at all is an error.

    Without `every`, only the recipe of each row that its last run asked for, else the newest; `left_out` says what
    else there is.  With it, other recipes are rows of their own, told apart in `variant`, `dataset` and `name`.  No
    point is there twice.  Adds `section` (what it may be ranked against), `name` (as shown) and `measured` (it has a
    rate and a distortion).  A list of folders, a folder, records and tables are all taken, see `records.flatten.table`,
    and raises what that raises.
    """
    if isinstance(results, Shown):
        return results.points.copy(deep=False)
    return named(table(results), every=every)


def named(found: pd.DataFrame, *, every: bool = False) -> pd.DataFrame:
    """`points` of what `records.flatten.table` gave, which is not typed again."""
    ignored = found.attrs.get("ignored", [])
    shown = found[(found["current"] | every) & ~found["repeated"]].copy()
    shown["dataset"] = _told_apart(shown["dataset"], shown["data_differs"], "{} ({})")
    older = ~shown["current"]
    shown.loc[older, "variant"] = _told_apart(shown["variant"], shown["differs"], "{}, {}")[older]
    parts = zip(*(shown[c] for c in (*BASE, "recipe")), strict=True)
    rows = pd.Series(["\x1f".join(part) for part in parts], shown.index, dtype=object)
    mixed = (
        rows.groupby([shown[c] for c in ROW]).transform("nunique") > 1
    )  # a variant that is called as we call recipes
    shown.loc[mixed, "variant"] += ", recipe " + shown["recipe"]
    for column in ("title", "labels", "decoder"):  # a point that failed early does not say them
        said = shown[column].where(shown[column] != "")
        shown[column] = said.groupby([shown[c] for c in ROW]).transform("first").fillna("").astype(object)
    shown["labels"] = shown["labels"].replace("", "none")
    shown["autoregressive"] = shown["decoder"].str.contains("A", regex=False)
    shown["section"] = "labels: " + shown["labels"]
    shown.loc[shown["autoregressive"], "section"] += ", autoregressive decoder"
    said = ~shown["title"].str.contains("(reference)", case=False, regex=False)  # which the board alone says
    titles = shown["title"].where((shown["title"] != "") & said, shown["model"])
    shown["name"] = _told_apart(titles, shown["variant"], "{} ({})")
    twice = shown.groupby(["dataset", "name"])["model"].transform("nunique") > 1  # a title that is another's
    shown.loc[twice, "name"] = _told_apart(shown["name"], shown["model"], "{} [{}]")[twice]
    shown["measured"] = shown["status"].isin(MEASURED) & shown["R_star"].notna() & shown["D"].notna()
    shown["measured"] &= ~(shown["R_star"] < -SLACK * shown["R_star_se"].fillna(0))  # no code has a negative rate
    shown.attrs["ignored"] = ignored
    return shown.sort_values(
        [*ROW, "seed", "sigma", "params", "key"], na_position="last", kind="stable", ignore_index=True
    )


def published(points: pd.DataFrame) -> pd.Series:
    """Which points were put beside those of a run, see `beside`."""
    return points["published"].fillna(False).astype(bool)


def _told_apart(names: pd.Series, words: pd.Series, form: str) -> pd.Series:
    """Each name with its words, in the form; the words alone where there is no name, the name where no words."""
    return pd.Series(
        [form.format(n, w) if n and w else n or w for n, w in zip(names, words, strict=True)], names.index, dtype=object
    )


def left_out(results: Results) -> pd.DataFrame:
    """What `points` leaves out unless asked for `every`: a line a recipe, with its name, its points and why.

    `why` is how the recipe differs from the current one, or that the points are there again from another suite.
    """
    return left_out_of(table(results))


def left_out_of(found: pd.DataFrame) -> pd.DataFrame:
    """`left_out` of what `records.flatten.table` gave, which is not typed again."""
    rows: list[tuple[object, ...]] = []
    columns = [*ROW, "name", "points", "why"]
    if found["current"].all() and not found["repeated"].any():
        return pd.DataFrame(rows, columns=columns)
    every = named(found, every=True)
    for key, part in every[~every["current"]].groupby([*ROW, "name"], sort=True):
        why = ", ".join(filter(None, [part["differs"].iloc[0], part["data_differs"].iloc[0]]))
        rows.append((*key, len(part), why))
    for key, part in found[found["repeated"]].groupby([*ROW, "title"], sort=True):
        rows.append((*key[:3], key[3] or key[1], len(part), "the same points again, of another suite or device"))
    return pd.DataFrame(rows, columns=columns)


def left_out_text(left: pd.DataFrame) -> str:
    """What was left out as sentences, one a line; empty where nothing was."""
    return "\n".join(
        f"left out: {r['points']} point{'s' * (r['points'] != 1)} of {r['name']} on {r['dataset']} ({r['why']})"
        for r in left.to_dict("records")
    )


def severity(status: str) -> int:
    """Place of a status among others, 0 of the worst; one that nobody knows comes before it."""
    return WORST_FIRST.index(status) if status in WORST_FIRST else -1


def failures(results: Results, *, every: bool = False) -> pd.DataFrame:
    """Every point that is not ok, with the reason it gave, worst first."""
    found = points(results, every=every)
    found = found[found["status"] != "ok"]
    columns = [*ROW, "name", "sigma", "seed", "status", "reason", "key"]
    inorder = found.assign(order=found["status"].map(severity)).sort_values(
        ["order", *ROW, "sigma", "seed"], kind="stable"
    )
    return inorder[columns].reset_index(drop=True)


def impossible(results: Results, errors: float = 3.0, *, every: bool = False) -> pd.DataFrame:
    """Points whose numbers break a law, so that they are not what they are called: each is a bug somewhere.

    They are invalid by their record, or more than `errors` standard errors below D + R* ≥ H(x) or D_y + R* ≥ H(y).
    """
    found = points(results, every=every)
    known = found["H_x_kind"].isin(["exact", "differential"])
    x = found["D"] + found["R_star"] - found["H_x"]
    y = found["Dy"] + found["R_star"] - found["H_y"]
    se_x = found["gap_RD_se"].fillna((found["D_se"].fillna(0) ** 2 + found["R_star_se"].fillna(0) ** 2) ** 0.5)
    se_y = (found["Dy_se"].fillna(0) ** 2 + found["R_star_se"].fillna(0) ** 2) ** 0.5
    below = (known & (x < -errors * se_x - 1e-6)) | (y < -errors * se_y - 1e-6)
    return found[(found["status"] == INVALID) | (found["measured"] & below)].reset_index(drop=True)


HEADLINE = ("Dy", "Dy_se", "Dy_head", "Dy_mean", "Dy_mean_se")  # all other Dy_<name> are of a head, or of bins


def heads(columns: Iterable[str]) -> list[str]:
    """The columns `Dy_<head>` among these: what each head got, and `Dy_bins`."""
    return [c for c in columns if c.startswith("Dy_") and not c.endswith("_se") and c not in HEADLINE]


def of_task(columns: Iterable[str]) -> list[str]:
    """The columns `Dy_<head>` among these that are of all factors of the task together."""
    return [c for c in heads(columns) if "[" not in c and c not in ("Dy_sum", "Dy_bins")]


def factors_of(found: pd.DataFrame) -> pd.DataFrame:
    """A row a measured point and factor, from the columns `Dy[digit]` of a table, with what describes the point."""
    about = ["key", *ROW, "name", "params", "title", "labels", "seed", "sigma", "R_star", "R_star_se"]
    of: dict[str, dict[str, str]] = {}
    for column in map(str, found.columns):
        match = _OF_FACTOR.fullmatch(column)
        if match:
            of.setdefault(match[2], {})[column] = match[1]
    there = found[found["status"].isin(MEASURED)]
    parts = []
    for factor, columns in of.items():
        mine = there[[*about, *columns]].rename(columns=columns).assign(factor=factor)
        known = mine[list(columns.values())]
        parts.append(mine[(known.notna() & (known != "")).any(axis=1)])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*about, "factor"])


_OF_FACTOR = re.compile(r"([^\[\].]+)\[(.*)\]", re.DOTALL)


def by_factor(results: Results, *, every: bool = False) -> pd.DataFrame:
    """Usefulness for each factor: mean over seeds for each (data set, model, variant, sigma, params, factor), nats.

    `Dy` is of the head that was chosen on validation (`head`), `Dy_<head>` of each, `R_star` what the code costs; each
    `_se` is over seeds and test points together.
    """
    long = factors_of(points(results, every=every))
    columns = ["R_star", "R_star_se", "H_y", "Hy_V", "Dy", "Dy_se", "IV", "IV_se", "acc", "bal_acc"]
    keys = [*ROW, "sigma", "params", "factor"]
    if long.empty:
        return pd.DataFrame(columns=[*keys, "title", "labels", "seeds", "head", *columns])
    for column in heads(long.columns):
        columns += [column, f"{column}_se"]
    columns += [c for c in ("Hy_bins", "IV_bins") if c in long]
    for column in columns:
        long[column] = pd.to_numeric(long[column], errors="coerce") if column in long else float("nan")
    if "Dy_head" not in long:
        long["Dy_head"] = ""
    groups = long.groupby(keys, dropna=False, sort=True)
    mean = groups[columns].mean()
    seeds = groups["seed"].nunique()
    for column in (c for c in columns if f"{c}_se" in columns):
        mean[f"{column}_se"] = errors(groups, column)
    names = groups["Dy_head"].agg(lambda h: "/".join(sorted({str(v) for v in h if v})))
    return mean.assign(
        seeds=seeds, head=names, title=groups["title"].first(), labels=groups["labels"].first()
    ).reset_index()
