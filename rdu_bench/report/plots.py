"""What the script draws of the frontiers, and of the map of all models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from .context import Context
from .lineup import Lineup
from .text import counted, short

POINTS = 1500  # single points of a plot; with more, means over seeds alone
APART = "autoregressive decoders"
TOLD = ("D", "Dy", "R_own", "I_low", "beta_end")
FAR = 3.0  # times the highest R* of a target
CROWD, FEW = 12, 7  # models that one panel names at most, and how many where there are more


def limits(points: pd.DataFrame, plane: str) -> float | None:
    """H(x) or H(y) in nats where it is known well enough to forbid something; None elsewhere."""
    rows = points[points["measured"]]
    if plane == "D":
        rows = rows[rows["H_x_kind"].isin(["exact", "differential"])]
    known = rows["H_x" if plane == "D" else "H_y"].dropna()
    return None if known.empty else short(known.median())


def beyond(rows: pd.DataFrame) -> np.ndarray:
    """(n,) which points lie so far to the right that axes would show little else; `R_star`, `sigma`, `name`.

    A point without a target may cost any number of nats.  Where half of the models go there, curves do, and none does.
    """
    rate, aimed = rows["R_star"].to_numpy(float), rows["sigma"].notna().to_numpy()
    far = ~aimed & (rate > FAR * rate.max(where=aimed, initial=0.0)) & aimed.any()
    few = 2 * rows.loc[far, "name"].nunique() < rows["name"].nunique()
    return far if few else np.zeros(len(rows), bool)


def panels(names: Sequence[str], rows: pd.DataFrame, first: str | None) -> list[tuple[str, tuple[str, ...]]]:
    """The models of a plane (in order) by what they are, a few together: what they share, and their names.

    `rows` have `name`, `labels`, `autoregressive`.  Models with autoregressive decoders stand apart.  Up to `CROWD` of
    the others are together; with more, those that saw labels have panels of their own, and the `first` is in each.
    """
    about = rows.drop_duplicates("name").set_index("name")
    found = []
    for auto, title in ((False, ""), (True, APART)):
        mine = [n for n in names if bool(about.at[n, "autoregressive"]) == auto]
        if not mine:
            continue
        if len(mine) <= CROWD:
            found.append((title, tuple(mine)))
            continue
        lead = [n for n in mine if n == first]
        for seen in (False, True):
            of = [n for n in mine if n != first and (about.at[n, "labels"] != "none") == seen]
            parts = -(-len(of) // FEW)
            size = -(-len(of) // parts) if of else 1  # panels as even as they can be
            said = ", ".join(filter(None, [title, "trained on labels †" if seen else ""]))
            for i in range(0, len(of), size):
                found.append((said, (*lead, *of[i : i + size])))
    return found


def frontier(context: Context, dataset: str, plane: str) -> dict[str, Any] | None:
    """For each model its hull, its points and what hovering tells of them; None where nothing was measured."""
    frame = context.planes[plane]
    frame = frame[frame["dataset"] == dataset]
    if frame.empty:
        return None
    lineup, points = context.lineups[dataset], context.of(dataset)
    each, note = _single(frame)
    each = each.assign(far=False)
    for _, part in each.groupby("autoregressive"):  # which have axes of their own
        each.loc[part.index, "far"] = beyond(part)
    names = context.palette.sorted(frame["name"].tolist())
    groups = panels(names, frame, context.palette.first)
    numbers: dict[str, list[int]] = {}
    models: dict[int, dict[str, Any]] = {}
    for (name, model, variant), rows in frame.groupby(["name", "model", "variant"], sort=False):
        number = lineup.number({"model": model, "variant": variant})
        numbers.setdefault(str(name), []).append(number)
        hull = rows[rows["seed"].isna() & rows["hull"]].sort_values("R_star")
        line = [[short(r), short(v)] for r, v in zip(hull["R_star"], hull["loss"], strict=True)]
        models[number] = {"model": number, "hull": line, "points": []}
    for number, point in _points(each, points, plane, lineup):
        models[number]["points"].append(point)
    nulls = frame.loc[frame["null"], "loss"].dropna()
    return {
        "plane": plane,
        "models": [models[n] for n in sorted(models)],
        "groups": [[title, [n for name in of for n in numbers.get(name, [])]] for title, of in _beside(groups)],
        "bound": limits(points, plane),
        "null": None if nulls.empty else short(nulls.median()),
        "note": note,
    }


def _beside(groups: list[tuple[str, tuple[str, ...]]]) -> list[tuple[str, tuple[str, ...]]]:
    """The same with the one panel of autoregressive decoders, which has axes of its own, in colour beside each."""
    apart = [of for title, of in groups if title == APART]
    others = [(title, of) for title, of in groups if title != APART]
    return [(title, (*of, *apart[0])) for title, of in others] if apart and others else groups


def _single(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Points to draw one by one, and what to say where they are too many."""
    each = frame[frame["seed"].notna() & ~frame["null"]]
    if len(each) <= POINTS:
        return each, ""
    mean = frame[frame["seed"].isna() & ~frame["null"]]
    said = f"Marks are means over seeds: {counted(len(each), 'single point')} are more than the {POINTS} drawn."
    if len(mean) > POINTS:
        rest = mean[~mean["hull"]]
        kept = rest.iloc[np.unique(np.linspace(0, len(rest) - 1, POINTS).astype(int))]
        said = f"{said[:-1]}; of {counted(len(mean), 'mean')}, those on a hull and {len(kept)} others, evenly."
        mean = pd.concat([mean[mean["hull"]], kept]).sort_index()
    return mean, said


