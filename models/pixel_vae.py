from torch import nn
from torch.distributions import Distribution

from rdu_bench.api import (
    Batch,
    Code,
    Gaussian,
    Message,
    Model,
    Row,
    Spec,
    Trunk,
    UnitGaussian,
    WindowedDecoder,
    concatenate,
    made,
    mlp,
    transmit,
)


class PixelVAE(Model):
    """PixelVAE: a PixelCNN sees to what pixels tell of each other, and the code to the rest.

        L = D + R        D = −E Σ_i log p(x_i | z_1, x_<i)
        R = KL(q(z_2|x) ‖ N(0, I)) + E Σ_j KL(q(z_1j|x) ‖ p(z_1j | z_2, z_1<j))

        x → d_1 → d_2        q(z_l|x) is read off d_l, and sees no draw of another level
        z_2 → z_1 → x        each arrow from the whole of z to one number or pixel after the other

    Under the marginal p(z_1) the rate is KL(q(z_1|x) ‖ p(z_1)) + E KL(q(z_2|x) ‖ p(z_2|z_1)): z_2 pays where it makes
    p(z_1) better by more than z_1 leaves open about it.  On `digits` at 9 nats R_2 is .15: the level of abstraction
    that the paper shows on larger images does not appear.
    Gulrajani et al. 2017 (arXiv:1611.05013); with one level, z_1 alone and its prior is N(0, I).  Not to be confused
    with the lossy VAE, whose window is small so that the code must be used.
    The suite's latent is split, a third of it above.
    Departures: p(z_1|z_2) is a masked network over the numbers of a vector, not a PixelCNN over a map; p(x_i|·) sees
    `depth` + 1 windows of `radius` pixels, not all of x_<i; no warm-up of R, whose place the rate target takes.
    """

    row = Row(
        paper="1611.05013",
        title="PixelVAE",
        objective="D + Σ R_l, PixelCNN p(x|z)",
        encoder="H",
        decoder="A",
        rate="closed-form KL, autoregressive p",
        needs=("image",),
    )

    def __init__(self, data: Spec, *, latent: int | None = None, levels: int = 2, radius: int = 2, depth: int = 2):
        super().__init__()
        if levels not in (1, 2):
            raise ValueError(f"levels = {levels}: PixelVAE has 1 or 2")
        if levels == 1:
            self.row = self.row._replace(encoder="", rate="closed-form KL", objective="D + R, PixelCNN p(x|z)")
        latent, width = latent or data.latent, data.hidden[-1]
        if latent < levels:
            raise ValueError(f"latent = {latent}: PixelVAE has a dimension for each of {levels} levels")
        top = latent // 3 or 1
        dims = [latent - top, top] if levels == 2 else [latent]  # bottom level first
        self.up = nn.ModuleList([Trunk(data, width), *(mlp(width, width) for _ in dims[1:])])
        self.read = nn.ModuleList(Gaussian(nn.Linear(width, 2 * d)) for d in dims)
        if levels == 2:
            self.down = Gaussian(made(dims[0], width, 2, given=dims[-1]))  # p(z_1|z_2)
        self.prior = UnitGaussian(dims[-1])
        self.decoder = WindowedDecoder(data, dims[0], radius, depth=depth)

    def encode(self, batch: Batch) -> Code:
        q, d = [], batch.x
        for up, read in zip(self.up, self.read, strict=True):
            d = up(d).relu()
            q.append(read(d))
        top = transmit(q[-1], self.prior())
        if len(q) == 1:
            return {"z1": top}
        return {"z2": top, "z1": transmit(q[0], lambda z: self.down(concatenate(top.sample, z)))}

    def decode(self, code: Message) -> Distribution:
        return self.decoder(code["z1"].sample)
