"""The models of one data set, in the order of legends, and what their points are called."""

from __future__ import annotations

from typing import Any

import pandas as pd

from .style import Palette, shown


class Lineup:
    """Models by number, so that the script is told of each look once."""

    def __init__(self, table: pd.DataFrame, palette: Palette):
        rows = table.drop_duplicates(["model", "variant"]).to_dict("records")
        rows.sort(key=lambda r: (palette.order[r["name"]], str(r["model"]), str(r["variant"])))
        self.index = {(str(r["model"]), str(r["variant"])): i for i, r in enumerate(rows)}
        self.looks = [
            {
                "name": shown(r["name"], r["labels"]),
                "colour": palette[r["name"]].colour,
                "symbol": palette[r["name"]].symbol,
                "open": r["labels"] != "none",
                "auto": bool(r["autoregressive"]),
            }
            for r in rows
        ]
        keys = table[["model", "variant", "params", "swept"]].drop_duplicates(["model", "variant", "params"])
        self.swept = {
            (str(r["model"]), str(r["variant"]), str(r["params"])): str(r["swept"]) for r in keys.to_dict("records")
        }

    def number(self, row: Any) -> int:
        """A model's number in the lineup, by the `model` and `variant` of any row."""
        return self.index[str(row["model"]), str(row["variant"] or "")]

    def name(self, row: Any) -> str:
        """A model's name as shown."""
        return str(self.looks[self.number(row)]["name"])

    def target(self, row: Any) -> str:
        """`σ = 6`, or `beta = 4` for a point of a sweep, or `ELBO`."""
        swept = self.swept.get((str(row["model"]), str(row["variant"] or ""), str(row["params"])), "")
        if not pd.isna(row["sigma"]):
            return f"σ = {float(row['sigma']):g}" + (f", {swept}" if swept else "")
        return swept or "ELBO"
