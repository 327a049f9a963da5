"""Noise for encoders that have none: z̃ = W(f(x) − mean) + τ ⊙ ε, the representation of a deterministic encoder.

Without noise the rate of a continuous code is unbounded.  The whitening W makes τ mean the same for every
encoder, so it cannot be gamed by rescaling f, and fixes the rate: R_cap = ½ Σ_j log(1 + 1/τ_j²) nats against
N(0, I + diag τ²), exact on the training set where the whitened code has unit variance.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from .data import Split
from .model import Batch, Code, Model, flatten, transmit
from .nn.densities import gaussian

RELATIVE_FLOOR = 1e-6  # eigenvalues below this fraction of the largest are no dimension of the code


class Whitened(Model):
    """A model trained without noise, behind a Gaussian channel on its whitened code; one block `z` (B, d).

    The decoder is the model's own, fed the noisy code turned back.  With `learn`, training moves log τ and the
    decoder, and leaves f as it is.
    """

    def __init__(self, model: Model, split: Split, *, sigma: float, learn: bool):
        super().__init__()
        self.model = copy.deepcopy(model)
        self.row = model.row
        self.channel = "posthoc-learned" if learn else "posthoc-iso"
        self.device_of = next(model.parameters()).device
        f = torch.cat([self._f(Batch.unlabelled(x.to(self.device_of))) for x in split.x.split(1024)]).double()
        mean = f.mean(0)
        values, vectors = torch.linalg.eigh((f - mean).T @ (f - mean) / len(f))
        kept = values > RELATIVE_FLOOR * values.amax()
        if not bool(kept.any()):
            raise ValueError("the encoder maps every training example to one code: no noise gives it a rate")
        values, vectors = values[kept], vectors[:, kept]
        self.register_buffer("mean", mean.float())
        self.register_buffer("whiten", (vectors / values.sqrt()).float())
        self.register_buffer("colour", (vectors * values.sqrt()).T.float())
        start = torch.full((len(values),), math.log(noise_width(sigma, len(values))), device=self.device_of)
        self.log_tau = nn.Parameter(start, requires_grad=learn)

    @torch.no_grad()
    def _f(self, batch: Batch) -> Tensor:
        return flatten(self.model.encode(batch))

    def encode(self, batch: Batch) -> Code:
        u = (self._f(batch) - self.mean) @ self.whiten
        tau = self.log_tau.exp()
        return {"z": transmit(gaussian(u, tau.expand_as(u)), gaussian(torch.zeros_like(tau), (1 + tau**2).sqrt()))}

    def decode(self, code: Code) -> Distribution:
        block = code["z"]
        return self.model.decode({"z": block._replace(sample=self.mean + block.sample @ self.colour)})

    @property
    def decodes(self) -> bool:
        """Whether the model behind the channel has a decoder of x."""
        return self.model.decodes

    mean: Tensor
    whiten: Tensor
    colour: Tensor


def noise_width(sigma: float, dim: int) -> float:
    """τ of equal noise in `dim` whitened dimensions whose R_cap is σ nats."""
    return math.expm1(2 * sigma / dim) ** -0.5
