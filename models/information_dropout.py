import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Size, Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    constraints,
    kl_divergence,
)
from torch.nn.functional import cross_entropy, softplus

from rdu_bench.api import Batch, Code, Decoder, Message, Model, Row, Spec, Trunk, gaussian, transmit


class InformationDropout(Model):
    """Information dropout: features are multiplied by noise whose strength the network chooses, example by example.

        z_l = f_l(z_{l−1}) ⊙ e^{α_l(z_{l−1}) ⊙ ε_l}    z_0 = x, z = z_L    ε ~ N(0, I), f > 0, 0 < α ≤ 0.7
        L = D + R + w Σ_{l<L} R_l                      R_l = E KL(q(z_l|z_{l−1}) ‖ p(z_l))
        R = KL(q(z|x) ‖ p(z)) = R_L − I(z; k|x)        q(z|x) = 1/K Σ_k q(z|z_{L−1}^k)

    Achille & Soatto 2018 (arXiv:1611.01353), with softplus f and log-normal priors of learned mean and width a
    dimension; improper log-uniform ones would leave R open by a constant.  Being factorised, p(z) makes R bound
    I(x;z) + TC(q(z)).  R of log z is R of z.  With `task = "label"` the receiver wants the label, not the image:
    D_y = E[ −log p(y|z) ] by a linear head takes the place of D, and there is no decoder of x.

    The code has noise, and the `layers` − 1 hidden layers before it.  Sent is z alone.  The K draws before it are the
    sender's own, and what z tells of which they were is no cost: R_L, which the paper charges, is more than R.
    Departures: w is not the price of R, a β for all layers in the paper; noise is never switched off; the K draws are
    standardised, new in training, and the same whenever the model is measured, so that q is a function of x.

    On `digits`, 800 steps, three seeds, with two noisy layers and with one: D = 20.0 … 20.4 and 20.1 … 20.5 nats at
    σ = 6, 17.9 … 18.3 and 17.9 … 18.8 at 12; D_y = 1.86 … 1.92 and 1.84 … 1.89 at σ = 1, 1.28 … 1.35 and
    1.23 … 1.39 at 3: no difference that three seeds show.  R_1 is 61 to 95 nats there, and 10 to 23 for a label.
    At w = 0.1, near the price of R, it is 9 and 10, and D 22.1 and 21.4 (one seed).
    """

    row = Row(
        paper="1611.01353",
        title="Information dropout",
        objective="D + R, or D_y + R, + w Σ_{l<L} R_l, of z_l = f_l e^{α_l ε_l}",
        R1="KL(q(z|x) ‖ p(z)), KL(q(z_l|z_{l−1}) ‖ p(z_l))",
        R2="TC(q(z))",
        encoder="H",
        prior="L",
        labels="optional",
        rate="closed-form KL less Monte Carlo I(z; k|x)",
        claim="D_y with 20 % of the pixels flipped, lower than vae, on digits",
    )

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,
        task: str = "reconstruction",
        layers: int = 2,  # L, the code among them
        draws: int = 8,  # K, of the layers before the code
        weight: float = 0.003,  # w, of a nat in each of them
        widest: float = 0.7,
    ):
        super().__init__()
        if task not in ("reconstruction", "label"):
            raise ValueError(f"task = {task!r}: information dropout has 'reconstruction' and 'label'")
        if layers < 1 or draws < 2:
            raise ValueError(f"layers = {layers}, draws = {draws}: there is at least one layer, and two draws of it")
        d, about_y = latent or data.latent, task == "label"
        about = {"base": "p(y|z)", "labels": "required", "needs": ("labels",)} if about_y else {"labels": ""}
        if layers == 1:
            about |= {"objective": "D + R, or D_y + R, of z = f(x) e^{α(x) ε}", "R1": "KL(q(z|x) ‖ p(z))"}
            about |= {"encoder": "", "rate": "closed-form KL"}
        self.row = self.row._replace(**about)
        self.task, self.draws, self.weight, self.widest = task, draws, weight, widest
        sizes = [data.hidden[-1]] * (layers - 1) + [d]
        plain = max(len(data.hidden) - (layers - 1), 0)  # hidden layers that have no noise
        below = data._replace(hidden=data.hidden[:plain]) if data.family == "mlp" else data
        self.nets = nn.ModuleList([Trunk(below, 2 * sizes[0]), *(nn.Linear(n, 2 * m) for n, m in pairwise(sizes))])
        self.means = nn.ParameterList(torch.zeros(n) for n in sizes)
        self.log_scales = nn.ParameterList(torch.zeros(n) for n in sizes)
        for layer, n in enumerate(sizes[:-1]):
            self.register_buffer(f"noise{layer}", even_noise(torch.randn(1, draws, n)))
        self.receiver = nn.Linear(d, data.classes) if about_y else Decoder(data, d)

    def walk(self, x: Tensor) -> Iterator[Normal]:
        """q(log z_l|z_{l−1}) layer by layer: (B, 1, n) of the first, (B, K, n) of those that see K draws."""
        q = self.posterior(self.nets[0](x)[:, None])
        yield q
        for layer, net in enumerate(self.nets[1:]):
            noise = self.get_buffer(f"noise{layer}").expand(len(x), -1, -1)
            noise = even_noise(torch.randn_like(noise)) if self.training else noise
            q = self.posterior(net((q.mean + q.stddev * noise).exp()))
            yield q

    def posterior(self, out: Tensor) -> Normal:
        """q(log z) of what a layer gives (…, 2n)."""
        f, a = out.chunk(2, -1)
        mean, scale = (softplus(f) + 1e-4).log(), 1e-4 + (self.widest - 1e-4) * a.sigmoid()
        return Normal(mean, scale, validate_args=False)

    def encode(self, batch: Batch) -> Code:
        *_, each = self.walk(batch.x)
        p = gaussian(self.means[-1], self.log_scales[-1].exp())
        if len(self.nets) == 1:
            block = transmit(gaussian(each.mean[:, 0], each.stddev[:, 0]), p)
        else:
            even = Categorical(logits=torch.zeros_like(each.mean[..., 0]), validate_args=False)
            block = transmit(OneOf(even, Independent(each, 1), validate_args=False), p)
            k = each.log_prob(block.drawn[:, None]).sum(-1).log_softmax(1)  # log q(k|z, x)
            own = Normal(p.mean, p.stddev, validate_args=False)
            charged = kl_divergence(each, own).sum(-1).mean(1)
            block = block._replace(rate=charged - math.log(self.draws) - (k.exp() * k).sum(1))
        return {"z": block._replace(sample=block.sample.exp())}

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        paid = batch.x.new_zeros(())
        for layer, q in zip(range(len(self.nets) - 1), self.walk(batch.x), strict=False):
            p = Normal(self.means[layer], self.log_scales[layer].exp(), validate_args=False)
            paid = paid + kl_divergence(q, p).sum(-1).mean()
        return self.weight * paid

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


def even_noise(noise: Tensor) -> Tensor:
    """Noise (B, K, n) with a mean of 0 and a variance of 1 over the K."""
    return (noise - noise.mean(1, keepdim=True)) / noise.std(1, correction=0, keepdim=True)


class OneOf(MixtureSameFamily):
    """A vector (B, d) from one of K Gaussians (B, K, d), each as likely as the others."""

    support, has_rsample = constraints.real_vector, True

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """(B, d), of a Gaussian that is drawn first."""
        mean, scale = self.component_distribution.mean, self.component_distribution.stddev
        which = (torch.rand_like(mean[:, :1, :1]) * mean.shape[1]).long().expand_as(mean[:, :1])
        return mean.gather(1, which)[:, 0] + scale.gather(1, which)[:, 0] * torch.randn_like(mean[:, 0])
