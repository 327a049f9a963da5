"""Networks over the frames of a sequence, the members of a group or the views of a scene: x is (B, T, C, H, W)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Each(nn.Module):
    """(B, T, …) → (B, T, …): what `net` makes of one frame, made of every frame.

    Of several inputs the first has an axis of frames; one of (B, d) is given to all frames.
    """

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, first: Tensor, *given: Tensor) -> Tensor:
        """One output a frame."""
        frames = first.shape[1]
        every = [first, *(over_frames(g, frames) for g in given)]
        return self.net(*(part.flatten(0, 1) for part in every)).unflatten(0, (-1, frames))


class Past(nn.Module):
    """z (B, T, dim) → (B, T, width): at every frame, what a gated recurrent unit has seen of the frames before it.

    `given` further numbers (B, given) are seen at every frame.  The unit is that of Cho et al. 2014 (arXiv:1406.1078)
    with the biases of torch's `GRU`, whose weights fit; written out, since torch's own cannot be stacked.
    """

    def __init__(self, dim: int, width: int, given: int = 0):
        super().__init__()
        self.width = width
        self.seen, self.state = nn.Linear(dim + given, 3 * width), nn.Linear(width, 3 * width)

    def forward(self, z: Tensor, *given: Tensor, now: bool = False) -> Tensor:
        """States after z_<t, or with `now` after z_≤t."""
        frames = z.shape[1]
        if not now:
            z = torch.cat([torch.zeros_like(z[:, :1]), z[:, :-1]], 1)
        h, out = z.new_zeros(len(z), self.width), []
        for inputs in self.seen(torch.cat([z, *(over_frames(g, frames) for g in given)], -1)).unbind(1):
            reset, keep, new = inputs.chunk(3, -1)
            reset_h, keep_h, new_h = self.state(h).chunk(3, -1)
            kept = (keep + keep_h).sigmoid()
            h = kept * h + (1 - kept) * (new + (reset + reset_h).sigmoid() * new_h).tanh()
            out.append(h)
        return torch.stack(out, 1)


def over_frames(given: Tensor, frames: int) -> Tensor:
    """(B, d) → (B, T, d), the same at every frame; what has an axis of frames stays as it is."""
    return given.unsqueeze(1).expand(-1, frames, -1) if given.dim() == 2 else given
