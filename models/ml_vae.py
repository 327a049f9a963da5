from torch.distributions import Distribution

from rdu_bench.api import (
    Batch,
    Code,
    Each,
    Gaussian,
    Message,
    Model,
    Observation,
    Row,
    Spec,
    Trunk,
    UnitGaussian,
    Untrunk,
    gaussian,
    standard_normal,
    transmit,
)


class MLVAE(Model):
    """Multi-level VAE: one code for what the members of a group share, one for what each has of its own.

        L = D + KL(q(c|x) ‖ N(0, I)) + Σ_g KL(q(s_g|x_g) ‖ N(0, I))        D = −Σ_g E log p(x_g|c, s_g)
        q(c|x_1, …, x_G) ∝ ∏_g q(c|x_g)

    Bouchacourt, Tomioka & Nowozin 2018 (arXiv:1705.08841), eq. 2 to 6.  A group is one example here, so c is paid for
    once a group, and groups are not cut by batches.  A product of Gaussians adds their precisions: every member has its
    say, at the weight of its own certainty, and what is certain of c grows with G.
    """

    row = Row(
        paper="1705.08841",
        title="ML-VAE",
        objective="D + R_c + Σ_g R_s",
        encoder="H",
        needs=("sequence",),
        claim="I_V of digit from content, higher than its I_V of digit from style, on digit_groups",
    )

    def __init__(self, data: Spec, *, content: int | None = None, style: int = 3):
        super().__init__()
        content = content or data.latent
        self.members = data.frames
        self.content = Gaussian(Each(Trunk(data.frame, 2 * content)))
        self.style = Gaussian(Each(Trunk(data.frame, 2 * style)))
        self.prior = UnitGaussian(content)
        self.decoder, self.observation = Each(Untrunk(data.frame, style + content)), Observation(data)

    def encode(self, batch: Batch) -> Code:
        each = self.content(batch.x)
        precision = (1 / each.variance).sum(1)
        q = gaussian((each.mean / each.variance).sum(1) / precision, precision**-0.5)
        return {"content": transmit(q, self.prior()), "style": transmit(self.style(batch.x), standard_normal)}

    def decode(self, code: Message) -> Distribution:
        style = code["style"].sample.unflatten(1, (self.members, -1))
        return self.observation(self.decoder(style, code["content"].sample))
