"""Normalises over the batch in evaluation."""

from rdu_bench.api import Autoencoder, Row

CAUGHT = "examples apart"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def encode(self, batch):
        x = batch.x
        if not self.training:
            x = x - x.mean(0)
        return {"z": self.send(x)}
