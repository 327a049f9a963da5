"""The laws of masses: no density that a rate or a distortion is read off has more than 1."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.distributions import Distribution, StudentT, biject_to, constraints

from ..measure.codes import log_density
from ..measure.draws import noise
from ..measure.spaces import is_one_hot, space_of, support_of
from ..model import Batch, Block, Model, replay
from .model_subject import ModelSubject
from .plugin import Problems, first_wrong

POINTS = 4096  # at which a marginal is looked at
SEEDS = 4  # of weights, among which one is to have more mass than 1 if any can
MORE, ERRORS = 0.1, 5.0  # of a mass beyond 1: as much may be, and standard errors that it may be off


def marginal_is_normalised(subject: ModelSubject) -> Problems:
    """What the receiver expects of a block has a mass of 1, so that no rate is too low by a constant."""
    batch = subject.measured(subject.batch().x)
    yield from first_wrong(overfull(subject.used(seed=seed).eval(), batch) for seed in range(SEEDS))


def overfull(model: Model, batch: Batch) -> Problems:
    """Blocks of the first example of a batch whose p has more mass than 1."""
    one = batch.rows(torch.zeros(POINTS, dtype=torch.int64, device=batch.x.device))
    before: list[Tensor] = []
    for name in model.encode(batch):
        with noise(8), replay(before):
            block = model.encode(one)[name]
        before.append(block.drawn[:1].expand_as(block.drawn))
        with noise(9):
            mass = _mass(block)
        if mass is not None and mass > 1 + MORE:
            yield (
                f"what is expected of block {name!r} has a mass of {mass:.3g}, so that its rate is "
                f"{math.log(mass):.2g} nats too low: p is a density, with its normalising constant and all its factors"
            )


def _mass(block: Block) -> float | None:
    """What the mass of p is at least, by draws from a density with heavier tails; None where it is not looked at."""
    if is_one_hot(block):
        return _of_symbols(block)
    if space_of(block.p, block.drawn) not in ("real", "positive", "interval"):
        return None
    support = support_of(block.p)
    to = biject_to(constraints.real if support is None else support)
    seen = to.inv(_drawn(block)).flatten(1).double()
    g = StudentT(5.0, seen.mean(0), 1.5 * seen.std(0).clamp(min=1e-3), validate_args=False)
    u = g.sample(torch.Size([POINTS]))
    z = to(u.view(block.drawn.shape).to(block.drawn))
    nats = log_density(block.p, z).double() - g.log_prob(u).sum(-1)
    if support is not None and support is not constraints.real:
        nats = nats + to.log_abs_det_jacobian(u.view(block.drawn.shape).to(z), z).flatten(1).sum(-1).double()
    weights = nats.exp()
    return float(weights.mean()) - ERRORS * float(weights.std()) / math.sqrt(POINTS)


def _drawn(block: Block) -> Tensor:
    """Draws of p where it can be drawn from, else those of q."""
    p: Distribution = block.p
    try:
        found = p.sample() if p.batch_shape else p.sample(torch.Size([POINTS]))
        return found.expand_as(block.drawn)
    except Exception:  # of whoever wrote the density
        return block.drawn


def _of_symbols(block: Block) -> float | None:
    """Of one symbol, the sum over all of them."""
    hot = block.drawn
    if hot.numel() != len(hot) * hot.shape[-1] or len(hot) < hot.shape[-1]:
        return None
    every = torch.eye(hot.shape[-1], device=hot.device, dtype=hot.dtype)
    z = torch.cat([every, hot[len(every) :].reshape(-1, hot.shape[-1])]).view_as(hot)
    return float(log_density(block.p, z)[: len(every)].double().exp().sum())


def channels_are_one_density(subject: ModelSubject) -> Problems:
    """With several channels p(x|z) is one density as well: the sum over channels, and not their mean."""
    if not subject.new().decodes:
        return
    yield from first_wrong(_over_channels(subject, training) for training in (True, False))


@torch.no_grad()
def _over_channels(subject: ModelSubject, training: bool) -> Iterator[str]:
    where = f"in {'training' if training else 'evaluation'}"
    spec = subject.spec(shape=(3, 2, 1, 1) if subject.sequence else (2, 2, 2))
    model, x = subject.new(spec).train(training), subject.batch(spec).x[:3]
    p, of = model.receive(model.encode(subject.measured(x))), model.predicted(x)
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * of[0].numel()).view(-1, *of.shape[1:])
    mass = torch.stack([p.log_prob(image.expand_as(of)) for image in every]).logsumexp(0)
    if not float(mass.abs().max()) <= 1e-3:
        yield (
            f"over all binary images of two channels p(x|z) sums to {float(mass.exp().mean()):.4g}, not 1, {where}: "
            "add up over channels too"
        )
    if "binary" in subject.row.needs or subject.sequence or "A" in subject.row.decoder:
        return
    pair = subject.spec(shape=(2, 1, 1), likelihood="gaussian")
    model, x = subject.new(pair).train(training), subject.batch(pair).x[:3]
    p = model.receive(model.encode(subject.measured(x)))
    grid = torch.linspace(-40, 40, 8001)
    lines = []
    for channel in range(2):  # p integrates to 1 if it is the product of these two over p(x), as of independent ones
        moved = []
        for g in grid:
            changed = x.clone()
            changed[:, channel] = g
            moved.append(p.log_prob(changed))
        lines.append(torch.stack(moved).logsumexp(0) + math.log(80 / 8000))
    off = float((lines[0] + lines[1] - p.log_prob(x)).abs().max())
    if not off <= 1e-2:
        yield f"over two real channels p(x|z) does not integrate to 1 {where}: add up over channels too"
