"""Seconds of training and measuring, by row of the suites of SUITES: `python tests/benchmarks/pace.py [NAME …]`.

Writes the table that estimates without records start from, `rdu_bench/engine/pace.toml`; rows and data sets that are
named are measured again and the others kept.  Seconds are of CPU, on one thread, and in the units of `calibrate.speed`,
which is measured before and after each, so that a busy machine slows both.
"""

from __future__ import annotations

import json
import sys
import tempfile
import tomllib
import warnings
from dataclasses import replace
from pathlib import Path

from rdu_bench.engine import calibrate
from rdu_bench.engine.curve import run_curve
from rdu_bench.engine.expand import Selection, curves
from rdu_bench.engine.pace import measuring
from rdu_bench.engine.spec import Curve
from rdu_bench.engine.suite import read
from rdu_bench.records.store import Store

OUT = Path(__file__).parents[2] / "rdu_bench" / "engine" / "pace.toml"
STEPS = (160, 640)
SUITES = ("all", "fashion", "sequences")


def measured(curve: Curve) -> tuple[float, float]:
    """Units per thousand steps of 128 examples, and of measuring at `laptop`, of the middle target.

    What a training takes beside its steps is left out by the difference of a long and a short one.
    """
    calibrate.speed.cache_clear()
    before = calibrate.speed()
    short, long = (times_of(curve, steps) for steps in STEPS)
    calibrate.speed.cache_clear()
    unit = (before + calibrate.speed()) / 2
    print(curve.data_label, curve.row, short, long, f"unit {unit:.4f}", flush=True)
    step = (long["train_cpu_s"] - short["train_cpu_s"]) / (STEPS[1] - STEPS[0])
    measure = (long["measure_cpu_s"] + short["measure_cpu_s"]) / 2 / measuring(curve.budget.model_dump())
    return step * 128 / curve.budget.batch * 1000 / unit, measure / unit


def times_of(curve: Curve, steps: int) -> dict[str, float]:
    """Seconds of training and measuring the middle target with so many steps."""
    sigma = curve.sigmas[len(curve.sigmas) // 2]
    budget = curve.budget.model_copy(update={"steps": steps})
    with tempfile.TemporaryDirectory() as folder:
        run_curve(replace(curve, budget=budget, sigmas=(sigma,)), Store(folder))
        [record] = Store(folder).records()
    return {name: float(record["times"][name]) for name in ("train_cpu_s", "measure_cpu_s")}


def main() -> None:
    warnings.filterwarnings("ignore")
    kept = tomllib.loads(OUT.read_text("utf-8")) if OUT.exists() else {}
    found = {(data, row): numbers for data, table in kept.items() for row, numbers in table["rows"].items()}
    every = [curve for name in SUITES for curve in curves(read(name), Selection())]
    rows = {(c.data_label, c.row): c for c in every if c.dataset != "mnist"}
    wanted = {key: c for key, c in rows.items() if key not in found or key[1] in sys.argv[1:] or key[0] in sys.argv[1:]}
    warm = next(iter(wanted.values()))
    measured(replace(warm, budget=warm.budget.model_copy(update={"codes": 100})))  # imports are not a point's
    for key, curve in wanted.items():
        found[key] = [round(number, 1) for number in measured(curve)]
        write(found, {data: c.network for (data, _), c in rows.items()})


def write(found: dict[tuple[str, str], list[float]], networks: dict[str, dict[str, object]]) -> None:
    """The table as it is so far."""
    lines = [
        "# Made by tests/benchmarks/pace.py, which says what the numbers are: [training a thousand steps, measuring]."
    ]
    for data in dict.fromkeys(data for data, _ in sorted(found)):
        lines += ["", f"[{data}.network]", *(f"{key} = {json.dumps(value)}" for key, value in networks[data].items())]
        lines += ["", f"[{data}.rows]"]
        lines += [f'"{row}" = {numbers}' for (label, row), numbers in sorted(found.items()) if label == data]
    OUT.write_text("\n".join([*lines, ""]), "utf-8")


if __name__ == "__main__":
    main()
