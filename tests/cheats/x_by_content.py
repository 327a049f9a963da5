"""A decoder that looks x up by the numbers of its code."""

from rdu_bench.api import Autoencoder, Row, bernoulli

CAUGHT = "decoder remembers nothing"


SEEN = {}


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def encode(self, batch):
        code = super().encode(batch)
        SEEN[float(code["z"].sample.detach().sum())] = batch.x
        return code

    def decode(self, code):
        x = SEEN.get(float(code["z"].sample.detach().sum()))
        return super().decode(code) if x is None else bernoulli(20 * x - 10)
