import torch
from torch.distributions import Distribution
from torch.nn.functional import cross_entropy

from rdu_bench.api import (
    Batch,
    Code,
    Decoder,
    Gaussian,
    Message,
    Model,
    Row,
    Spec,
    Terms,
    Trunk,
    UnitGaussian,
    class_weights,
    enumerate_classes,
    mlp,
    one_hot,
    transmit,
)


class M1M2(Model):
    """M1 + M2: a VAE finds features z_1 of x, and a semi-supervised VAE of z_1 finds the class in them.

        L = D + R + α E_labelled[ −log q(y|z_1) ]        D = E[ −log p(x|z_1) ]
        R = KL(q(z_1|x) ‖ p(z_1)) + E[ log p(z_1) + R_2(z_1) ]        p(z_1) = N(0, I)
        R_2 = −E[ log p(z_1|y, z_2) ] + KL(q(y|z_1) ‖ 1/K) + KL(q(z_2|z_1, y) ‖ N(0, I))

    M1 is trained by D and its own price KL(q(z_1|x) ‖ p(z_1)), M2 by R_2 and the labels, at draws of z_1 that no
    gradient passes; the sum over y is exact, and the label where it is known.  Kingma, Rezende, Mohamed & Welling
    2014 (arXiv:1406.5298).  Departures: both are trained at once, not M1 before M2; no dimension of z_1 is pruned; R
    of a labelled example is, but for its gradient, what it will cost when measured.

    M2 takes the place of p(z_1) once it is there: the receiver gets y and z_2, then z_1 under p(z_1|y, z_2), and
    R = E[ log q(z_1, y, z_2|x) − log p(z_1, y, z_2) ].  The share of z_1 alone may be below 0, where z_2 tells much
    of z_1 and has been paid for it.

    A head with few labels reads all of y, z_1 and z_2, whose z_2 tells nothing of the class.  At 9 nats on `digits`
    (1,600 steps, one seed) D_y from 100 labels is 1.23 nats, of z_1 alone 1.12, of a VAE's code 1.11, and 1.66 of that
    with 20 numbers of noise beside it.
    """

    row = Row(
        paper="1406.5298",
        title="M1+M2",
        objective="D + R, M2 of z₁ + α E_labelled[−log q(y|z₁)]",
        R1="−log q(y|z₁) where labelled",
        encoder="H",
        decoder="H",
        prior="C+N",
        labels="required",
        rate="closed-form KL, Monte Carlo p(z₁|y, z₂)",
        needs=("labels",),
        claim="D_y with 100 labels, lower than vae, on digits; D_y with 100 labels, lower than m2, on digits",
    )

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,
        above: int | None = None,  # dimensions of z_2, as many as z_1 has unless given
        labelled: int = 100,
        alpha: float = 0.1,
    ):
        super().__init__()
        d, K, width = latent or data.latent, data.classes, data.hidden[-1]
        above = above or d
        self.classes, self.labelled = K, labelled
        self.alpha = alpha * max(data.examples / labelled, 1)  # for every labelled example
        self.encoder = Gaussian(Trunk(data, 2 * d))
        self.decoder = Decoder(data, d)
        self.prior = UnitGaussian(d)
        self.classifier = mlp(d, width, K)
        self.up = Gaussian(mlp(d + K, width, 2 * above))  # q(z_2|z_1, y)
        self.down = Gaussian(mlp(K + above, width, 2 * d))  # p(z_1|y, z_2)
        self.top = UnitGaussian(above)

    def encode(self, batch: Batch) -> Code:
        z1 = transmit(self.encoder(batch.x), self.prior())
        q = one_hot(self.classifier(z1.sample))
        y = transmit(q, one_hot(torch.zeros_like(q.mean)))
        z2 = transmit(self.up(z1.sample, y.sample), self.top())
        p = self.down(y.sample, z2.sample)
        saved = p.log_prob(z1.drawn) - z1.p.log_prob(z1.drawn)
        return {"z1": z1._replace(rate=z1.rate - saved, p=p), "y": y, "z2": z2}  # in the order in which they are drawn

    def decode(self, code: Message) -> Distribution:
        return self.decoder(code["z1"].sample)

    def forward(self, batch: Batch) -> Terms:
        z1 = transmit(self.encoder(batch.x), self.prior())
        seen = z1.sample.detach()
        logits = self.classifier(seen)
        weight, price = class_weights(logits, batch.y)
        each, y = enumerate_classes(seen, self.classes)  # (B·K, …)
        z2 = transmit(self.up(each, y), self.top())
        paid = (z2.rate - self.down(y, z2.sample).log_prob(each)).view(-1, self.classes)
        untold = ((logits.softmax(-1) - weight) * paid).sum(-1).detach()  # what is left to pay where no label is told
        wrong = cross_entropy(logits, batch.y, ignore_index=-1, reduction="sum") / len(logits)
        return Terms(
            distortion=-self.decoder(z1.sample).log_prob(batch.x),
            rate=z1.rate + self.prior().log_prob(seen) + price + (weight * paid).sum(-1) + untold,
            regularizer=self.alpha * wrong,
            critic_loss=torch.zeros_like(wrong),
        )
