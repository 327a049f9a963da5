"""Noise for encoders that have none: z̃ = W(f(x) − mean) + τ ⊙ ε, the representation of a deterministic encoder.

Without noise the rate of a continuous code is unbounded.  The whitening W makes τ mean the same for every
encoder, so it cannot be gamed by rescaling f, and fixes the rate: R_cap = ½ Σ_j log(1 + 1/τ_j²) nats against
N(0, I + diag τ²), exact on the training set where the whitened code has unit variance.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..model import Arrived, Batch, Code, Message, Model, Seen, flatten, transmit
from ..nn.densities import gaussian
from ..nn.whitening import whitening

LEAST = 1e-3  # nats that a code has at least
GAIN = 10.0  # for few numbers with far to go, beside weights that have not


def comes_after(model: Model) -> bool:
    """Whether the model is to be trained once, paying no rate, and given each rate afterwards, by `at_rate`.

    What `at_rate` gives has its channel.
    """
    if isinstance(model, Whitened) or model.rate_is_set:
        return False
    return model.channel.startswith("posthoc") or model.channel == "multi-rate"


def at_rate(model: Model, seen: Seen, sigma: float | None) -> Model:
    """The trained `model` as one of `sigma` nats on the examples `seen`, in evaluation mode."""
    made = Whitened(model, seen, sigma) if model.channel.startswith("posthoc") else model.at_rate(seen, sigma)
    return made.to(next(model.parameters()).device).eval()


Blocks = Mapping[str, tuple[int, int]]  # of every block that needs noise its width, and the dimensions that are sent


class Whitened(Model):
    """A model trained without noise, behind a Gaussian channel on its whitened code, block by block.

    Every block is whitened by itself and keeps its name; one that is constant is not sent.  Dimension j carries r_j
    nats, which is noise of τ_j = (e^{2 r_j} − 1)^{−½}, and the r_j add up to σ, or to what side information, which
    passes as it is, leaves of it.  With channel `posthoc-iso` they are equal; with `posthoc-learned` training moves
    their shares and the decoder, never f.  For the ELBO, where σ is None, training moves their sum as well.  The
    decoder is the model's own, fed the mean of the code given what arrived, z̃/(1 + τ²), turned back.
    """

    def __init__(self, model: Model, seen: Seen, sigma: float | None):
        super().__init__()
        self._wrap(copy.deepcopy(model), sigma is not None)
        device = next(model.parameters()).device
        sent = [self._f(part.to(device)) for part in seen.chunks(1024)]
        f = torch.cat([part for part, _, _ in sent]).double()
        side = sum(float(block.rate.sum()) for _, blocks, _ in sent for block in blocks.values()) / len(f)
        sizes = sent[0][2]
        each = [whitening(part) for part in f.split([*sizes.values()], 1)]
        self.blocks = {n: (width, w.matrix.shape[1]) for (n, width), w in zip(sizes.items(), each, strict=True)}
        size = sum(kept for _, kept in self.blocks.values())
        if not size:
            raise ValueError("the encoder maps every training example to one code: no noise gives it a rate")
        mean = torch.cat([white.mean for white in each])
        whiten, colour = (torch.block_diag(*parts) for parts in zip(*((w.matrix, w.back) for w in each), strict=True))
        self._channel(mean.float(), whiten.float(), colour.float())
        self.sigma = float(size) if sigma is None else max(sigma - side, LEAST)
        if sigma is not None and sigma - side < LEAST:
            self.limit = f"side information alone costs {side:.2f} nats"

    @classmethod
    def restored(cls, model: Model, kept: Mapping[str, Tensor], sigma: float, blocks: Blocks | None) -> Whitened:
        """Behind a channel that was kept: its buffers by name, its `sigma`, in nats, and its blocks; else one, `z`."""
        made = cls.__new__(cls)
        Model.__init__(made)
        made.blocks = dict(blocks or {"z": (len(kept["mean"]), len(kept["colour"]))})
        made._wrap(model, True)
        made._channel(kept["mean"], kept["whiten"], kept["colour"])
        made.sigma = sigma
        return made

    def _wrap(self, model: Model, rate_is_set: bool) -> None:
        self.model = model.eval()
        self.row, self.channel, self.rate_is_set = model.row, model.channel, rate_is_set
        self.predicts = model.predicts
        if model.channel != "posthoc-learned":
            self.model.requires_grad_(False)

    def _channel(self, mean: Tensor, whiten: Tensor, colour: Tensor) -> None:
        for name, value in (("mean", mean), ("whiten", whiten), ("colour", colour)):
            self.register_buffer(name, value)
        learned = self.channel == "posthoc-learned"
        self.share = nn.Parameter(mean.new_zeros(len(colour)), requires_grad=learned)
        self.growth = nn.Parameter(mean.new_zeros(()), requires_grad=not self.rate_is_set)

    def train(self, mode: bool = True) -> Whitened:
        """As of any module, but the model behind the channel stays as it was measured."""
        super().train(mode)
        self.model.eval()
        return self

    @torch.no_grad()
    def _f(self, batch: Batch) -> tuple[Tensor, Code, dict[str, int]]:
        """The code (B, d), side information, which needs no noise, and the width of every block that does."""
        code = self.model.encode(batch)
        side = {name: block for name, block in code.items() if block.side}
        return flatten(code), side, {n: b.sample.shape[1] for n, b in code.items() if not b.side}

    @property
    def _sent(self) -> dict[str, int]:
        """The dimensions of every block that is sent."""
        return {name: kept for name, (_, kept) in self.blocks.items() if kept}

    @property
    def silent(self) -> list[str]:  # type: ignore[override]
        """The blocks that are constant."""
        return [name for name, (_, kept) in self.blocks.items() if not kept]

    @property
    def tau(self) -> Tensor:
        """(d,) standard deviation of the noise, in units of the whitened code."""
        nats = self.sigma * (GAIN * self.growth).exp() * (GAIN * self.share).softmax(-1)
        return torch.expm1(2 * nats.clamp(1e-8, 40.0)) ** -0.5

    def encode(self, batch: Batch) -> Code:
        f, side, _ = self._f(batch)
        sizes = [*self._sent.values()]
        parts = zip(((f - self.mean) @ self.whiten).split(sizes, 1), self.tau.split(sizes), strict=True)
        sent = [
            transmit(gaussian(u, tau.expand_as(u)), gaussian(torch.zeros_like(tau), (1 + tau**2).sqrt()))
            for u, tau in parts
        ]
        return {**side, **dict(zip(self._sent, sent, strict=True))}

    def decode(self, code: Message) -> Distribution:
        arrived = torch.cat([code[name].sample for name in self._sent], 1) / (1 + self.tau**2)
        f = (self.mean + arrived @ self.colour).split([width for width, _ in self.blocks.values()], 1)
        return self.model.decode({**code, **{name: Arrived(part) for name, part in zip(self.blocks, f, strict=True)}})

    @property
    def decodes(self) -> bool:
        """Whether the model behind the channel has a decoder of x."""
        return self.model.decodes

    mean: Tensor
    whiten: Tensor
    colour: Tensor
