import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import cross_entropy, nll_loss

from rdu_bench.api import Adversary, Autoencoder, Batch, Code, Decoder, Message, Row, Spec, Trunk, one_hot, transmit


class Hadad(Autoencoder):
    """Two-step disentanglement: one encoder finds s, and the other is left to send what remains of x.

        L_S = E[ −log S(s|x) ]        L_Z = D + R + w E log C(s|z)        D = −log p(x|ŝ, z)
        ŝ ~ S(·|x)                    z = f(x) + noise                    R = KL(S(·|x) ‖ 1/K) + KL(q(z|x) ‖ N(0, I))

    where C is an adversary that looks for s in z.  Hadad, Wolf & Shahar 2018 (arXiv:1709.00199).  Not to be confused
    with networks that are told s: here it is found in x, and known in training alone.
    Departures: the two steps, S first and frozen ever after, are one, in which D, R and C send no gradient to S; what
    is sent of S is a class drawn from it, not its last hidden layer, whose rate no term would bound.

    w = 1 was chosen on `coloured`: at 0.3 codes of 18 nats tell all of s, and at 10 a target of 6 nats is missed.
    """

    row = Row(
        paper="1709.00199",
        title="Two-step disentanglement",
        objective="D(x|ŝ, z) + R + w E log C(s|z)",
        base="AE",
        R1="log C(s|z)",
        prior="C+N",
        labels="required",
        rate="noise channel",
        needs=("groups",),
    )

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,
        strength: float = 1.0,
        noise: str = "trained",
        lr: float = 3e-3,  # of the adversary
    ):
        latent = latent or data.latent
        super().__init__(data, latent=latent, noise=noise, decoder=Decoder(data, latent + data.groups))
        self.strength = strength
        self.specified = Trunk(data, data.groups)
        self.adversary = Adversary(latent, data.groups, lr=lr)

    def encode(self, batch: Batch) -> Code:
        logits = self.specified(batch.x).detach()
        s = transmit(one_hot(logits), one_hot(torch.zeros_like(logits)))
        return {"specified": s._replace(side=True), "z": self.send(batch.x)}

    def decode(self, code: Message) -> Distribution:
        return self.decoder(code["z"].sample, code["specified"].sample)

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        missed = cross_entropy(self.specified(batch.x), batch.s, ignore_index=-1, reduction="sum")
        found = -nll_loss(self.adversary.log_prob(code["z"].sample), batch.s, ignore_index=-1, reduction="sum")
        return (missed + self.strength * found) / len(batch.s)

    def critic_loss(self, batch: Batch, code: Code) -> Tensor:
        return self.adversary.loss(code["z"].sample, batch.s)
