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

from ..model import Batch, Code, Message, Model, Seen, flatten, transmit
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


class Whitened(Model):
    """A model trained without noise, behind a Gaussian channel on its whitened code; one block `z` (B, d).

    Dimension j carries r_j nats, which is noise of τ_j = (e^{2 r_j} − 1)^{−½}, and the r_j add up to σ, or to what
    side information, which passes as it is, leaves of it.  With channel `posthoc-iso` they are equal; with
    `posthoc-learned` training moves their shares and the decoder, never f.  For the ELBO, where σ is None, training
    moves their sum as well.  The decoder is the model's own, fed the mean of the code given what arrived,
    z̃/(1 + τ²), turned back.
    """

    def __init__(self, model: Model, seen: Seen, sigma: float | None):
        super().__init__()
        self._wrap(copy.deepcopy(model), sigma is not None)
        device = next(model.parameters()).device
        sent = [self._f(part.to(device)) for part in seen.chunks(1024)]
        f = torch.cat([part for part, _ in sent]).double()
        side = sum(float(block.rate.sum()) for _, blocks in sent for block in blocks.values()) / len(f)
        white = whitening(f)
        size = white.matrix.shape[1]
        if not size:
            raise ValueError("the encoder maps every training example to one code: no noise gives it a rate")
        self._channel(white.mean.float(), white.matrix.float(), white.back.float())
        self.sigma = float(size) if sigma is None else max(sigma - side, LEAST)
        if sigma is not None and sigma - side < LEAST:
            self.limit = f"side information alone costs {side:.2f} nats"

    @classmethod
    def restored(cls, model: Model, kept: Mapping[str, Tensor], sigma: float) -> Whitened:
        """Behind a channel that was kept: its buffers by name, and its `sigma`, in nats."""
        made = cls.__new__(cls)
        Model.__init__(made)
        made._wrap(model, True)
        made._channel(kept["mean"], kept["whiten"], kept["colour"])
        made.sigma = sigma
        return made

    def _wrap(self, model: Model, rate_is_set: bool) -> None:
        self.model = model.eval()
        self.row, self.channel, self.rate_is_set = model.row, model.channel, rate_is_set
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
    def _f(self, batch: Batch) -> tuple[Tensor, Code]:
        """The code (B, d), and side information, which needs no noise."""
        code = self.model.encode(batch)
        return flatten(code), {name: block for name, block in code.items() if block.side}

    @property
    def tau(self) -> Tensor:
        """(d,) standard deviation of the noise, in units of the whitened code."""
        nats = self.sigma * (GAIN * self.growth).exp() * (GAIN * self.share).softmax(-1)
        return torch.expm1(2 * nats.clamp(1e-8, 40.0)) ** -0.5

    def encode(self, batch: Batch) -> Code:
        f, side = self._f(batch)
        u, tau = (f - self.mean) @ self.whiten, self.tau
        z = transmit(gaussian(u, tau.expand_as(u)), gaussian(torch.zeros_like(tau), (1 + tau**2).sqrt()))
        return {**side, "z": z}

    def decode(self, code: Message) -> Distribution:
        block = code["z"]
        arrived = block.sample / (1 + self.tau**2)
        return self.model.decode({**code, "z": block._replace(sample=self.mean + arrived @ self.colour)})

    @property
    def decodes(self) -> bool:
        """Whether the model behind the channel has a decoder of x."""
        return self.model.decodes

    mean: Tensor
    whiten: Tensor
    colour: Tensor
