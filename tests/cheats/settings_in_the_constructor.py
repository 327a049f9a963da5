"""Turns gradients of everything off, or whatever else is set for a whole process."""

import torch

from rdu_bench.api import Autoencoder, Row, Spec

CAUGHT = "settings stay"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def __init__(self, data: Spec, *, latent: int | None = None):
        super().__init__(data, latent=latent)
        torch.set_num_threads(torch.get_num_threads() + 1)
