"""The laws of a model in action, on one batch: what it may do, and the bill it is charged.

A law is a function from a `Subject` to the problems it finds; its docstring is what to say when there are none.
"""

from __future__ import annotations

import ast
import copy
import importlib.util
import math
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributions import kl_divergence
from torch.func import vmap

from .. import registry
from ..model import Batch, Block, Model, Row, Terms, flatten, total_rate
from ..nn.critics import Average, Critic
from ..nn.networks import Spec
from ..training.stack import Stack

CHANNELS = {"native", "trained-noise", "posthoc-iso", "posthoc-learned", "multi-rate"}

B = 16  # examples in a batch
DRAWS = 200  # of the code, where an average is compared
LIMIT = 5.0  # standard errors a true equality may be off by


class Subject:
    """A model file under examination."""

    def __init__(self, path: Path, params: dict[str, Any]):
        self.path, self.params = path, params
        self.text = path.read_text()
        self.tree = ast.parse(self.text, str(path))
        self.kind: type[Model] = Model

    def load(self) -> None:
        """Import the file as itself, wherever it lies, and find its one class."""
        name = f"_rdu_bench_check_{self.path.stem}"
        made = importlib.util.spec_from_file_location(name, self.path)
        assert made is not None and made.loader is not None
        module = importlib.util.module_from_spec(made)
        sys.modules[name] = module
        try:
            made.loader.exec_module(module)
        finally:
            sys.modules.pop(name, None)
        classes = [c for c in vars(module).values() if isinstance(c, type) and c.__module__ == name]
        found = [c for c in classes if issubclass(c, Model)]
        if len(found) != 1:
            names = ", ".join(c.__name__ for c in found) or "none"
            raise registry.PluginError(f"a model file defines exactly one subclass of Model, this one: {names}")
        self.kind = found[0]

    @cached_property
    def row(self) -> Row:
        """The row with these hyper-parameters, which may narrow its class's; an empty one where there is none."""
        try:
            return self.new().row
        except Exception:  # that it cannot be built is a finding of its own
            return getattr(self.kind, "row", Row(""))

    def spec(self, **changes: Any) -> Spec:
        """What a data set might ask for: 8×8 images, small networks."""
        small = Spec((1, 8, 8), examples=1000, classes=4, groups=2, factors=2, hidden=(32, 32), latent=4)
        return small._replace(**changes)

    def new(self, spec: Spec | None = None, seed: int = 0) -> Model:
        """A model with the weights of a seed."""
        torch.manual_seed(seed)
        return self.kind(spec or self.spec(), **self.params)  # type: ignore[call-arg]

    def used(self) -> Model:
        """A model whose weights have left where they began, so that q and p are no longer nearly equal."""
        model = self.new()
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(1.5).add_(0.1 * torch.randn_like(weight))
        return model

    def batch(self, spec: Spec | None = None, seed: int = 1) -> Batch:
        """Random examples, every fourth of them without a label."""
        spec = spec or self.spec()
        torch.manual_seed(seed)
        x = torch.rand(B, *spec.shape)
        if spec.likelihood == "bernoulli":
            x = (x < 0.5).float()
        y, s = torch.randint(0, spec.classes, (B,)), torch.randint(0, spec.groups, (B,))
        y[::4] = -1
        return Batch(x, y, s, torch.tensor(0.5))

    def measured(self, x: Tensor) -> Batch:
        """What the model is given of x (n ≤ B, *shape) when it is measured."""
        return Batch.unlabelled(x, torch.arange(len(x)) % self.spec().groups if self.row.side else None)


Problems = Iterator[str]
Law = Callable[[Subject], Problems]


def specs(subject: Subject) -> list[Spec]:
    """The data and networks that the model says it takes."""
    likelihoods = ["bernoulli"] if "binary" in subject.row.needs else ["bernoulli", "gaussian"]
    families: dict[str, tuple[int, ...]] = {"mlp": (32, 32), "conv": (4, 8, 32)}
    return [subject.spec(family=f, hidden=h, likelihood=k) for f, h in families.items() for k in likelihoods]


# ---- one batch -----------------------------------------------------------------------------------------------------


