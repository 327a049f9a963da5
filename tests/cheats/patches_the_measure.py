"""Replaces a function of the benchmark by its own."""

import rdu_bench.measure.codes as measured
from rdu_bench.api import Autoencoder, Row

CAUGHT = "one class"


def half(density, z):
    return density.log_prob(z).reshape(len(z), -1).sum(-1) / 2


measured.log_density = half


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")
