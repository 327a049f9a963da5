"""A predictor that encodes what it is to predict."""

from rdu_bench.api import Model, Observation, Row, Spec, Trunk, Untrunk, deterministic_block

CAUGHT = "predictor sees the past"


class Cheat(Model):
    """The motion–content network, but for one thing.

        L = D = −log p(x_T|z)

    Villegas et al. 2017 (arXiv:1706.08033).
    """

    row = Row(paper="1706.08033", title="Cheat", objective="D(x_T | x_<T)", needs=("sequence",))
    channel, predicts = "posthoc-learned", 1

    def __init__(self, data: Spec):
        super().__init__()
        self.whole, self.observation = Trunk(data, data.latent), Observation(data)
        self.decoder = Untrunk(data._replace(shape=(1, *data.shape[1:])), data.latent)

    def encode(self, batch):
        return {"z": deterministic_block(self.whole(batch.x))}

    def decode(self, code):
        return self.observation(self.decoder(code["z"].sample))
