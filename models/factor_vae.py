from torch import Tensor

from rdu_bench.api import Autoencoder, Batch, Code, Critic, Row, Spec, permute_dims


class FactorVAE(Autoencoder):
    """FactorVAE: penalise what ties the dimensions of the code together, read off samples by a critic.

        L = D + R + γ TC(q(z))        TC(q(z)) = KL(q(z) ‖ ∏_j q(z_j)) ≈ E_q(z)[ log C(z) − log(1 − C(z)) ]

    where C(z) is the probability that z came from q(z) and not from a batch whose every dimension was permuted.
    Kim & Mnih 2018 (arXiv:1802.05983), eq. 2 and algorithm 2.  Departures: the permuted codes come from the same
    batch, not a second one (as in disentanglement_lib); both players step at once, and alike, by what the suite says,
    2e-3, and not by 1e-4; the critic is 3 × 256 ReLU, not 6 × 1000; γ is the smallest of disentanglement_lib's grid, 10
    to 100.

    The critic must keep pace with the model, for it reads TC low while it lags behind: on `sprites` at the ELBO TC is
    .55 nats, and 1.44 with a critic that steps by 1e-4, no less than the 1.40 of the VAE.  On `digits`, of whose 1,258
    training images no code tells more than 7.1 nats, R = 13 cannot be had without TC: TC of all their codes is 5.8 nats
    with γ = 0 and 3.7 with γ = 10, at a D of 14.7 and 19.7 (one seed each).  β-TCVAE penalises the same TC, estimated
    from the densities q(z|x) in place of a critic.
    """

    row = Row(
        paper="1802.05983",
        title="FactorVAE",
        objective="D + R + γ TC(q(z))",
        R2="TC(q(z))",
        claim="total correlation, lower than vae, on sprites; FactorVAE score, higher than beta_vae, on sprites",
    )

    def __init__(self, data: Spec, *, latent: int | None = None, gamma: float = 10.0, width: int = 256, depth: int = 3):
        super().__init__(data, latent=latent)
        self.gamma = gamma
        self.critic = Critic(self.latent, width, depth)

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        return self.gamma * self.critic.ratio(code["z"].sample).mean()

    def critic_loss(self, batch: Batch, code: Code) -> Tensor:
        z = code["z"].sample
        return self.critic.loss(z, permute_dims(z))
