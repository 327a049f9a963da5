"""What a model is: a code sent in blocks, and four numbers in nats.

The sender draws a code z ~ q(z|x) block by block and pays KL(q ‖ p) nats for each; the receiver turns it
into p(x|z).  The trainer sees a model only through `Terms`, the probes only through `Code`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence

GROUP = 16  # examples that differ in one factor only, where a model asks for such batches


class Row(NamedTuple):
    """A model's line in the tables of Tschannen, Bachem & Lucic (2018), arXiv:1812.05069.  Literals only."""

    paper: str  # arXiv id, OpenReview id, or DOI
    title: str = ""  # the model's name as the field writes it
    objective: str = ""  # what it minimises, in D, R and its own terms
    base: str = "VAE"  # the loss it starts from: VAE, AE, or what else it predicts
    R1: str = ""  # regulariser on q(z|x)
    R2: str = ""  # regulariser on q(z)
    encoder: str = ""  # H hierarchical, A autoregressive, T sequential
    decoder: str = ""
    prior: str = "N"  # N Gaussian, C categorical, M mixture, G graphical model, L learned
    labels: str = ""  # "", "optional" or "required": class labels seen in training
    rate: str = "closed-form KL"  # how R_own is computed
    claim: str = ""  # what its paper says it is for, as `_claims` reads it: "D_y, lower than vae, on digits"
    side: str = ""  # "s" where encoder and decoder are told the sensitive label, which is then sent too
    batches: str = ""  # "one-factor" where training examples come in `GROUP`s that differ in one factor only
    needs: tuple[str, ...] = ()  # of the data: "labels", "groups", "factors", "image", "sequence", "binary"


class Batch(NamedTuple):
    """What one training step sees; measuring always sees `unlabelled` batches."""

    x: Tensor  # (B, *shape)
    y: Tensor  # (B,) int64 task label, -1 where unknown
    s: Tensor  # (B,) int64 sensitive label, -1 where unknown
    progress: Tensor  # () fraction of training, or of warming up where validation ends it, in [0, 1]
    varied: Tensor = torch.tensor(-1)  # () number of the one class factor that differs within a group, -1: all may

    @classmethod
    def unlabelled(cls, x: Tensor, s: Tensor | None = None) -> Batch:
        """x (B, *shape) with no label known, at the end of training; with s for models that send it."""
        unknown = torch.full((len(x),), -1, device=x.device)
        return cls(x, unknown, unknown if s is None else s, x.new_ones(()))

    def rows(self, at: Tensor | slice) -> Batch:
        """Some of the examples."""
        return Batch(self.x[at], self.y[at], self.s[at], self.progress, self.varied)

    def chunks(self, size: int) -> Iterator[Batch]:
        """The examples in order, `size` at a time."""
        return (self.rows(slice(i, i + size)) for i in range(0, len(self.x), size))

    def to(self, device: str | torch.device) -> Batch:
        """The same on another device, which is not waited for where it is a GPU."""
        device = torch.device(device)
        if device.type == "cpu" and all(part.device.type == "cpu" for part in self):
            return self
        ahead = device.type == "cuda"  # from there to memory it would be wrong
        return Batch(*(part.to(device, non_blocking=ahead) for part in self))


class Seen(Protocol):
    """Examples that are given a few at a time: a `Batch`, or the view of a split that may be larger than memory."""

    def chunks(self, size: int) -> Iterator[Batch]:
        """The examples in order, `size` at a time."""


class Block(NamedTuple):
    """One part of a code, as it went over the wire."""

    sample: Tensor  # (B, d) what the receiver and the probes get
    rate: Tensor  # (B,) nats paid for it, given the blocks before it
    q: Distribution  # where it was drawn from
    p: Distribution  # what the receiver expected
    drawn: Tensor  # (B, …) the draw itself: one-hot (B, K) or (B, P, K) for symbols, else the sample
    side: bool = False  # whether it is side information, paid for and decoded with, but no part of the representation

    @property
    def discrete(self) -> bool:
        """Whether symbols were sent."""
        return bool(self.q.support is not None and self.q.support.is_discrete)

    @property
    def log_ratio(self) -> Tensor:
        """(B,) nats, log q(z|x) − log p(z) at the draw: the Monte Carlo rate of this block."""
        return self.q.log_prob(self.drawn) - self.p.log_prob(self.drawn)


Code = dict[str, Block]  # in sending order; the names appear in the results


class Arrived(NamedTuple):
    """All that the receiver has of a block: neither where it was drawn from nor what was expected."""

    sample: Tensor  # (B, d)


Message = dict[str, Arrived]  # what a decoder is given of a code, in sending order


class Terms(NamedTuple):
    """A model on one batch."""

    distortion: Tensor  # (B,) nats, −log p(x|z)
    rate: Tensor  # (B,) nats, all blocks
    regularizer: Tensor  # () the model's own λ₁R₁ + λ₂R₂
    critic_loss: Tensor  # () what its critics minimise
    priced: Tensor = torch.zeros(())  # () nats beside the rate that cost what a nat of rate costs, whatever that is


_forced: ContextVar[Iterator[Tensor] | None] = ContextVar("_forced", default=None)


