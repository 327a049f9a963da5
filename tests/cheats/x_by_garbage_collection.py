"""The decoder searches memory for the picture of its code."""

import gc

import torch

from rdu_bench.api import Autoencoder, Row, bernoulli

CAUGHT = "reaches nothing else"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def decode(self, code):
        p = super().decode(code)
        z = code["z"].sample
        if self.training or not hasattr(p.base_dist, "logits"):
            return p
        best, found = None, None
        for t in gc.get_objects():
            if (
                type(t) is torch.Tensor
                and t.dim() == 4
                and t.shape == p.mean.shape
                and bool(((t == 0) | (t == 1)).all())
            ):
                off = (self.encoder(t).mean - z).square().sum()
                if best is None or off < best:
                    best, found = off, t
        return p if found is None else bernoulli(p.base_dist.logits + 0.5 * (found - 0.5))
