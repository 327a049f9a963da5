from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from rdu_bench.api import Batch, Code, Gaussian, Model, Row, Spec, Trunk, UnitGaussian, transmit


class VIB(Model):
    """Variational information bottleneck: the receiver wants the label, not the image.

        L = D_y + R        D_y = E[ −log p(y|z) ]        R = KL(q(z|x) ‖ N(0, I))

    Alemi et al. 2017 (arXiv:1612.00410), whose β on R is what a rate target sets.  H(y) − D_y ≤ I(y;z) ≤ R.  The
    head is linear, as in the authors' code.  Departure: in nats, not bits.

    There is no p(x|z), so `distortion` is D_y, of the examples whose label is known; the rest pay for their rate
    alone.  q(z|x) never sees a label.
    """

    row = Row(
        paper="1612.00410",
        title="VIB",
        objective="D_y + R",
        base="p(y|z)",
        R1="KL(q(z|x) ‖ p(z))",
        labels="required",
        needs=("labels",),
        claim="D_y, lower than vae, on digits",
    )

    def __init__(self, data: Spec, *, latent: int | None = None):
        super().__init__()
        dim = latent or data.latent
        self.encoder = Gaussian(Trunk(data, 2 * dim))
        self.prior = UnitGaussian(dim)
        self.head = nn.Linear(dim, data.classes)

    def encode(self, batch: Batch) -> Code:
        return {"z": transmit(self.encoder(batch.x), self.prior())}

    def distortion(self, batch: Batch, code: Code) -> Tensor:
        return cross_entropy(self.head(code["z"].sample), batch.y, ignore_index=-1, reduction="none")
