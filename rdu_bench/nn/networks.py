"""Encoders x → distribution and decoders z → distribution, sized by the data set and the suite."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import softplus

from . import study
from .densities import bernoulli, gaussian
from .frames import Each


class Spec(NamedTuple):
    """What a network must know of a data set and of the suite, the same for every model of a suite."""

    shape: tuple[int, ...]  # of one example
    examples: int = 0  # in the training set
    classes: int = 0  # of the task label y; 0 when it is no class
    groups: int = 0  # of the sensitive label s
    factors: int = 0  # known class factors
    likelihood: str = "bernoulli"  # or "gaussian"
    noise: float | None = None  # fixed variance of a Gaussian likelihood; None learns one for all dimensions
    family: str = "mlp"  # or "conv", or "study", whose `hidden` is that of study.py
    hidden: tuple[int, ...] = (256, 256)  # mlp: widths; conv: channels of the stride-2 layers, then one width
    latent: int = 10  # dimensions of a code unless the model says otherwise
    centre: float = 0.0  # mean of the training pixels of a Gaussian x
    scale: float = 1.0  # their standard deviation, the unit in which networks see x and write its mean

    @property
    def size(self) -> int:
        """Numbers in one example."""
        return torch.Size(self.shape).numel()

    @property
    def sequence(self) -> bool:
        """Whether an example is (T, C, H, W): the frames of a sequence, images of a group, or views of a scene."""
        return len(self.shape) == 4

    @property
    def frames(self) -> int:
        """T; 1 where an example is no sequence."""
        return self.shape[0] if self.sequence else 1

    @property
    def frame(self) -> Spec:
        """The same for one frame alone."""
        return self._replace(shape=self.shape[1:]) if self.sequence else self


def concatenate(*tensors: Tensor) -> Tensor:
    """(B, …), (B, …), … flattened and concatenated → (B, sum of sizes)."""
    return torch.cat([t.flatten(1) for t in tensors], -1) if len(tensors) > 1 else tensors[0].flatten(1)


class MLP(nn.Sequential):
    """Linear layers with ReLU between them and none after the last; several inputs are put side by side."""

    def forward(self, *given: Tensor) -> Tensor:
        """(B, n) → (B, m)."""
        return super().forward(concatenate(*given))


def mlp(*sizes: int) -> MLP:
    """An `MLP` of the given widths, input and output included."""
    layers: list[nn.Module] = []
    for n, m in pairwise(sizes):
        layers += [nn.Linear(n, m), nn.ReLU()]
    return MLP(*layers[:-1])


class Standard(nn.Module):
    """x in the units of its pixels → (x − centre) / scale, of the same shape."""

    def __init__(self, data: Spec):
        super().__init__()
        self.centre, self.scale = data.centre, data.scale
        self.same = self.centre == 0 and self.scale == 1  # as of binary x, which stays what it is

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape."""
        return x if self.same else (x - self.centre) / self.scale


