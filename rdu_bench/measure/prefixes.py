"""A code that stops after its first blocks, which is a code too."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch

from ..data import Examples, View
from ..model import Batch, Code, Model
from .codes import Codes, Splits, draw
from .posteriors import Posteriors, aggregates
from .streams import devices

FEW = 4  # examples that gradients are taken of
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


def looks_ahead(model: Model, few: View, device: str) -> dict[str, str]:
    """Blocks that are expected by what is sent after them, each with a block of those, found by gradients.

    Leaves the stream of random numbers as it was.
    Their charge belongs to the whole code: log q − log p of such a block alone may be below what it tells.
    """
    batch = few.batch().to(device)
    with torch.enable_grad(), torch.random.fork_rng(devices=devices(device)):
        code = model.encode(batch._replace(x=batch.x.clone().requires_grad_()))
        sent = [(name, block) for name, block in code.items() if not block.side]
        ahead: dict[str, str] = {}
        for i, (name, block) in enumerate(sent):
            expected = block.p.log_prob(block.drawn.detach()).sum()
            later = [(other, its.sample) for other, its in sent[i + 1 :] if its.sample.requires_grad]
            if not (expected.requires_grad and later):
                continue
            slopes = torch.autograd.grad(expected, [z for _, z in later], retain_graph=True, allow_unused=True)
            for (other, _), slope in zip(later, slopes, strict=True):
                if slope is not None:
                    ahead[name] = other
    return ahead


def _apart(codes: Codes, ahead: dict[str, str]) -> Codes:
    """The codes of a prefix, its blocks that are expected by later ones marked as without a marginal of their own."""
    why = {name: f"block {name} is expected by block {other}, which is sent after it" for name, other in ahead.items()}
    sent = tuple(one._replace(mixing=one.mixing or why.get(one.name, "")) for one in codes.sent_blocks)
    return replace(codes, sent_blocks=sent)


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
    ahead = looks_ahead(model, views[0].rows(slice(FEW)), device)
    for blocks, name in enumerate(names[:-1], 1):
        prefix = Prefix(model, blocks)
        drawn = (draw(prefix, v, len(part.z), device=device, decode=False) for v, part in zip(views, like, strict=True))
        codes = [_apart(part, ahead) for part in drawn]
        out.append(Level(name, Splits(*codes), aggregates(prefix, views[0], population, device)))
    return out
