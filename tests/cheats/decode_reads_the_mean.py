"""Decodes the posterior's mean."""

from rdu_bench.api import Autoencoder, Row

CAUGHT = "per example"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def decode(self, code):
        return self.decoder(code["z"].q.mean)
