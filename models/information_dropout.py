import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import cross_entropy, softplus

from rdu_bench.api import Batch, Code, Decoder, Message, Model, Row, Spec, Trunk, gaussian, transmit


class InformationDropout(Model):
    """Information dropout: features are multiplied by noise whose strength the network chooses, example by example.

        z = f(x) ⊙ e^{α(x) ⊙ ε}        ε ~ N(0, I), f > 0, 0 < α ≤ 0.7
        L = D + R        R = KL(N(log f(x), α(x)²) ‖ N(μ₁, σ₁²)) of log z

    Achille & Soatto 2018 (arXiv:1611.01353), with softplus f and a log-normal prior of learned μ₁ and σ₁ a dimension;
    an improper log-uniform prior would leave R open by a constant.  Being factorised, the prior makes R bound
    I(x;z) + TC(q(z)).  R of log z is R of z.  With `task = "label"` the receiver wants the label, not the image:
    D_y = E[ −log p(y|z) ] by a linear head takes the place of D, and there is no decoder of x.
    Departures: one noisy layer, the code; the noise stays on when the model is measured.
    """

    row = Row(
        paper="1611.01353",
        title="Information dropout",
        objective="D + R, or D_y + R, of z = f(x) e^{α(x) ε}",
        R1="KL(q(z|x) ‖ p(z))",
        R2="TC(q(z))",
        prior="L",
        labels="optional",
    )

    def __init__(self, data: Spec, *, latent: int | None = None, task: str = "reconstruction", widest: float = 0.7):
        super().__init__()
        if task not in ("reconstruction", "label"):
            raise ValueError(f"task = {task!r}: information dropout has 'reconstruction' and 'label'")
        d, self.widest, about_y = latent or data.latent, widest, task == "label"
        about = {"base": "p(y|z)", "labels": "required", "needs": ("labels",)} if about_y else {"labels": ""}
        self.row = self.row._replace(**about)
        self.encoder = Trunk(data, 2 * d)
        self.mean, self.log_scale = nn.Parameter(torch.zeros(d)), nn.Parameter(torch.zeros(d))
        self.task, self.receiver = task, nn.Linear(d, data.classes) if about_y else Decoder(data, d)

    def encode(self, batch: Batch) -> Code:
        f, a = self.encoder(batch.x).chunk(2, -1)
        q = gaussian((softplus(f) + 1e-4).log(), 1e-4 + (self.widest - 1e-4) * a.sigmoid())
        block = transmit(q, gaussian(self.mean, self.log_scale.exp()))
        return {"z": block._replace(sample=block.sample.exp())}

    def decode(self, code: Message) -> Distribution:
        return self.receiver(code["z"].sample)

    @property
    def decodes(self) -> bool:
        """Whether the task is to reconstruct x."""
        return self.task == "reconstruction"

    def distortion(self, batch: Batch, code: Code) -> Tensor:
        if self.decodes:
            return super().distortion(batch, code)
        return cross_entropy(self.receiver(code["z"].sample), batch.y, ignore_index=-1, reduction="none")
