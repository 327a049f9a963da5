from torch import Tensor
from torch.distributions import Distribution

from rdu_bench.api import (
    Autoencoder,
    Batch,
    Code,
    Decoder,
    Message,
    Row,
    Spec,
    gaussian_kernel,
    gram,
    hsic,
    label_block,
)


class HSICVAE(Autoencoder):
    """HSIC-VAE: keep a part of the code independent of the rest of it, or all of it independent of a label s.

        L = D + R + λ HSIC(q(z_1), q(z_2))        or        L = D + R + λ HSIC(q(z), p(s))

    HSIC(a, b) = ‖Cov[φ(a), ψ(b)]‖², with the features φ, ψ of the kernels exp(−‖z − z'‖²/2d) and 1[s = s'], is 0 only
    where the two are independent.  Lopez, Regier, Jordan & Yosef 2018 (arXiv:1805.08672).  Against s the receiver
    is told s, D = −log p(x|z, s); for two values of s what is penalised is then a multiple of VFAE's MMD².
    Departures: HSIC itself, not its root, whose slope at 0 has no bound; s is sent, for log K nats, so that
    D + R ≥ H(x) holds; the sender sees x alone.

    HSIC is small: of two groups that lie apart it is at most ¼.  λ = 100 makes 0.01 cost one nat, and at 9 nats on
    `coloured` it takes most of what z tells of s; at 1000 D suffers.
    """

    row = Row(
        paper="1805.08672",
        title="HSIC-VAE",
        objective="D + R + λ HSIC(q(z_1), q(z_2)), or D(x|z, s) + R + λ HSIC(q(z), p(s))",
        R2="HSIC(q(z_1), q(z_2)), or HSIC(q(z), p(s))",
        labels="optional",
        claim="leakage of colour, lower than vae, on coloured",
    )

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,
        against: str = "z",
        first: int | None = None,  # dimensions of z_1, half of them unless given
        strength: float = 100.0,
    ):
        if against not in ("z", "s"):
            raise ValueError(f"against = {against!r}: HSIC-VAE has 'z', a part of it against the rest, and 's'")
        latent = latent or data.latent
        told = data.groups if against == "s" else 0
        super().__init__(data, latent=latent, decoder=Decoder(data, latent + told) if told else None)
        self.against, self.first, self.strength, self.groups = against, first or latent // 2, strength, told
        if not told and not 0 < self.first < latent:
            raise ValueError(f"first = {self.first}: z_1 is some of the {latent} dimensions of z, not none and not all")
        about = {"labels": "required", "side": "s", "needs": ("groups",)} if told else {"labels": ""}
        self.row = self.row._replace(**about)  # type: ignore[arg-type]

    def encode(self, batch: Batch) -> Code:
        told = {"s": label_block(batch.s, self.groups)} if self.against == "s" else {}
        return {**told, "z": self.send(batch.x)}

    def decode(self, code: Message) -> Distribution:
        return self.decoder(*(block.sample for block in code.values()))

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        z, s = code["z"].sample, batch.s
        if self.against == "s":
            return self.strength * hsic(similarity(z), (s[:, None] == s).to(z), s >= 0)
        return self.strength * hsic(similarity(z[:, : self.first]), similarity(z[:, self.first :]))


def similarity(z: Tensor) -> Tensor:
    """(n, n) Gram matrix of a sample (n, d)."""
    return gram(z, z, gaussian_kernel(z.shape[1] ** 0.5))
