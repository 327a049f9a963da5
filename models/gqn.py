import torch
from torch import Tensor, nn
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
    mlp,
    transmit,
)


class GQN(Model):
    """Generative query network: r from a few views of a scene; from r and a pose, the view from there.

        L = D + R        r ~ q(r|Σ_{k in C} φ(x_k, v_k))        D = −Σ_q E log p(x_q|z_q, r, v_q), q over all views
        R = KL(q(r|x_C) ‖ N(0, I)) + Σ_q E KL(q(z_q|x_q, r, v_q) ‖ π(z_q|r, v_q))

    Eslami et al. 2018 (doi:10.1126/science.aar6170).  Not to be confused with an autoencoder of views that are
    seen: D is of all views, r of those in C alone.
    Departures: r is drawn and paid for, else it would be a channel without a rate.  C is the same in training and
    after, evenly spaced, since the rate under one of random size is not that under another.  Poses are fixed and in
    order, so the receiver has them, and each is a learned vector v.  z_q has `local` dimensions and one level instead
    of a recurrent density; there are none by default, since the scene decides its views.
    """

    row = Row(
        paper="10.1126/science.aar6170",
        title="GQN",
        objective="D + R_r + Σ_q R_q",
        encoder="H",
        prior="N+L",
        needs=("sequence",),
        claim="D_y, lower than vae, on scenes",
    )

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,
        local: int = 0,
        context: int | None = None,  # half of the views, or one more where they are odd, unless given
        pose: int = 4,
        width: int = 64,
    ):
        super().__init__()
        views = data.frames
        context = (views + 1) // 2 if context is None else context
        if not 1 <= context <= views:
            raise ValueError(f"context = {context}: a scene here has {views} views; give 1 to {views}")
        latent, self.local = latent or data.latent, local
        self.context = [k * views // context for k in range(context)]
        self.pose = nn.Parameter(torch.randn(views, pose))
        self.view = Each(Trunk(data.frame, width, given=pose))
        self.infer, self.prior = Gaussian(mlp(width, width, 2 * latent)), UnitGaussian(latent)
        if local:
            self.look = Gaussian(Each(Trunk(data.frame, 2 * local, given=latent + pose)))
            self.expect = Gaussian(Each(mlp(latent + pose, width, 2 * local)))
        else:
            self.row = self.row._replace(objective="D + R_r", encoder="", prior="N")
        self.decoder, self.observation = Each(Untrunk(data.frame, latent + pose + local)), Observation(data)

    def encode(self, batch: Batch) -> Code:
        poses = self.pose.expand(len(batch.x), -1, -1)
        seen = self.view(batch.x[:, self.context], poses[:, self.context])
        code = {"r": transmit(self.infer(seen.sum(1)), self.prior())}
        if self.local:
            at = self.queries(code["r"].sample)
            code["z"] = transmit(self.look(batch.x, at), self.expect(at))
        return code

    def decode(self, code: Message) -> Distribution:
        at = self.queries(code["r"].sample)
        local = [code["z"].sample.unflatten(1, (len(self.pose), -1))] if self.local else []
        return self.observation(self.decoder(at, *local))

    def queries(self, r: Tensor) -> Tensor:
        """(B, V, latent + pose) r (B, latent) and a pose, for every pose."""
        poses = self.pose.expand(len(r), -1, -1)
        return torch.cat([r.unsqueeze(1).expand(-1, len(self.pose), -1), poses], -1)
