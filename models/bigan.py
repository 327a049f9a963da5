from torch import Tensor

from rdu_bench.api import Autoencoder, Batch, Code, Decoder, PairCritic, Row, Spec


class BiGAN(Autoencoder):
    """BiGAN: a deterministic encoder and a decoder whose pairs no critic can tell apart, so that one inverts the other.

        min_{E,G} max_C  E_x[ log C(x, E(x)) ] + E_z[ log(1 − C(G(z), z)) ]        z ~ N(0, I)

    Donahue, Krähenbühl & Darrell 2017 (arXiv:1605.09782), section 3.  It is ALI with codes that have no width, and in
    all else its game: what C sees of x is behind noise of `blur`, E and G lower the loss with its two kinds exchanged,
    and D teaches neither.  Departures: those of ALI; z is normal, not uniform; no batch normalisation.

    To fill N(0, I) a deterministic E must draw on all that x has, which noise hides: with the 0.5 of ALI its codes of 6
    nats leave D at 21.0 on `digits`, with 0.25 at 20.5 (one seed), where ALI has 20.3 and no code 27.1.  With Adam's
    usual momentum the critic wins, and they leave it at 25.4.

    Without noise the rate of E(x) has no bound; `noise` enters afterwards, on the frozen encoder, and any rate can be
    had.  Under 'posthoc-learned' D then moves the shares of its dimensions and fits the decoder to what arrives, as for
    every autoencoder with this channel; under 'posthoc-iso' nothing.
    """

    row = Row(
        paper="1605.09782",
        title="BiGAN",
        objective="E_x log C(x, E(x)) + E_z log(1 − C(G(z), z))",
        base="GAN",
        R2="D_JS(q(x, z) ‖ p(x, z))",
        rate="noise channel",
        claim="D_y, lower than ae, on digits",
    )
    betas = (0.5, 0.999)
    learns_distortion = False
    decoder: Decoder

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,
        blur: float = 0.25,
        lr: float = 3e-3,
        noise: str = "posthoc-learned",
    ):
        if not noise.startswith("posthoc"):
            raise ValueError(f"noise = {noise!r}: BiGAN has 'posthoc-learned' and 'posthoc-iso', noise after training")
        super().__init__(data, latent=latent, noise=noise)
        self.critic = PairCritic(data, self.latent, blur=blur, lr=lr)

    def distortion(self, batch: Batch, code: Code) -> Tensor:
        told = self.decoder.net(code["z"].sample).detach()
        return -self.decoder.observation(told).log_prob(batch.x)

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        return self.critic.confusion(*self.critic.pairs(batch.x, code["z"].sample, self.decoder))

    def critic_loss(self, batch: Batch, code: Code) -> Tensor:
        return self.critic.discrimination(*self.critic.pairs(batch.x, code["z"].sample, self.decoder))
