import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import cross_entropy, nll_loss

from rdu_bench.api import (
    Adversary,
    Autoencoder,
    Batch,
    Code,
    Decoder,
    Message,
    Row,
    Spec,
    Trunk,
    one_hot,
    transmit,
)


class Hadad(Autoencoder):
    """Two-step disentanglement: one encoder finds s, and the other is left to send what remains of x.

        L_S = E[ −log S(s|x) ]        L_Z = D + R + w E log C(s|z)        D = −log p(x|ŝ, z)
        ŝ ~ S(·|x)                    z = f(x) + noise                    R = KL(S(·|x) ‖ 1/K) + KL(q(z|x) ‖ N(0, I))

    where C is an adversary that looks for s in z.  For the share `first` of a training, or of warming up where
    validation ends training, a fifth, S is learnt; from then on it has no loss, and C and the encoder of z play.
    Hadad, Wolf & Shahar 2018 (arXiv:1709.00199).  Not to be confused with networks that are told s: here it is found
    in x, and known in training alone.
    Departures: D + R teach z and the decoder from the start, without C at first, for a rate that waits a fifth of the
    steps sends its price to the floor, and 6 nats end at 9.9; what is sent of S is a class drawn from it, not its last
    hidden layer, whose rate no term would bound; momentum, which fades by a tenth a step, carries S on a little.

    On `coloured` (800 steps, one seed) codes of 6 nats tell .05 of the .69 nats of s with w = 1, .28 with w = .3 and
    .01 with w = 3.  Codes of 18 nats tell all of it, whatever w up to 3: there C loses.  With w = 10 they tell .15, but
    no more than 15.6 nats pay, and of 6 no more than 4.7.
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
        claim="leakage of colour, lower than vae, on coloured",
    )

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,
        strength: float = 1.0,
        noise: str = "trained",
        lr: float = 3e-3,  # of the adversary
        first: float = 0.2,  # the share of a training that S has, and nothing else
    ):
        latent = latent or data.latent
        super().__init__(data, latent=latent, noise=noise, decoder=Decoder(data, latent + data.groups))
        self.strength, self.first = strength, first
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
        return self.second(batch, self.strength * found, missed) / len(batch.s)

    def critic_loss(self, batch: Batch, code: Code) -> Tensor:
        loss = self.adversary.loss(code["z"].sample, batch.s)
        return self.second(batch, loss, loss.detach())

    def second(self, batch: Batch, then: Tensor, before: Tensor) -> Tensor:
        """`then` in the second step, `before` in the first."""
        return torch.where(batch.progress >= self.first, then, before)
