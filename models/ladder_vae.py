from collections.abc import Sequence
from itertools import pairwise

from torch import nn
from torch.distributions import Distribution

from rdu_bench.api import (
    Batch,
    Code,
    Decoder,
    Gaussian,
    Message,
    Model,
    Row,
    Spec,
    Trunk,
    UnitGaussian,
    mlp,
    product,
    transmit,
)


class LadderVAE(Model):
    """Ladder VAE: send the top level first; every level below corrects what the levels above predict.

        L = D + R        R = KL(q(z_L|x) ‖ N(0, I)) + Σ_{l<L} E KL(q(z_l|x, z_{l+1}) ‖ p(z_l|z_{l+1}))
        q(z_l|x, z_{l+1}) ∝ q̂(z_l|x) p(z_l|z_{l+1})

        x → d_1 → … → d_L          deterministic, upwards; q̂(z_l|x) is read off d_l
        z_L → … → z_1 → x          drawn, downwards, by the same p(z_l|z_{l+1}) in q and in the prior

    With `share` off q has networks of its own there, q(z_l|x, z_{l+1}) ∝ q̂(z_l|x) r(z_l|z_{l+1}), and a level without
    evidence is no longer free.

    Sønderby et al. 2016 (arXiv:1602.02282).  Not to be confused with the variational ladder autoencoder, whose
    levels are independent a priori, nor with a rate charged against q̂: what is drawn from is what is paid for.
    Departures: no batch normalisation, whose averages would tie the examples of a batch together, and no warm-up
    of R, whose place the rate target takes.

    What it is for did not appear: on 1,258 training digits D at 13 nats is 18.2 (14.4 in training), of which the
    upper level takes 4.7, where VAEs of 10 and of 7 dimensions have 14.8 (12.1) and 16.0 (13.1); one level alone has
    15.4, and layer normalisation brings 17.3.  Under half of the steps batch normalisation of the way up takes it from
    18.8 (15.0) to 17.0 (12.6): leaving it out is half of what it is behind by.  Its BD on `sprites` is .1 nats.  Its
    prior does fit: R_own − R* is .15 and 0 there, where the VAE pays .50 and .28 (one seed).
    """

    row = Row(
        paper="1602.02282",
        title="Ladder VAE",
        objective="D + Σ R_l",
        encoder="H",
        decoder="H",
        claim="D, lower than vae, on digits",
    )

    def __init__(self, data: Spec, *, dims: Sequence[int] | None = None, share: bool = True):  # bottom level first
        super().__init__()
        top = max(data.latent // 3, 1)
        dims = dims or [d for d in (data.latent - top, top) if d]
        width = data.hidden[-1]
        self.up = nn.ModuleList([Trunk(data, width), *(mlp(width, width) for _ in dims[1:])])
        self.evidence = nn.ModuleList(Gaussian(nn.Linear(width, 2 * d)) for d in dims)  # q̂(z_l|x)
        self.down = nn.ModuleList(Gaussian(mlp(above, width, 2 * d)) for d, above in pairwise(dims))
        self.prior = UnitGaussian(dims[-1])
        self.decoder = Decoder(data, dims[0])
        own = [] if share else [Gaussian(mlp(above, width, 2 * d)) for d, above in pairwise(dims)]
        self.own = nn.ModuleList(own)  # r(z_l|z_{l+1}), where it is not p

    def encode(self, batch: Batch) -> Code:
        evidence, d = [], batch.x
        for up, head in zip(self.up, self.evidence, strict=True):
            d = up(d).relu()
            evidence.append(head(d))
        top = len(evidence)
        code = {f"z{top}": transmit(evidence[-1], self.prior())}
        for level in range(top - 1, 0, -1):
            above = code[f"z{level + 1}"].sample
            predicted = self.down[level - 1](above)
            guess = self.own[level - 1](above) if self.own else predicted
            code[f"z{level}"] = transmit(product(evidence[level - 1], guess), predicted)
        return code

    def decode(self, code: Message) -> Distribution:
        return self.decoder(code["z1"].sample)
