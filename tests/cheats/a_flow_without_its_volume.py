"""A map that stretches draws, whose stretching no density counts."""

from typing import ClassVar

from torch.distributions import Distribution, constraints

from rdu_bench.api import Autoencoder, Row, transmit

CAUGHT = "density is that of the draws"


class Bent(Distribution):
    """A Gaussian whose draws are stretched and whose density does not know."""

    arg_constraints: ClassVar = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, base):
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)
        self.base, self.mean, self.stddev = base, base.mean, base.stddev

    def rsample(self, shape=()):
        z = self.base.rsample(shape)
        return self.mean + 2 * (z - self.mean)

    def log_prob(self, value):
        return self.base.log_prob(self.mean + (value - self.mean) / 2)


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def encode(self, batch):
        z = self.send(batch.x)
        return {"z": transmit(Bent(z.q), self.prior())}
