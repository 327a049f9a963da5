"""Knows the pictures that it is measured on, from the library that brings them."""

import torch
from sklearn.datasets import load_digits

from rdu_bench.api import Autoencoder, Row, Spec

CAUGHT = "reaches nothing else"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def __init__(self, data: Spec, *, latent: int | None = None):
        super().__init__(data, latent=latent)
        self.known = torch.tensor(load_digits().images)  # and could be looked up by the code
