import torch
from torch import Tensor
from torch.nn.functional import softplus

from rdu_bench.api import Autoencoder, Batch, Code, Critic, Row, Spec, mmd


class WAE(Autoencoder):
    """Wasserstein autoencoder: a deterministic encoder z = f(x) whose codes, as a crowd, look like the prior.

        L = D + λ MMD²(q(z), N(0, I))        or        L = D − λ E_q(z) log C(z)

    where C(z) is the probability, as a critic sees it, that z came from the prior.  Tolstikhin et al. 2018
    (arXiv:1711.01558), algorithms 2 and 1, with the kernel and λ = 10 of section 4.  Departures: the cost of transport
    is −log p(x|z), not a squared distance; under the critic λ is 1, for 10 of its nats outweigh D on `digits`.
    With the critic it is AAE, number by number; suites have it once, under that name.

    Not one of the loss's terms rewards noise, and without noise the rate has no bound; `noise` says where it enters.
    """

    row = Row(
        paper="1711.01558",
        title="WAE",
        objective="D + λ MMD²(q(z), p(z)), or D − λ E log C(z)",
        base="AE",
        R2="MMD²(q(z), p(z))",
        rate="noise channel",
        claim="mismatch, lower than vae, on digits; D, lower than vae, on digits",
    )

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,
        strength: float | None = None,  # λ: 10 of MMD², 1 of the critic's nats, unless given
        penalty: str = "mmd",
        noise: str = "trained",
    ):
        super().__init__(data, latent=latent, noise=noise)
        if penalty not in ("mmd", "gan"):
            raise ValueError(f"penalty = {penalty!r}: WAE has 'mmd' and 'gan'")
        self.strength = strength if strength is not None else 10.0 if penalty == "mmd" else 1.0
        self.critic = Critic(self.latent) if penalty == "gan" else None

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        z = code["z"].sample
        away = softplus(self.critic.ratio(z)).mean() if self.critic else mmd(z, torch.randn_like(z))
        return self.strength * away

    def critic_loss(self, batch: Batch, code: Code) -> Tensor:
        z = code["z"].sample
        return self.critic.loss(z, torch.randn_like(z)) if self.critic else super().critic_loss(batch, code)
