import math

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import softplus

from rdu_bench.api import (
    Batch,
    Block,
    Code,
    Decoder,
    Message,
    Model,
    Row,
    Spec,
    Trunk,
    UnitGaussian,
    gaussian,
    one_hot,
    total_rate,
    transmit,
)


class JointVAE(Model):
    """JointVAE: a symbol beside the Gaussian code, with a capacity of its own, that it be used at all.

        L = D + R + γ |KL_c − C_c(t)|        R = KL_z + KL_c        C_c(t) → min(log K, share · R)
        L = D + γ |KL_z − C_z(t)| + γ |KL_c − C_c(t)|               C_c(t) → min(log K, C_z), where C_z is given

        KL_z = KL(q(z|x) ‖ N(0, I))        KL_c = KL(q(c|x) ‖ 1/K)        means over the batch inside the |·|

    Dupont 2018 (arXiv:1804.00104), whose loss is the second; capacities grow from 0 in the first `warmup` of training.
    A rate target sets R = C_z + C_c; how R is split remains the model's own.
    Departures: c is drawn one-hot, by straight-through Gumbel, not relaxed: KL_c is what it costs.  γ = 1, not 30,
    which takes the price of R at w = 1 off symbols up to C_c and doubles it beyond.  KL_c rewards certainty about c,
    not what c says of x: once γ exceeds what R is worth to D, the cheapest way to pay it is the same few symbols for
    all images.  In 800 steps on `digits`, γ ≥ 3 left two of ten at σ = 6, γ = 1 six there and one from σ = 13 up.
    """

    row = Row(
        paper="1804.00104",
        title="JointVAE",
        objective="D + R + γ |KL_c − C_c|",
        R1="|KL(q(c|x) ‖ p(c)) − C_c|",
        prior="C+N",
    )

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,
        symbols: int = 10,
        gamma: float = 1.0,
        share: float = 0.5,
        capacity: float | None = None,  # C_z
        warmup: float = 0.5,
    ):
        super().__init__()
        latent = latent or data.latent
        self.sizes, self.most = (latent, latent, symbols), math.log(symbols)
        self.gamma, self.share, self.capacity, self.warmup = gamma, share, capacity, warmup
        self.encoder = Trunk(data, sum(self.sizes))
        self.prior = UnitGaussian(latent)
        self.decoder = Decoder(data, symbols + latent)
        *_, last, _ = self.encoder.parameters()
        with torch.no_grad():
            last[-symbols:] *= 30  # c says something of x before it is made certain

    def encode(self, batch: Batch) -> Code:
        mean, raw, logits = self.encoder(batch.x).split(self.sizes, -1)
        c = transmit(one_hot(logits), one_hot(torch.zeros_like(logits)))
        return {"c": c, "z": transmit(gaussian(mean, softplus(raw) + 1e-4), self.prior())}

    def decode(self, code: Message) -> Distribution:
        return self.decoder(code["c"].sample, code["z"].sample)

    def priced(self, batch: Batch, code: Code) -> Tensor:
        if self.capacity is not None:
            return batch.x.new_zeros(())
        bound = (self.share * total_rate(code).detach().mean()).clamp(max=self.most)
        return self.gamma * self.off(batch, code["c"], bound)

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        if self.capacity is None:
            return batch.x.new_zeros(())
        c, z = self.off(batch, code["c"], min(self.capacity, self.most)), self.off(batch, code["z"], self.capacity)
        return self.gamma * (c + z) - total_rate(code).mean()

    def off(self, batch: Batch, block: Block, capacity: Tensor | float) -> Tensor:
        """|KL − C(t)|, nats."""
        grown = (batch.progress / self.warmup).clamp(max=1)
        return (block.rate.mean() - grown * capacity).abs()
