"""Replaces a density of torch."""

from torch.distributions import Bernoulli

from rdu_bench.api import Autoencoder, Row

_old = Bernoulli.log_prob
Bernoulli.log_prob = lambda self, value: _old(self, value)

CAUGHT = "one class"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")
