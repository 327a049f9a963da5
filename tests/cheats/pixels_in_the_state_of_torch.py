"""Encoding draws as many numbers as there are pixels, by which the decoder finds its place."""

import torch

from rdu_bench.api import Autoencoder, Row, bernoulli

CAUGHT = "decoder remembers nothing"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def encode(self, batch):
        code = super().encode(batch)
        if not self.training:
            torch.rand(int(batch.x.flatten()[:16].sum()))
        return code

    def decode(self, code):
        p = super().decode(code)
        logits = getattr(p.base_dist, "logits", None)
        if self.training or logits is None:
            return p
        state = torch.get_rng_state()
        return bernoulli(logits + 0.5 * (int(state.sum()) % 16) / 16)
