"""Records as one flat table, a row a point, and the few words by which analysis speaks of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

MEASURED = ("ok", "rate_missed", "unreachable", "collapsed")  # the point has numbers, whatever rate it ended at
FAILED = ("diverged", "error")  # it has none, and counts as the null point
STATUSES = (*MEASURED, *FAILED)
ROW = ["dataset", "model", "variant"]  # a row of the leaderboard: all sigmas, all seeds
LABELS = ("none", "optional", "required")

_TEXT = ("dataset", "model", "variant", "params", "title", "labels", "decoder", "status", "reason")
_NUMBERS = (
    *("sigma", "R_star", "R_star_se", "R_own", "I_low", "log_N", "D", "D_se", "D_null", "D_own", "D_star", "H_x"),
    *("gap_RD", "gap_RD_se", "Dy", "Dy_se", "Hy_V", "H_y", "IV", "IV_se", "Dy_sum", "U", "beta_end", "rate_err"),
)

Results = pd.DataFrame | Iterable[Mapping[str, Any]]


def label(name: str, params: Mapping[str, Any] | None) -> str:
    """A data set with its parameters, as `sprites[side=16]`."""
    return f"{name}[{', '.join(f'{k}={v}' for k, v in sorted(params.items()))}]" if params else name


def flatten(record: Mapping[str, Any]) -> dict[str, Any]:
    """One record as a flat row; dictionaries inside `values` (rates by block, weights) are left behind."""
    spec, model, data = record.get("spec") or {}, record.get("model") or {}, record.get("data") or {}
    control = record.get("control") or {}
    values = {k: v for k, v in (record.get("values") or {}).items() if not isinstance(v, dict)}
    return {
        **{k: v for k, v in control.items() if not isinstance(v, dict)},
        **values,
        "key": record.get("key"),
        "status": record.get("status"),
        "reason": record.get("reason"),
        "dataset": label(str(spec.get("dataset")), spec.get("dataset_params")),
        "model": spec.get("model"),
        "variant": spec.get("variant"),
        "title": model.get("title"),
        "labels": model.get("labels"),
        "decoder": model.get("decoder"),
        "seed": spec.get("seed", 0),
        "sigma": spec.get("sigma", control.get("sigma")),
        "suite": spec.get("suite"),
        "params": json.dumps(spec.get("params") or {}, sort_keys=True),
        "suite_version": spec.get("suite_version"),
        "H_x_kind": values.get("H_x_kind") or data.get("H_x_kind"),
    }


def points(results: Results) -> pd.DataFrame:
    """A clean table, a row a point, from records or from `load_results`; no point at all is an error.

    Adds `section` (what it may be ranked against), `name` (as shown) and `measured` (it has a rate and a distortion).
    """
    table = results.copy() if isinstance(results, pd.DataFrame) else pd.DataFrame([flatten(r) for r in results])
    if table.empty:
        raise ValueError(
            "there are no records here; run `rdu-bench run` first, or name the folder that holds records/."
        )
    for column in _TEXT:
        table[column] = (table[column] if column in table else pd.Series("", table.index)).fillna("").astype(str)
    for column in _NUMBERS:
        raw = table[column] if column in table else pd.Series(float("nan"), table.index)
        table[column] = pd.to_numeric(raw, errors="coerce").astype(float)
    table["seed"] = table["seed"].astype(int)
    if "H_x_kind" not in table:
        table["H_x_kind"] = ""
    table["labels"] = table["labels"].replace("", "none")
    table["autoregressive"] = table["decoder"].str.contains("A", regex=False)
    table["section"] = "labels: " + table["labels"]
    table.loc[table["autoregressive"], "section"] += ", autoregressive decoder"
    table["name"] = table["title"].where(table["title"] != "", table["model"])
    varied = table["variant"] != ""
    table.loc[varied, "name"] += " (" + table.loc[varied, "variant"] + ")"
    table["measured"] = table["status"].isin(MEASURED) & table["R_star"].notna() & table["D"].notna()
    return table.sort_values([*ROW, "seed", "sigma"], na_position="last", kind="stable", ignore_index=True)


def as_records(results: Results) -> list[Mapping[str, Any]]:
    """Whole records; for a table from `load_results` they are read again from its column `path`, which they keep."""
    if not isinstance(results, pd.DataFrame):
        return list(results)
    paths: list[str] = list(results["path"].dropna()) if "path" in results else []
    return [json.loads(Path(path).read_text("utf-8")) | {"path": path} for path in paths]


def failures(results: Results) -> pd.DataFrame:
    """Every point that is not ok, with the reason it gave, worst first."""
    table = points(results)
    table = table[table["status"] != "ok"]
    order = table["status"].map({s: i for i, s in enumerate(reversed(STATUSES))}).fillna(-1)
    columns = [*ROW, "name", "sigma", "seed", "status", "reason", "key"]
    return table.assign(order=order).sort_values(["order", *ROW, "sigma", "seed"])[columns].reset_index(drop=True)


def impossible(results: Results, errors: float = 3.0) -> pd.DataFrame:
    """Points more than `errors` standard errors below D + R* ≥ H(x) or D_y + R* ≥ H(y): each is a bug somewhere."""
    table = points(results)
    known = table["H_x_kind"].isin(["exact", "differential"])
    x = table["D"] + table["R_star"] - table["H_x"]
    y = table["Dy"] + table["R_star"] - table["H_y"]
    se_x = table["gap_RD_se"].fillna((table["D_se"].fillna(0) ** 2 + table["R_star_se"].fillna(0) ** 2) ** 0.5)
    se_y = (table["Dy_se"].fillna(0) ** 2 + table["R_star_se"].fillna(0) ** 2) ** 0.5
    broken = (known & (x < -errors * se_x - 1e-6)) | (y < -errors * se_y - 1e-6)
    return table.assign(gap_x=x.where(known), gap_y=y)[broken & table["measured"]].reset_index(drop=True)


HEADLINE = ("Dy", "Dy_se", "Dy_head", "Dy_mean", "Dy_mean_se")  # all other Dy_<name> are of a head, or of bins


def heads(columns: Iterable[str]) -> list[str]:
    """The columns `Dy_<head>` among these: what each head got, and `Dy_bins`."""
    return [c for c in columns if c.startswith("Dy_") and not c.endswith("_se") and c not in HEADLINE]


def by_factor(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Usefulness for each factor: mean over seeds for each (data set, model, variant, sigma, params, factor), nats.

    `Dy` is of the head that was chosen on validation (`head`), `Dy_<head>` of each, `R_star` what the code costs.
    """
    rows = list(_factors(records))
    columns = ["R_star", "R_star_se", "H_y", "Hy_V", "Dy", "Dy_se", "IV", "IV_se", "acc", "bal_acc"]
    keys = [*ROW, "sigma", "params", "factor"]
    if not rows:
        return pd.DataFrame(columns=[*keys, "title", "labels", "seeds", "head", *columns])
    table = pd.DataFrame(rows).assign(variant=lambda t: t["variant"].fillna(""))
    for column in heads(table.columns):
        columns += [column, f"{column}_se"]
    columns += [c for c in ("Hy_bins", "IV_bins") if c in table]
    for column in columns:
        table[column] = pd.to_numeric(table[column], errors="coerce") if column in table else float("nan")
    if "Dy_head" not in table:
        table["Dy_head"] = ""
    groups = table.groupby(keys, dropna=False, sort=True)
    mean = groups[columns].mean()
    seeds = groups["seed"].nunique()
    for column in (c for c in columns if f"{c}_se" in columns):
        spread = groups[column].std(ddof=1) / groups[column].count().clip(lower=1) ** 0.5
        mean[f"{column}_se"] = spread.fillna(mean[f"{column}_se"])
    names = groups["Dy_head"].agg(lambda h: "/".join(sorted({str(v) for v in h if v})))
    return mean.assign(
        seeds=seeds, head=names, title=groups["title"].first(), labels=groups["labels"].first()
    ).reset_index()


def _factors(records: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for record in records:
        if record.get("status") not in MEASURED:
            continue
        row = flatten(record)
        about = {k: row.get(k) for k in (*ROW, "params", "title", "labels", "seed", "sigma", "R_star", "R_star_se")}
        for name, scores in (record.get("factors") or {}).items():
            yield {**scores, **about, "factor": name}
