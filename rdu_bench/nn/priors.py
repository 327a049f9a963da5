"""Learned marginals m(z): what the receiver expects of a code before it sees one."""

from __future__ import annotations

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from .densities import gaussian, one_hot
from .masked import MaskedLinear, made


class AutoregressiveFlow(nn.Module):
    """m(z) over (d,): `layers` times ε_j = (z_j − μ_j(z_<j)) / s_j(z_<j), order reversed in between, down to N(0, I).

    Papamakarios et al. 2017 (arXiv:1705.07057).  A density takes one pass a layer, a draw d of them.  It starts
    as N(0, I); s stays within e^±3.
    """

    bound = 3.0
    zero: Tensor

    def __init__(self, dim: int, *, layers: int = 2, hidden: int = 64):
        super().__init__()
        self.layers = nn.ModuleList(made(dim, hidden, 2) for _ in range(layers))
        self.register_buffer("zero", torch.zeros(dim), persistent=False)

    def forward(self) -> Flow:
        """m over (d,)."""
        return Flow(self)

    def affine(self, layer: nn.Module, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log scale, (…, d) each, of every coordinate given those before it."""
        mean, raw = layer(z).chunk(2, -1)
        return mean, self.bound * torch.tanh(raw / self.bound)


class Flow(Distribution):
    """The density of an `AutoregressiveFlow`."""

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  torch declares it so

    def __init__(self, flow: AutoregressiveFlow):
        super().__init__(Size(), flow.zero.shape, validate_args=False)
        self.flow = flow

    def log_prob(self, value: Tensor) -> Tensor:
        """(B,) nats."""
        z, volume = value, value.new_zeros(())
        for layer in self.flow.layers:
            mean, log_scale = self.flow.affine(layer, z)
            z = ((z - mean) * (-log_scale).exp()).flip(-1)
            volume = volume - log_scale.sum(-1)
        return self._base.log_prob(z) + volume

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """(*sample_shape, d)."""
        with torch.no_grad():
            z = self._base.sample(sample_shape)
            for layer in reversed(self.flow.layers):
                noise, z = z.flip(-1), torch.zeros_like(z)
                for _ in range(z.shape[-1]):  # after pass j the first j coordinates are final
                    mean, log_scale = self.flow.affine(layer, z)
                    z = mean + noise * log_scale.exp()
        return z

    @property
    def _base(self) -> Distribution:
        return gaussian(self.flow.zero, torch.ones_like(self.flow.zero))


class Unigram(nn.Module):
    """m(k) = ∏_p m_p(k_p) over (P, K): symbols independent, each position with frequencies of its own."""

    def __init__(self, positions: int, codes: int):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(positions, codes))

    def forward(self, sent: Tensor) -> Distribution:
        """Conditionals (B, P, K), the same whatever was `sent` (B, P, K)."""
        return one_hot(self.logits.expand_as(sent))


class Autoregression(nn.Module):
    """m(k) = ∏_p m(k_p | k_<p) over (P, K): each symbol is expected from all those sent before it.

    One hidden layer of `width` units a position; it starts uniform, and with one position it is a `Unigram`.
    """

    def __init__(self, positions: int, codes: int, *, width: int = 16):
        super().__init__()
        place = torch.arange(positions).repeat_interleave(width)
        self.embed = nn.Linear(codes, width, bias=False)
        self.past = MaskedLinear(place, place, strict=True)
        self.expect = nn.Linear(width, codes, bias=False)
        self.base = nn.Parameter(torch.zeros(positions, codes))
        nn.init.zeros_(self.expect.weight)

    def forward(self, sent: Tensor) -> Distribution:
        """Conditionals m(k_p | k_<p) (B, P, K) given the symbols `sent` (B, P, K); at those, log m(k) in all."""
        past = self.past(self.embed(sent).flatten(-2)).relu().unflatten(-1, (len(self.base), -1))
        return one_hot(5 * (self.expect(past) + self.base))  # the 5: prices have far to go, and R is wrong until then
