"""What every block of a code tells by itself, and what was charged for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    below the block's own rate: what the receiver knows from other blocks is not charged again.  A block that is
    constant, and so not sent, costs nothing and tells nothing.  Raises `Undefined` for codes of one block, and of more
    than 6.
    """
    sent, silent = [block for block in study.codes.test.sent_blocks if not block.side], study.model.silent
    many = len(sent) + len(silent)
    if not 2 <= many <= DEEPEST:
        raise Undefined(f"the code has {many} block{'s' * (many > 1)}; blocks told apart are 2 to {DEEPEST}")
    asked = {
        name: parts
        for name, parts in study.asked.items()
        if parts[0].factor.kind == "class" and study.data.factor(name).size > 1
    }
    labels = [one for parts in asked.values() for one in parts]
    out: dict[str, Any] = {}
    first, found = 0, []
    for block in sent:
        codes = Drawn(*(_slice(part, first, block.width) for part in study.codes))
        first += block.width
        [found] = read([codes], labels, study.readers("linear")) if labels else [[]]
        told = [useful(one.heads["linear"].loss, one.nothing) for one in found]
        out[block.name] = _told(per_point(study.codes.test.rate[block.name]), asked, told)
    nothing = [useful(one.nothing, one.nothing) for one in found]
    out |= {name: _told(torch.zeros(2), asked, nothing) for name in silent}
    return Found(tables={"structure": {"blocks": out}})


def _told(rate: torch.Tensor, asked: Mapping[str, Sequence[Any]], told: Iterable[dict[str, float]]) -> dict[str, Any]:
    """What a record says of a block: its rate, one a test point, and what is told of every label that was asked for."""
    (mean, error), each = mean_and_error(rate), iter(told)
    factors = {name: averaged_over_frames([next(each) for _ in parts]) for name, parts in asked.items()}
    return {"R": mean, "R_se": error, "factors": factors}


def _slice(codes: Codes, first: int, width: int) -> torch.Tensor:
    return codes.z[..., first : first + width]
