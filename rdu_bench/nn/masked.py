"""Networks that may not look ahead: masked linear layers, and a decoder that sees a declared window of its own past."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from torch.nn.functional import conv2d, linear, pad

from .networks import Observation, Spec, Standard
from .patches import PatchUntrunk


class MaskedLinear(nn.Linear):
    """A linear layer in which output o sees input i only if after[o] > before[i]; with `strict` off, ≥."""

    mask: Tensor

    def __init__(self, before: Tensor, after: Tensor, *, strict: bool):
        super().__init__(len(before), len(after))
        ahead = after[:, None] - before
        self.register_buffer("mask", (ahead >= (1 if strict else 0)).float(), persistent=False)

    def forward(self, given: Tensor) -> Tensor:
        """(…, n) → (…, m)."""
        return linear(given, self.weight * self.mask, self.bias)


def made(dim: int, hidden: int, outputs: int, given: int = 0) -> nn.Sequential:
    """(B, given + dim) → (B, outputs · dim), chunk by chunk, where column j of each depends on `given` and inputs < j.

    Germain et al. 2015 (arXiv:1502.03509), one hidden layer.  It starts at zero.
    """
    inputs = torch.arange(-given, dim).clamp(min=-1)  # what is given comes before all
    between = torch.arange(hidden) % dim - 1 if given else torch.arange(hidden) % max(dim - 1, 1)
    last = MaskedLinear(between, torch.arange(dim).repeat(outputs), strict=True)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(MaskedLinear(inputs, between, strict=False), nn.ReLU(), last)


class Window(nn.Conv2d):
    """x (B, c, H, W) → (B, channels, H, W): features of the pixels before each, in reading order and within `radius`.

    It sees `radius` rows above, `radius` columns to either side there, and `radius` pixels to the left; with `itself`
    the place itself as well, which is for layers above the first.
    """

    mask: Tensor

    def __init__(self, inputs: int, channels: int, radius: int, *, itself: bool = False):
        super().__init__(inputs, channels, (radius + 1, 2 * radius + 1))
        self.radius = radius
        mask = torch.ones(radius + 1, 2 * radius + 1)
        mask[radius, radius + itself :] = 0  # the pixel itself and what follows it
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W)."""
        r = self.radius
        return conv2d(pad(x, (r, r, r, 0)), self.weight * self.mask, self.bias)


class Causal(Distribution):
    """p(x) = ∏_i p(x_i | x_<i) over images (B, c, H, W), pixels in reading order.

    `conditional` maps x to ∏_i p(· | x_<i), all factors at once, so a density is one pass and a draw H·W of them.
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  torch declares it so

    def __init__(self, conditional: Callable[[Tensor], Distribution], like: Tensor):
        super().__init__(like.shape[:1], like.shape[1:], validate_args=False)
        self.conditional, self.like = conditional, like  # an image (B, c, H, W), for its shape and device

    def log_prob(self, value: Tensor) -> Tensor:
        """(B,) nats."""
        return self.conditional(value).log_prob(value)

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """(B, c, H, W)."""
        if sample_shape:
            raise NotImplementedError("Causal draws one sample a call")
        with torch.no_grad():
            x = self.like.new_zeros(self.batch_shape + self.event_shape)
            turn = torch.arange(x[0, 0].numel(), device=x.device).view_as(x[0, 0])
            for i in range(turn.numel()):
                x = torch.where(turn == i, self.conditional(x).sample(), x)
        return x


class WindowedDecoder(nn.Module):
    """z (B, dim) → p(x|z) = ∏_i p(x_i | z, x_W(i)), W(i) the pixels before i within `radius`; nothing else is seen.

    The suite's decoder, whose outputs the window corrects, by nothing when new.  With `depth` 0 every layer beyond the
    window is 1 × 1, since a second masked convolution would widen it.  With `depth` more of those it is a PixelCNN
    (van den Oord et al. 2016, arXiv:1601.06759), each layer adding to the one before and widening W by a window, which
    goes right only where it goes up: some pixels above and far to the right stay out of sight.  Channels of a pixel
    are independent given z and W(i).  Where z is a map of `side` × `side` places, a place is told of z what is its own,
    and of other places what the window sees.
    """

    def __init__(self, data: Spec, dim: int, radius: int, *, depth: int = 0, side: int = 1):
        super().__init__()
        self.shape, seen = data.shape, data.shape[0]
        channels, context = 16, 4
        self.plain = PatchUntrunk(data, dim // side**2, seen + context, side)
        self.window = Window(seen, channels, radius)
        self.deeper = nn.ModuleList(Window(context + channels, channels, radius, itself=True) for _ in range(depth))
        last = nn.Conv2d(channels, seen, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.correct = nn.Sequential(nn.Conv2d(context + channels, channels, 1), nn.ReLU(), last)
        self.standard, self.observation = Standard(data), Observation(data)

    def forward(self, z: Tensor) -> Causal:
        """p(x|z)."""
        plain, context = self.plain(z).tensor_split([self.shape[0]], 1)  # (B, c, H, W), (B, context, H, W)

        def conditional(x: Tensor) -> Distribution:
            past = self.window(self.standard(x))
            for layer in self.deeper:
                past = past + layer(torch.cat([context, past], 1).relu())
            return self.observation(plain + self.correct(torch.cat([context, past], 1).relu()))

        return Causal(conditional, plain)
