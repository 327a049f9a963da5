"""From codes back to x: codes made of numbers, and codes that are drawn from the model's own marginal."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..model import Batch, Block, Code, Model, replay
from ..nn.densities import gaussian


class NoDecoder(NotImplementedError):
    """A model has no decoder of x, or none that has a mean; the message says which."""


def mean_of_x(model: Model, code: Code) -> Tensor:
    """(n, *shape) the mean of p(x|z); raises `NoDecoder`."""
    title = model.row.title or type(model).__name__
    if not model.decodes:
        raise NoDecoder(f"{title} has no decoder of x: it only encodes")
    p = model.receive(code)
    try:
        return p.mean
    except NotImplementedError as error:
        raise NoDecoder(f"the decoder of {title} gives densities without a mean: it decodes pixel by pixel") from error


def code_of(z: Tensor, sizes: dict[str, int]) -> Code:
    """A code of z (n, Σd), whose blocks of `sizes` have a sample and nothing else that is known."""
    unit = gaussian(torch.zeros_like(z[:, :1]), torch.ones_like(z[:, :1]))
    parts = z.split(list(sizes.values()), -1)
    return {
        name: Block(part, part.new_zeros(len(part)), unit, unit, part) for name, part in zip(sizes, parts, strict=True)
    }


@torch.no_grad()
def from_marginal(model: Model, batch: Batch, seed: int) -> Code:
    """A code drawn from what the receiver expects, one a row of `batch`, whose x has no part in it.

    What a block is expected to be may depend on the blocks, and within an autoregressive one on the dimensions, that
    are sent before.  So all are drawn again, with the same random numbers, from what they are expected to be given the
    draw before, until nothing changes: after as many passes as there are steps in that order.  Raises `NoDecoder` where
    that never comes.
    """
    torch.manual_seed(seed)
    code = model.encode(batch)
    place = list(range(len(code)))  # of each block among the draws of `encode`, which need not be in sending order
    for _ in range(2 + len(code) + sum(block.sample.shape[1] for block in code.values())):
        torch.manual_seed(seed)
        drawn = [_draw(block.p, block.drawn) for block in code.values()]
        with replay([drawn[place.index(i)] for i in range(len(drawn))]):
            again = model.encode(batch)
        came = [next((i for i, z in enumerate(drawn) if z is block.drawn), n) for n, block in enumerate(again.values())]
        if came != list(range(len(drawn))) and sorted(came) == list(range(len(drawn))):
            place = [place[i] for i in _inverse(came)]
            continue
        settled = all(torch.equal(new, block.drawn) for new, block in zip(drawn, code.values(), strict=True))
        code = again
        if settled:
            return code
    raise NoDecoder(f"{model.row.title or type(model).__name__}: its marginal cannot be drawn from")


def _inverse(order: list[int]) -> list[int]:
    return [order.index(i) for i in range(len(order))]


def _draw(p: Distribution, like: Tensor) -> Tensor:
    batched = len(p.batch_shape) + len(p.event_shape) == like.dim()
    z = p.sample() if batched else p.sample(like.shape[:1])
    return z.to(like).reshape(like.shape)
