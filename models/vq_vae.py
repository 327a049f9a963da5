import torch
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence

from rdu_bench.api import Autoregression, Batch, Code, Decoder, Model, Row, Spec, Trunk, one_hot, transmit


class VQVAE(Model):
    """VQ-VAE: the code is a string of P symbols, each the index of a vector c_k near the encoder's output e_p(x).

        L = D + R + ‖sg[e] − c‖² + b ‖e − sg[c]‖²        R = Σ_p E KL(q(k_p|x) ‖ m(k_p|k_<p)) ≤ P log K at its best
        q(k_p|x) ∝ exp(−‖e_p(x) − c_k‖² / T)             z = (c_{k_1}, …, c_{k_P})

    van den Oord, Vinyals & Kavukcuoglu 2017 (arXiv:1711.00937).
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
        positions: int | None = None,
        codes: int = 32,
        dim: int = 4,
        b: float = 0.25,
        T: float = 1.0,
        mode: str = "A",
        init: float = 1.0,
    ):
        super().__init__()
        self.P, self.dim, self.b, self.T, self.mode = positions or data.latent, dim, b, T, mode
        self.encoder = Trunk(data, self.P * dim)
        self.codebook = nn.Parameter(init * torch.randn(codes, dim))
        self.prior = Autoregression(self.P, codes)
        self.decoder = Decoder(data, self.P * dim)

    def encode(self, batch: Batch) -> Code:
        e = self.encoder(batch.x).unflatten(-1, (-1, self.dim))  # (B, P, dim)
        c = self.codebook.detach() if self.mode in "AC" else self.codebook
        q = one_hot(-(e[:, :, None] - c).square().sum(-1) / self.T)  # (B, P, K)
        k = transmit(q, q)
        m = self.prior(k.drawn.detach())
        if self.mode in "AB":
            z = k.drawn @ c
        else:
            z = k.drawn.detach() @ c
            z = z + e - e.detach()
        return {"z": k._replace(sample=z.flatten(1), rate=kl_divergence(q, m), p=m)}

    def decode(self, code: Code) -> Distribution:
        return self.decoder(code["z"].sample)

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        e = self.encoder(batch.x).unflatten(-1, (-1, self.dim))
        d = (e.detach()[:, :, None] - self.codebook.detach()).square().sum(-1)
        near = (d == d.amin(-1, keepdim=True)).to(d)
        c = near @ self.codebook
        return ((e.detach() - c).square() + self.b * (e - c.detach()).square()).sum((1, 2)).mean()
