"""How long a point takes on one core: from points that are done, else from a table of points that were measured.

The table is in units of the work that `calibrate` times, so that it holds on any machine.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from . import calibrate

TABLE = Path(__file__).with_name("pace.toml")  # made by tests/benchmarks/pace.py: units by data set and row
SAME = ("model", "variant", "dataset_label", "network", "budget", "device")  # what points of one pace agree in
TIMES = (("train_cpu_s", "train_s"), ("measure_cpu_s", "measure_s"))  # of CPU where a record has them
USUAL = "digits"  # where every model was measured
SIZES = {"digits": 64, "coloured": 192, "sprites": 256, "mnist": 784, "fashion_mnist": 784}  # numbers in one example
SIZES["digits_resplit"] = SIZES["digits"]
SIZES |= dict.fromkeys(("dsprites", "dsprites_like", "smallnorb"), 64**2)
SIZES |= dict.fromkeys(("shapes3d", "shapes3d_like", "cars3d", "mpi3d"), 3 * 64**2)
SIZES |= {f"{how}_dsprites": 3 * 64**2 for how in ("color", "noisy", "scream")}
STEADY = 153_000  # products of an MLP and an example that take as long as all else of a step
EXPECTED = {"digits": 3000, "coloured": 3200, "mnist": 4700, "sprites": 5500}  # steps until validation ended
OTHERS = 5500  # the same on data sets that were not run; larger ones reach the cap
CONV = 8  # times an MLP
STUDY, STUDY_SIZE = 67.5, 328  # a step of the networks of the study in such steps: 80 for one channel, 105 for three


class Pace:
    """CPU seconds that a point takes, learned from records.

    From those of its own row where there are some, else from all, else from the speed of this machine.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()):
        self._rows: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])  # seconds they took, and units
        self._all = [0.0, 0.0]
        for record in records:
            seconds = spent(record["times"])
            for tally in (self._rows[_row(record["spec"])], self._all):
                tally[0] += seconds
                tally[1] += units(record["spec"])

    def seconds(self, spec: Mapping[str, Any]) -> float:
        """What the point of `spec` takes."""
        took, guessed = self._rows.get(_row(spec)) or self._all
        return units(spec) * (took / guessed if took and guessed else calibrate.speed())


def spent(times: Mapping[str, Any]) -> float:
    """Seconds of CPU that the `times` of a record say a point took; of the clock in records that lack those."""
    return sum(next((float(times[name]) for name in names if _number(times.get(name))), 0.0) for names in TIMES)


def left(took: Mapping[str, float], expected: Mapping[str, float]) -> float:
    """CPU seconds that points without a record will take, by what those with one took of what was expected."""
    both = took.keys() & expected.keys()
    rest = sum(seconds for key, seconds in expected.items() if key not in took)
    known = sum(expected[key] for key in both)
    return rest * (sum(took[key] for key in both) / known if known else 1.0)


def units(spec: Mapping[str, Any]) -> float:
    """Of training and of measuring a point."""
    train, measure = _measured(spec["dataset_label"], spec["model"], spec["variant"])
    budget = spec["budget"]
    steps = budget["steps"] * (budget["continuation"] if spec["chain"] else 1.0)
    if budget.get("patience"):
        steps = min(steps, EXPECTED.get(spec["dataset"].removesuffix("_resplit"), OTHERS))
    train *= _step(spec) / _step({"dataset": spec["dataset"], "network": _network(spec["dataset_label"])})
    return train * steps / 1000 * budget["batch"] / 128 + measure * measuring(budget)


@cache
def _table() -> dict[str, dict[str, Any]]:
    return tomllib.loads(TABLE.read_text("utf-8"))


def _network(data: str) -> dict[str, Any]:
    network: dict[str, Any] = _table().get(data, _table()[USUAL])["network"]
    return network


def _measured(data: str, model: str, variant: str) -> tuple[float, float]:
    """Units of a thousand steps and of measuring, of a row on a data set; what is not there, by what is."""
    table = _table()
    here, usual = (table[name]["rows"] if name in table else {} for name in (data, USUAL))
    for row in (f"{model}-{variant}", model):
        if row in here:
            return here[row][0], here[row][1]
    train, measure = next((usual[row] for row in (f"{model}-{variant}", model) if row in usual), _middle(usual))
    common = [(here[row], usual[row]) for row in here.keys() & usual.keys()]
    if common:
        train, measure = (v * median(h[i] / u[i] for h, u in common) for i, v in enumerate((train, measure)))
    return train, measure


def _middle(rows: Mapping[str, list[float]]) -> list[float]:
    return [median(numbers[i] for numbers in rows.values()) for i in range(2)]


def _step(spec: Mapping[str, Any]) -> float:
    """A step of a VAE with these networks, in steps of one that computes nothing."""
    network, size = spec["network"], SIZES.get(spec["dataset"], SIZES["sprites"])
    hidden = network.get("hidden", (256, 256))
    if network.get("family") == "study":
        return STUDY + size / STUDY_SIZE
    if network.get("family") == "conv":
        return CONV * size / SIZES["digits"]
    return 1 + sum(n * m for n, m in pairwise((size, *hidden, network.get("latent", 10)))) / STEADY


def measuring(budget: Mapping[str, Any]) -> float:
    """Measuring at this budget, as a multiple of `laptop`: on digits, a VAE takes so many seconds of each."""

    def seconds(budget: Mapping[str, Any]) -> float:
        return 1.5 + 0.004 * budget["probe_steps"] + 0.0009 * budget["codes"] + 100 * bool(budget.get("score_trees"))

    return seconds(budget) / seconds({"probe_steps": 300, "codes": 2500})


def _row(spec: Mapping[str, Any]) -> str:
    return repr([spec.get(name) for name in SAME])


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and value >= 0
