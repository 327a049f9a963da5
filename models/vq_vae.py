import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from rdu_bench.api import (
    Autoregression,
    Average,
    Batch,
    Block,
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

CERTAIN = 80.0  # e⁻⁸⁰ is no chance of another symbol
CODES, ROOM = 32, 1.3  # vectors there are at most; nats that all of them could say for each that is asked for


class VQVAE(Model):
    """VQ-VAE: the code is a string of P symbols, each the index of the vector c_k nearest to the encoder's e_p(x).

        L = D + R + Σ_p ‖sg[e_p] − c‖² + b ‖e_p − sg[c]‖²     R = −Σ_p log m(k_p|k_<p)
        k_p = arg min_k ‖e_p(x) − c_k‖²                        z = (c_{k_1}, …, c_{k_P})

    van den Oord, Vinyals & Kavukcuoglu 2017 (arXiv:1711.00937).  As there, the gradient of D is copied from z to e, and
    the codebook follows e and nothing else.  x decides k, so R = −log m(k) in all; what can be asked for lies between
    none and P log K nats, and is met by how evenly symbols are used.  Not to be confused with a decoder that is
    autoregressive: m is so over symbols, x is drawn at once given z.
    A target is met by the size of the codebook, unless positions or vectors are given: as many as 1.3 σ nats need, at
    most the suite's latent size and 32; and by how evenly they are used, for which e pays or is paid.
    Departures: m is learned along, not afterwards, and with a target e feels what it charges: the gradient of −log m(k)
    passes the arg min as if k were a softmax of −‖e − c‖² / T, T the distance of the nearest vector.  Without a target
    e feels nothing of m, and all positions and 32 vectors are there, as in the paper.

    With `codebook="ema"`, as in the paper's appendix, no gradient moves c_k either: it is Σ e / N_k over the e nearest
    to it, both averaged at .99 a step, and ‖sg[e] − c‖² falls away.  N_k is Laplace-smoothed, so that a vector out of
    use divides by no zero.
    """

    row = Row(
        paper="1711.00937",
        title="VQ-VAE",
        objective="D + R + codebook + commitment",
        R1="‖sg[e] − c‖² + b ‖e − sg[c]‖²",
        prior="C/L",
        rate="−log m(k), autoregressive m",
        claim="D, within 0.5 of vae, on digits",
    )

    def __init__(
        self,
        data: Spec,
        *,
        positions: int | None = None,  # as many as the suite has latent dimensions unless given
        codes: int | None = None,  # 32 unless given
        dim: int = 4,
        b: float = 0.25,
        codebook: str = "gradient",  # or "ema"
    ):
        super().__init__()
        if codebook not in ("gradient", "ema"):
            raise ValueError(f"codebook = {codebook!r}: it is moved by its 'gradient' or is an 'ema'")
        self.data, self.dim = data, dim
        self.sizeable = positions is None and codes is None
        positions, codes = positions or data.latent, codes or CODES
        self.shape, self.b, self.named, self.ema = (positions, dim), b, codebook, codebook == "ema"
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

    def for_rate(self, sigma: float | None) -> Model:
        if sigma is None or not self.sizeable:
            return self
        positions = min(math.ceil(ROOM * sigma / math.log(CODES)), self.data.latent)
        codes = min(max(math.ceil(math.exp(ROOM * sigma / positions)), 2), CODES)
        made = type(self)(self.data, positions=positions, codes=codes, dim=self.dim, b=self.b, codebook=self.named)
        made.size = {"positions": positions, "codes": codes}
        return made

    def encode(self, batch: Batch) -> Code:
        e = self.embed(batch.x)
        k = transmit(one_hot(CERTAIN * self.nearest(e)), lambda drawn: self.prior(drawn.detach()))
        distance = self.distance(e)
        soft = (-distance / (distance.detach().amin(-1, keepdim=True) + 1e-4)).softmax(-1)
        rate = self.charged(k, soft - soft.detach())
        z = k.drawn.detach() @ self.vectors().detach() + (e - e.detach())
        return {"z": k._replace(sample=z.flatten(1), rate=rate)}

    def charged(self, k: Block, slope: Tensor | float = 0.0) -> Tensor:
        """−log m(k) (B,), in which k has the gradient of `slope` (B, P, K)."""
        log_m = k.p.base_dist.logits  # type: ignore[attr-defined]
        return -((k.drawn.detach() + slope) * log_m).sum((1, 2))

    def decode(self, code: Message) -> Distribution:
        return self.decoder(code["z"].sample)

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        e = self.embed(batch.x)
        c = self.nearest(e) @ self.vectors()
        away = self.b * (e - c.detach()).square()
        if not self.ema:
            away = (e.detach() - c).square() + away
        unpriced = self.charged(code["z"]).mean() - code["z"].rate.mean()  # 0, and e's price of R but for a target's
        return away.sum((1, 2)).mean() + unpriced

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
