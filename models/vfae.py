import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import cross_entropy

from rdu_bench.api import (
    Batch,
    Block,
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
    gaussian_kernel,
    label_block,
    mlp,
    mmd_between,
    one_hot,
    transmit,
)


class VFAE(Model):
    """Variational fair autoencoder: sender and receiver are told s, and codes of its groups must look alike.

        L = D + R + λ Σ_{ℓ≥1} MMD²(q(z|s=ℓ), q(z|s=0))        D = −log p(x|z, s)
        R = log K + KL(q(z|x, s) ‖ N(0, I))

    With two `layers` z is z_1, which is expected from a class y and from z_2, both found in it and sent as well:

        R = log K + E[ log q(z_1|x, s) − log p(z_1|z_2, y) + KL(q(y|z_1) ‖ 1/C) + KL(q(z_2|z_1, y) ‖ N(0, I)) ]
        L = D + R + λ Σ_{ℓ≥1} MMD²(q(z_1|s=ℓ), q(z_1|s=0)) + α E_labelled[ −log q(y|z_1) ]

    Where y is known it takes the place of q(y|z_1); elsewhere the sum over y is exact, all classes in one pass.  The
    kernel is Gaussian, its width √d: half the mean ‖z − z'‖² of two draws of N(0, I) is its square.

    Louizos, Swersky, Li, Welling & Zemel 2016 (arXiv:1511.00830).  Departures: s is sent, for log K nats, so that
    D + R ≥ H(x) holds; MMD² is by its kernel and unbiased, not by random features, which estimate the same; what a
    known y costs is, but for its gradient, what the example will cost when measured.

    λ = 10 was chosen on `coloured` (800 steps, one seed): codes of 6 and 18 nats tell .03 and .17 of the .69 nats of s,
    with λ = 3 they tell .14 and .37 at a D 1.5 lower at 6 nats; with λ = 100 no more than 1.9 to 3.7 nats pay.
    """

    row = Row(
        paper="1511.00830",
        title="VFAE",
        objective="D(x|z, s) + R + λ Σ_ℓ MMD²(q(z|s=ℓ), q(z|s=0))",
        R2="Σ_ℓ MMD²(q(z|s=ℓ), q(z|s=0))",
        labels="required",
        side="s",
        needs=("groups",),
        claim="leakage of colour, lower than vae, on coloured",
    )

    def __init__(
        self, data: Spec, *, latent: int | None = None, strength: float = 10.0, layers: int = 1, alpha: float = 1.0
    ):
        super().__init__()
        if layers not in (1, 2):
            raise ValueError(f"layers = {layers}: VFAE has 1 or 2")
        self.strength, self.alpha, self.groups, self.z = strength, alpha, data.groups, "z1" if layers == 2 else "z"
        d = latent or data.latent
        top = d if layers == 1 else max(d // 2, 1)
        self.encoder = Gaussian(Trunk(data, 2 * d, given=self.groups))
        self.decoder = Decoder(data, d + self.groups)
        self.prior, self.kernel = UnitGaussian(top), gaussian_kernel(d**0.5)
        if layers == 2:
            self.row = self.row._replace(
                encoder="H", prior="C+N", needs=("groups", "labels"), rate="Monte Carlo", R1="−log q(y|z₁)"
            )
            C, width = data.classes, data.hidden[-1]
            self.classes = C
            self.classifier = mlp(d, width, C)
            self.up = Gaussian(mlp(d + C, width, 2 * top))  # q(z_2|z_1, y)
            self.down = Gaussian(mlp(top + C, width, 2 * d))  # p(z_1|z_2, y)

    def encode(self, batch: Batch) -> Code:
        s = label_block(batch.s, self.groups)
        if self.z == "z":
            return {"s": s, "z": transmit(self.encoder(batch.x, s.sample), self.prior())}
        z1 = self.first(batch, s)
        likely = one_hot(self.classifier(z1.sample))
        y = transmit(likely, one_hot(torch.zeros_like(likely.mean)))
        z2 = transmit(self.up(z1.sample, y.sample), self.prior())
        z1 = z1._replace(p=self.down(z2.sample, y.sample))
        return {"s": s, "z1": z1._replace(rate=z1.log_ratio), "y": y, "z2": z2}  # as drawn; received z_1 last

    def first(self, batch: Batch, s: Block) -> Block:
        """z_1, for free until there is what it is expected from."""
        q = self.encoder(batch.x, s.sample)
        return transmit(q, q)

    def decode(self, code: Message) -> Distribution:
        return self.decoder(code[self.z].sample, code["s"].sample)

    def forward(self, batch: Batch) -> Terms:
        if self.z == "z":
            return super().forward(batch)
        s = label_block(batch.s, self.groups)
        z1 = self.first(batch, s)
        code = {"s": s, "z1": z1}
        logits = self.classifier(z1.sample)
        weight, price = class_weights(logits, batch.y)
        per_class = self.per_class(z1.sample)
        R = s.rate + price + z1.q.log_prob(z1.drawn) + (weight * per_class).sum(-1)
        bill = ((logits.softmax(-1) - weight) * per_class).sum(
            -1
        )  # more, where the class is read off z_1 as it will be
        R = R + bill.detach()
        return Terms(self.distortion(batch, code), R, self.regularizer(batch, code), self.critic_loss(batch, code))

    def per_class(self, z1: Tensor) -> Tensor:
        """KL(q(z_2|z_1, y) ‖ N(0, I)) − log p(z_1|z_2, y), (B, C) nats, if z_1 (B, d) were of each class in turn."""
        z1, y = enumerate_classes(z1, self.classes)
        z2 = transmit(self.up(z1, y), self.prior())
        return (z2.rate - self.down(z2.sample, y).log_prob(z1)).view(-1, self.classes)

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        z = code[self.z].sample
        unfair = self.strength * mmd_between(z, batch.s, self.groups, self.kernel)
        if self.z == "z":
            return unfair
        wrong = cross_entropy(self.classifier(z), batch.y, ignore_index=-1, reduction="sum")
        return unfair + self.alpha * wrong / len(z)
