"""Draws prior samples from a seed of its own, after which all noise repeats."""

import torch

from rdu_bench.api import Autoencoder, Row

CAUGHT = "pure"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def regularizer(self, batch, code):
        torch.manual_seed(0)
        return (torch.randn_like(code["z"].sample).mean() - code["z"].sample.mean()).square()
