import torch
from torch import Tensor

from rdu_bench.api import GROUP, Autoencoder, Batch, Code, Row, Spec


class DCIGN(Autoencoder):
    """Deep convolutional inverse graphics network: batches in which one factor varies tell latents what to stand for.

        L = D(x | z̄) + R + ½ c E Σ_inactive (z_j − z̄_j)²

    A training batch consists of groups of examples that differ in factor k only.  Latents that are kept for k are
    active; all others are clamped to their mean z̄_j over the group before they are decoded, and their gradient from
    the decoder is replaced by c (z_j − z̄_j), which pulls the group together.  The first factor, which a data set's
    task names, is intrinsic: all latents that no other factor has are kept for it.  R is of z, unclamped.
    Kulkarni et al. 2015 (arXiv:1503.03167).  Departures: a group is 16 examples and a batch holds several; which
    factor varies is uniform; the networks are the suite's.
    """

    row = Row(
        paper="1503.03167",
        title="DC-IGN",
        objective="D(x|z̄) + R, one factor varied",
        labels="required",
        batches="one-factor",
        needs=("factors", "image"),
        claim="DCI disentanglement score, higher than vae, on sprites",
    )

    def __init__(self, data: Spec, *, latent: int | None = None, width: int = 2, pull: float = 0.01):
        super().__init__(data, latent=latent)
        kept = width * (data.factors - 1)
        if data.factors < 2 or not 0 < kept < self.latent:
            raise ValueError(
                f"width = {width}: {data.factors} factors keep {kept} latents of {self.latent}, and the intrinsic one "
                "needs at least one more; lower width or raise latent"
            )
        meaning = torch.arange(1, data.factors).repeat_interleave(width)
        self.register_buffer("meaning", torch.cat([meaning, torch.zeros(self.latent - kept, dtype=torch.int64)]))
        self.pull = pull

    meaning: Tensor  # (latent,) the factor that each latent is kept for

    def clamped(self, batch: Batch, z: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, d) as it is decoded, and how far its inactive latents are from their group's mean, else 0."""
        group = GROUP if len(z) % GROUP == 0 else len(z)
        mean = z.unflatten(0, (-1, group)).mean(1, keepdim=True).expand(-1, group, -1).flatten(0, 1).detach()
        active = (self.meaning == batch.varied) | (batch.varied < 0)
        return torch.where(active, z, mean), torch.where(active, 0.0, z - mean)

    def distortion(self, batch: Batch, code: Code) -> Tensor:
        block = code["z"]
        seen, _ = self.clamped(batch, block.sample)
        return -self.receive({"z": block._replace(sample=seen)}).log_prob(batch.x)

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        _, away = self.clamped(batch, code["z"].sample)
        return 0.5 * self.pull * away.square().sum(-1).mean()
