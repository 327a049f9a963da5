"""Labels decide the code, and no row says so."""

from rdu_bench.api import Autoencoder, Row

CAUGHT = "labels are declared"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def encode(self, batch):
        return {"z": self.send(batch.x + 0.1 * batch.y.clamp(min=0)[:, None, None, None])}