def _points(each: pd.DataFrame, points: pd.DataFrame, plane: str, lineup: Lineup) -> list[tuple[int, dict[str, Any]]]:
    """Points with what hovering tells; single points are found in the table by row, seed, target and rate."""
    keys = ["model", "variant", "seed", "R_star"]
    extra = points[[*keys, "sigma", "params", *TOLD]].rename(columns={"sigma": "at"})
    single = each[each["seed"].notna()]
    if len(single):
        told = extra.drop_duplicates(keys)
        each = single.assign(seed=single["seed"].astype(float)).merge(
            told.assign(seed=told["seed"].astype(float)), on=keys, how="left"
        )
    rows = each.to_dict("records")
    out = []
    for p in rows:
        sigma = short(p["sigma"])
        target = lineup.target({**p, "params": p.get("params", "")})
        point = {
            "R": short(p["R_star"], 6),
            "loss": short(p["loss"], 6),
            "R_se": short(p["R_star_se"], 3),
            "loss_se": short(p["loss_se"], 3),
            "sigma": sigma,
            "seed": None if pd.isna(p["seed"]) else int(p["seed"]),
            "seeds": int(p["seeds"]),
            "status": p["status"],
            "far": True if p["far"] else None,
            "at": target,
            **{name: short(p.get(name)) for name in TOLD},
        }
        out.append((lineup.number(p), {k: v for k, v in point.items() if v is not None}))
    return out


class Place:
    """Where a model stands on the map: rate saved and usefulness gained, with intervals where there are any."""

    def __init__(self, row: dict[str, Any]):
        self.name, self.model, self.variant = str(row["name"]), str(row["model"]), str(row["variant"])
        self.labels, self.reference = str(row["labels"]), bool(row["reference"])
        self.auto, self.seeds = bool(row["autoregressive"]), int(row["seeds"])
        self.comparable = bool(row["comparable"])
        self.x, self.x_low, self.x_high = (-float(row[c]) + 0.0 for c in ("bd_nats", "bd_nats_high", "bd_nats_low"))
        self.y, self.y_low, self.y_high = (float(row[c]) for c in ("dIV", "dIV_low", "dIV_high"))

    @property
    def placed(self) -> bool:
        """Whether both coordinates are known, and are those of points at rates that the reference has too."""
        return self.comparable and bool(np.isfinite(self.x) and np.isfinite(self.y))

    @property
    def intervals(self) -> bool:
        """Whether both have an interval."""
        return bool(np.isfinite([self.x_low, self.x_high, self.y_low, self.y_high]).all())


def places(context: Context, dataset: str) -> list[Place]:
    """All models of a data set as the map places them, in the palette's order."""
    rows = context.board[context.board["dataset"] == dataset].to_dict("records")
    found = [Place({str(k): v for k, v in row.items()}) for row in rows]
    return sorted(found, key=lambda p: context.palette.order[p.name])


def chart(context: Context, dataset: str) -> dict[str, Any] | None:
    """The map as the script draws it; None where no model can be compared."""
    found = places(context, dataset)
    there = [p for p in found if p.placed]
    if len(there) < 2:
        return None
    lineup = context.lineups[dataset]
    return {
        "points": [
            {
                "model": lineup.number({"model": p.model, "variant": p.variant}),
                "x": [short(p.x), short(p.x_low), short(p.x_high)],
                "y": [short(p.y), short(p.y_low), short(p.y_high)],
                "seeds": p.seeds,
                "reference": p.reference,
            }
            for p in there
        ],
        "reference": next((p.name for p in there if p.reference), ""),
        "without": [lineup.name({"model": p.model, "variant": p.variant}) for p in found if not p.placed],
        "intervals": sum(p.intervals for p in there),
    }
