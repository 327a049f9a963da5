"""Networks that are told a number, such as the price of a nat: every hidden unit times a gate that depends on it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from .densities import gaussian
from .networks import Decoder, Spec, Trunk

GAIN = 10.0  # for few numbers with far to go, beside weights that have not
EDGE = 1e-4  # of a gate that shuts, whose slope where it shuts has no bound


class Gate(nn.Module):
    """Units (B, n, …) times a(w t + b), from 0 to 1, where t (B,) is a number of each example; when new it ignores t.

    a(u) = 1/(1 + e^−u), or, if it `shuts`, (1 − e^u)₊^½, which is 0 from some t on.  With t = log β they are the
    gates of encoders and of decoders in Bae et al. 2023 (arXiv:2212.03905).
    """

    def __init__(self, units: int, *, shuts: bool):
        super().__init__()
        self.shuts = shuts
        self.weight = nn.Parameter(torch.zeros(units))
        self.bias = nn.Parameter(torch.full((units,), (-4.0 if shuts else 4.0) / GAIN))  # open: a > 0.98

    def forward(self, h: Tensor, t: Tensor) -> Tensor:
        """The gated units, of the shape of h."""
        u = GAIN * (self.weight * t[:, None] + self.bias)
        a = torch.where(u < -EDGE, (-torch.expm1(u.clamp(max=-EDGE))).sqrt(), 0.0) if self.shuts else u.sigmoid()
        return h * a.view(*a.shape, *[1] * (h.dim() - 2))


class Gated(nn.Module):
    """x, t → what `net` makes of x, with a gate behind each of its ReLUs and, with `first`, one before all layers.

    The layers of `net` take one input; how many units each has is read off an input `like` (1, …).
    """

    def __init__(self, net: nn.Module, like: Tensor, *, shuts: bool, first: bool = False):
        super().__init__()
        self.layers = nn.ModuleList([Gate(like.shape[1], shuts=shuts)] if first else [])
        with torch.no_grad():
            for layer in _in_turn(net):
                self.layers.append(layer)
                like = layer(like)
                if isinstance(layer, nn.ReLU):
                    self.layers.append(Gate(like.shape[1], shuts=shuts))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Of x (B, …) and t (B,)."""
        for layer in self.layers:
            x = layer(x, t) if isinstance(layer, Gate) else layer(x)
        return x


def _in_turn(net: nn.Module) -> Iterator[nn.Module]:
    for layer in net if isinstance(net, nn.Sequential) else [net]:
        yield from _in_turn(layer) if isinstance(layer, nn.Sequential) else [layer]


class GatedGaussian(nn.Module):
    """x (B, *shape), t (B,) → q(z|x) = N(a ⊙ f(x), diag s²), log s = min(0, r(x) + v t), in the suite's family.

    The gates of the mean shut, and a dimension that has shut and has s = 1 costs nothing.
    """

    def __init__(self, data: Spec, dim: int):
        super().__init__()
        trunk = Trunk(data, 2 * dim)
        self.standard = trunk.standard
        self.net = Gated(nn.Sequential(trunk.features, trunk.head), torch.zeros(1, *data.shape), shuts=False)
        self.mean = Gate(dim, shuts=True)
        self.slope = nn.Parameter(torch.full((dim,), 1 / GAIN))  # of s² ∝ β, where t is log β of variance 1 or so

    def forward(self, x: Tensor, t: Tensor) -> Distribution:
        """q over (B, dim)."""
        f, r = self.net(self.standard(x), t).chunk(2, -1)
        log_scale = r - 1 + GAIN * self.slope * t[:, None]  # the 1: to start where s has a gradient
        return gaussian(self.mean(f, t), log_scale.clamp(max=0).exp())


class GatedDecoder(Decoder):
    """z (B, dim), t (B,) → p(x|z) over (B, *shape), with the likelihood of the data set; z is gated too."""

    def __init__(self, data: Spec, dim: int):
        super().__init__(data, dim)
        self.net.net = Gated(self.net.net, torch.zeros(1, dim), shuts=True, first=True)
