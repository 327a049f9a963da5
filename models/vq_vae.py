import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from rdu_bench.api import (
    Autoregression,
    Average,
    Batch,
    Code,
    Decoder,
    Message,
    Model,
    Row,
    Spec,
    Trunk,
    one_hot,
    transmit,
)


class VQVAE(Model):
    """VQ-VAE: the code is a string of P symbols, each the index of a vector c_k near the encoder's output e_p(x).

        L = D + R + Σ_p ‖sg[e_p] − c‖² + b ‖e_p − sg[c]‖²     R = Σ_p E KL(q(k_p|x) ‖ m(k_p|k_<p))
        q(k_p|x) ∝ exp(−‖e_p(x) − c_k‖² / T)                  z = (c_{k_1}, …, c_{k_P}), c the vector nearest to e_p

    van den Oord, Vinyals & Kavukcuoglu 2017 (arXiv:1711.00937), to which T → 0 leads back.  As there, the codebook
    follows e and nothing else: no gradient of D or R reaches it.  Not to be confused with a decoder that is
    autoregressive: m is so over symbols, x is drawn at once given z.
    Departures: T > 0, one number learned like a weight, without which R = −log m(k) has no gradient and no σ is
    met; D's gradient passes the draw by straight-through Gumbel, not by copying it from z to e, which cannot see T;
    m is learned along, not afterwards.

    With `codebook="ema"`, as in the paper's appendix, no gradient moves c_k either: it is Σ e / N_k over the e nearest
    to it, both averaged at .99 a step, and ‖sg[e] − c‖² falls away.  N_k is Laplace-smoothed, so that a vector out of
    use divides by no zero.  On `digits`, in 800 steps, it overshoots targets from 4 nats on by 2 to 12 %.
    """

    row = Row(
        paper="1711.00937",
        title="VQ-VAE",
        objective="D + R + codebook + commitment",
        R1="‖sg[e] − c‖² + b ‖e − sg[c]‖²",
        prior="C/L",
        rate="closed-form KL, autoregressive m",
    )

    def __init__(
        self,
        data: Spec,
        *,
        positions: int | None = None,  # as many as the suite has latent dimensions unless given
        codes: int = 32,
        dim: int = 4,
        b: float = 0.25,
        T: float = 0.5,  # where it starts: about the squared spread of the codebook, a few vectors in reach of each e
        codebook: str = "gradient",  # or "ema"
    ):
        super().__init__()
        if codebook not in ("gradient", "ema"):
            raise ValueError(f"codebook = {codebook!r}: it is moved by its 'gradient' or is an 'ema'")
        positions = positions or data.latent
        self.shape, self.b, self.ema = (positions, dim), b, codebook == "ema"
        self.log_T = nn.Parameter(torch.tensor(math.log(T) / 10))
        self.encoder = Trunk(data, positions * dim)
        start = 0.7 * torch.randn(codes, dim)
        if self.ema:
            self.row = self.row._replace(objective="D + R + commitment", R1="b ‖e − sg[c]‖²")
            equal = torch.full((codes, 1), positions / codes)  # all in equal use
            self.used, self.total = Average(equal, rate=0.01), Average(equal * start, rate=0.01)
        else:
            self.codebook = nn.Parameter(start)
        self.prior = Autoregression(positions, codes)
        self.decoder = Decoder(data, positions * dim)

    def encode(self, batch: Batch) -> Code:
        q = one_hot(-self.distance(self.embed(batch.x)) / (10 * self.log_T).exp())  # the 10: one number, far to go
        k = transmit(q, lambda drawn: self.prior(drawn.detach()))
        return {"z": k._replace(sample=(k.drawn @ self.vectors().detach()).flatten(1))}

    def decode(self, code: Message) -> Distribution:
        return self.decoder(code["z"].sample)

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        e = self.embed(batch.x)
        c = self.nearest(e) @ self.vectors()
        away = self.b * (e - c.detach()).square()
        if not self.ema:
            away = (e.detach() - c).square() + away
        return away.sum((1, 2)).mean()

    def critic_loss(self, batch: Batch, code: Code) -> Tensor:
        if not self.ema:
            return super().critic_loss(batch, code)
        e = self.embed(batch.x)
        k = self.nearest(e)
        return self.used.loss(k.sum(1).mean(0)[:, None]) + self.total.loss((k.mT @ e).mean(0))

    def vectors(self) -> Tensor:
        """c (K, dim)."""
        if not self.ema:
            return self.codebook
        used, least = self.used(), 1e-5
        share = (used + least) / (used.sum() + len(used) * least)
        return self.total() / (share * used.sum())

    def embed(self, x: Tensor) -> Tensor:
        """e (B, P, dim)."""
        return self.encoder(x).unflatten(-1, self.shape)

    def distance(self, e: Tensor) -> Tensor:
        """(B, P, K) squared distances of e to the codebook, which they do not move."""
        return (e[:, :, None] - self.vectors().detach()).square().sum(-1)

    def nearest(self, e: Tensor) -> Tensor:
        """(B, P, K) one-hot: which vector is the nearest to each e."""
        d = self.distance(e.detach())
        return (d == d.amin(-1, keepdim=True)).to(d)
