"""What a way to decode loses, and the decoders of no code at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..nn.densities import bernoulli, gaussian
from .codes import CHUNK
from .study import Study


class Decoded(NamedTuple):
    """One way to decode: what it loses on validation and on test, (S, N) nats."""

    val: Tensor
    test: Tensor

    @property
    def trouble(self) -> str:
        """Why it cannot be compared with others; empty where it can."""
        bad = {part: int((~nats.isfinite()).any(0).sum()) for part, nats in self._asdict().items()}
        counts = [f"{n} of {getattr(self, part).shape[1]} examples of {part}" for part, n in bad.items() if n]
        return f"−log p(x|z) is not finite on {' and '.join(counts)}" if counts else ""


def best_of(candidates: Mapping[str, Decoded]) -> str:
    """Name of the best of several ways to decode, by validation."""
    return min(candidates, key=lambda name: float(candidates[name].val.mean()))


def null(study: Study, last: int = 0) -> Decoded:
    """The best constant of the decoder's family, from training data: D at a rate of zero.  (1, N).

    Of x, or of so many of its last frames.
    """
    about, data = study.pixels, study.data
    density: Distribution
    if data.likelihood == "bernoulli":
        p = ((about.mean * about.n + 0.5) / (about.n + 1)).float()
        density = bernoulli(p[-last:].logit()[None])
    else:
        mean = about.mean.float()[-last:]
        variance = about.variance[-last:].mean().float() if data.noise is None else torch.tensor(data.noise)
        density = gaussian(mean[None], variance.sqrt().expand_as(mean)[None])

    def nats(part: Literal["val", "test"]) -> Tensor:
        chunks = (batch.x[:, -last:] if last else batch.x for batch in study.view(part).chunks(CHUNK))
        return torch.cat([-density.log_prob(x) for x in chunks])[None]

    return Decoded(nats("val"), nats("test"))
