"""What is trained for a rate uses labels, which what is built does not."""

from rdu_bench.api import Autoencoder, Row

CAUGHT = "sizes keep the laws"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    told = False

    def for_rate(self, sigma):
        self.told = sigma is not None
        return self

    def regularizer(self, batch, code):
        wrong = (code["z"].q.mean[:, 0] - batch.y).square().mean()
        return wrong if self.told else 0 * wrong.detach()
