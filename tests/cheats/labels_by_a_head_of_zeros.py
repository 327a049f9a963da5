"""Labels are used by a head that starts at 0."""

import torch
from torch.nn import functional as F

from rdu_bench.api import Autoencoder, Row, Spec

CAUGHT = "labels are declared"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def __init__(self, data: Spec, *, latent: int | None = None):
        super().__init__(data, latent=latent)
        self.classify = torch.nn.Linear(self.latent, data.classes)
        torch.nn.init.zeros_(self.classify.weight)
        torch.nn.init.zeros_(self.classify.bias)

    def regularizer(self, batch, code):
        nats = F.cross_entropy(self.classify(code["z"].sample), batch.y.clamp(min=0), reduction="none")
        return torch.where(batch.y >= 0, nats, 0.0).mean()
