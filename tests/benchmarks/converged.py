"""Training that validation ends against fixed steps: `python tests/benchmarks/converged.py [--model NAME …]`.

Each model at each σ on one data set with one seed, all in one run: by the budget `trained`, and by so many steps whose
learning rate falls to 0.  Prints D on the test split, in nats, brought to σ along the frontier, with its standard error
over the test points, and the CPU seconds of training as a ratio.  Validation never sees a test point.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import torch

from rdu_bench import registry
from rdu_bench._hash import named_seed
from rdu_bench.budget import find
from rdu_bench.data import Dataset
from rdu_bench.model import Terms
from rdu_bench.training import Training, train_at
from rdu_bench.training.converge import at_rate, validation
from rdu_bench.training.fitting import Trained

HIDDEN = dict.fromkeys(("sprites", "mnist", "fashion_mnist"), (256, 256))  # of the suites; 128 and 128 elsewhere


@torch.no_grad()
def judged(found: Trained, data: Dataset, sigma: float, slope: float) -> tuple[float, float]:
    """D at rate σ on the test split, nats, and its standard error."""
    torch.manual_seed(named_seed("judged"))
    batches = validation(data, found.model, seed=0, device="cpu", part="test")
    each = [found.model(batch) for batch in batches]
    D, R = (torch.cat([getattr(terms, name) for terms in each]) for name in ("distortion", "rate"))
    n = sum(len(batch.x) for batch in batches[: -(-len(data.splits["test"]) // 1024)])
    error = float((D + slope * R).std()) / min(n, len(D)) ** 0.5
    zero = torch.zeros(1)
    mean = Terms(D.mean()[None], R.mean()[None], zero, zero, zero)
    return float(at_rate(mean, torch.tensor([slope]), torch.tensor([sigma]))), error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append", help="[vae, factor_vae, wae, m2, vq_vae]")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--sigma", type=float, action="append", help="[4 and 13]")
    parser.add_argument("--steps", type=int, action="append", help="[400, 1,600, 6,400]")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data: Any = registry.dataset(given.dataset)
    spec = data.spec(hidden=HIDDEN.get(given.dataset, (128, 128)))
    open_ended = Training.of(find("trained"), seed=named_seed("train", 0))
    print(f"{'model':16} {'σ':>5} {'steps':>10} {'kept':>6} {'D at σ':>8} {'se':>5} {'time':>5}  status")
    for name in given.model or ("vae", "factor_vae", "wae", "m2", "vq_vae"):
        for sigma in given.sigma or (4.0, 13.0):
            slope = first = None
            for steps in (None, *(given.steps or (400, 1600, 6400))):
                training = open_ended if steps is None else replace(open_ended, patience=None, warm=0, steps=steps)
                torch.manual_seed(named_seed("init", 0))
                model = registry.model(name, spec)
                began = time.process_time()
                found = train_at(model, data, sigma, training)
                took = time.process_time() - began
                control = found.control
                slope, first = slope or control.beta_end or 1.0, first or took
                D, error = judged(found, data, sigma, slope)
                said = f"{control.steps:6}{' cap' if control.capped else '    '} {control.kept_at or '':>6}"
                print(
                    f"{name:16} {sigma:5g} {said} {D:8.3f} {error:5.2f} {took / first:5.2f}  {control.status}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
