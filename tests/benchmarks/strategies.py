"""Continuation and batched training against independent: `python tests/benchmarks/strategies.py [--device cuda]`.

One model (`--model`, the VAE by default) on digits at seven rates and three seeds by each strategy, taken in turn
within one run.  Prints the time of training as a ratio, and the BD-nats of the frontier against that of independent
training, with its 95 % interval over paired seeds.  The default strategy of a device is the fastest, over the models
of the quick suite, whose difference is within 0.1.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rdu_bench.analysis.frontiers import AXES, null_of, seed_hulls
from rdu_bench.analysis.hull import gap
from rdu_bench.analysis.intervals import interval
from rdu_bench.analysis.points import points
from rdu_bench.engine import suite
from rdu_bench.engine.curve import run_curve
from rdu_bench.engine.expand import Selection, curves
from rdu_bench.records.store import Store

STRATEGIES = ("independent", "continuation", "batched")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--model", default="vae")
    parser.add_argument("--budget", default="laptop")
    given = parser.parse_args()
    seconds = dict.fromkeys(STRATEGIES, 0.0)
    tables = {}
    with tempfile.TemporaryDirectory() as folder:
        stores = {strategy: Store(Path(folder) / strategy) for strategy in STRATEGIES}
        for seed in range(given.seeds):
            for strategy in STRATEGIES:
                asked = Selection(
                    models=(given.model,),
                    sigmas=(1.0, 2.0, 4.0, 6.0, 9.0, 13.0, 18.0),
                    seeds=given.seeds,
                    strategy=strategy,
                    device=given.device,
                    budget=given.budget,
                )
                run_curve(curves(suite.read("quick"), asked)[seed], stores[strategy])
        for strategy, store in stores.items():
            records = store.records()
            seconds[strategy] = sum(r["times"]["train_s"] for r in records)
            tables[strategy] = points(records)
    plane = AXES["D"]
    null = null_of(tables["independent"], plane)
    hulls = {name: seed_hulls(table, plane, null) for name, table in tables.items()}
    print(f"{'strategy':14} {'time':>6}  BD-nats against independent (95 %)")
    for name in STRATEGIES:
        found = interval([gap(hulls[name][s], hulls["independent"][s]).nats for s in range(given.seeds)])
        between = "" if name == "independent" else f"  ({found.low:+.3f} to {found.high:+.3f})"
        print(f"{name:14} {seconds[name] / seconds['independent']:6.2f}  {found.mean:+.3f}{between}")


if __name__ == "__main__":
    main()
