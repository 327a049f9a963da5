"""Pixels tell of their neighbours, which no row says."""

from rdu_bench.api import Autoencoder, Row

CAUGHT = "decoder factorises"


class Chained:
    """Pixels as p has them, each next one as the one before."""

    def __init__(self, p):
        self.p = p

    def log_prob(self, x):
        apart = (x[..., 1:] - x[..., :-1]).abs().flatten(1).sum(1)
        return self.p.log_prob(x) - apart


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def decode(self, code):
        return Chained(super().decode(code))
