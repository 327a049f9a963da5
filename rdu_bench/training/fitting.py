"""Training at a rate: min D + w|σ − R| + what makes a model itself, for one σ or for many at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .._alone import alone
from .._hash import named_seed
from ..data import Dataset, at_once
from ..model import Batch, Model, Seen
from .control import Control, check_target, own_price
from .learning import Learning
from .loop import Progress, Training, run
from .posthoc import at_rate, comes_after
from .stack import Single, Stack

JUDGED = 20_000  # training examples that the rate is a mean over at most: it is then within a few hundredths of a nat


@dataclass(frozen=True)
class Trained:
    """A trained model, in evaluation mode, and how its training went."""

    model: Model
    control: Control
    learning: Learning = field(default_factory=Learning)
    seconds: float = 0.0


@alone
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

    A model whose channel comes afterwards is trained without a rate, is then given its channel, which makes another
    model of it, and that is trained for the fraction `training.continuation` of the steps, which the first training
    leaves for it where the channel is learned.  Any other is trained in place, or one of the size that σ needs.  Raises
    what the model raises, and `ValueError` for a σ that is not positive and finite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(named_seed("size", training.seed))
        model = model.for_rate(sigma)
    if not comes_after(model):
        return fit(model, data, sigma, training, start=start, progress=progress)
    check_target(sigma)
    base = fit(model, data, None, before(model, training), progress=progress)
    return put_at(base, data, sigma, training, progress=progress)


def before(model: Model, training: Training) -> Training:
    """What of `training` a model is given before its channel, so that both together take its steps and no more."""
    learned = model.channel == "posthoc-learned"
    return replace(training, steps=max(1, training.steps - training.continued().steps)) if learned else training


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


@alone
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

    The last of the steps are rounds at a lower learning rate, in which the rate settles: as many whether or not it is
    met, since who misses it is to have no more training than others.  A loss that is not finite ends training
    with status `diverged`; an exception of the model is passed on.  Raises `ValueError` for a negative or infinite σ.
    """
    check_target(sigma)
    began = time.perf_counter()
    strategy = "independent" if start is None else "continuation"
    model.to(training.device).eval()
    training = training.watching(model)
    learning = Learning()
    if any(p.requires_grad for p in model.parameters()):
        aim = None if model.rate_is_set else sigma
        main, rounds = (training, []) if model.rate_is_set else training.settling()
        [(control, learning)] = run(Single(model), data, [aim], main, start=start, progress=progress)
        rounds = training.settled(control) if rounds and control.kept_at else rounds
        control = replace(control, sigma=sigma, w=1.0 if sigma is None else training.w, strategy=strategy)
    else:
        control, rounds = Control(sigma, training.w, strategy=strategy), []
    if model.rate_is_set:
        control = replace(control, price=None)
    trained = Trained(model, _judge(model, data, control, training), learning)
    return replace(_settle(trained, data, rounds), seconds=time.perf_counter() - began)


@alone
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
    training = training.watching(models[0])
    stack = Stack(models[0].to(training.device), len(sigmas), vectorise=vectorise)
    main, rounds = training.settling()
    found = run(stack, data, sigmas, main, progress=progress)
    done = []
    for i, (model, (control, learning)) in enumerate(zip(models, found, strict=True)):
        stack.write(i, model.to(training.device))
        control = _judge(model, data, replace(control, strategy="batched"), training)
        own = training.settled(control) if control.kept_at else rounds
        done.append(_settle(Trained(model, control, learning), data, own))
    seconds = (time.perf_counter() - began) / len(models)
    return [replace(trained, seconds=seconds) for trained in done]


def _settle(trained: Trained, data: Dataset, rounds: Sequence[Training]) -> Trained:
    """Train on, in rounds: where the learning rate fell to 0, R may stop on its way to σ.

    All rounds are trained, whatever the rate, so that whoever misses it has no more steps than others; the weights
    kept are the last ones that met it, or the last.
    """
    model, control, learning = trained.model, trained.control, trained.learning
    kept = trained if control.status == "ok" else None
    weights = _weights(model) if kept else {}
    for training in rounds:
        if control.status == "diverged":
            break
        [(more, further)] = run(Single(model), data, [control.sigma], training, start=control.corrected())
        steps = control.steps + training.steps
        watched = {name: getattr(control, name) for name in ("kept_at", "last_gain", "capped", "strategy")}
        more = replace(more, steps=steps, **watched)
        control, learning = _judge(model, data, more, training), learning.then(further)
        if control.status == "ok":
            kept, weights = Trained(model, control, learning), _weights(model)
    if not kept:
        return replace(trained, control=control, learning=learning)
    model.load_state_dict(weights)
    return replace(kept, control=replace(kept.control, steps=control.steps), learning=learning)


def _weights(model: Model) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _judge(model: Model, data: Dataset, control: Control, training: Training) -> Control:
    """`control` with the rate on the training set, or on the first `JUDGED` of it, and what to call it."""
    if control.status == "diverged":
        return control
    seen = data.view("train", model.row, slice(JUDGED))
    rate = mean_rate(model, seen, device=training.device, seed=training.seed)
    few = seen.rows(slice(at_once(data.shape, 1024))).batch().to(training.device)
    return _with_slope(control.judged(rate, model.limit), model, few)


def _with_slope(control: Control, model: Model, batch: Batch) -> Control:
    """`control` with the slope −dD/dR, which the model's own weight on R is part of."""
    if control.price is None:
        return control
    slope = control.price + own_price(model, batch, control.price)
    return replace(control, beta_end=slope, literal_ok=slope <= 1)


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
