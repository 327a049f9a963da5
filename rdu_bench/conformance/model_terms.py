"""The laws of a model on one batch: what its methods may do."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from .._settings import LEAVE, Untouched
from ..model import Batch, Model, Terms
from ..nn.critics import Average, Critic
from ..training.stack import Stack
from .model_hooks import of_another_kind
from .model_subject import B, ModelSubject, specs
from .plugin import Problems, first_wrong


def per_example(subject: ModelSubject) -> Problems:
    """D and R are finite nats per example, and the code is in named blocks."""
    for spec in specs(subject):
        model, batch = subject.new(spec), subject.batch(spec)
        where = f"({spec.family}, {spec.likelihood})"
        if wrong := [*of_another_kind(model, batch)]:
            yield from wrong
            return
        terms, code = model(batch), model.encode(batch)
        for name, shape in {
            "distortion": (B,),
            "rate": (B,),
            "regularizer": (),
            "critic_loss": (),
            "priced": (),
        }.items():
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


def pure(subject: ModelSubject) -> Problems:
    """Nothing is written to the model, and one seed gives one answer."""
    model, batch = subject.new(), subject.batch()
    yield from first_wrong(_passes(model.train(training), batch) for training in (True, False))


def _passes(model: Model, batch: Batch) -> Problems:
    """What two passes leave behind, and how they differ."""
    mode = "" if model.training else " in evaluation"
    before = _state(model)
    torch.manual_seed(3)
    first: Terms = model(batch)
    after = _state(model)
    for name in sorted(before.keys() | after.keys()):
        if not _same(before.get(name), after.get(name)):
            yield (
                f"a forward pass{mode} writes to self: {name}. Keep no counters or statistics; "
                "use batch.progress for time"
            )
    if torch.initial_seed() != 3:
        yield f"a forward pass{mode} seeds torch, after which all noise repeats: leave torch.manual_seed to the trainer"
        return
    torch.manual_seed(3)
    second: Terms = model(batch)
    for name, a, b in zip(Terms._fields, first, second, strict=True):
        if not torch.equal(a, b):
            yield f"{name} differs between two passes{mode} with the same seed: draw noise from torch.rand* alone"


def settings_stay(subject: ModelSubject) -> Problems:
    """Building it and a pass change no setting of torch, and no function of others."""
    before = Untouched()
    model = subject.new()
    for training in (True, False):
        model.train(training)(subject.batch())
    yield from (f"building or using it changes {words}: {LEAVE}" for words in before.put_back())


def seeds_differ(subject: ModelSubject) -> Problems:
    """Another seed gives other first weights, so that several seeds are several trainings."""
    first = subject.new(seed=5)
    if torch.initial_seed() != 5:
        yield "building it seeds torch, so that all seeds are one: leave torch.manual_seed to the trainer"
        return
    weights = [*zip(first.parameters(), subject.new(seed=6).parameters(), strict=True)]
    if weights and all(torch.equal(a, b) for a, b in weights):
        yield "two seeds give the same first weights, so that all seeds are one: draw them from torch.rand*"


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


def examples_apart(subject: ModelSubject) -> Problems:
    """What an example costs does not depend on its neighbours."""
    model, batch = subject.new(), subject.batch()
    yield from first_wrong(_neighbours(subject, model.train(training), batch) for training in (True, False))


def _neighbours(subject: ModelSubject, model: Model, batch: Batch) -> Problems:
    """How D and R of the first half change with the other."""
    mode = "" if model.training else " in evaluation"
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
                f"the {name} of an example changes by {float((a - b).abs().max()):.3g} nats with its neighbours{mode}: "
                "no batch normalisation and no statistics over the batch in encode, decode or distortion"
            )


def players_apart(subject: ModelSubject) -> Problems:
    """The gradient of the loss reaches no critic, that of critic_loss nothing else, and D's what it is to teach."""
    model, batch = subject.new(), subject.batch()
    terms: Terms = model(batch)
    names, weights = zip(*model.named_parameters(), strict=True)
    apart = [module for module in model.modules() if isinstance(module, Critic | Average)]
    inside = [{id(w) for w in module.parameters()} for module in apart]
    critics = set().union(*inside)
    ours = terms.distortion.mean() + terms.rate.mean() + terms.regularizer + terms.priced
    found = reached(ours, weights)
    for name, weight, moved in zip(names, weights, found, strict=True):
        if moved and id(weight) in critics:
            yield f"the loss trains the critic ({name}): read it with `Critic.ratio`, which freezes its weights"
            break
    if not model.learns_distortion:
        found = reached(terms.distortion.mean(), weights)
        if taught := [name for name, one in zip(names, found, strict=True) if one]:
            yield f"D trains {taught[0]}, and learns_distortion is False: detach what is decoded, or leave that out"
    if not terms.critic_loss.requires_grad:
        if critics:
            yield "there is a Critic that nothing trains: return `self.critic.loss(p, q)` from critic_loss"
        return
    found = reached(terms.critic_loss, weights)
    for name, weight, moved in zip(names, weights, found, strict=True):
        if moved and id(weight) not in critics:
            yield f"critic_loss trains the model ({name}): use `Critic.loss`, which freezes its inputs, or detach them"
            break
    if critics and not any(m for w, m in zip(weights, found, strict=True) if id(w) in critics):
        yield "critic_loss trains no critic: an adversary is a `Critic`, and critic_loss its `loss`"


def reached(loss: Tensor, weights: tuple[Tensor, ...]) -> list[bool]:
    """Which weights have a gradient of `loss` that is not 0."""
    if not loss.requires_grad:
        return [False] * len(weights)
    grads = torch.autograd.grad(loss, weights, allow_unused=True, retain_graph=True)
    return [g is not None and bool(g.any()) for g in grads]


def no_branches(subject: ModelSubject) -> Problems:
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


def stack(subject: ModelSubject) -> Problems:
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
    return terms.distortion.mean(-1) + terms.rate.mean(-1) + terms.regularizer + terms.critic_loss + terms.priced
