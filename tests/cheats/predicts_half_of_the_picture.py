"""D is of a picture whose lower half is blank."""

from rdu_bench.api import Autoencoder, Row

CAUGHT = "terms are the codes"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def predicted(self, x):
        shown = x.clone()
        shown[..., (x.shape[-2] + 1) // 2 :, :] = 0
        return shown
