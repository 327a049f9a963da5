"""A decoder that is told the mean of the batch."""

from rdu_bench.api import Autoencoder, Row

CAUGHT = "receiver has the draw alone"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def encode(self, batch):
        z = self.send(batch.x)
        return {"z": z._replace(sample=z.sample + batch.x.mean())}
