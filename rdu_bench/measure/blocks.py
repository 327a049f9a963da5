"""What every block of a code tells by itself, and what was charged for it."""

from __future__ import annotations

from typing import Any

import torch

from ..scores import Undefined
from .codes import Codes
from .found import Found, mean_and_error, per_point
from .heads import Drawn, read
from .levels import useful
from .prefixes import DEEPEST
from .study import Study
from .usefulness import averaged_over_frames


def blocks(study: Study) -> Found:
    """D_y of every class by a linear head on one block alone, and the nats charged for that block.

    Of a factor of frames the mean over the frames looked at.  I_V of a block is below R* of the whole code, and not
    below the block's own rate: what the receiver knows from other blocks is not charged again.  Raises `Undefined` for
    codes of one block, and of more than 6.
    """
    sent = [block for block in study.codes.test.sent_blocks if not block.side]
    if not 2 <= len(sent) <= DEEPEST:
        raise Undefined(f"the code has {len(sent)} block{'s' * (len(sent) > 1)}; blocks told apart are 2 to {DEEPEST}")
    asked = {
        name: parts
        for name, parts in study.asked.items()
        if parts[0].factor.kind == "class" and study.data.factor(name).size > 1
    }
    labels = [one for parts in asked.values() for one in parts]
    out: dict[str, Any] = {}
    first = 0
    for block in sent:
        codes = Drawn(*(_slice(part, first, block.width) for part in study.codes))
        first += block.width
        [found] = read([codes], labels, study.readers("linear")) if labels else [[]]
        told = {
            one.factor.name: useful(reading.heads["linear"].loss, reading.nothing)
            for one, reading in zip(labels, found, strict=True)
        }
        mean, error = mean_and_error(per_point(study.codes.test.rate[block.name]))
        out[block.name] = {
            "R": mean,
            "R_se": error,
            "factors": {
                name: averaged_over_frames([told[one.factor.name] for one in parts]) for name, parts in asked.items()
            },
        }
    return Found(tables={"structure": {"blocks": out}})


def _slice(codes: Codes, first: int, width: int) -> torch.Tensor:
    return codes.z[..., first : first + width]
