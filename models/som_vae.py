import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from rdu_bench.api import (
    Batch,
    Block,
    Code,
    Each,
    Message,
    Model,
    Observation,
    Row,
    Spec,
    Trunk,
    Untrunk,
    one_hot,
    transmit,
)

CERTAIN = 80.0  # e⁻⁸⁰ is no chance of another symbol


class SOMVAE(Model):
    """SOM-VAE: every frame is a symbol on a grid whose neighbours look alike, and symbols follow a Markov chain.

        L = D + R + Σ_t ‖sg[e_t] − c_{k_t}‖² + a ‖e_t − sg[c_{k_t}]‖² + b Σ_{j next to k_t} ‖sg[e_t] − c_j‖²
        k_t = arg min_k ‖e(x_t) − c_k‖²        R = −Σ_t log m(k_t|k_t−1)        D = −Σ_t log p(x_t|c_{k_t})

    Fortuin et al. 2019 (arXiv:1806.02199), eq. 1 to 5.  Vectors lie on a grid of `side` × `side`, where one has 2 to 4
    neighbours.  R is the loss of the transitions, L_transitions there: with uniform m it is T log side².
    Departures: a frame is decoded from its vector alone, and the gradient of D is copied from it to e, as in VQ-VAE
    (arXiv:1711.00937), in place of a second reconstruction from e itself, which the receiver has not.  c follows e by a
    term of its own.  The price of R takes the place of L_smoothness: with a rate target e feels −log m(k_t|k_t−1) as if
    k_t were a softmax of −‖e − c‖² over the distance of the nearest vector; without, nothing of it.  A target is met
    by which symbols are used, from none to T log side² nats.
    """

    row = Row(
        paper="1806.02199",
        title="SOM-VAE",
        objective="D + R + codebook + commitment + SOM",
        R1="‖sg[e] − c‖² + a ‖e − sg[c]‖² + b Σ_near ‖sg[e] − c‖²",
        prior="C/L",
        rate="−log m(k), first-order m",
        needs=("sequence",),
        claim="NMI of the clusters, higher than vae, on bouncing_ball",
    )
    near: Tensor

    def __init__(self, data: Spec, *, side: int = 4, dim: int = 4, a: float = 0.25, b: float = 0.25):
        super().__init__()
        codes, self.a, self.b, self.frames = side**2, a, b, data.frames
        self.encoder = Each(Trunk(data.frame, dim))
        self.codebook = nn.Parameter(0.07 * torch.randn(codes, dim))
        at = torch.cartesian_prod(torch.arange(side), torch.arange(side))
        steps = (at[:, None] - at).abs().sum(-1)
        self.register_buffer("near", (steps == 1).float(), persistent=False)
        self.start, self.move = nn.Parameter(torch.zeros(codes)), nn.Parameter(torch.zeros(codes, codes))
        self.decoder, self.observation = Each(Untrunk(data.frame, dim)), Observation(data)

    def encode(self, batch: Batch) -> Code:
        e = self.encoder(batch.x)
        k = transmit(one_hot(CERTAIN * self.nearest(e)), lambda drawn: self.chain(drawn.detach()))
        distance = (e[:, :, None] - self.vectors().detach()).square().sum(-1)
        soft = (-distance / (distance.detach().amin(-1, keepdim=True) + 1e-4)).softmax(-1)
        z = k.drawn.detach() @ self.vectors().detach() + (e - e.detach())
        return {"k": k._replace(sample=z.flatten(1), rate=self.charged(k, soft - soft.detach()))}

    def chain(self, k: Tensor) -> Distribution:
        """∏_t m(k_t|k_t−1) at k (B, T, K), its conditionals (B, T, K)."""
        first = self.start.expand(len(k), 1, -1)
        return one_hot(
            20 * torch.cat([first, k[:, :-1] @ self.move], 1)
        )  # the 20: what is charged must not lag behind what is sent

    def charged(self, k: Block, slope: Tensor | float = 0.0) -> Tensor:
        """−log m(k) (B,), in which k has the gradient of `slope` (B, T, K)."""
        log_m = k.p.base_dist.logits  # type: ignore[attr-defined]
        return -((k.drawn.detach() + slope) * log_m).sum((1, 2))

    def decode(self, code: Message) -> Distribution:
        return self.observation(self.decoder(code["k"].sample.unflatten(1, (self.frames, -1))))

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        e = self.encoder(batch.x)
        k = self.nearest(e)
        c = k @ self.vectors()
        away = (e.detach() - c).square() + self.a * (e - c.detach()).square()
        apart = (e.detach()[:, :, None] - self.vectors()).square().sum(-1)
        pulled = self.b * ((k @ self.near) * apart).sum((1, 2)).mean()
        unpriced = self.charged(code["k"]).mean() - code["k"].rate.mean()  # 0, and e's price of R but for a target's
        return away.sum((1, 2)).mean() + pulled + unpriced

    def vectors(self) -> Tensor:
        """c (K, dim)."""
        return 10 * self.codebook  # the 10: few numbers with far to go

    def nearest(self, e: Tensor) -> Tensor:
        """(B, T, K) one-hot: which vector is the nearest to each e (B, T, dim)."""
        d = (e.detach()[:, :, None] - self.vectors().detach()).square().sum(-1)
        return (d == d.amin(-1, keepdim=True)).to(d)
