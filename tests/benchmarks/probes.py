"""Heads on many codes at once against one at a time: `python tests/benchmarks/probes.py [--steps 300]`.

Ten factors of 2 to 40 classes, half of them on a line as positions are and half anywhere as shapes are, seen through
ten dimensions at eight rates.  Linear heads against a loop over scikit-learn's `LogisticRegression` with its default
solver and tolerance, warm from ridge to ridge: the same six ridges chosen on the same validation codes, and one ridge
alone.  MLP heads all at once against one after the other, by the same code.  Everything is taken in turn within one
run on one thread; prints ratios of time, and by how many nats the losses on test differ.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from rdu_bench import registry
from rdu_bench.api import Factor, Head, Probe, Target
from rdu_bench.budget import Budget
from rdu_bench.nn.whitening import whitening

SIZES = (2, 3, 4, 6, 8, 10, 15, 24, 32, 40)
NOISES = (3.0, 2.0, 1.4, 1.0, 0.7, 0.5, 0.3, 0.2)
FIT, VAL, TEST, DIMENSIONS, ROUNDS = 6000, 2000, 2000, 10, 3
ONE = 1e-4  # the ridge of single fits

Losses = np.ndarray  # (factors, codes) mean test loss, nats


def problem(seed: int = 0) -> tuple[Tensor, list[Tensor]]:
    """(8, 1, N, 10) whitened codes and the (N,) classes of ten factors."""
    draw = np.random.default_rng(seed)
    n = FIT + VAL + TEST
    ys = [draw.integers(size, size=n) for size in SIZES]
    x = np.zeros((n, DIMENSIONS))
    for i, (size, y) in enumerate(zip(SIZES, ys, strict=True)):
        line = np.linspace(-1.7, 1.7, size)[:, None] * draw.normal(size=DIMENSIONS)
        places = line if i % 2 else draw.normal(size=(size, DIMENSIONS))
        x += places[y] / 3**0.5
    codes = [torch.from_numpy(x + noise * draw.normal(size=x.shape)).float() for noise in NOISES]
    return torch.stack([whitening(z[:FIT])(z) for z in codes])[:, None], [torch.from_numpy(y) for y in ys]


def scored(heads: list[list[Head]], z: Tensor, ys: list[Tensor]) -> Losses:
    """Of heads code by code."""
    return np.array(
        [
            [
                -float(one[i].predict(code[:, -TEST:]).log_prob(y[-TEST:]).mean())
                for one, code in zip(heads, z, strict=True)
            ]
            for i, y in enumerate(ys)
        ]
    )


def sklearn_heads(z: np.ndarray, ys: list[np.ndarray], ridges: tuple[float, ...]) -> Losses:
    """The same job as a loop; of each head, the test loss at the ridge that is best on validation."""
    found = np.empty((len(ys), len(z)))
    for i, y in enumerate(ys):
        for p, code in enumerate(z):
            model, best = LogisticRegression(warm_start=True, max_iter=1000), np.inf
            for ridge in ridges:
                model.set_params(C=1 / (ridge * FIT)).fit(code[:FIT], y[:FIT])
                held = _loss(model, code[FIT : FIT + VAL], y[FIT : FIT + VAL])
                if held < best:
                    best, found[i, p] = held, _loss(model, code[-TEST:], y[-TEST:])
    return found


def _loss(model: LogisticRegression, z: np.ndarray, y: np.ndarray) -> float:
    return -float(model.predict_log_proba(z)[np.arange(len(y)), y].mean())


def timed(job: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and what came of it."""
    began = time.perf_counter()
    found = job()
    return time.perf_counter() - began, found


def compare(title: str, theirs: Callable[[], Losses], ours: Callable[[], Losses]) -> None:
    """Print how many times as fast ours is, taken in turn, and by how much its losses differ."""
    ratios = []
    for _ in range(ROUNDS):
        (slow, expected), (fast, found) = timed(theirs), timed(ours)
        ratios.append(slow / fast)
    off = found - expected
    print(
        f"{title:52} {statistics.median(ratios):5.1f} times as fast ({min(ratios):.1f} to {max(ratios):.1f}); "
        f"test loss {off.mean():+.4f} nats on average, at most {np.abs(off).max():.4f} apart",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    budget = Budget(steps=1, head_steps=parser.parse_args().steps)
    torch.set_num_threads(1)
    z, ys = problem()
    fit, val = z[:, :, :FIT], z[:, :, FIT : FIT + VAL]
    factors = [Factor(f"y{i}", size) for i, size in enumerate(SIZES)]
    targets = [Target(f, y[:FIT], y[FIT : FIT + VAL]) for f, y in zip(factors, ys, strict=True)]
    linear, mlp = registry.load("probes", "linear"), registry.load("probes", "mlp")
    numpy = z[:, 0].numpy(), [y.numpy() for y in ys]

    def at_once(probe: Probe) -> Losses:
        return scored(probe.fit_many(fit, val, targets, seed=0, budget=budget), z, ys)

    def in_turn(probe: Probe) -> Losses:
        """Every code and factor alone; MLPs then all begin with the weights of the first place."""
        heads = [
            [probe.fit(code, held, [target], seed=0, budget=budget)[0] for target in targets]
            for code, held in zip(fit, val, strict=True)
        ]
        return scored(heads, z, ys)

    path = linear().ridges
    compare("linear, six ridges, against scikit-learn", lambda: sklearn_heads(*numpy, path), lambda: at_once(linear()))
    compare(
        "linear, one ridge, against scikit-learn",
        lambda: sklearn_heads(*numpy, (ONE,)),
        lambda: at_once(linear((ONE,))),
    )
    compare("linear, six ridges, against one head at a time", lambda: in_turn(linear()), lambda: at_once(linear()))
    compare(
        f"MLP, {budget.head_steps} steps, against one head at a time",
        lambda: in_turn(mlp()),
        lambda: at_once(mlp()),
    )


if __name__ == "__main__":
    main()
