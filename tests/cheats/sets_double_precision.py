"""Sets the default precision of torch on import."""

import torch

from rdu_bench.api import Autoencoder, Row

torch.set_default_dtype(torch.float64)

CAUGHT = "one class"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")
