from collections.abc import Sequence

from torch import Tensor, nn
from torch.distributions import Distribution

from rdu_bench.api import Batch, Code, Decoder, Gaussian, Message, Model, Row, Spec, Trunk, UnitGaussian, mlp, transmit


class VLaAE(Model):
    """Variational ladder autoencoder: levels that know nothing of each other, each as abstract as its network is deep.

        L = D + R        R = Σ_l KL(q(z_l|x) ‖ N(0, I))

        x → h_1 → … → h_L              deterministic, upwards; q(z_l|x) is read off h_l
        z_L → h̃_L → … → h̃_2 → x        deterministic, downwards; z_l enters beside h̃_{l+1}, z_1 beside h̃_2

    Zhao, Song & Ermon 2017 (arXiv:1702.08396).  Not to be confused with the Ladder VAE, where z_{l+1} predicts z_l and
    draws are all that is passed down, nor with the lossy VAE: all three were called VLAE or LVAE.
    A level is one layer above the one below.  Of fully connected networks z_1 is read off the first layer and
    feeds the last, and the top of three, under a suite of two hidden layers, has as deep a decoder as its VAE, and an
    encoder one layer deeper; convolutions lie all between x and the lowest level.
    Departures: −log p(x|z) of the data, not a weighted L1; no batch normalisation, whose averages would tie the
    examples of a batch together; no warm-up of R, whose place the rate target takes.
    """

    row = Row(
        paper="1702.08396",
        title="VLaAE",
        objective="D + Σ R_l, levels independent",
        encoder="H",
        decoder="H",
        claim="MIG score, higher than ladder_vae, on sprites",
    )

    def __init__(self, data: Spec, *, dims: Sequence[int] | None = None):  # bottom level first
        super().__init__()
        thirds = [(data.latent + 2 - level) // 3 for level in range(3)]  # three alike, as for the paper's MNIST
        dims = dims or [d for d in thirds if d]
        width, first = data.hidden[-1], data._replace(hidden=()) if data.family == "mlp" else data
        self.up = nn.ModuleList([Trunk(first, width), *(mlp(width, width) for _ in dims[1:])])
        self.read = nn.ModuleList(Gaussian(nn.Linear(width, 2 * d)) for d in dims)
        self.priors = nn.ModuleList(UnitGaussian(d) for d in dims)
        into = [*(d + width for d in dims[:-1]), dims[-1]]  # what enters at each depth
        self.down = nn.ModuleList(mlp(n, width) for n in into[1:])
        self.decoder = Decoder(first, into[0])

    def encode(self, batch: Batch) -> Code:
        q, h = [], batch.x
        for up, read in zip(self.up, self.read, strict=True):
            h = up(h).relu()
            q.append(read(h))
        levels = range(len(q), 0, -1)  # from the top, which needs no level below it
        return {f"z{level}": transmit(q[level - 1], self.priors[level - 1]()) for level in levels}

    def decode(self, code: Message) -> Distribution:
        above: list[Tensor] = []
        for level in range(len(self.down) + 1, 1, -1):
            above = [self.down[level - 2](code[f"z{level}"].sample, *above).relu()]
        return self.decoder(code["z1"].sample, *above)
