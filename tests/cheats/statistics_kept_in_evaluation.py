"""Keeps running means of the data it is measured on."""

import torch

from rdu_bench.api import Autoencoder, Row, Spec

CAUGHT = "pure"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def __init__(self, data: Spec, *, latent: int | None = None):
        super().__init__(data, latent=latent)
        self.register_buffer("seen", torch.zeros(()))

    def encode(self, batch):
        if not self.training:
            self.seen += len(batch.x)
        return super().encode(batch)
