"""Draws in one order and lists in another, so that no draw can be sent again."""

import torch

from rdu_bench.api import Autoencoder, Decoder, Gaussian, Row, Spec, Trunk, gaussian, transmit

CAUGHT = "receiver has the draw alone"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def __init__(self, data: Spec, *, latent: int | None = None):
        latent = latent or data.latent
        super().__init__(data, latent=latent, decoder=Decoder(data, latent + 1))
        self.one = Gaussian(Trunk(data, 2))

    def encode(self, batch):
        z = self.send(batch.x)
        q = self.one(batch.x)
        return {"one": transmit(q, gaussian(torch.zeros_like(q.mean), torch.ones_like(q.mean))), "z": z}

    def decode(self, code):
        return self.decoder(code["z"].sample, code["one"].sample)
