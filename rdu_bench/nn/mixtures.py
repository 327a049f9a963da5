"""A Gaussian mixture for a prior, with exact inference, whose parameters follow the codes instead of being trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, kl_divergence
from torch.nn.functional import normalize

from .critics import Average
from .densities import gaussian, one_hot, product

FEW = 1e-3  # of the data: how many examples at 0 the mean of a component has seen before it sees any
SWEEPS = 10  # block updates of a factorised posterior


class Mixture(nn.Module):
    """m(k, z) = π_k N(z; μ_k, diag S_k), K components over (d,), with the posterior of its parameters in natural form.

    What the components have seen is an `Average` of their sufficient statistics (K, 1 + 2d), per example of the data:
    shares, and sums of z and of z².  The conjugate prior adds pseudo-examples to it, for every component `strength`
    as many as there are data, in which S_k is `variance`, and `FEW` at z = 0 for μ_k.  So a step on `loss` is a
    natural-gradient step (Hoffman et al. 2013, arXiv:1206.7051), and one of rate 1 leads to the posterior given the
    batch.  π, μ and S are one point of it: E π, E μ, and scale over degrees of freedom, where the rate of what was sent
    and the cost of the pseudo-examples are together lowest.

    The means start apart and equally far from 0, so that none is nearest to all codes, and E z² = 1.  A large
    `strength` keeps components alive and of one size.  Raises `ValueError` for a variance that is not in (0, 1].
    """

    def __init__(
        self,
        dim: int,
        components: int,
        *,
        strength: float = 1.0,
        variance: float = 0.2,
        rate: float = 0.05,
        factorised: bool = False,
    ):
        super().__init__()
        if not 0 < variance <= 1:
            raise ValueError(f"variance = {variance}: that of a component is above 0 and at most 1")
        self.dim, self.strength, self.variance, self.factorised = dim, strength, variance, factorised
        mean = (dim * (1 - variance)) ** 0.5 * normalize(torch.randn(components, dim), dim=-1)
        seen = torch.cat([torch.ones(components, 1), mean, mean.square() + variance], -1) / components
        self.seen = Average(seen, rate=rate)

    def forward(self) -> tuple[Tensor, Distribution]:
        """log π (K,) and the components over (K, d), without gradient."""
        n, first, second = self.seen().split([1, self.dim, self.dim], -1)
        n = n.clamp(min=0)
        mean = first / (n + FEW)
        scatter = (second - (n + FEW) * mean.square()).clamp(min=0)
        variance = (self.strength * self.variance + scatter) / (self.strength + n)
        return (self.strength + n[:, 0]).log().log_softmax(-1), gaussian(mean, variance.sqrt())

    def posterior(self, evidence: Distribution) -> tuple[Distribution, Distribution]:
        """q(k) over (B, K) and q(z|k) over (B, K, d), exact, where q(k, z) ∝ m(k, z) ψ(z) and `evidence` ψ is (B, d).

        q(k) ∝ π_k N(mean of ψ; μ_k, S_k + variance of ψ), and q(z|k) is the product of the two Gaussians.
        Where `factorised`, q(k) q(z) instead, which block updates lead to from that q(k): q(z|k) is the same for all k.
        """
        log_pi, m = self()
        mean, variance = evidence.mean[:, None], evidence.variance[:, None]
        met = Normal(m.mean, (m.variance + variance).sqrt(), validate_args=False).log_prob(mean).sum(-1)
        k = one_hot(log_pi + met)
        if not self.factorised:
            return k, product(gaussian(mean, variance.sqrt()), m)
        for _ in range(SWEEPS):
            k, z = self.update(k, evidence)
        return k, gaussian(*(moment[:, None].expand(-1, len(log_pi), -1) for moment in (z.mean, z.stddev)))

    def update(self, k: Distribution, evidence: Distribution) -> tuple[Distribution, Distribution]:
        """q(k) over (B, K) and q(z) over (B, d), each in its turn the best there is for the other.

        q(z) ∝ ψ(z) exp E_q(k) log N(z; μ_k, S_k), then q(k) ∝ π_k exp E_q(z) log N(z; μ_k, S_k).
        """
        log_pi, m = self()
        precision = k.mean @ (1 / m.variance)
        z = product(evidence, gaussian(k.mean @ (m.mean / m.variance) / precision, precision**-0.5))
        return one_hot(log_pi - self.divergence(z)), z

    def divergence(self, z: Distribution) -> Tensor:
        """(B, K) nats, KL(q(z|k) ‖ N(μ_k, S_k)) of q(z|k) over (B, K, d), or over (B, d) where all k have the same."""
        _, m = self()
        mean, scale = (moment.view(len(moment), -1, self.dim) for moment in (z.mean, z.stddev))
        q, p = Normal(mean, scale, validate_args=False), Normal(m.mean, m.stddev, validate_args=False)
        return kl_divergence(q, p).sum(-1)

    def loss(self, evidence: Distribution) -> Tensor:
        """() whose step moves the parameters, and nothing else, towards what a batch of ψ makes one expect."""
        k, z = self.posterior(evidence)
        each = torch.cat([torch.ones_like(z.mean[..., :1]), z.mean, z.mean.square() + z.variance], -1)
        return self.seen.loss((k.mean[..., None] * each).mean(0))


def select_component(k: Tensor, z: Distribution) -> Distribution:
    """The Gaussian (B, d) that the one-hot k (B, K) selects from Gaussians `z` (B, K, d) or (K, d)."""
    mean, variance = ((k[..., None] * moment).sum(-2) for moment in (z.mean, z.variance))
    return gaussian(mean, variance.sqrt())
