"""The trainer against a bare PyTorch loop, and Pythae's, with the same networks: `python tests/benchmarks/trainer.py`.

Prints images per second as ratios, taken in turn within one run so that a busy machine slows all.  The bare loop has no
rate control, no look at divergence, no labels and no seeds: it is what anyone would write.  Pythae's trainer takes part
where it is installed (`pip install pythae`); its VAE has the same layers, and a loss of β = 1.
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable

import torch
from torch import Tensor

from rdu_bench import registry
from rdu_bench.model import Model
from rdu_bench.training import Training, fit

STEPS, BATCH, ROUNDS = 1600, 128, 7  # steps as in `quick`, so that what is done once a training weighs as it does there
NEVER = 10.0  # a patience that no training outlasts


def fixed(model: Model, data) -> int:
    """The steps of a budget without validation."""
    return fit(model, data, 6.0, Training(steps=STEPS, batch=BATCH)).control.steps


def watched(model: Model, data) -> int:
    """As every suite trains: the weights averaged, and judged at looks; all the steps, since none may end it."""
    return fit(model, data, 6.0, Training(steps=STEPS, batch=BATCH, patience=NEVER)).control.steps


def bare(model: Model, data) -> int:
    """β = 1, Adam, cosine."""
    x: Tensor = data.splits["train"].take()
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
    return done


def pythae(model: Model, data) -> int:
    """The VAE of Pythae on the networks of `model`, by its own trainer, in epochs of as many steps."""
    import logging

    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.INFO)

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.net = model.encoder.net

        def forward(self, x: Tensor) -> ModelOutput:
            mean, log_covariance = self.net(x).chunk(2, -1)
            return ModelOutput(embedding=mean, log_covariance=log_covariance)

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.net = model.decoder.net

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.net(z).sigmoid())

    x = data.splits["train"].take()
    x = x[: len(x) // BATCH * BATCH]
    epochs = max(1, round(STEPS * BATCH / len(x)))
    made = BaseDataset(x, torch.ones(len(x)))
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=epochs,
            learning_rate=2e-3,
            per_device_train_batch_size=BATCH,
            no_cuda=True,
        )
        shape = VAEConfig(input_dim=tuple(data.shape), latent_dim=10, reconstruction_loss="bce")
        BaseTrainer(VAE(shape, encoder=Encoder(), decoder=Decoder()), made, training_config=config).train()
    return epochs * (len(x) // BATCH)


def main() -> None:
    torch.set_num_threads(1)
    data = registry.dataset("digits")
    ours = {"fixed steps": fixed, "under validation": watched}
    trainers: dict[str, Callable[[Model, object], int]] = {"the bare loop": bare}
    if importlib.util.find_spec("pythae"):
        trainers["Pythae's trainer"] = pythae
    for title, network in {
        "mlp 256-256": {"hidden": (256, 256)},
        "conv 32-64": {"family": "conv", "hidden": (32, 64, 128)},
    }.items():
        ratios: dict[tuple[str, str], list[float]] = {(own, name): [] for own in ours for name in trainers}
        for _ in range(ROUNDS):
            each = {}  # seconds a step
            for name, train in (ours | trainers).items():
                model = registry.model("vae", data.spec(**network))
                began = time.process_time()
                steps = train(model, data)
                each[name] = (time.process_time() - began) / steps
            for own, name in ratios:
                ratios[own, name].append(each[name] / each[own])
        for (own, name), found in ratios.items():
            low, mid, high = statistics.quantiles(found, n=4)
            said = f"{title}, {own}: {mid:.2f} of the images per second of {name}"
            print(f"{said} (quartiles {low:.2f} to {high:.2f})", flush=True)


if __name__ == "__main__":
    main()
