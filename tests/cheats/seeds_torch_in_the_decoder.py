"""Sets the seed whenever it decodes, so that the next codes have the same noise."""

import torch

from rdu_bench.api import Autoencoder, Row

CAUGHT = "pure"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def decode(self, code):
        torch.manual_seed(0)
        return super().decode(code)
