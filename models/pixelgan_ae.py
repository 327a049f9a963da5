import torch
from torch import Tensor
from torch.nn.functional import softplus

from rdu_bench.api import (
    Autoencoder,
    Batch,
    Block,
    Code,
    Critic,
    Row,
    Spec,
    SymbolCritic,
    Trunk,
    WindowedDecoder,
    labelled_cross_entropy,
    one_hot,
    transmit,
)


class PixelGANAE(Autoencoder):
    """PixelGAN autoencoder: pixels tell of their past, and a critic sees to it that the code looks like the prior.

        L = D + R − I(x;z) = D + KL(q(z) ‖ p(z))        D = −E Σ_i log p(x_i | z, x_<i)
          ≈ D − λ E_q(z) log C(z)                       C(z) = P(z came from p(z) and not from q(z))

        gaussian             p(z) = N(0, I): z has what is global, the pixels' own past what is local
        categorical          p(z) = 1/K: z is a cluster, and R at most log K nats; with `labelled` examples it is
                             their class, and α E_labelled[ −log q(y|x) ] is on top

    p(x|z) is a PixelCNN that is told z at every place.  Makhzani & Frey 2017 (arXiv:1706.00531).  Departures: the
    noise enters at the encoder's last layer and is Gaussian, so that q(z|x) has a density and R a closed form; of a
    symbol the critic is given q(z|x) and the decoder a draw; the PixelCNN has masked layers of `window` pixels, 1 +
    `depth` of them, and no gates.

    The paper leaves I free, so R of numbers has no price here but that of a target. That of symbols, at most
    log K, has its price of 1 beside, without which they become certain before they say anything, and never come
    back. λ = 1, α = 10 and the critic of symbols are as in AAE. The critic of numbers learns at a twentieth of the
    model's rate: where the pixels' past says most, one as quick as the model stirs codes until those of other images
    say little (13 nats on `digits`: D 20.1 and D_y 1.06 with it, 15.0 and .69 so; one seed). With a hundred labels
    of `digits` it names .727 of the test digits, where logistic regression on those labels names .716: what the
    crowd of unlabelled images adds is within chance (one seed, 800 steps).
    """

    row = Row(
        paper="1706.00531",
        title="PixelGAN-AE",
        objective="D − λ E log C(z), autoregressive p(x|z)",
        R1="−I(x;z)",
        R2="KL(q(z) ‖ p(z))",
        decoder="A",
        needs=("image",),
        claim="D, lower than vae, on digits; ARI of the clusters, higher than vae, on digits",
    )

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,
        prior: str = "gaussian",
        clusters: int | None = None,  # as many as there are classes, or 10, unless given
        strength: float = 1.0,
        window: int = 2,
        depth: int = 1,
        labelled: int | None = None,  # how many examples show their class; of None it is a cluster
        alpha: float = 10.0,
    ):
        if prior not in ("gaussian", "categorical"):
            raise ValueError(f"prior = {prior!r}: PixelGAN-AE has 'gaussian' and 'categorical'")
        symbols = prior == "categorical"
        if labelled is not None and (not symbols or clusters not in (None, data.classes)):
            raise ValueError(
                f"labelled = {labelled}: examples show their class where the prior is 'categorical' over it"
            )
        latent = (clusters or data.classes or 10) if symbols else latent or data.latent
        decoder = WindowedDecoder(data, latent, window, depth=depth)
        super().__init__(data, latent=latent, encoder=Trunk(data, latent) if symbols else None, decoder=decoder)
        self.strength, self.symbols = strength, symbols
        self.critic = SymbolCritic(latent) if symbols else Critic(latent, lr=1e-4)
        self.row = self.row._replace(prior="C" if symbols else "N")
        self.alpha = alpha
        if labelled is not None:
            self.labelled = labelled
            self.row = self.row._replace(labels="required", needs=("image", "labels"))

    def send(self, x: Tensor) -> Block:
        if not self.symbols:
            return super().send(x)
        q = one_hot(self.encoder(x))
        return transmit(q, one_hot(torch.zeros_like(q.mean)))

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        away = self.strength * softplus(self.critic.ratio(self.judged(code))).mean()
        if not self.symbols:
            away = away - code["z"].rate.mean()
        return away if self.labelled is None else away + self.alpha * labelled_cross_entropy(code["z"].q, batch.y)

    def critic_loss(self, batch: Batch, code: Code) -> Tensor:
        z = self.judged(code)
        return self.critic.loss(z, one_hot(torch.zeros_like(z)).rsample() if self.symbols else torch.randn_like(z))

    def judged(self, code: Code) -> Tensor:
        """What the critic is given: z (B, d), or of a symbol its probabilities (B, K)."""
        return code["z"].q.mean if self.symbols else code["z"].sample