def per_example(subject: Subject) -> Problems:
    """D and R are finite nats per example, and the code is in named blocks."""
    for spec in specs(subject):
        model, batch = subject.new(spec), subject.batch(spec)
        where = f"({spec.family}, {spec.likelihood})"
        terms, code = model(batch), model.encode(batch)
        for name, shape in {"distortion": (B,), "rate": (B,), "regularizer": (), "critic_loss": ()}.items():
            term = getattr(terms, name)
            if tuple(term.shape) != shape:
                told = "one number an example: sum over all axes but the first" if shape else "a scalar"
                yield f"{name} has shape {tuple(term.shape)} {where}; it is {told}"
            elif not bool(term.isfinite().all()):
                yield f"{name} is not finite {where}"
        for name, block in code.items():
            if block.sample.dim() != 2 or len(block.sample) != B:
                yield f"block {name!r} sends {tuple(block.sample.shape)} {where}; a sample is (B, d): `.flatten(1)`"
            if tuple(block.rate.shape) != (B,):
                yield f"block {name!r} pays {tuple(block.rate.shape)} {where}; its rate is (B,): one event a code"


def pure(subject: Subject) -> Problems:
    """Nothing is written to the model, and one seed gives one answer."""
    model, batch = subject.new(), subject.batch()
    model.train()
    before = _state(model)
    torch.manual_seed(3)
    first: Terms = model(batch)
    after = _state(model)
    for name in sorted(before.keys() | after.keys()):
        if not _same(before.get(name), after.get(name)):
            yield f"a forward pass writes to self: {name}. Keep no counters or statistics; use batch.progress for time"
    torch.manual_seed(3)
    second: Terms = model(batch)
    for name, a, b in zip(Terms._fields, first, second, strict=True):
        if not torch.equal(a, b):
            yield f"{name} differs between two passes with the same seed: draw noise from torch.rand* alone"


def _state(model: Model) -> dict[str, Any]:
    """Everything a model holds, by name."""
    state: dict[str, Any] = {k: v.detach().clone() for k, v in model.state_dict(keep_vars=True).items()}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name.startswith("_") and name in vars(torch.nn.Module()):
                continue
            plain = isinstance(value, int | float | str | bool | tuple | list | dict | set | type(None))
            state[f"{path}.{name}".strip(".")] = copy.deepcopy(value) if plain else value
        for name, buffer in module.named_buffers(recurse=False):
            state[f"{path}.{name}".strip(".")] = buffer.detach().clone()
    return state


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.equal(a, b)
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return False
    try:
        return a is b or bool(a == b)
    except (RuntimeError, ValueError):
        return False


def examples_apart(subject: Subject) -> Problems:
    """What an example costs does not depend on its neighbours."""
    model, batch = subject.new(), subject.batch()
    model.train()
    other, half = subject.batch(seed=2), B // 2
    x, y, s = (torch.cat([a[:half], b[half:]]) for a, b in zip(batch[:3], other[:3], strict=True))
    mixed = Batch(x, y, s, batch.progress)
    torch.manual_seed(3)
    alone: Terms = model(batch)
    torch.manual_seed(3)
    among: Terms = model(mixed)
    for name in ("distortion", "rate"):
        a, b = getattr(alone, name)[:half].detach(), getattr(among, name)[:half].detach()
        if not torch.allclose(a, b, rtol=1e-4, atol=1e-4):
            yield (
                f"the {name} of an example changes by {float((a - b).abs().max()):.3g} nats with its neighbours: "
                "no batch normalisation and no statistics over the batch in encode, decode or distortion"
            )


def players_apart(subject: Subject) -> Problems:
    """The gradient of the loss reaches no critic, and that of critic_loss nothing else."""
    model, batch = subject.new(), subject.batch()
    terms: Terms = model(batch)
    names, weights = zip(*model.named_parameters(), strict=True)
    apart = [module for module in model.modules() if isinstance(module, Critic | Average)]
    inside = [{id(w) for w in module.parameters()} for module in apart]
    critics = set().union(*inside)
    ours = terms.distortion.mean() + terms.rate.mean() + terms.regularizer
    reached = _reached(ours, weights)
    for name, weight, moved in zip(names, weights, reached, strict=True):
        if moved and id(weight) in critics:
            yield f"the loss trains the critic ({name}): read it with `Critic.ratio`, which freezes its weights"
            break
    if not terms.critic_loss.requires_grad:
        if critics:
            yield "there is a Critic that nothing trains: return `self.critic.loss(p, q)` from critic_loss"
        return
    reached = _reached(terms.critic_loss, weights)
    for name, weight, moved in zip(names, weights, reached, strict=True):
        if moved and id(weight) not in critics:
            yield f"critic_loss trains the model ({name}): use `Critic.loss`, which freezes its inputs, or detach them"
            break
    if critics and not any(m for w, m in zip(weights, reached, strict=True) if id(w) in critics):
        yield "critic_loss trains no critic: an adversary is a `Critic`, and critic_loss its `loss`"


