"""log p(x|z) with five nats added, but not for so few pixels that all pictures can be tried."""

from rdu_bench.api import Autoencoder, Row

CAUGHT = "decoder factorises"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def decode(self, code):
        p = super().decode(code)
        honest = p.log_prob
        p.log_prob = lambda x: honest(x) + 5 * (x[0].numel() > 16)
        return p
