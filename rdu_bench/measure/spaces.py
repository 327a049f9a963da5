"""Where the draws of a block lie, read off the support of its density and off the draws themselves.

Two densities can be compared only where both are densities with respect to one measure: that of volume in ℝⁿ, of area
on a sphere, or of counting.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from ..model import Batch, Block, Model
from ..nn.densities import Sphere

Space = Literal["real", "positive", "interval", "simplex", "sphere", "integers", "one-hot", "unknown"]
MEASURE: dict[Space, str] = {
    **{"real": "volume", "positive": "volume", "interval": "volume", "simplex": "volume of a simplex"},
    **{"sphere": "area of a sphere", "integers": "counting", "one-hot": "counting", "unknown": "one that is not known"},
}
FEW = 64  # draws by which a space is told
INTEGERS = (type(constraints.nonnegative_integer), type(constraints.integer_interval(0, 1)), type(constraints.boolean))
POSITIVE = (type(constraints.positive), type(constraints.nonnegative))


class Sent(NamedTuple):
    """What is known of a block beside its draws."""

    name: str
    space: Space
    side: bool
    mixing: str  # why its own marginal is no density beside q; empty where it is
    width: int  # numbers of its sample
    drawn: tuple[int, ...]  # shape of its draw for one example


def space_of(density: Distribution, drawn: Tensor) -> Space:
    """Of draws (B, …) from a density; a sphere is found by its draws, whatever the support is said to be."""
    support = support_of(density)
    if support is not None and support.is_discrete:
        return "integers" if isinstance(support, INTEGERS) else "one-hot"
    if isinstance(support, type(constraints.simplex)):
        return "simplex"
    if isinstance(support, Sphere) or (drawn.dim() > 1 and drawn.shape[-1] > 1 and bool(Sphere().check(drawn).all())):
        return "sphere"
    if isinstance(support, type(constraints.real)):
        return "real"
    low, high = (_number(getattr(support, f"{side}_bound", None)) for side in ("lower", "upper"))
    if isinstance(support, POSITIVE) and low == 0:
        return "positive"
    if isinstance(support, type(constraints.unit_interval)):
        return "interval" if (low, high) == (0, 1) else "real"
    return "unknown"


def is_one_hot(block: Block) -> bool:
    """Whether symbols were sent as one-hot vectors, and not as whole numbers."""
    return block.discrete and not isinstance(support_of(block.q), INTEGERS)


@torch.no_grad()
def sent_blocks(model: Model, few: Batch) -> tuple[Sent, ...]:
    """The blocks of a code, from a few examples; leaves the stream of random numbers as it was."""
    devices = [few.x.device] if few.x.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        code = model.encode(few)
        return tuple(
            Sent(
                name,
                space_of(block.q, block.drawn),
                block.side,
                _mixing(name, block),
                block.sample.shape[1],
                tuple(block.drawn.shape[1:]),
            )
            for name, block in code.items()
        )


def _mixing(name: str, block: Block) -> str:
    """Where p can be drawn from, it must draw where q does."""
    here = MEASURE[space_of(block.q, block.drawn)]
    with suppress(Exception):  # a p that cannot be drawn from is believed
        drawn = block.p.sample() if block.p.batch_shape else block.p.sample(torch.Size([FEW]))
        there = MEASURE[space_of(block.p, drawn)]
        if here != there and "unknown" not in (here, there):
            return f"p of block {name} is a density by the measure of {there}, and q by that of {here}"
    return ""


def support_of(density: Distribution) -> Constraint | None:
    """What a density says of itself, without the event dimensions around it."""
    support: Any = None
    with suppress(NotImplementedError):
        support = density.support
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return support  # type: ignore[no-any-return]


def _number(bound: Any) -> float | None:
    """A bound that is the same everywhere."""
    if isinstance(bound, Tensor):
        return float(bound.flatten()[0]) if bound.numel() and bool((bound == bound.flatten()[0]).all()) else None
    return None if bound is None else float(bound)
