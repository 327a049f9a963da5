"""Scores of codes against what the codes cost: tidy, averaged over seeds and over targets, never at the best one.

Every score is an estimate on test points and no bound.  At a low rate few latents say anything, so that almost any
code looks disentangled; a score is therefore read at equal R*, or averaged over all targets.
"""

from __future__ import annotations

import json
from functools import cache
from typing import NamedTuple

import pandas as pd
from scipy import stats

from .intervals import errors
from .points import CELL, ROW, Results, points


class Score(NamedTuple):
    """How a score is called and read."""

    title: str
    higher: bool = True  # is more disentangled
    unit: str = ""


SCORES = {
    "mig": Score("MIG"),
    "dci_disentanglement": Score("DCI disentanglement"),
    "dci_completeness": Score("DCI completeness"),
    "dci_informativeness": Score("DCI informativeness"),
    "sap": Score("SAP"),
    "modularity": Score("Modularity"),
    "explicitness": Score("Explicitness"),
    "factorvae": Score("FactorVAE"),
    "betavae": Score("BetaVAE"),
    "irs": Score("IRS"),
    "udr": Score("UDR"),
    "gaussian_tc": Score("Gaussian total correlation", higher=False, unit="nats"),
    "gaussian_wasserstein": Score("Gaussian Wasserstein", higher=False, unit="z²"),
    "mutual_info": Score("Mutual information", higher=False, unit="nats"),
}
PROTOCOLS = ("robust", "dlib")
REPRESENTATIONS = {"sample": "sampled z", "mean": "posterior mean"}

COLUMN = ["score", "protocol", "rep"]
TIDY = [*ROW, "name", "labels", "sigma", "seed", "R_star", *COLUMN, "value", "reason", "params", "status", "key"]


def split(column: str) -> tuple[str, str, str] | None:
    """`mig_robust_mean` → score, protocol and representation; None for a column that names none of these."""
    parts = column.rsplit("_", 2)
    known = len(parts) == 3 and parts[1] in PROTOCOLS and parts[2] in REPRESENTATIONS
    return (parts[0], parts[1], parts[2]) if known else None


def scores(results: Results, *, every: bool = False) -> pd.DataFrame:
    """A row a point and score: `value`, or NaN and the `reason` for it.

    `score`, `protocol` (`robust` or `dlib`) and `rep` (`sample` for sampled z, `mean` for the posterior mean) say
    what was computed; `R_star` in nats.  Points that failed, and those whose record the laws call invalid, are there
    without a value, for each score that any other point of their data set has.  Empty where no record has scores.
    """
    found = points(results, every=every)
    wanted = [*ROW, "name", "labels", "sigma", "seed", "R_star", "params", "status", "key"]
    nulls = found["nulls"].map(_reasons)
    parts = []
    for _, rows in found.groupby("dataset", sort=True):
        named = {name for why in nulls[rows.index] for name in why}
        for column in sorted(map(str, found.columns), key=_place):
            known = split(column)
            if known is None or not (rows[column].notna().any() or column in named):
                continue
            score, protocol, rep = known
            counted = rows["measured"]
            value = pd.to_numeric(rows[column], errors="coerce").astype(float).where(counted)
            each = zip(value, counted, rows["status"], nulls[rows.index], strict=True)
            why = ["" if v == v else _reason(status, ok, given.get(column)) for v, ok, status, given in each]
            parts.append(rows[wanted].assign(score=score, protocol=protocol, rep=rep, value=value, reason=why))
    return pd.concat(parts, ignore_index=True)[TIDY] if parts else pd.DataFrame(columns=TIDY)


def _place(column: str) -> tuple[int, str]:
    """Scores in the order of `SCORES`, unknown ones last."""
    known = split(column)
    return list(SCORES).index(known[0]) if known and known[0] in SCORES else len(SCORES), column


@cache
def _reasons(nulls: str) -> dict[str, str]:
    return {name: str(why) for name, why in json.loads(nulls).items()} if nulls else {}


def _reason(status: str, counted: bool, given: str | None) -> str:
    """Why there is no score."""
    if not counted:
        return f"the point has no numbers that count ({status})"
    return given or "the record does not have it"


def by_target(tidy: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds for each target.

    `R_star` and `value` are over the seeds that have the score, `value_se` is the error of that mean (NaN with one
    seed), `n` how many seeds they are and `of` how many there are.
    """
    columns = [*CELL, *COLUMN, "R_star", "value", "value_se", "n", "of"]
    if tidy.empty:
        return pd.DataFrame(columns=columns)
    known = tidy.assign(R_star=tidy["R_star"].where(tidy["value"].notna()))
    groups = known.groupby([*CELL, *COLUMN], dropna=False, sort=False)
    out = groups[["R_star", "value"]].mean()
    out["n"], out["of"] = groups["value"].count(), groups["key"].size()
    out["value_se"] = errors(groups, "value")
    return out.reset_index()[columns]


def averages(tidy: pd.DataFrame) -> pd.DataFrame:
    """The score of each model averaged over its targets, and over its own sweep where it has no target.

    A mean over seeds of means over targets, with its 95 % t interval over seeds (`low`, `high`).  Points without a
    score are left out, which flatters whoever lacks the hard ones: `n` of `of` points entered.
    """
    keys = [*ROW, "name", "labels", *COLUMN]
    columns = [*keys, "value", "low", "high", "n", "of"]
    if tidy.empty:
        return pd.DataFrame(columns=columns)
    aimed = tidy["sigma"].notna()
    grid = tidy[aimed | ~aimed.groupby([tidy[c] for c in keys]).transform("any")]
    each = grid.groupby([*keys, "seed"], sort=False)["value"].mean()
    over = each.groupby(level=keys, sort=False).agg(["mean", "std", "count"])
    half = stats.t.ppf(0.975, (over["count"] - 1).clip(lower=1)) * over["std"] / over["count"].clip(lower=1) ** 0.5
    points = grid.groupby(keys, sort=False)["value"].agg(["count", "size"])
    out = over.assign(value=over["mean"], low=over["mean"] - half, high=over["mean"] + half)
    return out.assign(n=points["count"], of=points["size"]).reset_index()[columns]


def wide(tidy: pd.DataFrame) -> pd.DataFrame:
    """A row a point, a column a score with its protocol and representation in its name, as `mig_robust_mean`."""
    if tidy.empty:
        return pd.DataFrame(columns=[*ROW, "name", "labels", "sigma", "seed", "R_star", "status", "key"])
    named = tidy.assign(column=tidy["score"] + "_" + tidy["protocol"] + "_" + tidy["rep"])
    about = named.drop_duplicates("key")[[*ROW, "name", "labels", "sigma", "seed", "R_star", "status", "key"]]
    values = named.pivot(index="key", columns="column", values="value")[list(dict.fromkeys(named["column"]))]
    return about.merge(values.reset_index(), on="key", how="left").rename_axis(columns=None)