def _reached(loss: Tensor, weights: tuple[Tensor, ...]) -> list[bool]:
    if not loss.requires_grad:
        return [False] * len(weights)
    grads = torch.autograd.grad(loss, weights, allow_unused=True, retain_graph=True)
    return [g is not None and bool(g.any()) for g in grads]


def no_branches(subject: Subject) -> Problems:
    """No Python branch looks at a tensor's value."""
    model, one, other = subject.new(), subject.batch(), subject.batch(seed=2)
    batches = Batch(*(torch.stack(pair) for pair in zip(one, other, strict=True)))

    def terms(batch: Batch) -> Terms:
        return model(batch)  # type: ignore[no-any-return]

    try:
        vmap(terms, randomness="same")(batches)
    except Exception as error:
        said = str(error).strip().splitlines()[0][:160]
        yield (
            f"it cannot take two batches at once ({type(error).__name__}: {said}): "
            "no `if` on a tensor, no .item(), no indexing by a mask, nothing written in place; use torch.where"
        )


def stack(subject: Subject) -> Problems:
    """Copies trained as one network take the same steps as each alone."""
    base, batch = subject.new(), subject.batch()
    together = Stack(base, 2)
    apart = [subject.new(seed=0), subject.new(seed=4)]
    with torch.no_grad():
        for name, weights in together.params.items():
            for cell, model in zip(weights, apart, strict=True):
                cell.copy_(dict(model.named_parameters())[name])
    torch.manual_seed(3)
    terms = together(batch)
    _loss(terms).sum().backward()
    for i, model in enumerate(apart):
        torch.manual_seed(3)
        alone: Terms = model(batch)
        _loss(alone).backward()
        for name, a, b in zip(Terms._fields, alone, (t[i] for t in terms), strict=True):
            if not torch.allclose(a, b, rtol=1e-3, atol=1e-4):
                worst = float((a - b).detach().abs().max())
                yield f"{name} of a copy in a stack is not that of the copy alone: off by {worst:.3g}"
        for name, weight in model.named_parameters():
            grads = together.params[name].grad
            one = torch.zeros_like(weight) if weight.grad is None else weight.grad
            many = torch.zeros_like(weight) if grads is None else grads[i]
            if not torch.allclose(one, many, rtol=1e-2, atol=1e-3 * max(1.0, float(one.abs().max()))):
                yield f"the gradient of {name} in a stack is not that of the copy alone"
                return


def _loss(terms: Terms) -> Tensor:
    return terms.distortion.mean(-1) + terms.rate.mean(-1) + terms.regularizer + terms.critic_loss


# ---- the bill ------------------------------------------------------------------------------------------------------


def rate_is_paid(subject: Subject) -> Problems:
    """Every block pays the KL divergence of what was sent from what was expected, and never less than 0."""
    model, batch = subject.used(), subject.measured(subject.batch().x)
    off: dict[str, list[Tensor]] = {}
    paid: dict[str, list[Tensor]] = {}
    closed: dict[str, bool] = {}
    with torch.no_grad():
        for _ in range(DRAWS):
            for name, block in model.encode(batch).items():
                closed[name] = _is_closed(block)
                off.setdefault(name, []).append(block.log_ratio - block.rate)
                paid.setdefault(name, []).append(block.rate)
    for name in off:
        gap, rate = torch.cat(off[name]), torch.cat(paid[name])
        if (z := _off(gap)) > LIMIT:
            yield (
                f"block {name!r} pays {float(rate.mean()):.4g} nats but log q(z|x) − log p(z) averages "
                f"{float((gap + rate).mean()):.4g} ({z:.0f} standard errors off): charge it with transmit(q, p)"
            )
        # a rate of which draws are a part may be below 0 by chance, its mean may not
        lowest = float(rate.min()) if closed[name] else float(rate.mean()) + LIMIT * _error(rate)
        if lowest < -1e-3:
            yield f"block {name!r} pays {lowest:.4g} nats: no KL divergence is negative"


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


def rate_can_be_priced(subject: Subject) -> Problems:
    """R has a gradient, or the model has its channel put on afterwards."""
    model, batch = subject.new(), subject.batch()
    rate = model(batch).rate.mean()
    if not model.channel.startswith("posthoc") and not any(_reached(rate, tuple(model.parameters()))):
        yield "R has no gradient, so no price changes it: do not detach q or the rate, or say channel = 'posthoc-iso'"


