"""All examples share their noise once training is over."""

from rdu_bench.api import Autoencoder, Row

CAUGHT = "draws are those of q"


class Cheat(Autoencoder):
    """The VAE, but for one thing.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="Cheat", objective="D + R")

    def encode(self, batch):
        z = self.send(batch.x)
        noise = (z.drawn - z.q.mean) / z.q.stddev
        shared = z.q.mean + z.q.stddev * noise[:1]
        return {"z": z if self.training else z._replace(sample=shared, drawn=shared)}
