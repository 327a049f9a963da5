"""Honest for its first ten thousand decodings."""

from rdu_bench.api import Autoencoder, Row

CAUGHT = "nothing"


class Scaled:
    """log p(x|z) times a number, and another added."""

    def __init__(self, p, by, more=0.0):
        self.p, self.by, self.more = p, by, more
        self.mean = p.mean

    def log_prob(self, x):
        return self.by * self.p.log_prob(x) + self.more


CALLS = []


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def decode(self, code):
        CALLS.append(1)
        p = super().decode(code)
        return p if len(CALLS) < 10_000 else Scaled(p, 0.5)
