"""Codes drawn from a frozen model, with all that is known of how they were drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..model import Batch, Block, Code, Model, flatten
from .spaces import Sent, is_one_hot, sent_blocks

CHUNK = 512  # examples encoded at once
NO_DECODER = "the model has no decoder of x"


@dataclass(frozen=True)
class Codes:
    """S draws for each of N examples; log-densities and rates in nats."""

    z: Tensor  # (S, N, d) what probes are given
    side: Tensor  # (S, N, e) side information, which decoders are given as well; e may be 0
    log_q: Tensor  # (S, N) log q(z|x), all blocks
    log_p: Tensor  # (S, N) log of the model's own marginal at z
    expected: dict[str, Tensor]  # (S, N) a block, its part of log_p
    rate: dict[str, Tensor]  # (S, N) a block, as the model charges it
    continuous: Tensor  # (S, N, c) continuous draws side by side, c may be 0
    symbols: Tensor  # (S, N, P) discrete draws by position, those of side information last; P may be 0
    sizes: tuple[int, ...]  # (P,) alphabets
    own: int  # positions that are no side information
    drawn: tuple[Tensor, ...]  # (S, N, …) a block, for replay
    mean: Tensor  # (N, d') posterior means, class probabilities for symbols
    centre: Tensor  # (N, c + own) posterior means of continuous latents, then the likeliest symbol of each position
    names: tuple[str, ...]  # (c + own,) of the latents, in that order
    distortion: Tensor | None  # (S, N) −log p(x|z) of the model's own decoder
    undecoded: str  # why there is no distortion
    sent_blocks: tuple[Sent, ...] = ()  # what else is known of each block
    owners: tuple[str, ...] = ()  # (c + own,) the block of each latent

    def __len__(self) -> int:
        return self.z.shape[1]

    @property
    def latents(self) -> Tensor:
        """(S, N, c + own): the draws latent by latent, continuous ones first, symbols as their numbers."""
        return torch.cat([self.continuous, self.symbols[..., : self.own].to(self.continuous)], -1)

    @property
    def sent(self) -> Tensor:
        """(S, N, d + e): all that a decoder is given."""
        return torch.cat([self.z, self.side], -1)


class Examined(Protocol):
    """Examples as a model is given them, such as a `View`."""

    def chunks(self, size: int) -> Iterator[Batch]:
        """All of them in order, `size` at a time."""


class Splits(NamedTuple):
    """Codes of some training examples, of validation, and of the test examples that are scored."""

    train: Codes
    val: Codes
    test: Codes


@torch.no_grad()
def draw(model: Model, view: Examined, draws: int, *, device: str = "cpu", decode: bool = True) -> Codes:
    """`draws` codes for every example of a view, a chunk at a time.

    With `decode` the model's own decoder is asked for −log p(x|z); what it raises is in `Codes.undecoded`.
    """
    found = _draws_together(
        [_side_by_side([_one(model, part.to(device), decode) for part in view.chunks(CHUNK)]) for _ in range(draws)]
    )
    return replace(found, sent_blocks=sent_blocks(model, next(iter(view.chunks(CHUNK))).to(device)))


def log_density(density: Distribution, z: Tensor) -> Tensor:
    """(B,) log-density of z (B, …); positions that a distribution keeps apart are added up."""
    return density.log_prob(z).reshape(len(z), -1).sum(-1)


def mean_of(block: Block) -> Tensor:
    """(B, …) posterior mean, class probabilities of symbols; the draw where a density has no mean in closed form."""
    try:
        return block.q.mean
    except NotImplementedError:
        return block.sample


def total(parts: Sequence[Tensor]) -> Tensor:
    """The sum over blocks."""
    return torch.stack(list(parts)).sum(0)


def _one(model: Model, batch: Batch, decode: bool) -> Codes:
    code, x = model.encode(batch), batch.x
    blocks = list(code.values())
    n = len(x)
    symbols, sizes = [], []
    for block in sorted(blocks, key=lambda b: b.side):
        if is_one_hot(block):
            hot = block.drawn.reshape(n, -1, block.drawn.shape[-1])
            symbols.append(hot.argmax(-1))
            sizes += [hot.shape[-1]] * hot.shape[1]
    side = [block.sample for block in blocks if block.side]
    smooth = [block.drawn.flatten(1).to(x) for block in blocks if not is_one_hot(block)]
    own = [block for block in blocks if not block.side]
    means = [mean_of(block).flatten(1) for block in own]
    likeliest = [
        mean_of(block).reshape(n, -1, block.drawn.shape[-1]).argmax(-1).to(x) for block in own if is_one_hot(block)
    ]
    distortion, undecoded = _decoded(model, code, x) if decode and model.decodes else (None, NO_DECODER)
    expected = {name: log_density(block.p, block.drawn) for name, block in code.items()}
    named = [*_names(code, False), *_names(code, True)]
    return Codes(
        z=flatten(code),
        side=torch.cat(side, -1) if side else x.new_zeros(n, 0),
        log_q=total([log_density(block.q, block.drawn) for block in blocks]),
        log_p=total(list(expected.values())),
        expected=expected,
        rate={name: block.rate for name, block in code.items()},
        continuous=torch.cat(smooth, -1) if smooth else x.new_zeros(n, 0),
        symbols=torch.cat(symbols, -1) if symbols else torch.zeros(n, 0, dtype=torch.int64, device=x.device),
        sizes=tuple(sizes),
        own=sum(part.shape[-1] for part in likeliest),
        drawn=tuple(block.drawn for block in blocks),
        mean=torch.cat(means, -1),
        centre=torch.cat([m for m, block in zip(means, own, strict=True) if not is_one_hot(block)] + likeliest, -1),
        names=tuple(latent for _, latent in named),
        owners=tuple(block for block, _ in named),
        distortion=distortion,
        undecoded=undecoded,
    )


def _decoded(model: Model, code: Code, x: Tensor) -> tuple[Tensor | None, str]:
    try:
        return -model.receive(code).log_prob(model.predicted(x)), ""
    except Exception as error:  # a decoder that fails costs D of its own, not the code's other numbers
        return None, f"the model's own decoder failed with {type(error).__name__}: {error}"


def _names(code: Code, discrete: bool) -> Iterator[tuple[str, str]]:
    """The block and the name of all latents of one kind: `z[0]`, or `y` where a block has only one."""
    for name, block in code.items():
        if is_one_hot(block) == discrete and not block.side:
            size = math.prod(block.drawn.shape[1:-1]) if discrete else block.drawn[0].numel()
            yield from ((name, name if size == 1 else f"{name}[{i}]") for i in range(size))


def _side_by_side(parts: list[Codes]) -> Codes:
    return _merge(parts, torch.cat)


def _draws_together(draws: list[Codes]) -> Codes:
    return replace(_merge(draws, torch.stack), mean=draws[0].mean, centre=draws[0].centre)


def _merge(parts: list[Codes], join: Callable[[list[Tensor]], Tensor]) -> Codes:
    def joined(name: str) -> Tensor:
        return join([getattr(part, name) for part in parts]).cpu()

    first = parts[0]
    undecoded = next((part.undecoded for part in parts if part.undecoded), "")
    return Codes(
        z=joined("z"),
        side=joined("side"),
        log_q=joined("log_q"),
        log_p=joined("log_p"),
        expected={name: join([part.expected[name] for part in parts]).cpu() for name in first.expected},
        rate={name: join([part.rate[name] for part in parts]).cpu() for name in first.rate},
        continuous=joined("continuous"),
        symbols=joined("symbols"),
        sizes=first.sizes,
        own=first.own,
        drawn=tuple(join([part.drawn[i] for part in parts]).cpu() for i in range(len(first.drawn))),
        mean=joined("mean"),
        centre=joined("centre"),
        names=first.names,
        owners=first.owners,
        distortion=None if undecoded else joined("distortion"),
        undecoded=undecoded,
    )
