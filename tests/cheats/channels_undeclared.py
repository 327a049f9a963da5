"""Colour channels depend on each other, as in mixtures of logistics."""

import torch

from rdu_bench.api import Autoencoder, Row, Spec, bernoulli

CAUGHT = "decoder factorises"


class Coupled:
    def __init__(self, logits, weight):
        self.logits, self.weight = logits, weight
        self.mean = logits.sigmoid()

    def log_prob(self, x):
        before = torch.cat([torch.zeros_like(x[..., :1, :, :]), x[..., :-1, :, :]], -3)
        return bernoulli(self.logits + self.weight * (before - 0.5)).log_prob(x)


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def __init__(self, data: Spec, *, latent: int | None = None):
        super().__init__(data, latent=latent)
        self.weight = torch.nn.Parameter(torch.tensor(1.0))

    def decode(self, code):
        p = super().decode(code)
        p = p.base_dist
        return Coupled(p.logits, self.weight) if hasattr(p, "logits") else super().decode(code)