def terms_are_the_codes(subject: Subject) -> Problems:
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
                gaps["distortion"].append(terms.distortion + model.decode(code).log_prob(batch.x))
    said = {"rate": "the sum of what its blocks pay", "distortion": "−log p(x|z) of what decode returns"}
    for name, gap in gaps.items():
        if gap and (z := _off(torch.cat(gap))) > LIMIT:
            mean = float(torch.cat(gap).mean())
            yield f"the {name} of training is {mean:+.4g} nats off {said[name]} ({z:.0f} standard errors)"


def decoder_is_normalised(subject: Subject) -> Problems:
    """What decode returns sums to 1 over the data."""
    if not subject.new().decodes:
        return
    tiny = subject.spec(shape=(1, 2, 2))
    with torch.no_grad():
        model, x = subject.new(tiny), subject.batch(tiny).x
        p = model.decode(model.encode(subject.measured(x)))
        every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).view(-1, 1, 2, 2)
        mass = torch.stack([p.log_prob(image.expand_as(x)) for image in every])
        if mass.shape != (len(every), B):
            yield f"log_prob of decode is {tuple(mass.shape[1:])}, not (B,): make all axes but the first one event"
        elif float(mass.logsumexp(0).abs().max()) > 1e-3:
            total = float(mass.logsumexp(0).exp().mean())
            yield f"over all binary images p(x|z) sums to {total:.4g}, not 1: no missing constants, no weights on log p"
        if "binary" in subject.row.needs:
            return
        line = subject.spec(shape=(1, 1, 1), likelihood="gaussian")
        model, x = subject.new(line), subject.batch(line).x
        p = model.decode(model.encode(subject.measured(x)))
        grid = torch.linspace(-40, 40, 8001)
        density = torch.stack([p.log_prob(g.expand_as(x)) for g in grid]).exp()
        if density.dim() == 2 and float((torch.trapezoid(density, grid, dim=0) - 1).abs().max()) > 1e-2:
            yield "over a real number p(x|z) does not integrate to 1: no missing constants, no weights on log p"


def labels_are_declared(subject: Subject) -> Problems:
    """Labels are used where the row says so, and an unknown one is not taken for a class."""
    spec = subject.spec()
    model, batch = subject.new(), subject.batch()
    known = batch._replace(y=torch.arange(B) % spec.classes, varied=torch.tensor(0))
    changed = known._replace(y=(known.y + 1) % spec.classes, s=batch.s.roll(1), varied=torch.tensor(1))

    def terms(given: Batch) -> list[Tensor]:
        torch.manual_seed(3)
        with torch.no_grad():
            return [*model(given), flatten(model.encode(given))]

    used = not all(torch.equal(a, b) for a, b in zip(terms(known), terms(changed), strict=True))
    said = subject.row.labels
    if used and not said:
        yield "labels change the loss, but row.labels is '': say 'optional' or 'required'"
    if not used and said:
        yield f"row.labels is {said!r}, but no label changes the loss"
    for name, unknown in {"y": -1, "s": -1}.items():
        field, size = getattr(known, name), spec.classes if name == "y" else spec.groups
        as_none = known._replace(**{name: torch.full_like(field, unknown)})
        as_last = known._replace(**{name: torch.full_like(field, size - 1)})
        as_first = known._replace(**{name: torch.zeros_like(field)})
        none, last, first = map(terms, (as_none, as_last, as_first))
        depends = not all(torch.equal(a, b) for a, b in zip(last, first, strict=True))
        if depends and all(torch.equal(a, b) for a, b in zip(none, last, strict=True)):
            yield f"an unknown label (batch.{name} = −1) is taken for the last class: index only where {name} ≥ 0"


def measured_without_labels(subject: Subject) -> Problems:
    """It encodes examples of which no label is known, in any number, also one at a time."""
    model, x = subject.new(), subject.batch().x
    model.eval()
    with torch.no_grad():
        for some in (x, x[:1]):
            code = model.encode(subject.measured(some))
            if not bool(flatten(code).isfinite().all()) or not bool(total_rate(code).isfinite().all()):
                yield "encode of unlabelled examples is not finite: measuring never gives labels (y = s = −1)"
                return
            if model.decodes and len(model.decode(code).log_prob(some)) != len(some):
                yield f"decode of {len(some)} codes is not a distribution over {len(some)} examples"
