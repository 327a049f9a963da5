"""A code that stops after its first blocks, which is a code too."""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..data import Examples, View
from ..model import Batch, Code, Model
from .codes import Codes, Splits, draw
from .posteriors import Posteriors, aggregates

DEEPEST = 6  # blocks of a code that are looked at one after the other


class Prefix(Model):
    """A model that stops sending after its first `blocks` blocks, side information aside."""

    def __init__(self, model: Model, blocks: int):
        super().__init__()
        self.model, self.blocks, self.row = model, blocks, model.row

    def encode(self, batch: Batch) -> Code:
        code = self.model.encode(batch)
        kept = [name for name, block in code.items() if not block.side][: self.blocks]
        return {name: block for name, block in code.items() if block.side or name in kept}


class Level(NamedTuple):
    """The first blocks of a code, up to the one named."""

    name: str
    codes: Splits
    aggregates: dict[str, Posteriors]


@torch.no_grad()
def block_names(model: Model, few: View, device: str) -> list[str]:
    """Of the blocks of a code in the order in which they are sent, side information aside."""
    return [name for name, block in model.encode(few.batch().to(device)).items() if not block.side]


def levels_below(
    model: Model,
    names: list[str],
    views: tuple[View, View, View],
    like: Splits,
    population: Examples | None,
    device: str,
) -> list[Level]:
    """Codes of all proper prefixes of a code of 2 to 6 blocks, of the same examples and as many draws as `like`."""
    if not 2 <= len(names) <= DEEPEST:
        return []
    out = []
    for blocks, name in enumerate(names[:-1], 1):
        prefix = Prefix(model, blocks)
        codes: list[Codes] = [
            draw(prefix, view, len(part.z), device=device, decode=False) for view, part in zip(views, like, strict=True)
        ]
        out.append(Level(name, Splits(*codes), aggregates(prefix, views[0], population, device)))
    return out
