"""A symbol whose last digits are pixels."""

import torch

from rdu_bench.api import Autoencoder, Row, Spec, Trunk, one_hot, transmit

CAUGHT = "receiver has the draw alone"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def __init__(self, data: Spec, *, symbols: int = 4):
        super().__init__(data, latent=symbols, encoder=Trunk(data, symbols))

    def encode(self, batch):
        q = one_hot(self.encoder(batch.x))
        k = transmit(q, one_hot(torch.zeros_like(q.mean)))
        return {"k": k._replace(sample=k.drawn + 1e-2 * batch.x.flatten(1)[:, :4])}

    def decode(self, code):
        return self.decoder(code["k"].sample)
