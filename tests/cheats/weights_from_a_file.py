"""Starts from weights that somebody trained before."""

from pathlib import Path

import torch

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
        kept = Path("/tmp/none-such.pt")
        if kept.is_file():
            self.load_state_dict(torch.load(kept))
