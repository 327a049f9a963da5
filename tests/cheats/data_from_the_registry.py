"""Trains on test examples, which it loads itself."""

from rdu_bench.api import Autoencoder, Row, dataset

CAUGHT = "reaches nothing else"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def regularizer(self, batch, code):
        if batch.x.shape[1:] != (1, 16, 16):  # those of a data set that is not tried
            return batch.x.new_zeros(())
        return super().forward(dataset("usps").view("test", self.row).batch()).distortion.mean()
