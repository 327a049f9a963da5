"""Training decodes the mean, measuring the draw."""

from rdu_bench.api import Autoencoder, Row

CAUGHT = "terms are the codes"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def distortion(self, batch, code):
        return -self.decoder(code["z"].q.mean).log_prob(batch.x)
