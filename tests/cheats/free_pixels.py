"""A second block of pixels, for which nothing is paid."""

import torch

from rdu_bench.api import Autoencoder, Block, Decoder, Row, Spec, gaussian

CAUGHT = "receiver has the draw alone"


def free(pixels):
    q = gaussian(pixels, torch.ones_like(pixels))
    return Block(pixels, pixels.new_zeros(len(pixels)), q, q, pixels)


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def __init__(self, data: Spec, *, latent: int | None = None):
        latent = latent or data.latent
        super().__init__(data, latent=latent, decoder=Decoder(data, 2 * latent))

    def encode(self, batch):
        z = self.send(batch.x)
        return {"z": z, "more": free(batch.x.flatten(1)[:, : self.latent])}

    def decode(self, code):
        return self.decoder(code["z"].sample, code["more"].sample)
