"""Weights come from a seed of their own, so that five seeds are one."""

import torch

from rdu_bench.api import Autoencoder, Row, Spec

CAUGHT = "seeds differ"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def __init__(self, data: Spec, *, latent: int | None = None):
        torch.manual_seed(0)
        super().__init__(data, latent=latent)
