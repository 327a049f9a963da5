"""What a reader should know of a row of a board before its numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator

import pandas as pd

from ..records.laws import FINGERPRINT, one_training
from ..records.recipes import made_on, other_terms
from .points import published

SIZE = "model.n_params"  # column of how many parameters a model has
Key = tuple[str, str, str]  # data set, model and variant of a row
LARGER = 5.0  # times the parameters of the reference, critics counted, from which on a row says so


def remarks(row: pd.DataFrame, reference: pd.DataFrame | None) -> Iterator[str]:
    """Of one row beside the reference of its panel, in words."""
    if lost := skipped_seeds(row):
        yield lost
    if cut := stopped(row):
        yield cut
    if reference is None:
        return
    here, there = (set(part["sigma"].fillna(math.inf)) for part in (row, reference))  # without a target: the ELBO
    if here - {math.inf} and (without := there - here):
        yield f"no points at {target_text(without)}, where the reference has some"
    if (times := _size(row) / _size(reference)) >= LARGER:
        yield f"{times:.2g} times the parameters of {reference['name'].iloc[0]}"
    if _whole(reference) and not _whole(row):
        yield "points without parts of the test split: intervals over seeds alone"


def cut_off(row: pd.DataFrame) -> pd.DataFrame:
    """The points of a row whose steps ran out while validation still gained."""
    return row[row["capped"].fillna(False).astype(bool)]


def stopped(rows: pd.DataFrame) -> str:
    """How many points were cut off, and what they had still gained of late, in words; "" where none was."""
    cut = cut_off(rows)
    if cut.empty:
        return ""
    were, their = ("was", "its") if len(cut) == 1 else ("were", "their")
    said = f"{len(cut)} of {len(rows)} points {were} still improving when {their} steps ran out"
    bought = float(cut["last_gain"].median())
    if math.isnan(bought):
        return said
    nats = f"{bought:.2g}" if bought < 99.5 else f"{bought:.0f}"
    return f"{said}, the later half of which bought {nats} nats of {their} loss{' (median)' * (len(cut) > 1)}"


def target_text(sigmas: Iterable[float]) -> str:
    """`4 nats, 8 nats, the ELBO`: targets in words, infinity for none."""
    return ", ".join("the ELBO" if sigma == math.inf else f"{sigma:g} nats" for sigma in sorted(sigmas))


def unshared(row: pd.DataFrame, other: pd.DataFrame) -> set[float]:
    """Targets of a row, infinity for none, that another lacks in a seed that both have."""
    asked = [set(zip(part["seed"], part["sigma"].fillna(math.inf), strict=True)) for part in (row, other)]
    both = {seed for seed, _ in asked[0]} & {seed for seed, _ in asked[1]}
    return {float(sigma) for seed, sigma in asked[0] - asked[1] if seed in both}


def swept(row: pd.DataFrame) -> bool:
    """Whether a row is traced by a parameter in the place of targets."""
    return bool(row["sigma"].isna().all()) and row["params"].nunique() > 1


def _targets(row: pd.DataFrame) -> frozenset[object]:
    """What a row was asked for: its target rates, or the values that were swept."""
    settings = set(row.loc[row["sigma"].isna(), "params"])
    return frozenset({*row["sigma"].dropna(), *(settings if len(settings) > 1 else ())})


def apart(rows: dict[Key, pd.DataFrame], base: Key | None) -> dict[Key, list[str]]:
    """Rows that are compared with no others, and why.

    Some have points that the reference has none of, or most rows where there is no reference: a chord lies above the
    curve between its points, so that a point more lowers a hull whatever the model.  Some were made with another
    budget, network, strategy or other heads, and others have one seed for several.
    """
    asked = {key: _targets(row) for key, row in rows.items()}
    common = asked[base] if base else Counter(asked.values()).most_common(1)[0][0]
    usual = rows[base or _of_most(rows)]
    whose = "the reference's" if base else "those of most rows"
    found: dict[Key, list[str]] = {}
    for key, row in rows.items():
        if not asked[key] <= common:
            found[key] = [f"points at other rates than {whose}, which alone move a hull: no rank"]
        if unlike := other_terms(row, usual):
            found.setdefault(key, []).append(f"made on other terms than {whose} ({unlike}): no rank")
        if same := copied_seeds(row):
            found.setdefault(key, []).append(f"{same}: no rank")
    return found


def _of_most(rows: dict[Key, pd.DataFrame]) -> Key:
    """The first row that was made on the terms of most."""
    made = {key: tuple(made_on(row).values()) for key, row in rows.items()}
    most = Counter(made.values()).most_common(1)[0][0]
    return next(key for key in rows if made[key] == most)


def copied_seeds(row: pd.DataFrame) -> str:
    """Which seeds of a row have the numbers of another, to six digits, in words; "" where none has."""
    there = row.loc[row["measured"], ["seed", *FINGERPRINT]].dropna()
    seeds, numbers = there["seed"].to_numpy(int), there[[*FINGERPRINT]].to_numpy(float)
    alike = one_training(numbers[:, None], numbers[None]) & (seeds[:, None] != seeds[None])
    same = ", ".join(map(str, sorted({*seeds[alike.any(1)].tolist()})))
    return f"seeds {same} have the same numbers, to six digits" if same else ""


def skipped_seeds(row: pd.DataFrame) -> str:
    """Which seeds below its highest a row has no points of, in words; "" where it has all, or was put beside a run."""
    seeds = {int(seed) for seed in row["seed"]}
    lost = sorted(set(range(max(seeds))) - seeds)
    if not lost or published(row).any():
        return ""
    told = ", ".join(map(str, lost[:10])) + (", …" if len(lost) > 10 else "")
    return f"no points of seed{'s' * (len(lost) > 1)} {told}, which come before its others"


def _size(row: pd.DataFrame) -> float:
    """Parameters of its largest model; NaN where no point says."""
    return float(row[SIZE].max()) if SIZE in row else float("nan")


def _whole(row: pd.DataFrame) -> bool:
    """Whether every measured point has the means over parts of the test split that intervals take."""
    folds = row.loc[row["measured"], "folds"] if "folds" in row else pd.Series("", row.index)
    return bool(len(folds)) and not folds.fillna("").isin(["", "{}", "null"]).any()
