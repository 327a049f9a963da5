"""A decoder that finds x in its class."""

from rdu_bench.api import Autoencoder, Row, bernoulli

CAUGHT = "decoder remembers nothing"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def encode(self, batch):
        type(self).seen = batch.x
        return super().encode(batch)

    def decode(self, code):
        x = self.seen
        return bernoulli(20 * x - 10)
