"""The models of one data set, in the order of legends, and what their points are called."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pandas as pd

from .style import Palette, shown


class Lineup:
    """Models by number, so that the script is told of each look once."""

    def __init__(self, table: pd.DataFrame, palette: Palette):
        rows = table.drop_duplicates(["model", "variant"]).sort_values(["name", "model", "variant"])
        self.index = {(str(r["model"]), str(r["variant"])): i for i, r in enumerate(rows.to_dict("records"))}
        self.looks = [
            {
                "name": shown(r["name"], r["labels"]),
                "colour": palette[r["name"]].colour,
                "symbol": palette[r["name"]].symbol,
                "open": r["labels"] != "none",
            }
            for r in rows.to_dict("records")
        ]
        self.params = {str(model): set(part["params"]) for model, part in table.groupby("model")}

    def number(self, row: Any) -> int:
        """A model's number in the lineup, by the `model` and `variant` of any row."""
        return self.index[str(row["model"]), str(row["variant"] or "")]

    def name(self, row: Any) -> str:
        """A model's name as shown."""
        return str(self.looks[self.number(row)]["name"])

    def target(self, row: Any) -> str:
        """`σ = 6`, or `beta = 4` for a point of a sweep, or `ELBO`."""
        if not pd.isna(row["sigma"]):
            return f"σ = {float(row['sigma']):g}"
        return swept(row["params"], self.params.get(str(row["model"]), ())) or "ELBO"


def swept(params: str, all_params: Iterable[str]) -> str:
    """What sets the point of a sweep apart from the others, `beta = 4`; empty where there is no sweep."""
    others = [json.loads(text) for text in set(all_params) if text != params]
    return ", ".join(f"{k} = {v}" for k, v in json.loads(params).items() if any(o.get(k) != v for o in others))


def short(value: Any, digits: int = 5) -> float | None:
    """A number that JSON can say, to so many significant digits; None for NaN."""
    return None if value is None or pd.isna(value) else float(f"{float(value):.{digits}g}")
