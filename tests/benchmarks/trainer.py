"""The trainer against a bare PyTorch loop with the same networks: `python tests/benchmarks/trainer.py`.

Prints images per second of both as a ratio, taken in turn within one run so that a busy machine slows both.
The bare loop has no rate control, no look at divergence, no labels and no seeds: it is what anyone would write.
"""

from __future__ import annotations

import statistics
import time

import torch

from rdu_bench import registry
from rdu_bench.training import Training, fit

STEPS, BATCH, ROUNDS = 400, 128, 9


def bare(model: torch.nn.Module, x: torch.Tensor) -> None:
    """β = 1, Adam, cosine."""
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    done = 0
    while done < STEPS:
        for pick in torch.randperm(len(x)).split(BATCH)[: len(x) // BATCH]:
            if done == STEPS:
                break
            given = x[pick]
            q = model.encoder(given)
            z = q.rsample()
            loss = -model.decoder(z).log_prob(given).mean() + torch.distributions.kl_divergence(q, model.prior()).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1


def main() -> None:
    torch.set_num_threads(1)
    data = registry.dataset("digits")
    x = data.splits["train"].take()
    for title, network in {
        "mlp 256-256": {"hidden": (256, 256)},
        "conv 32-64": {"family": "conv", "hidden": (32, 64, 128)},
    }.items():
        ratios = []
        for _ in range(ROUNDS):
            seconds = []
            for ours in (False, True):
                model = registry.model("vae", data.spec(**network))
                began = time.perf_counter()
                if ours:
                    fit(model, data, 6.0, Training(steps=STEPS, batch=BATCH))
                else:
                    bare(model, x)
                seconds.append(time.perf_counter() - began)
            ratios.append(seconds[0] / seconds[1])
        low, mid, high = statistics.quantiles(ratios, n=4)
        print(f"{title}: {mid:.2f} of the bare loop's images per second (quartiles {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
