import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import nll_loss

from rdu_bench.api import Adversary, Autoencoder, Batch, Code, Decoder, Message, Row, Spec, label_block


class Fader(Autoencoder):
    """Fader network: the receiver is told s, and a code earns by what it makes an adversary take s for.

        L = D − λ(t) E log C(s̃|z)        D = −log p(x|z, s)        z = f(x)

    where C(s|z) is an adversary's guess of s, trained along, and s̃ a class other than s: the other one of two, any
    other of more, drawn anew each time.  λ(t) grows linearly from 0 to λ at the end of training, or of warming up where
    validation ends training.  Lample et al. 2017 (arXiv:1706.00409).  Departures: D is −log p, summed over pixels, not
    a mean of squares; s is sent, for log K nats, so that D + R ≥ H(x) holds; the adversary has no dropout.

    λ = 0.3 was chosen on `coloured`: at 3, and with an adversary of a third of the step, codes tell more of s than
    there.  What is left of s grows with the rate that the channel, put on afterwards, gives z.
    """

    row = Row(
        paper="1706.00409",
        title="Fader Networks",
        objective="D(x|z, s) − λ E log C(s̃|z), s̃ ≠ s",
        base="AE",
        R1="−log C(s̃|z)",
        labels="required",
        rate="noise channel",
        side="s",
        needs=("groups",),
        claim="leakage of colour, lower than vae, on coloured",
    )

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,
        strength: float = 0.3,
        noise: str = "posthoc-learned",
        lr: float = 3e-3,  # of the adversary
    ):
        latent = latent or data.latent
        super().__init__(data, latent=latent, noise=noise, decoder=Decoder(data, latent + data.groups))
        self.strength, self.groups = strength, data.groups
        self.adversary = Adversary(latent, data.groups, lr=lr)

    def encode(self, batch: Batch) -> Code:
        return {"s": label_block(batch.s, self.groups), "z": self.send(batch.x)}

    def decode(self, code: Message) -> Distribution:
        return self.decoder(code["z"].sample, code["s"].sample)

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        away = 1 + (torch.rand_like(code["z"].rate) * (self.groups - 1)).long()  # from 1 to K − 1
        wrong = torch.where(batch.s >= 0, (batch.s + away) % self.groups, -1)
        told = nll_loss(self.adversary.log_prob(code["z"].sample), wrong, ignore_index=-1, reduction="sum")
        return self.strength * batch.progress * told / len(wrong)

    def critic_loss(self, batch: Batch, code: Code) -> Tensor:
        return self.adversary.loss(code["z"].sample, batch.s)
