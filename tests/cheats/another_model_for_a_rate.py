"""For a rate it makes a model of another class."""

from rdu_bench.api import Autoencoder, Row

CAUGHT = "sizes keep the laws"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def for_rate(self, sigma):
        made = Autoencoder(self.data)
        made.row = self.row
        return made

    def __init__(self, data, *, latent=None):
        super().__init__(data, latent=latent)
        self.data = data
