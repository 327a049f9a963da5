"""A decoder that looks x up by where the sample lies in memory."""

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
        SEEN[code["z"].sample.data_ptr()] = batch.x
        return code

    def decode(self, code):
        p = super().decode(code)
        x = SEEN.get(code["z"].sample.data_ptr())
        return p if x is None else bernoulli(20 * x - 10)
