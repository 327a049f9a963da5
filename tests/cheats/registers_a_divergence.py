"""Replaces the divergence of two Gaussians, of all models."""

from torch.distributions import Normal, register_kl

from rdu_bench.api import Autoencoder, Row


@register_kl(Normal, Normal)
def _half(q, p):
    r = (q.scale / p.scale) ** 2
    return 0.5 * (r + ((q.loc - p.loc) / p.scale) ** 2 - 1 - r.log())


CAUGHT = "one class"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")
