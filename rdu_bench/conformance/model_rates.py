"""The laws of what a model is charged: rate, distortion and labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from ..measure.codes import log_density
from ..model import Batch, Block, Model, Terms, flatten, total_rate
from ..nn.networks import Spec
from .model_subject import DRAWS, B, ModelSubject
from .model_terms import reached
from .plugin import Problems, first_wrong

HINT = "no missing constants, no weights on log p"
LIMIT = 5.0  # standard errors a true equality may be off by


def rate_is_paid(subject: ModelSubject) -> Problems:
    """Every block pays the KL divergence of what was sent from what was expected, and never less than 0."""
    model, batch = subject.used(), subject.measured(subject.batch().x)
    for training in (True, False):
        yield from _paid(model.train(training), batch, "training" if training else "evaluation")


@torch.no_grad()
def _paid(model: Model, batch: Batch, mode: str) -> Problems:
    off: dict[str, list[Tensor]] = {}
    paid: dict[str, list[Tensor]] = {}
    closed: dict[str, bool] = {}
    for _ in range(DRAWS):
        for name, block in model.encode(batch).items():
            closed[name] = _is_closed(block)
            ratio = log_density(block.q, block.drawn) - log_density(block.p, block.drawn)
            off.setdefault(name, []).append(ratio - block.rate)
            paid.setdefault(name, []).append(block.rate)
    for name in off:
        gap, rate = torch.cat(off[name]), torch.cat(paid[name])
        if (z := _off(gap)) > LIMIT:
            yield (
                f"block {name!r} pays {float(rate.mean()):.4g} nats in {mode}, but log q(z|x) − log p(z) averages "
                f"{float((gap + rate).mean()):.4g} ({z:.0f} standard errors off): charge it with transmit(q, p)"
            )
        # a rate of which draws are a part may be below 0 by chance, its mean may not
        lowest = float(rate.min()) if closed[name] else float(rate.mean()) + LIMIT * _error(rate)
        if lowest < -1e-3:
            yield f"block {name!r} pays {lowest:.4g} nats in {mode}: no KL divergence is negative"


def _is_closed(block: Block) -> bool:
    """Whether what the block pays is a divergence in closed form."""
    try:
        return torch.allclose(block.rate, kl_divergence(block.q, block.p), rtol=1e-4, atol=1e-4)
    except NotImplementedError:
        return False


def _error(values: Tensor) -> float:
    return float(values.double().std()) / math.sqrt(len(values))


def _off(gap: Tensor) -> float:
    """How many standard errors a mean is from 0, of which rounding is none."""
    mean = float(gap.double().mean())
    return 0.0 if abs(mean) < 1e-3 else abs(mean) / max(_error(gap), 1e-12)


def rate_can_be_priced(subject: ModelSubject) -> Problems:
    """R has a gradient, or the model has its channel put on afterwards."""
    model, batch = subject.new(), subject.batch()
    rate = model(batch).rate.mean()
    if not model.channel.startswith("posthoc") and not any(reached(rate, tuple(model.parameters()))):
        yield "R has no gradient, so no price changes it: do not detach q or the rate, or say channel = 'posthoc-iso'"


def terms_are_the_codes(subject: ModelSubject) -> Problems:
    """Training pays for the code and the decoder that are measured."""
    model, batch = subject.used().eval(), subject.measured(subject.batch().x)
    gaps: dict[str, list[Tensor]] = {"rate": [], "distortion": []}
    with torch.no_grad():
        for i in range(DRAWS):
            torch.manual_seed(i)
            terms: Terms = model(batch)
            torch.manual_seed(i)
            code = model.encode(batch)
            gaps["rate"].append(terms.rate - total_rate(code))
            if model.decodes:
                gaps["distortion"].append(terms.distortion + model.receive(code).log_prob(model.predicted(batch.x)))
    if not torch.equal(model.predicted(batch.x), Model.predicted(model, batch.x)):
        yield "predicted changes what D is of: it is all of x, or the last frames where `predicts` says how many"
    said = {"rate": "the sum of what its blocks pay", "distortion": "−log p(x|z) of what decode returns"}
    for name, gap in gaps.items():
        if gap and (z := _off(torch.cat(gap))) > LIMIT:
            mean = float(torch.cat(gap).mean())
            yield f"the {name} of training is {mean:+.4g} nats off {said[name]} ({z:.0f} standard errors)"


def decoder_is_normalised(subject: ModelSubject) -> Problems:
    """What decode returns sums to 1 over the data."""
    if not subject.new().decodes:
        return
    yield from first_wrong(_mass(subject, training, size) for training in (True, False) for size in (B, 3))


@torch.no_grad()
def _mass(subject: ModelSubject, training: bool, size: int) -> Problems:
    """How far the sum over all binary images, and the integral over a real number, of p(x|z) are from 1."""
    where = f"in {'training' if training else 'evaluation'} and for {size} examples"
    tiny = subject.spec(shape=(4, 1, 1, 1) if subject.sequence else (1, 2, 2))
    model, x = subject.new(tiny).train(training), subject.batch(tiny).x[:size]
    p = model.receive(model.encode(subject.measured(x)))
    bits = model.predicted(x[:1]).numel()
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * bits).view(2**bits, *model.predicted(x[:1]).shape[1:])
    mass = torch.stack([p.log_prob(image.expand(size, *image.shape)) for image in every])
    if mass.shape != (len(every), size):
        yield f"log_prob of decode is {tuple(mass.shape[1:])}, not (B,): make all axes but the first one event"
    elif not float(mass.logsumexp(0).abs().max()) <= 1e-3:
        total = float(mass.logsumexp(0).exp().mean())
        yield f"over all binary images p(x|z) sums to {total:.4g}, not 1, {where}: {HINT}"
    if "binary" in subject.row.needs or model.predicts:
        return
    line = subject.spec(shape=(1, 1, 1, 1) if subject.sequence else (1, 1, 1), likelihood="gaussian")
    model, x = subject.new(line).train(training), subject.batch(line).x[:size]
    p = model.receive(model.encode(subject.measured(x)))
    for points in (801, 8001):  # the coarse one is enough for all but narrow densities, and ten times as fast
        grid = torch.linspace(-40, 40, points)
        density = torch.stack([p.log_prob(g.expand_as(x)) for g in grid]).exp()
        if density.dim() != 2 or float((torch.trapezoid(density, grid, dim=0) - 1).abs().max()) <= 1e-2:
            return
    yield f"over a real number p(x|z) does not integrate to 1 {where}: {HINT}"


def predictor_sees_the_past(subject: ModelSubject) -> Problems:
    """What is predicted is not encoded: changing those frames changes no code and no loss but D."""
    model, batch = subject.used(), subject.measured(subject.batch().x)
    if not model.predicts:
        return
    other = subject.batch(seed=2).x
    changed = batch._replace(x=torch.cat([batch.x[:, : -model.predicts], model.predicted(other)], 1))
    codes = []
    for given in (batch, changed):
        torch.manual_seed(3)
        with torch.no_grad():
            codes.append(flatten(model.encode(given)))
    if not torch.equal(*codes):
        yield f"the code depends on the last {model.predicts} frames, which it predicts: encode those before them"


def labels_are_declared(subject: ModelSubject) -> Problems:
    """Labels are used where the row says so, and an unknown one is not taken for a class."""
    spec, said = subject.spec(), subject.row.labels
    batch = subject.batch()
    known = batch._replace(y=torch.arange(B) % spec.classes, varied=torch.tensor(0))
    changed = known._replace(y=(known.y + 1) % spec.classes, s=batch.s.roll(1), varied=torch.tensor(1))
    for model in (subject.new(), subject.used()):  # a head may start at 0, and labels may come in after a while
        for progress in map(torch.tensor, (0.5, 0.0, 1.0)):
            one, other = (each._replace(progress=progress) for each in (known, changed))
            if all(torch.equal(a, b) for a, b in zip(_told(model, one), _told(model, other), strict=True)):
                continue
            if not said:
                yield "labels change the loss, but row.labels is '': say 'optional' or 'required'"
            yield from _unknown_apart(model, one, spec)
            return
    if said:
        yield f"row.labels is {said!r}, but no label changes the loss"


@torch.no_grad()
def _told(model: Model, given: Batch) -> list[Tensor]:
    """Terms and code of a batch, always with the same noise."""
    torch.manual_seed(3)
    return [*model(given), flatten(model.encode(given))]


def _unknown_apart(model: Model, known: Batch, spec: Spec) -> Problems:
    """Where an unknown label does what the last class does."""
    for name, unknown in {"y": -1, "s": -1}.items():
        field, size = getattr(known, name), spec.classes if name == "y" else spec.groups
        as_none = known._replace(**{name: torch.full_like(field, unknown)})
        as_last = known._replace(**{name: torch.full_like(field, size - 1)})
        as_first = known._replace(**{name: torch.zeros_like(field)})
        none, last, first = (_told(model, given) for given in (as_none, as_last, as_first))
        depends = not all(torch.equal(a, b) for a, b in zip(last, first, strict=True))
        if depends and all(torch.equal(a, b) for a, b in zip(none, last, strict=True)):
            yield f"an unknown label (batch.{name} = −1) is taken for the last class: index only where {name} ≥ 0"


def measured_without_labels(subject: ModelSubject) -> Problems:
    """It encodes examples of which no label is known, in any number, also one at a time."""
    model, x = subject.new(), subject.batch().x
    model.eval()
    with torch.no_grad():
        for some in (x, x[:1]):
            code = model.encode(subject.measured(some))
            if not bool(flatten(code).isfinite().all()) or not bool(total_rate(code).isfinite().all()):
                yield "encode of unlabelled examples is not finite: measuring never gives labels (y = s = −1)"
                return
            if model.decodes and len(model.receive(code).log_prob(some)) != len(some):
                yield f"decode of {len(some)} codes is not a distribution over {len(some)} examples"
