"""Distributions of the survey, as thin makers over `torch.distributions`.  Codes are (B, d), one event dim."""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Bernoulli, Categorical, Distribution, Independent, Normal, OneHotCategorical
from torch.distributions.constraints import Constraint
from torch.distributions.kl import register_kl


def gaussian(mean: Tensor, scale: Tensor) -> Distribution:
    """N(mean, diag scale²) over (B, d), or over (B, *shape) with every axis but the first one event."""
    events = max(mean.dim() - 1, 1)
    return Independent(Normal(mean, scale, validate_args=False), events, validate_args=False)


def standard_normal(like: Tensor) -> Distribution:
    """N(0, I) over the shape of `like` (B, …): for codes with an axis of frames, one event an example."""
    return gaussian(torch.zeros_like(like), torch.ones_like(like))


def bernoulli(logits: Tensor) -> Distribution:
    """Independent pixels over (B, *shape)."""
    return Independent(Bernoulli(logits=logits, validate_args=False), logits.dim() - 1, validate_args=False)


def product(a: Distribution, b: Distribution) -> Distribution:
    """The Gaussian proportional to a(z) b(z): precisions add, means are precision-weighted."""
    precision = 1 / a.variance + 1 / b.variance
    return gaussian((a.mean / a.variance + b.mean / b.variance) / precision, precision**-0.5)


class Sphere(Constraint):
    """Vectors of length one, (…, d): the support of a density by area, such as a von Mises–Fisher distribution's."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        """(…,) whether a vector is one."""
        return (value.norm(dim=-1) - 1).abs() < 1e-4


sphere = Sphere()


class OneHot(OneHotCategorical):
    """A categorical over one-hot vectors (…, K) whose samples carry straight-through Gumbel gradients.

    The sample is exactly one-hot, so the categorical KL is its true rate; only the gradient is relaxed.
    """

    has_rsample = True

    def __init__(self, probs: Tensor | None = None, logits: Tensor | None = None, validate_args: bool | None = None):
        # torch's own looks at the numbers of its Categorical whatever it is told, which waits for the device
        self._categorical = Categorical(probs, logits, validate_args=validate_args)
        shape = self._categorical.param_shape
        Distribution.__init__(self, shape[:-1], shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Size | list[int] | tuple[int, ...], _instance: OneHot | None = None) -> OneHot:
        """With other leading axes."""
        expanded: OneHot = super().expand(batch_shape, self._get_checked_instance(OneHot, _instance))
        return expanded

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """A one-hot vector per position."""
        if sample_shape:
            raise NotImplementedError("OneHot draws one sample a call")
        gumbel = -torch.log(-torch.log(torch.rand_like(self.logits).clamp(1e-7, 1 - 1e-7)))
        soft = (self.logits + gumbel).softmax(-1)
        hard = (soft == soft.amax(-1, keepdim=True)).to(soft)
        return hard + (soft - soft.detach())

    def log_prob(self, value: Tensor) -> Tensor:
        """(…,) log-mass of one-hot vectors; torch's own looks symbols up by index, which vmap cannot do."""
        return (value * self.logits).sum(-1)


@register_kl(OneHot, OneHot)
def _(q: OneHot, p: OneHot) -> Tensor:
    # torch's own rule masks zeros by indexing, which vmap cannot do; finite logits need no mask.
    return (q.probs * (q.logits - p.logits)).sum(-1)


def one_hot(logits: Tensor) -> Distribution:
    """Categoricals over the last axis of (B, …, K); the axes before it are independent positions."""
    return Independent(OneHot(logits=logits, validate_args=False), logits.dim() - 2, validate_args=False)
