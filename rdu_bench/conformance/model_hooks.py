"""The laws of a model's methods by their names and by what they return: what a first file gets wrong."""

from __future__ import annotations

import ast
import difflib
import inspect
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution

from ..autoencoder import Autoencoder
from ..model import Batch, Block, Model, Terms
from .model_subject import ModelSubject
from .plugin import Problems

HOOKS = sorted(name for name in dir(Autoencoder) if not name.startswith("_") and name not in dir(nn.Module))
HOOKS += ["forward", "row"]
ALIKE = 0.8  # of two names, of which one is the other misspelt
SCALARS = ("regularizer", "priced", "critic_loss")


def names_are_known(subject: ModelSubject) -> Problems:
    """No name in the class is that of a method or attribute of every model, misspelt."""
    used = {node.attr for node in ast.walk(subject.tree) if isinstance(node, ast.Attribute)}
    for name in vars(subject.kind):
        if name.startswith("_") or name in used or name in dir(Autoencoder) or name in HOOKS:
            continue
        near = difflib.get_close_matches(name, HOOKS, 1, ALIKE)
        if near:
            yield f"nothing uses {name!r}: if it is to be {near[0]!r}, which training calls, mend the name"


def takes_data(subject: ModelSubject) -> Problems:
    """It is built from what is known of the data, and builds its base."""
    given = list(inspect.signature(subject.kind.__init__).parameters.values())
    if not any(p.kind is p.VAR_POSITIONAL for p in given) and (
        len(given) < 2 or given[1].kind is given[1].KEYWORD_ONLY
    ):
        yield "__init__ does not take the data: write `def __init__(self, data: Spec, *, …)`"
        return
    made = object.__new__(subject.kind)
    try:
        made.__init__(subject.spec(), **subject.params)
    except AttributeError:  # a module before there is a place for it
        pass
    except Exception:  # which `parameters` tells
        return
    if not hasattr(made, "_modules"):
        yield "__init__ does not begin with super().__init__(data), which makes encoder, decoder and prior"


def of_another_kind(model: Model, batch: Batch) -> Problems:
    """What its methods return that is neither blocks by name, a distribution over x, nor a tensor of nats."""
    code = model.encode(batch)
    if not isinstance(code, dict) or not code or not all(isinstance(block, Block) for block in code.values()):
        found = f"a {type(code).__name__}" + (f" of {_kinds(code.values())}" if isinstance(code, dict) else "")
        yield f"encode returns {found}; it returns the blocks of the code by name: {{'z': transmit(q, p)}}"
        return
    if model.decodes and (wrong := [*_decoded(model, batch, model.receive(code))]):
        yield from wrong
        return
    for name in ("distortion", *SCALARS):
        term = getattr(model, name)(batch, code)
        if not isinstance(term, Tensor):
            of = "one number an example, (B,)" if name == "distortion" else "a scalar"
            yield f"{name} returns {_a(term)}; it returns a tensor of torch, {of}, in nats, with its gradient"
    terms = model(batch)
    if not isinstance(terms, Terms):
        yield f"forward returns {_a(terms)}; leave it out: Model makes Terms of encode, decode and the regularizer"


def _decoded(model: Model, batch: Batch, p: Any) -> Problems:
    x = model.predicted(batch.x)
    if not isinstance(p, Distribution):
        yield f"decode returns {_a(p)}; it returns a distribution over x, such as bernoulli(logits)"
        return
    shape = tuple(p.batch_shape + p.event_shape)
    if shape != tuple(x.shape):
        yield f"decode's distribution is over {shape}; it is over x, {tuple(x.shape)} for {len(x)} examples"


def _a(value: Any) -> str:
    home = type(value).__module__.partition(".")[0]
    shown = f"{home}.{type(value).__name__}" if home in ("torch", "numpy") else type(value).__name__
    return "nothing" if value is None else f"a {shown}"


def _kinds(values: Any) -> str:
    return " and ".join(sorted({type(value).__name__ for value in values})) or "nothing"
