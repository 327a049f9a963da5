"""Networks with a place: each is the suite's, on one patch of an image, and the same for all patches."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from .networks import Spec, Trunk, Untrunk


class Places(nn.Module):
    """`side` × `side` patches of an image, in reading order; the last of a row or column may reach past the edge."""

    at: Tensor

    def __init__(self, data: Spec, side: int):
        super().__init__()
        self.side, self.size = side, data.shape[1:]
        self.patch = data._replace(shape=(data.shape[0], *(-(-n // side) for n in self.size)))  # what it is like
        self.number = side**2
        names = torch.eye(self.number) if side > 1 else torch.zeros(1, 0)
        self.register_buffer("at", names, persistent=False)  # which place a network is told it is at; one needs no name

    def cut(self, x: Tensor) -> Tensor:
        """(B, c, H, W) → (B · places, c, h, w), zeros past the edge."""
        high, wide = self.patch.shape[1:]
        x = pad(x, (0, wide * self.side - x.shape[3], 0, high * self.side - x.shape[2]))
        x = x.unflatten(3, (self.side, wide)).unflatten(2, (self.side, high))  # (B, c, side, h, side, w)
        return x.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)

    def join(self, patches: Tensor) -> Tensor:
        """(B · places, c, h, w) → (B, c, H, W): the inverse."""
        x = patches.unflatten(0, (-1, self.side, self.side)).permute(0, 3, 1, 4, 2, 5)
        return x.flatten(4, 5).flatten(2, 3)[:, :, : self.size[0], : self.size[1]]

    def names(self, examples: int) -> Tensor:
        """(B · places, n)."""
        return self.at.repeat(examples, 1)


class PatchTrunk(nn.Module):
    """x (B, c, H, W) → (B, side², out): of each patch what the suite's trunk makes of it and of where it is."""

    def __init__(self, data: Spec, out: int, side: int):
        super().__init__()
        self.places = Places(data, side)
        self.net = Trunk(self.places.patch, out, given=self.places.at.shape[1])

    def forward(self, x: Tensor) -> Tensor:
        """(B, places, out)."""
        out = self.net(self.places.cut(x), self.places.names(len(x)))
        return out.unflatten(0, (len(x), -1))


class PatchUntrunk(nn.Module):
    """z (B, side² · dim) → (B, channels, H, W): each patch from `dim` numbers of its own; the trunk turned around."""

    def __init__(self, data: Spec, dim: int, channels: int, side: int):
        super().__init__()
        self.places = Places(data, side)
        self.net = Untrunk(self.places.patch, dim + self.places.at.shape[1], channels)

    def forward(self, z: Tensor) -> Tensor:
        """(B, channels, H, W)."""
        own = z.unflatten(1, (self.places.number, -1)).flatten(0, 1)
        return self.places.join(self.net(torch.cat([own, self.places.names(len(z))], 1)))
