"""The row that most others change one cell of: Gaussian q(z|x), the data's p(x|z), m(z) = N(0, I)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import one_hot as indicator

from .model import Batch, Block, Code, Model, transmit
from .nn.densities import one_hot
from .nn.networks import Decoder, Gaussian, Spec, Trunk, UnitGaussian


class Autoencoder(Model):
    """One block `z` of `latent` dimensions; any of the three parts can be another module of the same type."""

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,  # the suite's unless given
        encoder: nn.Module | None = None,  # x (B, *shape) → q(z|x)
        decoder: nn.Module | None = None,  # z (B, latent) → p(x|z)
        prior: nn.Module | None = None,  # () → m(z)
    ):
        super().__init__()
        self.latent = latent or data.latent
        self.encoder = encoder or Gaussian(Trunk(data, 2 * self.latent))
        self.decoder = decoder or Decoder(data, self.latent)
        self.prior = prior or UnitGaussian(self.latent)

    def encode(self, batch: Batch) -> Code:
        return {"z": transmit(self.encoder(batch.x), self.prior())}

    def decode(self, code: Code) -> Distribution:
        return self.decoder(code["z"].sample)


def announce(s: Tensor, groups: int) -> Block:
    """Side information s (B,) < `groups` as a block: sent as it is, for log `groups` nats, and no part of z.

    Then D + R ≥ H(x) holds although the decoder knows s, and R* charges what s costs under its frequencies.
    """
    certain = 80.0 * indicator(s.clamp(min=0), groups).float()  # e⁻⁸⁰ is no chance of another
    return transmit(one_hot(certain), one_hot(0 * certain))._replace(side=True)
