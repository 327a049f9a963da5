"""UDR of a row's seeds at each target, from the latents stored beside its records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..records.flatten import records_of
from .points import ROW, Results, points

Vectors = Callable[[Mapping[str, Any]], Mapping[str, np.ndarray]]
COLUMNS = [*ROW, "name", "labels", "sigma", "params", "seeds", "R_star", "udr_robust_mean", "udr_dlib_mean", "reason"]


def udr(results: Results, vectors: Vectors, *, every: bool = False) -> pd.DataFrame:
    """One line for each data set, model, variant and target: the mean over its seeds of each seed's UDR.

    `vectors(record)` returns the arrays of a record.  A line without a score says why in `reason`: fewer than five
    seeds, symbols in the code, or no latents stored.
    """
    from ..scores import Undefined
    from ..scores import udr as agreement

    records = {record["key"]: record for record in records_of(results)}
    found = points(results, every=every)
    rows = []
    for (*row, sigma, params), part in found[found["measured"]].groupby([*ROW, "sigma", "params"], dropna=False):
        arrays = [vectors(records[key]) for key in part["key"] if key in records]
        latents = [a["latents/mean"].astype(float) for a in arrays if "latents/mean" in a]
        rates = [a["latents/rate"].astype(float) for a in arrays if "latents/mean" in a]
        line = dict(zip(ROW, row, strict=True)) | {"sigma": sigma, "params": params, "seeds": len(latents)}
        line |= {"name": part["name"].iloc[0], "labels": part["labels"].iloc[0], "R_star": part["R_star"].mean()}
        line |= {"udr_robust_mean": np.nan, "udr_dlib_mean": np.nan, "reason": ""}
        try:
            if not latents:
                raise Undefined("no latents are stored: the code has symbols, or is of an older version")
            for protocol in ("robust", "dlib"):
                line[f"udr_{protocol}_mean"] = float(agreement(latents, protocol, kl=rates).mean())  # type: ignore[arg-type]
        except Undefined as reason:
            line["reason"] = str(reason)
        rows.append(line)
    return pd.DataFrame(rows, columns=COLUMNS)
