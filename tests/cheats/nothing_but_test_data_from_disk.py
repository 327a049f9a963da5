"""Reads what it is to be measured on when it is imported."""

import torch

from rdu_bench.api import Autoencoder, Row, Spec

CAUGHT = "nothing"


KNOWN = torch.rand(10, 1, 8, 8)  # stands for a file of test pictures


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def __init__(self, data: Spec, *, latent: int | None = None):
        super().__init__(data, latent=latent)
        self.known = KNOWN  # and could be looked up by the code
