"""What the page shows of the structure of codes: tables, and curves over labels and noise."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from ..analysis.points import CELL
from ..analysis.tables import number
from .lineup import Lineup
from .text import listed, plain, short

Frames = dict[str, pd.DataFrame]


def structure(frames: Frames, table: pd.DataFrame, data: Mapping[str, Any], lineup: Lineup) -> dict[str, Any] | None:
    """Tables and curves of what the points (`table`) of one data set have; None where they have nothing."""
    frames = {name: frame for name, frame in frames.items() if len(frame)}
    if not frames:
        return None
    targets = _targets(frames, lineup)
    drawn = {f for name in _DRAWN if name in frames for f in frames[name]["factor"]}
    about = list(data["factors"])
    return {
        "tables": [
            made(frames[name], lineup) | {"lacking": _lacking(name, frames[name], table, lineup)}
            for name, made in _TABLES.items()
            if name in frames
        ],
        "targets": [text for text, _ in targets],
        "start": _common(frames, targets, lineup),
        "factors": sorted(drawn, key=lambda f: (about.index(f) if f in about else len(about), f)),
        "curves": {name: _curves(frames[name], x, lineup) for name, x in _DRAWN.items() if name in frames},
        "level": _level(frames["noise"]) if "noise" in frames else "",
    }


def _lacking(name: str, frame: pd.DataFrame, table: pd.DataFrame, lineup: Lineup) -> list[str]:
    """Why measured points have no line in a table that others are in; targets are named where a model has others."""
    part = "D_pred" if name == "prediction" else "structure." + ("efficiency" if name == "codelength" else name)
    there = {(lineup.number(row), lineup.target(row)) for row in frame[_AT].drop_duplicates().to_dict("records")}
    partly = {number for number, _ in there}
    missing: dict[str, dict[int, list[str]]] = {}
    for row in table.loc[table["measured"], [*_AT, "nulls"]].sort_values("sigma").to_dict("records"):
        number, target = lineup.number(row), lineup.target(row)
        if (number, target) not in there:
            reason = (json.loads(str(row["nulls"])).get(part) if row["nulls"] else None) or _UNSAID.get(name, UNSAID)
            missing.setdefault(plain(reason, 300), {}).setdefault(number, []).append(target)
    told = []
    for reason, models in sorted(missing.items()):
        names = [
            f"{lineup.looks[n]['name']}" + (f" at {listed(dict.fromkeys(targets), 4)}" if n in partly else "")
            for n, targets in sorted(models.items())
        ]
        told.append(f"{reason} ({listed(names)})")
    return told


_AT = ["model", "variant", "sigma", "params"]  # what a line is of
UNSAID = "records that do not say why, as those made before it was measured"
_UNSAID = {"prediction": "models that predict no frames"}


_DRAWN = {"efficiency": "n", "noise": "level"}
LEVELS = {"flip": "probability that a pixel is flipped", "gaussian": "standard deviation of noise, in that of x"}


def _level(noise: pd.DataFrame) -> str:
    """What a level of noise is, with its unit."""
    return " or ".join(LEVELS.get(kind, f"level of {kind} noise") for kind in sorted(filter(None, set(noise["kind"]))))


def _targets(frames: Frames, lineup: Lineup) -> list[tuple[str, float]]:
    """Every target that occurs, by σ, those without one last."""
    found = {
        lineup.target(row): float("inf") if pd.isna(row["sigma"]) else float(row["sigma"])
        for frame in frames.values()
        for row in frame[_AT].drop_duplicates().to_dict("records")
    }
    return sorted(found.items(), key=lambda item: (item[1], item[0]))


def _common(frames: Frames, targets: list[tuple[str, float]], lineup: Lineup) -> str:
    """The highest σ that all models have, or the one that most have."""
    have: dict[str, set[int]] = {}
    for frame in frames.values():
        for row in frame[_AT].drop_duplicates().to_dict("records"):
            have.setdefault(lineup.target(row), set()).add(lineup.number(row))
    return max(targets, key=lambda t: (len(have[t[0]]), t[1] if t[1] < float("inf") else -1.0))[0]


def _curves(frame: pd.DataFrame, x: str, lineup: Lineup) -> dict[str, dict[str, dict[int, list[Any]]]]:
    """factor → target → model → points (x, D_y, its error, seeds)."""
    out: dict[str, dict[str, dict[int, list[Any]]]] = {}
    for row in frame[frame["Dy"].notna()].sort_values(x).to_dict("records"):
        by_model = out.setdefault(row["factor"], {}).setdefault(lineup.target(row), {})
        point = [short(row[x]), short(row["Dy"]), short(row["Dy_se"], 3), int(row["seeds"])]
        by_model.setdefault(lineup.number(row), []).append(point)
    return out


Column = tuple[str, str, str, int]  # heading, what it is and its direction, field, digits


def _table(title: str, note: str, frame: pd.DataFrame, first: list[str], columns: list[Column], lineup: Lineup) -> Any:
    """A table of rows (model, target, `first` as text, numbers)."""
    rows = [
        {
            "name": lineup.name(r),
            "target": lineup.target(r),
            "sort": short(r["sigma"]),
            "factor": r["factor"] if "factor" in first else "",
            "words": [str(r[c]).replace("_", " ") for c in first],
            "numbers": [_cell(r, field, digits) for _, _, field, digits in columns],
        }
        for r in sorted(frame.to_dict("records"), key=lineup.number)
    ]
    return {"title": title, "note": note, "first": first, "columns": [c[:2] for c in columns], "rows": rows}


def _cell(row: Mapping[Any, Any], field: str, digits: int) -> dict[str, Any]:
    value = row.get(field)
    if value is None or pd.isna(value):
        return {"text": "–", "sort": None}
    error = row.get(f"{field}_se")
    text = number(float(value), digits)
    if field == "sdl" and row.get("sdl_bound") == ">":
        text = f"> {text}"
    return {
        "text": text + ("" if error is None or pd.isna(error) else f" ± {number(error, digits)}"),
        "sort": short(value),
    }


def _clusters(frame: pd.DataFrame, lineup: Lineup) -> Any:
    columns: list[Column] = [
        ("ARI ↑", "adjusted Rand index, estimate: 0 by chance, 1 is the classes; higher is better", "ari", 3),
        ("AMI ↑", "adjusted mutual information, estimate: 0 by chance, 1 is the classes; higher is better", "ami", 3),
        ("NMI ↑", "normalised mutual information, estimate: grows with the number of clusters", "nmi", 3),
        ("ACC ↑", "accuracy under the best assignment of clusters to classes, estimate; higher is better", "acc", 3),
        ("k", "number of clusters", "k", 0),
    ]
    note = (
        "How well groups of codes, found without labels, are the classes. Estimates. ARI and AMI are corrected for "
        "chance and to be read first; NMI grows with the number of clusters. “Chosen” is the method that validation "
        "codes chose, never labels."
    )
    first = ["method", "chosen"] if (frame["chosen"] != "").any() else ["method"]
    return _table("Clusters", note, frame, first, columns, lineup)


def _leakage(frame: pd.DataFrame, lineup: Lineup) -> Any:
    columns: list[Column] = [
        (
            "I_V ≤ I(s; z)",
            "usable information about s, nats: a lower bound; less is more invariant, up to the strength of the head",
            "IV",
            3,
        ),
        ("D_s ≥ H(s|z)", "loss of the strongest head against s, nats: an upper bound", "Ds", 3),
    ]
    note = (
        "What the code still tells of the sensitive attribute s, in nats, by the strongest head: a lower bound on "
        "I(s; z), since a stronger adversary might find more. A small number is no proof that s is gone."
    )
    return _table("Leakage about s", note, frame, ["s", "head"], columns, lineup)


def _wide(frame: pd.DataFrame, keys: list[str], kept: list[str], by: str, value: str) -> pd.DataFrame:
    """One line for each of `keys` with the columns `kept`, and `value` with its error once for each value of `by`."""
    flat = frame.drop_duplicates(keys)[[*keys, *kept]]
    for one in dict.fromkeys(frame[by]):
        mine = frame[frame[by] == one][[*keys, value, f"{value}_se"]]
        named = {value: f"{value} {one}", f"{value}_se": f"{value} {one}_se"}
        flat = flat.merge(mine.rename(columns=named), on=keys, how="left")
    return flat


def _levels(frame: pd.DataFrame, lineup: Lineup) -> Any:
    factors = [f for f in dict.fromkeys(frame["factor"]) if f]
    flat = _wide(frame, [*CELL, "depth", "level"], ["R_star", "R_star_se"], "factor", "Dy")
    columns: list[Column] = [
        ("R* ≥ I(x; z)", "rate of these blocks together, nats: an upper bound; less is cheaper", "R_star", 2)
    ]
    columns += [
        (f"D_y {f} ≥ H(y|z)", f"loss for {f}, nats: an upper bound; less is better", f"Dy {f}", 3) for f in factors
    ]
    note = (
        "A code of several blocks, cut after each: what the first blocks cost together and what they tell. "
        "Rates and losses in nats, both upper bounds."
    )
    return _table("Levels", note, flat, ["level"], columns, lineup)


def _blocks(frame: pd.DataFrame, lineup: Lineup) -> Any:
    factors = [f for f in dict.fromkeys(frame["factor"]) if f]
    flat = _wide(frame, [*CELL, "place", "block"], ["R", "R_se"], "factor", "IV")
    columns: list[Column] = [
        ("R (nats)", "charged for this block given those before it: an upper bound on what it adds", "R", 2)
    ]
    columns += [
        (
            f"I_V {f} ≤ I(y; z)",
            f"what a linear head on this block alone gets about {f}, nats: a lower bound",
            f"IV {f}",
            3,
        )
        for f in factors
    ]
    note = (
        "Every block of a code by itself: what was charged for it, and what it tells. A factor of frames is a mean "
        "over the first, the middle and the last frame. Nats; rates are upper bounds, I_V lower ones."
    )
    return _table("Blocks", note, flat, ["block"], columns, lineup)


def _prediction(frame: pd.DataFrame, lineup: Lineup) -> Any:
    columns: list[Column] = [
        ("R* ≥ I(x; z)", "rate of the code of the frames seen, nats: an upper bound", "R_star", 2),
        ("D_pred ≥ H(x_f|z)", "loss for the frames to come, nats: an upper bound; less is better", "D_pred", 2),
        ("no code", "D_pred of the best constant, nats", "D_pred_null", 2),
        ("H(x_f)", "nats of the frames to come: D_pred + R* is never below it", "H_pred", 2),
    ]
    note = (
        "Models that predict: the code is of the first frames, and D_pred of those that follow. The past, its code "
        "and the future are a Markov chain, so that D_pred + R* ≥ H of the frames to come."
    )
    return _table("Frames to come", note, frame, [], columns, lineup)


def _codelength(frame: pd.DataFrame, lineup: Lineup) -> Any:
    columns: list[Column] = [
        ("MDL (nats) ↓", "to send all labels one after the other, given the codes: an upper bound", "mdl", 1),
        ("MDL ratio ↓", "MDL over what the labels cost without a code: an estimate", "mdl_ratio", 3),
        ("SDL (nats) ↓", "surplus over ε, summed over labels: an estimate, “>” where D_y stays above ε", "sdl", 1),
        ("ε (nats)", "the loss, nats, from which SDL counts", "sdl_eps", 3),
        ("labels", "the most labels that were given", "labels_most", 0),
    ]
    note = (
        "What it takes to learn a factor from the code: labels' code length sent one after the other (MDL, an upper "
        "bound in nats), as a share of what they cost without the code, and the surplus over the loss ε (SDL, an "
        "estimate; > where the loss stays above ε with all labels)."
    )
    return _table("Data efficiency", note, frame, ["factor"], columns, lineup)


def _noise(frame: pd.DataFrame, lineup: Lineup) -> Any:
    levels = sorted(set(frame["level"]))
    flat = _wide(frame, [*CELL, "factor"], [], "level", "Dy")
    columns: list[Column] = [
        (f"D_y ≥ H(y|z) at {v:g}", f"loss with noise {v:g} on the test inputs, nats: an upper bound", f"Dy {v}", 3)
        for v in levels
    ]
    note = (
        f"Encoder and linear heads as they are, test inputs that are worse and worse ({_level(frame)}). Losses in "
        "nats, upper bounds on H(y|z) for the codes of those inputs; less is better."
    )
    return _table("Robustness to noise", note, flat, ["factor"], columns, lineup)


_TABLES: dict[str, Callable[[pd.DataFrame, Lineup], Any]] = {
    "clusters": _clusters,
    "levels": _levels,
    "blocks": _blocks,
    "prediction": _prediction,
    "leakage": _leakage,
    "codelength": _codelength,
    "noise": _noise,
}
