import torch
from torch import Tensor
from torch.distributions import Distribution

from rdu_bench.api import (
    Batch,
    Code,
    Each,
    Message,
    Model,
    Observation,
    Past,
    Row,
    Spec,
    Trunk,
    Untrunk,
    deterministic_block,
    mlp,
)


class MCNet(Model):
    """Motion–content network: how it moved, from differences of frames, and what it is, from the last; then what comes.

        L = D + γ GDL(x, x̂)        D = −log p(x_K+1:T | m, c)        m = f(x_2 − x_1, …, x_K − x_K−1)        c = g(x_K)

    GDL sums | |x_i − x_j| − |x̂_i − x̂_j| | over neighbours i, j in a frame to come, x̂ the mean of p: edges must be as
    steep.  Villegas et al. 2017 (arXiv:1706.08033), eq. 1 to 4 and 7 to 9, with λ = 1.  It is a predictor: no frame to
    come is encoded.  Departures: D is −log p, not a mean of squares; the paper's adversary, weight 0.02, is left out;
    m and c are vectors and there are no residual connections past them, since what the receiver is told beside the code
    has no rate; what comes is unrolled from m and c alone, not from frames that were predicted and encoded again.
    GDL is in the loss of the network, not in that of the channel that is put on it afterwards.

    f takes what no difference looks like away from its features.  Without that they drift together in the first steps,
    in which all of the network learns that frames are dark, the recurrent unit is saturated, and m is the same for all
    sequences of `moving_sprites` (seed 0).
    """

    row = Row(
        paper="1706.08033",
        title="MCNet",
        objective="D(x_K+1:T | x_1:K) + γ GDL",
        base="AE",
        encoder="T",
        decoder="T",
        rate="noise channel",
        needs=("sequence",),
        claim=(
            "D_pred, lower than its D_pred of a constant, on moving_sprites; "
            "I_V of shape from content, higher than its I_V of shape from motion, on moving_sprites; "
            "I_V of colour from content, higher than its I_V of colour from motion, on moving_sprites"
        ),
    )
    channel = "posthoc-learned"

    def __init__(
        self,
        data: Spec,
        *,
        seen: int | None = None,  # K; half of the frames, and two at least, unless given
        motion: int = 4,
        content: int | None = None,
        width: int = 32,
        gamma: float = 1.0,
    ):
        super().__init__()
        self.seen, self.gamma, self.unit = seen or max(2, data.frames // 2), gamma, data.scale
        self.predicts = data.frames - self.seen
        if self.seen < 2 or self.predicts < 1:
            raise ValueError(f"seen = {self.seen} of {data.frames} frames: motion takes 2, and one must be left")
        content = content or data.latent
        self.change, self.past = Each(Trunk(data.frame, width)), Past(width, width)
        self.motion, self.content = mlp(width, motion), Trunk(data.frame, content)
        self.roll = Past(1, width, given=motion + content)
        self.decoder, self.observation = Each(Untrunk(data.frame, width + content)), Observation(data)

    def encode(self, batch: Batch) -> Code:
        x = batch.x[:, : self.seen]
        moved = self.past(self.moves(x.diff(dim=1)), now=True)[:, -1]
        return {
            "content": deterministic_block(self.content(x[:, -1])),
            "motion": deterministic_block(self.motion(moved)),
        }

    def moves(self, differences: Tensor) -> Tensor:
        """(B, K − 1, width) features of differences of frames, those of no difference being 0."""
        return self.change(differences) - self.change(torch.zeros_like(differences[:1, :1]))

    def decode(self, code: Message) -> Distribution:
        m, c = code["motion"].sample, code["content"].sample
        steps = m.new_zeros(len(m), self.predicts, 1)
        return self.observation(self.decoder(self.roll(steps, m, c), c))

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        return self.gamma * edges(self.receive(code).mean / self.unit, self.predicted(batch.x) / self.unit).mean()


def edges(a: Tensor, b: Tensor) -> Tensor:
    """(B,) gradient-difference loss of pictures (B, …, H, W): how differently steep neighbours are, along both axes."""
    off = [(a.diff(dim=axis).abs() - b.diff(dim=axis).abs()).abs().flatten(1).sum(1) for axis in (-2, -1)]
    return off[0] + off[1]
