"""A grid of symbols is charged for one position on average."""

import torch

from rdu_bench.api import Autoencoder, Row, Spec, Trunk, one_hot, transmit

CAUGHT = "rate is paid"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def __init__(self, data: Spec, *, positions: int = 16, codes: int = 4):
        super().__init__(data, latent=positions * codes, encoder=Trunk(data, positions * codes))
        self.positions, self.codes = positions, codes

    def encode(self, batch):
        logits = self.encoder(batch.x).unflatten(-1, (self.positions, self.codes))
        q = one_hot(logits).base_dist
        p = one_hot(torch.zeros_like(logits)).base_dist
        k = transmit(q, p)
        return {"k": k._replace(rate=k.rate.mean(1))}

    def decode(self, code):
        return self.decoder(code["k"].sample)
