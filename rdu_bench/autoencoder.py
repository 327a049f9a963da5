"""The row that most others change one cell of: Gaussian q(z|x), the data's p(x|z), m(z) = N(0, I)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from .model import Batch, Block, Code, Message, Model, transmit
from .nn.densities import gaussian, one_hot
from .nn.networks import Channel, Decoder, Gaussian, Spec, Trunk, UnitGaussian

NOISES = ("trained", "posthoc-iso", "posthoc-learned")


class Autoencoder(Model):
    """One block `z` of `latent` dimensions; any of the three parts can be another module of the same type.

    With `noise` the encoder is deterministic, z = f(x), and without noise its rate has no bound; `noise` says where it
    enters.  `trained`: z = f(x) + s ⊙ ε with learned s, trained with the rest, so that R = KL(N(f, s²) ‖ m) is in the
    loss.  `posthoc-iso` and `posthoc-learned`: f and the decoder are trained paying no rate, and a channel of equal or
    learned capacities is put on the frozen, whitened f afterwards; only behind it is there a rate.  Raises `ValueError`
    for any other `noise`.
    """

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,  # the suite's unless given
        encoder: nn.Module | None = None,  # x (B, *shape) → q(z|x); with `noise`, → f(x) (B, latent)
        decoder: nn.Module | None = None,  # z (B, latent) → p(x|z)
        prior: nn.Module | None = None,  # () → m(z)
        noise: str = "",
    ):
        super().__init__()
        self.latent = latent or data.latent
        if noise not in ("", *NOISES):
            raise ValueError(f"noise = {noise!r}: a deterministic encoder has {', '.join(map(repr, NOISES))}")
        if noise:
            f = encoder or Trunk(data, self.latent)
            encoder = Channel(f, self.latent) if noise == "trained" else f
            self.channel = "trained-noise" if noise == "trained" else noise
        self.encoder = encoder or Gaussian(Trunk(data, 2 * self.latent))
        self.decoder = decoder or Decoder(data, self.latent)
        self.prior = prior or UnitGaussian(self.latent)

    def encode(self, batch: Batch) -> Code:
        return {"z": self.send(batch.x)}

    def send(self, x: Tensor) -> Block:
        """The block `z` of x (B, *shape); a bare f(x) for free, since a channel is put on it afterwards."""
        out = self.encoder(x)
        return deterministic_block(out) if isinstance(out, Tensor) else transmit(out, self.prior())

    def decode(self, code: Message) -> Distribution:
        return self.decoder(code["z"].sample)


def deterministic_block(f: Tensor) -> Block:
    """The block of a deterministic code f(x) (B, d) before its noise channel: sample = f(x), rate 0."""
    q = gaussian(f, torch.ones_like(f))  # KL(q ‖ q) = 0
    return Block(f, f.new_zeros(len(f)), q, q, f)


def label_block(s: Tensor, groups: int) -> Block:
    """The block of a label s (B,) < `groups` that encoder and decoder are given: log `groups` nats, and no part of z.

    Then D + R ≥ H(x) holds although the decoder knows s, and R* charges what s costs under its frequencies.
    """
    shown = s.clamp(min=0)[:, None] == torch.arange(groups, device=s.device)  # torch's `one_hot` waits for the device
    certain = 80.0 * shown.float()  # e⁻⁸⁰ is no chance of another
    return transmit(one_hot(certain), one_hot(0 * certain))._replace(side=True)
