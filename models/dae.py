import torch
from torch import Tensor

from rdu_bench.api import Autoencoder, Batch, Code, Row, Spec


class DAE(Autoencoder):
    """Denoising autoencoder: rebuild x from the code of a corrupted x.

        L = D = E_c(x̃|x)[ −log p(x|z) ]        z = f(x̃)

        masking              each number of x is 0 with probability `level`
        salt-and-pepper      each is 0 or 1, whichever, with probability `level`
        gaussian             x̃ = x + `level` ε

    Real x is masked by its mean, salted a standard deviation above and peppered one below, with ε of that size too.

    Vincent, Larochelle, Bengio & Manzagol 2008 (ICML), for any c and any log-likelihood as in Bengio, Yao, Alain &
    Vincent 2013 (arXiv:1305.6663).  Corruption belongs to training: measured are the code and the rate of x as it is.
    That a quarter is corrupted is our choice; so is salt and pepper, for on `digits` it makes codes robust to pixels
    that flip, and masking does not.

    Without noise on z its rate has no bound; `noise` enters afterwards, and not along with the corruption: a price on
    the rate of x̃ sets that of x to another, and one on the rate of x is dodged, by codes that are short for x alone.
    """

    row = Row(
        paper="1305.6663",
        title="DAE",
        objective="D(x|f(x̃))",
        base="AE",
        rate="noise channel",
        claim="D_y with 20 % of the pixels flipped, lower than ae, on digits",
    )

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,
        corruption: str = "salt-and-pepper",
        level: float = 0.25,
        noise: str = "posthoc-learned",
    ):
        if not noise.startswith("posthoc"):
            raise ValueError(f"noise = {noise!r}: DAE has 'posthoc-learned' and 'posthoc-iso', noise after training")
        super().__init__(data, latent=latent, noise=noise)
        if corruption not in ("masking", "salt-and-pepper", "gaussian"):
            raise ValueError(f"corruption = {corruption!r}: DAE has 'masking', 'salt-and-pepper' and 'gaussian'")
        self.corruption, self.level = corruption, level
        self.centre, self.scale = data.centre, data.scale
        self.salt = (0.0, 1.0) if data.likelihood == "bernoulli" else (-1.0, 1.0)  # in units of the data

    def encode(self, batch: Batch) -> Code:
        return super().encode(batch._replace(x=self.corrupt(batch.x)) if self.training else batch)

    def corrupt(self, x: Tensor) -> Tensor:
        """x̃ (B, *shape)."""
        if self.corruption == "gaussian":
            return x + self.level * self.scale * torch.randn_like(x)
        other = torch.full_like(x, self.centre)
        if self.corruption == "salt-and-pepper":
            pepper, salt = self.salt
            other = other + self.scale * (pepper + (salt - pepper) * torch.rand_like(x).round())
        return torch.where(torch.rand_like(x) < self.level, other, x)