class Trunk(nn.Module):
    """x (B, *shape) and, beside it, `given` further numbers → (B, out), in the suite's family.

    The family study is that of Locatello et al. 2019 (arXiv:1811.12359, table 1) for images of 64×64: `conv` with
    kernels of 2 in its last two layers of convolutions.  Raises `ValueError` for other images.
    """

    def __init__(self, data: Spec, out: int, given: int = 0):
        super().__init__()
        self.standard = Standard(data)
        if data.family == "mlp":
            self.features: nn.Module = nn.Flatten()
            self.head = mlp(data.size + given, *data.hidden, out)
            return
        *channels, width = data.hidden
        layers: list[nn.Module] = []
        kernels = study.KERNELS if _of_the_study(data) else (4,) * len(channels)
        for n, m, k in zip([data.shape[-3], *channels], channels, kernels, strict=False):
            layers += [nn.Conv2d(n, m, k, stride=2, padding=k // 2 - 1), nn.ReLU()]
        one = nn.Sequential(*layers)
        self.features = nn.Sequential(*([Each(one)] if data.sequence else one), nn.Flatten())
        with torch.no_grad():
            flat = self.features(torch.zeros(1, *data.shape)).shape[1]
        self.head = mlp(flat + given, width, out)

    def forward(self, x: Tensor, *given: Tensor) -> Tensor:
        """(B, out)."""
        return self.head(self.features(self.standard(x)), *given)


def _of_the_study(data: Spec) -> bool:
    """Whether the family is that of the study.  Raises `ValueError` where it cannot be."""
    if data.family != "study":
        return False
    if tuple(data.shape[-2:]) != (study.SIDE, study.SIDE) or tuple(data.hidden) != study.HIDDEN:
        raise ValueError(
            f"family = 'study' is for images of {study.SIDE}×{study.SIDE}, with hidden = {list(study.HIDDEN)}; here x "
            f"is {'×'.join(map(str, data.shape))} and hidden = {list(data.hidden)}: take 'conv' or 'mlp'"
        )
    return True


class Untrunk(nn.Module):
    """z (B, dim) → (B, *shape): the trunk turned around, with as many `channels` as the data or as are given."""

    def __init__(self, data: Spec, dim: int, channels: int | None = None):
        super().__init__()
        self.shape = data.shape if channels is None else (*data.shape[:-3], channels, *data.shape[-2:])
        if data.family == "mlp":
            self.net: nn.Module = mlp(dim, *data.hidden, torch.Size(self.shape).numel())
            return
        _of_the_study(data)  # whose decoder is that of conv
        *widths, dense = data.hidden
        maps = [data.shape[-2:]]  # of the trunk's layers, halved and rounded down; the same come here, in reverse
        for _ in widths:
            maps.append(tuple(max(1, n // 2) for n in maps[-1]))
        layers: list[nn.Module] = [nn.Unflatten(1, (widths[-1], *maps[-1]))]
        channel_pairs = pairwise([*reversed(widths), self.shape[-3]])
        for (n, m), (small, large) in zip(channel_pairs, pairwise(reversed(maps)), strict=True):
            odd = [max(0, b - 2 * a) for a, b in zip(small, large, strict=True)]
            layers += [nn.ReLU(), nn.ConvTranspose2d(n, m, 4, stride=2, padding=1, output_padding=(odd[0], odd[1]))]
        if data.sequence:
            layers = [nn.Unflatten(1, (data.frames, -1)), Each(nn.Sequential(*layers))]
        self.net = MLP(mlp(dim, dense, data.frames * widths[-1] * maps[-1][0] * maps[-1][1]), *layers)

    def forward(self, *given: Tensor) -> Tensor:
        """(B, *shape), of `channels` channels."""
        out = self.net(*given)
        if out.dim() == 2:
            return out.unflatten(-1, self.shape)
        return out[..., : self.shape[-2], : self.shape[-1]]


class Gaussian(nn.Module):
    """Whatever `net` (… → (B, 2d)) is given → N(μ, diag s²) over (B, d)."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, *given: Tensor) -> Distribution:
        """q over (B, d)."""
        mean, raw = self.net(*given).chunk(2, -1)
        return gaussian(mean, softplus(raw) + 1e-4)


class Channel(nn.Module):
    """x → N(f(x), diag s²): a deterministic encoder `net` (… → (B, dim)) behind noise of one learned width a dimension.

    Without the noise the rate of a continuous code is unbounded.
    """

    def __init__(self, net: nn.Module, dim: int):
        super().__init__()
        self.net = net
        self.log_width = nn.Parameter(torch.full((dim,), -0.12))  # s = 0.3: midway, targets are met sooner

    def forward(self, *given: Tensor) -> Distribution:
        """q over (B, dim)."""
        f = self.net(*given)
        return gaussian(f, (10 * self.log_width).exp().expand_as(f))  # the 10: few numbers with far to go


class Observation(nn.Module):
    """Outputs of a network (B, *shape) → p(x|z), the likelihood of the data set.

    A Gaussian has one variance for all dimensions: the declared one, or one learned that starts at that of the data.
    Its mean is written in units of the data.
    """

    def __init__(self, data: Spec):
        super().__init__()
        self.likelihood, self.noise = data.likelihood, data.noise
        self.centre, self.scale = data.centre, data.scale
        if data.likelihood == "gaussian" and data.noise is None:
            self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, out: Tensor) -> Distribution:
        """p(x|z) over (B, *shape)."""
        if self.likelihood == "bernoulli":
            return bernoulli(out)
        if self.noise is None:
            deviation = self.scale * (10 * self.log_scale).exp()  # the 10: one number with far to go
        else:
            deviation = out.new_tensor(self.noise**0.5)
        return gaussian(self.centre + self.scale * out, deviation.expand_as(out))


class Decoder(nn.Module):
    """z (B, dim), several side by side, → p(x|z) over (B, *shape), with the likelihood of the data set."""

    def __init__(self, data: Spec, dim: int):
        super().__init__()
        self.net, self.observation = Untrunk(data, dim), Observation(data)

    def forward(self, *given: Tensor) -> Distribution:
        """p(x|z)."""
        return self.observation(self.net(*given))


class UnitGaussian(nn.Module):
    """m(z) = N(0, I)."""

    zero: Tensor

    def __init__(self, dim: int):
        super().__init__()
        self.register_buffer("zero", torch.zeros(dim), persistent=False)

    def forward(self) -> Distribution:
        """m over (d,)."""
        return gaussian(self.zero, torch.ones_like(self.zero))
