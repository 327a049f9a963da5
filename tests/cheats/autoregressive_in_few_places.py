"""The last row of pixels depends on the two rows above."""

import torch

from rdu_bench.api import Autoencoder, Row, Spec, bernoulli

CAUGHT = "decoder factorises"


class Coupled:
    def __init__(self, logits, weight):
        self.logits, self.weight = logits, weight
        self.mean = logits.sigmoid()

    def log_prob(self, x):
        moved = torch.zeros_like(x)
        moved[..., -1, :] = x[..., -3, :] - 0.5
        return bernoulli(self.logits + self.weight * moved).log_prob(x)


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
        whole = super().decode(code)
        logits = getattr(whole.base_dist, "logits", None)
        return whole if logits is None or logits.shape[-2] < 3 else Coupled(logits, self.weight)