@contextmanager
def replay(drawn: list[Tensor]) -> Iterator[None]:
    """Inside, `transmit` sends these draws, one a call and in order, instead of new ones; after the last, new ones.

    So log q(z|x') of a code z under another example x' is the sum of its blocks' `q.log_prob(drawn)`.
    """
    token = _forced.set(iter(drawn))
    try:
        yield
    finally:
        _forced.reset(token)


def transmit(q: Distribution, p: Distribution | Callable[[Tensor], Distribution]) -> Block:
    """Draw z ~ q and charge KL(q ‖ p), in closed form where torch has one, else log q(z) − log p(z).

    For an autoregressive p give the function from the draw to its conditionals ∏_j p(z_j|z_<j): what is charged is
    Σ_j KL(q_j ‖ p(z_j|z_<j)), which of that one draw is not a bound and of the mean is the rate.
    """
    forced = _forced.get()
    z = next(forced, None) if forced else None
    z = q.rsample() if z is None else z
    p = p if isinstance(p, Distribution) else p(z)
    try:
        rate = kl_divergence(q, p)
    except NotImplementedError:
        rate = q.log_prob(z) - p.log_prob(z)
    return Block(z.flatten(1), rate, q, p, z)


def flatten(code: Code) -> Tensor:
    """(B, Σd): the code side by side without side information, which is the representation the probes are given."""
    return torch.cat([block.sample for block in code.values() if not block.side], -1)


class Model(nn.Module):
    """Base of all models; calling one on a batch gives its `Terms`.

    Methods must be pure: randomness only from `torch.rand*`, nothing written to `self`, no Python branch on
    the value of a tensor.  The trainer relies on it to train every rate target at once.  Noise that belongs to training
    alone, such as a corruption of x, asks `self.training`, which is off whenever a model is measured.
    """

    row: Row  # an instance may narrow its class's, to what its hyper-parameters leave of it
    channel = "native"  # how noise enters: native, trained-noise, posthoc-iso, posthoc-learned or multi-rate
    rate_is_set = False  # whether its construction fixes R, whatever its weights
    betas = (0.9, 0.999)  # of Adam's averages for its own weights; a game wants less of the first
    learns_distortion = True  # whether D teaches its encoder and decoder; else no validation of D ends its training
    limit = ""  # in words, what kept that construction from the rate it was asked for
    size: Mapping[str, int] = {}
    silent: Sequence[str] = ()  # blocks that are the same for all training examples, so that nothing of them is sent
    predicts = 0  # the last frames of x, which decode is of and encode does not see; 0: decode is of x
    labelled: int | None = None  # how many training examples show it their label; None: all

    def encode(self, batch: Batch) -> Code:
        """Sample a code for batch.x; labels may be used where known, and are unknown whenever a model is measured."""
        raise NotImplementedError

    def decode(self, code: Message) -> Distribution:
        """p(x|z) over (B, *shape) from what was sent and nothing else; models without a decoder leave this out.

        Of a model that `predicts`, p of those frames.
        """
        raise NotImplementedError

    def receive(self, code: Code) -> Distribution:
        """p(x|z) over (B, *shape): what `decode` makes of the samples of a code, which is all that it is handed."""
        return self.decode({name: Arrived(block.sample) for name, block in code.items()})

    @property
    def decodes(self) -> bool:
        """Whether the model has a decoder of x."""
        return type(self).decode is not Model.decode

    def distortion(self, batch: Batch, code: Code) -> Tensor:
        """(B,) nats, −log p of what decode is of."""
        return -self.receive(code).log_prob(self.predicted(batch.x))

    def predicted(self, x: Tensor) -> Tensor:
        """What decode is of: x (B, *shape), or of a predictor the last frames, (B, predicts, *frame)."""
        return x[:, -self.predicts :] if self.predicts else x

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        """() nats, added to the loss."""
        return batch.x.new_zeros(())

    def priced(self, batch: Batch, code: Code) -> Tensor:
        """() nats, added to the loss times β, the price of a nat of rate: what is to keep its weight at every rate.

        A rate target moves β; the rate that it looks at has no part of this.
        """
        return batch.x.new_zeros(())

    def critic_loss(self, batch: Batch, code: Code) -> Tensor:
        """() loss of the model's `Critic`s; its gradient must reach nothing else."""
        return batch.x.new_zeros(())

    def for_rate(self, sigma: float | None) -> Model:
        """What is trained for `sigma` nats: this model, or one of another `size` where that sets what it can send."""
        return self

    def at_rate(self, seen: Seen, sigma: float | None) -> Model:
        """For a `multi-rate` channel: this model, once trained for all rates, as the one of `sigma` nats on `seen`.

        What tells it from this model lies in its buffers, so that it can be kept.
        """
        raise NotImplementedError

    def forward(self, batch: Batch) -> Terms:
        """All that training needs."""
        code = self.encode(batch)
        return Terms(
            distortion=self.distortion(batch, code),
            rate=total_rate(code),
            regularizer=self.regularizer(batch, code),
            critic_loss=self.critic_loss(batch, code),
            priced=self.priced(batch, code),
        )


def total_rate(code: Code) -> Tensor:
    """(B,) nats paid for all blocks of a code."""
    rates = [block.rate for block in code.values()]
    return torch.stack(rates).sum(0) if len(rates) > 1 else rates[0]
