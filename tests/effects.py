"""Two models at one rate: what a defining effect is measured with."""

from dataclasses import replace

import torch

from rdu_bench import registry
from rdu_bench.budget import find
from rdu_bench.data import Dataset
from rdu_bench.measure import Measured, Study, measure
from rdu_bench.model import Model
from rdu_bench.training import Control, Training, train_at

LAPTOP = find("laptop")
NETWORK = {"hidden": (128, 128), "latent": 10}


def trained(
    name: str, data: Dataset, sigma: float | None, *, steps: int = 800, seed: int = 0, network=None, **params
) -> tuple[Model, Control]:
    """A model of ours at `sigma` nats with the networks that suites use, after so many steps."""
    torch.manual_seed(seed)
    model = registry.model(name, data.spec(**(network or NETWORK)), **params)
    return fitted(model, data, sigma, steps=steps, seed=seed)


def fitted(
    model: Model, data: Dataset, sigma: float | None, *, steps: int, seed: int = 0, **changes
) -> tuple[Model, Control]:
    """This model, trained as `trained` does, but for what is changed of how."""
    counted = replace(Training.of(LAPTOP, seed=seed), steps=steps, patience=None, warm=0, **changes)
    found = train_at(model, data, sigma, counted)
    return found.model, found.control


def measured(model: Model, data: Dataset, *, seed: int = 0, network=None) -> Measured:
    """What a record would say of it."""
    spec = data.spec(**(network or NETWORK))
    return measure(Study(model.requires_grad_(False), data, LAPTOP, ("linear",), spec, seed=seed))
