from torch import Tensor

from rdu_bench.api import Autoencoder, Batch, Code, Decoder, PairCritic, Row, Spec


class ALI(Autoencoder):
    """Adversarially learned inference: encoder and decoder learn from a critic that cannot tell their pairs apart.

        min_{q,p} max_C  E_q(x,z)[ log C(x, z) ] + E_p(x,z)[ log(1 − C(x, z)) ]

    over x with a code z ~ q(z|x), and z ~ N(0, I) with what it decodes to.  Dumoulin et al. 2017 (arXiv:1606.00704),
    eq. 1 and algorithm 1: encoder and decoder lower the same loss with its two kinds exchanged.  D has no part in it,
    which would be ALICE: it is measured, and teaches at most the variance of a Gaussian p(x|z).  BiGAN is the same game
    with a deterministic encoder.

    Departures: the critic sees x and what z decodes to behind noise of `blur` standard deviations, the same on both
    sides, since binary x are told from means by their pixels alone; it has no dropout, which is what the released code
    has in that place; all three step at once, each by one batch.

    KL(q(x, z) ‖ p(x, z)) = D + R − H(x), so R has a price in what is played for, and a price beside it can only lower R
    below the one that the game comes to: rates above that, 17 nats on `digits` (6,400 steps, one seed), are
    `unreachable`, and an ELBO point would pay twice.  D of its own decoder, whose means pass for data, is far above
    that of a decoder fitted afterwards: 85 and 20.3 nats at 6 nats.
    """

    row = Row(
        paper="1606.00704",
        title="ALI",
        objective="E_q log C(x, z) + E_p log(1 − C(x, z))",
        base="GAN",
        R2="D_JS(q(x, z) ‖ p(x, z))",
        claim="D_y with 100 labels, lower than vae, on digits",
    )
    betas = (0.5, 0.999)
    learns_distortion = False
    decoder: Decoder

    def __init__(self, data: Spec, *, latent: int | None = None, blur: float = 0.5, lr: float = 3e-3):
        super().__init__(data, latent=latent)
        self.critic = PairCritic(data, self.latent, blur=blur, lr=lr)

    def distortion(self, batch: Batch, code: Code) -> Tensor:
        told = self.decoder.net(code["z"].sample).detach()
        return -self.decoder.observation(told).log_prob(batch.x)

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        return self.critic.confusion(*self.critic.pairs(batch.x, code["z"].sample, self.decoder))

    def critic_loss(self, batch: Batch, code: Code) -> Tensor:
        return self.critic.discrimination(*self.critic.pairs(batch.x, code["z"].sample, self.decoder))
