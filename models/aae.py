import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import softplus

from rdu_bench.api import (
    Autoencoder,
    Batch,
    Code,
    Critic,
    Decoder,
    Message,
    Row,
    Spec,
    SymbolCritic,
    Trunk,
    labelled_cross_entropy,
    one_hot,
    transmit,
)


class AAE(Autoencoder):
    """Adversarial autoencoder: a deterministic encoder z = f(x) whose codes no critic can tell from draws of the prior.

        L = D − λ E_q(z) log C(z)        C(z) = P(z came from the prior and not from q(z))

        gaussian             z against N(0, I)
        clustering           q(y|x) over `clusters` symbols against one-hot vectors, by a critic of its own; and z
        semi-supervised      the same with y the class, and α E_labelled[ −log q(y|x) ] on top

    Makhzani, Shlens, Jaitly, Goodfellow & Frey 2015 (arXiv:1511.05644).  Of the encoders that it offers the default is
    the deterministic one, behind noise that is trained along; `noise=""` is the one of a Gaussian posterior, z then
    drawn from it.  Departures: what is sent of y is a symbol, for KL(q(y|x) ‖ 1/K) nats, not the vector q(y|x), which
    only its critic is given; both players and the classifier step at once.

    The first variant is also WAE's with penalty "gan", number by number.  λ = 1, for at 10 the critic outweighs D on
    `digits`.  The critic of z learns as fast as the model: at 13 nats on `digits` R_own − R* is .04 nats with it, .30
    with a critic of a twentieth of the model's learning rate, .75 without any.  That of y is small and learns at half
    of it: where it lags behind, or is as quick, all images end at a single symbol (one seed each).  As in the paper no
    critic sees y and z together, and z may differ between classes: with a hundred labels, at 13 nats, by .6 to .8 nats.
    """

    row = Row(
        paper="1511.05644",
        title="AAE",
        objective="D − λ E log C(z)",
        base="AE",
        R2="D_JS(q(z) ‖ p(z))",
        labels="optional",
        rate="noise channel",
        claim="mismatch, lower than ae, on digits",
    )

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,
        variant: str = "gaussian",
        strength: float = 1.0,
        noise: str = "trained",
        clusters: int | None = None,  # as many as there are classes, or 10, unless given
        labelled: int = 100,
        alpha: float = 10.0,
    ):
        symbols = {"gaussian": 0, "clustering": clusters or data.classes or 10, "semi-supervised": data.classes}
        if variant not in symbols:
            raise ValueError(f"variant = {variant!r}: AAE has {', '.join(map(repr, symbols))}")
        latent, K = latent or data.latent, symbols[variant]
        if K and noise.startswith("posthoc"):
            raise ValueError(f"noise = {noise!r}: a symbol is noisy from the start; with {variant!r} take 'trained'")
        super().__init__(data, latent=latent, noise=noise, decoder=Decoder(data, K + latent))
        self.strength, self.alpha = strength, alpha
        self.critic = Critic(latent)
        self.classifier = Trunk(data, K) if K else None
        self.critic_of_y = SymbolCritic(K) if K else None
        self.supervised = variant == "semi-supervised"
        prior, rate = "C+N" if K else "N", self.row.rate if noise else "closed-form KL"
        self.row = self.row._replace(labels="", prior=prior, rate=rate)
        if self.supervised:
            self.labelled = labelled
            self.row = self.row._replace(labels="required", needs=("labels",))

    def encode(self, batch: Batch) -> Code:
        if self.classifier is None:
            return super().encode(batch)
        q = one_hot(self.classifier(batch.x))
        return {"y": transmit(q, one_hot(torch.zeros_like(q.mean))), "z": self.send(batch.x)}

    def decode(self, code: Message) -> Distribution:
        return self.decoder(*(block.sample for block in code.values()))

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        away = softplus(self.critic.ratio(code["z"].sample)).mean()
        if self.critic_of_y:
            away = away + softplus(self.critic_of_y.ratio(code["y"].q.mean)).mean()
        return self.strength * away + (
            self.alpha * labelled_cross_entropy(code["y"].q, batch.y) if self.supervised else 0.0
        )

    def critic_loss(self, batch: Batch, code: Code) -> Tensor:
        z = code["z"].sample
        loss = self.critic.loss(z, torch.randn_like(z))
        if self.critic_of_y:
            q = code["y"].q.mean
            loss = loss + self.critic_of_y.loss(q, one_hot(torch.zeros_like(q)).rsample())
        return loss
