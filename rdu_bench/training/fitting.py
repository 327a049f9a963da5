"""Training at a rate: min D + w|σ − R| + what makes a model itself, for one σ or for many at once."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from .._hash import named_seed
from ..data import Dataset
from ..model import Model, Seen
from .control import Control, check_target
from .learning import Learning
from .loop import Progress, Training, run
from .posthoc import at_rate, comes_after
from .stack import Single, Stack

ROUNDS, ROUND, SLOWER = 8, 0.15, 0.2  # most rounds of settling, their share of the steps, and of the learning rate


@dataclass(frozen=True)
class Trained:
    """A trained model, in evaluation mode, and how its training went."""

    model: Model
    control: Control
    learning: Learning = field(default_factory=Learning)
    seconds: float = 0.0


def train_at(
    model: Model,
    data: Dataset,
    sigma: float | None,
    training: Training,
    *,
    start: Control | None = None,
    progress: Progress | None = None,
) -> Trained:
    """`model` trained to send `sigma` nats; None trains the ELBO.  What it gives is what is measured.

    A model whose channel comes afterwards is trained for all of the steps without a rate, is then given its channel,
    which makes another model of it, and that is trained for the fraction `training.continuation` of them.  Any other is
    trained in place.  Raises what the model raises, and `ValueError` for a σ that is not positive and finite.
    """
    if not comes_after(model):
        return fit(model, data, sigma, training, start=start, progress=progress)
    check_target(sigma)
    base = fit(model, data, None, training, progress=progress)
    return put_at(base, data, sigma, training, progress=progress)


def put_at(
    base: Trained, data: Dataset, sigma: float | None, training: Training, *, progress: Progress | None = None
) -> Trained:
    """A trained model whose channel comes afterwards as one of `sigma` nats; a base that diverged stays as it is."""
    if base.control.status == "diverged":
        return replace(base, control=replace(base.control, sigma=sigma))
    began = time.perf_counter()
    made = at_rate(base.model, data.view("train", base.model.row), sigma)
    found = fit(made, data, sigma, training.continued(), progress=progress)
    seconds = base.seconds + time.perf_counter() - began
    return replace(found, learning=base.learning.then(found.learning), seconds=seconds)


def fit(
    model: Model,
    data: Dataset,
    sigma: float | None,
    training: Training,
    *,
    start: Control | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train `model` as it is, in place, towards rate `sigma` nats.  `start` continues from its β.

    A rate that is missed in the end, though no price forbids it, gets up to `ROUNDS` more rounds of training at a lower
    learning rate, each a `ROUND` of the steps; `Control.steps` counts them.  A loss that is not finite ends training
    with status `diverged`; an exception of the model is passed on.  Raises `ValueError` for a negative or infinite σ.
    """
    check_target(sigma)
    began = time.perf_counter()
    strategy = "independent" if start is None else "continuation"
    model.to(training.device).eval()
    learning = Learning()
    if any(p.requires_grad for p in model.parameters()):
        aim = None if model.rate_is_set else sigma
        [(control, learning)] = run(Single(model), data, [aim], training, start=start, progress=progress)
        control = replace(control, sigma=sigma, w=1.0 if sigma is None else training.w, strategy=strategy)
    else:
        control = Control(sigma, training.w, None, math.nan, None, None, 0, strategy, "ok")
    if model.rate_is_set:
        control = replace(control, beta_end=None, literal_ok=None)
    trained = Trained(model, _judge(model, data, control, training), learning)
    return replace(_settle(trained, data, training), seconds=time.perf_counter() - began)


def fit_stack(
    models: Sequence[Model],
    data: Dataset,
    sigmas: Sequence[float | None],
    training: Training,
    *,
    vectorise: bool = True,
    progress: Progress | None = None,
) -> list[Trained]:
    """Train copies of `models[0]`, one a rate target, as one network, and write each into its model.

    Equal to as many calls of `fit` up to rounding; a cell that diverges does not touch the others.
    """
    for sigma in sigmas:
        check_target(sigma)
    began = time.perf_counter()
    stack = Stack(models[0].to(training.device), len(sigmas), vectorise=vectorise)
    found = run(stack, data, sigmas, training, progress=progress)
    done = []
    for i, (model, (control, learning)) in enumerate(zip(models, found, strict=True)):
        stack.write(i, model.to(training.device))
        control = _judge(model, data, replace(control, strategy="batched"), training)
        done.append(_settle(Trained(model, control, learning), data, training))
    seconds = (time.perf_counter() - began) / len(models)
    return [replace(trained, seconds=seconds) for trained in done]


def _settle(trained: Trained, data: Dataset, training: Training) -> Trained:
    """Train on, in rounds, until the rate is met: where the learning rate fell to 0, R may stop on its way to σ."""
    model, control, learning = trained.model, trained.control, trained.learning
    steps = max(1, round(ROUND * control.steps))
    for i in range(ROUNDS):
        if control.status != "rate_missed" or model.rate_is_set:
            break
        seed = named_seed("settle", training.seed, i)
        slower = replace(training, steps=steps, lr=SLOWER * training.lr, seed=seed)
        [(more, further)] = run(Single(model), data, [control.sigma], slower, start=control)
        more = replace(more, w=control.w, strategy=control.strategy, steps=control.steps + steps)
        control, learning = _judge(model, data, more, training), learning.then(further)
    return replace(trained, control=control, learning=learning)


def _judge(model: Model, data: Dataset, control: Control, training: Training) -> Control:
    """`control` with the rate on the training set and what to call it."""
    if control.status == "diverged":
        return control
    seen = data.view("train", model.row)
    return control.judged(mean_rate(model, seen, device=training.device, seed=training.seed), model.limit)


@torch.no_grad()
def mean_rate(model: Model, seen: Seen, *, size: int = 1024, device: str = "cpu", seed: int = 0) -> float:
    """R in nats, the mean over examples of what the model pays for its code."""
    cuda = [torch.device(device)] if device.startswith("cuda") else []
    total, n = 0.0, 0
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(named_seed("rate", seed))
        for part in seen.chunks(size):
            code = model.encode(part.to(device))
            total += sum(float(block.rate.sum()) for block in code.values())
            n += len(part.x)
    return total / n
