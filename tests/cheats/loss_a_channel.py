"""D is averaged over colour channels."""

from rdu_bench.api import Autoencoder, Row

CAUGHT = "channels are one density"


class Averaged:
    def __init__(self, p):
        self.p, self.mean = p, p.mean

    def log_prob(self, x):
        return self.p.log_prob(x) / x.shape[-3]


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def decode(self, code):
        return Averaged(super().decode(code))
