import copy
import math

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from rdu_bench.api import (
    Autoencoder,
    Batch,
    Block,
    GatedDecoder,
    GatedGaussian,
    Message,
    Model,
    Row,
    Seen,
    Spec,
    Terms,
    transmit,
)


class MRVAE(Autoencoder):
    """Multi-Rate VAE: networks that know β are trained once for all rates; afterwards β is what sets the rate.

        L = E_β[ D_β + β R_β ]        R_β = KL(q_β(z|x) ‖ N(0, I))        log β ~ U(log lowest, log highest)

        every hidden unit times a(w log β + b):   a(u) = 1/(1 + e^−u) in the encoder, (1 − e^u)₊^½ in the decoder

    Bae et al. 2023 (arXiv:2212.03905), whose range of β this is; each example of a batch has a β of its own.
    Departures: gates start open, not at random, and learn ten times as fast; no layer follows those of the code.
    Instead z has gates in the decoder too, the mean of q_β has gates that shut, and log s = min(0, r(x) + v log β), so
    that the linear VAE of least D + βR is met at every β.

    It is trained with no rate target, and put to σ nats by bisection on log β.
    """

    row = Row(
        paper="2212.03905",
        title="MR-VAE",
        objective="E_β[ D + β R ]",
        R1="β KL(q(z|x) ‖ p(z)), all β at once",
        claim="D, within 0.5 of vae, on digits",
    )
    channel = "multi-rate"
    log_beta: Tensor

    def __init__(self, data: Spec, *, latent: int | None = None, lowest: float = 0.01, highest: float = 10.0):
        dim = latent or data.latent
        super().__init__(data, latent=dim, encoder=GatedGaussian(data, dim), decoder=GatedDecoder(data, dim))
        if not 0 < lowest < highest:
            raise ValueError(f"lowest = {lowest}, highest = {highest}: β is drawn between two positive numbers")
        self.lowest, self.highest = math.log(lowest), math.log(highest)
        self.register_buffer("log_beta", torch.zeros(()))

    def send(self, x: Tensor) -> Block:
        return transmit(self.q(x, self.log_beta.expand(len(x))), self.prior())

    def decode(self, code: Message) -> Distribution:
        z = code["z"].sample
        return self.decoder(z, self.told(self.log_beta.expand(len(z))))

    def q(self, x: Tensor, log_beta: Tensor) -> Distribution:
        """q_β(z|x) of x with log β (B,)."""
        return self.encoder(x, self.told(log_beta))

    def told(self, log_beta: Tensor) -> Tensor:
        """What networks get of log β: over its range 0 on average, with a variance of 1."""
        return (log_beta - (self.lowest + self.highest) / 2) * 12**0.5 / (self.highest - self.lowest)

    def forward(self, batch: Batch) -> Terms:
        if not self.training:
            return super().forward(batch)
        log_beta = self.lowest + (self.highest - self.lowest) * torch.rand(len(batch.x), device=batch.x.device)
        z = transmit(self.q(batch.x, log_beta), self.prior())
        D = -self.decoder(z.sample, self.told(log_beta)).log_prob(batch.x)
        return Terms(D, z.rate, (torch.expm1(log_beta) * z.rate).mean(), batch.x.new_zeros(()))

    def at_rate(self, seen: Seen, sigma: float | None) -> Model:
        made = copy.deepcopy(self).eval().requires_grad_(False)
        made.rate_is_set = True
        if sigma is None:
            return made
        low, high = self.lowest, self.highest
        if made.rate(seen, low) < sigma:
            high, made.limit = low, f"β = {math.exp(low):.3g} is the lowest it was trained for"
        elif made.rate(seen, high) > sigma:
            low, made.limit = high, f"β = {math.exp(high):.3g} is the highest it was trained for"
        for _ in range(16):
            middle = (low + high) / 2
            low, high = (middle, high) if made.rate(seen, middle) > sigma else (low, middle)
        made.log_beta.fill_((low + high) / 2)
        return made

    @torch.no_grad()
    def rate(self, seen: Seen, log_beta: float) -> float:
        """R in nats at a β, the mean over examples."""
        total, n = 0.0, 0
        for part in seen.chunks(1024):
            x = part.x.to(self.log_beta.device)
            total += float(kl_divergence(self.q(x, self.log_beta.new_full((len(x),), log_beta)), self.prior()).sum())
            n += len(x)
        return total / n
