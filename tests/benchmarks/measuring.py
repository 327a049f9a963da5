"""Measuring a point against training it: `python tests/benchmarks/measuring.py [--budget laptop] [POINT …]`.

Prints processor time of both as a ratio, taken in turn within one run so that a busy machine slows both, and the share
of each measurement.  Points are those of suite `all` at one rate target; a share is charged with what it asks of a
`Study` first, such as the codes with `rate`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from rdu_bench import budget as budgets
from rdu_bench import registry
from rdu_bench.budget import Budget
from rdu_bench.measure import MEASUREMENTS, Found, Measurement, Study, measure
from rdu_bench.training import Training, fit

ROUNDS, SMALL = 3, 0.01  # of a share that is printed
HEADS = ("linear", "mlp")
POINTS: dict[str, tuple[str, str, tuple[int, ...], float]] = {
    "vae on digits": ("vae", "digits", (128, 128), 6.0),
    "vae on sprites": ("vae", "sprites", (256, 256), 3.0),
    "factor_vae on sprites": ("factor_vae", "sprites", (256, 256), 3.0),
    "vae on coloured": ("vae", "coloured", (128, 128), 6.0),
}


def timed(parts: dict[str, float], name: str, job: Callable[[Study], Found]) -> Callable[[Study], Found]:
    """The job, its processor time written into `parts`."""

    def run(study: Study) -> Found:
        began = time.process_time()
        try:
            return job(study)
        finally:
            parts[name] = time.process_time() - began

    return run


def once(model: str, dataset: str, hidden: tuple[int, ...], sigma: float, budget: Budget) -> tuple[float, Any]:
    """Seconds of training, and of each measurement by name."""
    data = registry.dataset(dataset)
    spec = data.spec(hidden=hidden)
    made = registry.model(model, spec)
    began = time.process_time()
    fit(made, data, sigma, Training.of(budget, seed=0))
    trained, parts = time.process_time() - began, dict[str, float]()
    plain = dict(MEASUREMENTS)
    MEASUREMENTS.update({name: Measurement(timed(parts, name, m.run), m.blank) for name, m in plain.items()})
    try:
        measure(Study(made.requires_grad_(False), data, budget, HEADS, spec))
    finally:
        MEASUREMENTS.update(plain)
    return trained, parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("points", nargs="*", default=list(POINTS), help=", ".join(POINTS))
    parser.add_argument("--budget", default="laptop")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    budget = budgets.find(asked.budget)
    once(*POINTS["vae on digits"], budgets.find("smoke"))  # what is imported when it is first used
    for name in asked.points:
        rounds = [once(*POINTS[name], budget) for _ in range(asked.rounds)]
        ratios = [sum(parts.values()) / trained for trained, parts in rounds]
        mean = {part: statistics.mean(parts[part] for _, parts in rounds) for part in rounds[0][1]}
        whole = sum(mean.values())
        shares = sorted(((seconds / whole, part) for part, seconds in mean.items()), reverse=True)
        print(
            f"{name:22} measuring takes {statistics.median(ratios):.2f} of training "
            f"({min(ratios):.2f} to {max(ratios):.2f}): "
            + ", ".join(f"{part} {share:.0%}" for share, part in shares if share >= SMALL),
            flush=True,
        )


if __name__ == "__main__":
    main()
