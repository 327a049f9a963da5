from collections.abc import Sequence

from torch import Tensor

from rdu_bench.api import Autoencoder, Batch, Code, Row, Spec, log_aggregates


class HFVAE(Autoencoder):
    """HFVAE: tell groups of latents apart, and weigh on its own what ties the dimensions within a group.

        R = I(x;z) + TC(q(z_1), …, q(z_G)) + Σ_g TC(q(z_g)) + Σ_j KL(q(z_j) ‖ p(z_j))
        L = D + R + (b − 1) TC(q(z_1), …, q(z_G)) + (w − 1) Σ_g TC(q(z_g)) + (m − 1) Σ_j KL(q(z_j) ‖ p(z_j))

    where z_g is a group of dimensions z_j, and TC(q(z_1), …, q(z_G)) = KL(q(z) ‖ ∏_g q(z_g)).  Esmaeili et al. 2018
    (arXiv:1804.02086), whose weight on I(x;z) is what a rate target sets.  With m = 1, b = w is β-TCVAE
    whatever the groups, and b = w = 1 the VAE.  Departure: all groups are Gaussian, none is discrete.

    All come from a batch by the paper's leave-one-out estimate.  b = 1.5 for the reasons given in β-TCVAE.
    """

    row = Row(
        paper="1804.02086",
        title="HFVAE",
        objective="D + R + (b − 1) TC(q(z_1), …, q(z_G)) + (w − 1) Σ TC(q(z_g)) + (m − 1) Σ KL(q(z_j) ‖ p(z_j))",
        R2="TC(q(z_1), …, q(z_G)), TC(q(z_g))",
    )

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,
        groups: Sequence[int] | None = None,  # how many dimensions each has; pairs unless given
        between: float = 1.5,
        within: float = 1.0,
        marginals: float = 1.0,
    ):
        super().__init__(data, latent=latent)
        self.groups = groups or [2] * (self.latent // 2) + [1] * (self.latent % 2)
        if sum(self.groups) != self.latent:
            raise ValueError(f"groups = {self.groups}: they have {sum(self.groups)} dimensions, z has {self.latent}")
        self.between, self.within, self.marginals, self.examples = between, within, marginals, data.examples

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        z, single = code["z"], [1] * self.latent
        log_q = log_aggregates(z, self.examples, [self.latent], self.groups, single)
        whole, groups, dims = (log.sum(-1) for log in log_q)  # (B,) each
        between, within, marginals = whole - groups, groups - dims, dims - z.p.log_prob(z.sample)
        weighed = (self.between - 1) * between + (self.within - 1) * within + (self.marginals - 1) * marginals
        return weighed.mean()
