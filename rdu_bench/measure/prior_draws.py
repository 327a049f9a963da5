"""Codes that no example was encoded to: draws of what the receiver expects."""

from __future__ import annotations

import torch
from torch import Tensor

from ..model import Batch, Block, Code, Model, replay
from ..scores import Undefined
from .streams import seeded

ROUNDS = 64  # most draws that are made one after the other, each given those before


class Unfollowed(Exception):
    """A model's code does not follow the draws it is given."""


@torch.no_grad()
def from_own_marginal(model: Model, batch: Batch, seed: int, device: str) -> Code:
    """One code for each example of `batch`, every block drawn from its p and not from its q.

    A block's p may depend on the blocks before it, and on the draws before it within a block.  So all are drawn
    again and again, from the same noise, until nothing changes: what depends on k draws before it is right after k
    rounds.  Raises `Undefined` for a model whose code does not follow the draws that it is given, or where nothing
    settles in 64 rounds.
    """
    code = model.encode(batch)
    for order in (list(code), list(reversed(code))):  # in which the model sends its blocks
        try:
            return _settled(model, batch, {name: code[name] for name in order}, seed, device)
        except (Unfollowed, ValueError, RuntimeError, NotImplementedError, StopIteration) as error:
            reason = str(error) or type(error).__name__
    raise Undefined(f"the model's own marginal cannot be drawn from: {reason}")


def _settled(model: Model, batch: Batch, code: Code, seed: int, device: str) -> Code:
    order = list(code)
    for _ in range(ROUNDS):
        with seeded(seed, device):
            drawn = {name: _expected(code[name]) for name in order}
        before = {name: block.drawn for name, block in code.items()}
        with replay([drawn[name] for name in order]):
            code = model.encode(batch)
        if any(code[name].drawn is not drawn[name] for name in order):
            raise Unfollowed("its code does not follow the draws it is given")
        if all(torch.equal(drawn[name], before[name]) for name in order):
            return code
    raise Unfollowed(f"its draws do not settle in {ROUNDS} rounds")


def _expected(block: Block) -> Tensor:
    """A draw of p as large as that of q, from one density for all examples or one for each."""
    z: Tensor = block.p.sample()
    if z.shape != block.drawn.shape:
        z = block.p.sample(torch.Size([len(block.drawn)]))
    if z.shape != block.drawn.shape:
        raise Unfollowed(f"p gives draws of shape {tuple(z.shape)}, q of {tuple(block.drawn.shape)}")
    return z
