"""The prior has e times the mass it may have."""

from typing import ClassVar

from torch.distributions import Distribution, constraints

from rdu_bench.api import Autoencoder, Row, transmit

CAUGHT = "marginal is normalised"


class Dense(Distribution):
    arg_constraints: ClassVar = {}
    support = constraints.real_vector

    def __init__(self, base):
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)
        self.base = base

    def log_prob(self, value):
        return self.base.log_prob(value) + 1.0


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def encode(self, batch):
        return {"z": transmit(self.encoder(batch.x), Dense(self.prior()))}
