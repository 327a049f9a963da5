"""A second block whose prior is its posterior and a little."""

from rdu_bench.api import Autoencoder, Decoder, Row, Spec, gaussian, transmit

CAUGHT = "receiver has the draw alone"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def __init__(self, data: Spec, *, latent: int | None = None):
        latent = latent or data.latent
        super().__init__(data, latent=latent, decoder=Decoder(data, 2 * latent))

    def encode(self, batch):
        z = self.send(batch.x)
        return {"z": z, "more": transmit(z.q, gaussian(z.q.mean + 0.01, z.q.stddev))}

    def decode(self, code):
        return self.decoder(code["z"].sample, code["more"].sample)
