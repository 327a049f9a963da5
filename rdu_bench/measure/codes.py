"""Codes drawn from a frozen model, with all that is known of how they were drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..model import Batch, Block, Code, Model, flatten, replay

CHUNK = 512  # examples encoded at once
PAIRS = 2_000_000  # numbers held at once by all-pairs densities


@dataclass(frozen=True)
class Codes:
    """S draws for each of N examples; log-densities and rates in nats."""

    z: Tensor  # (S, N, d) what probes are given
    side: Tensor  # (S, N, e) side information, which decoders are given as well; e may be 0
    log_q: Tensor  # (S, N) log q(z|x), all blocks
    log_p: Tensor  # (S, N) log of the model's own marginal at z
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


def as_batch(seen: Batch | Tensor) -> Batch:
    """Examples alone (N, *shape) as a batch in which nothing else is known."""
    return seen if isinstance(seen, Batch) else Batch.unlabelled(seen)


@torch.no_grad()
def draw(model: Model, seen: Batch | Tensor, draws: int, *, device: str = "cpu", decode: bool = True) -> Codes:
    """`draws` codes for every example seen."""
    batch = as_batch(seen)
    return _stack(
        [_side_by_side([_one(model, part.to(device), decode) for part in batch.chunks(CHUNK)]) for _ in range(draws)]
    )


def _one(model: Model, batch: Batch, decode: bool) -> Codes:
    code, x = model.encode(batch), batch.x
    blocks = list(code.values())
    n = len(x)
    symbols, sizes = [], []
    for block in sorted(blocks, key=lambda b: b.side):
        if block.discrete:
            hot = block.drawn.reshape(n, -1, block.drawn.shape[-1])
            symbols.append(hot.argmax(-1))
            sizes += [hot.shape[-1]] * hot.shape[1]
    side = [block.sample for block in blocks if block.side]
    smooth = [block.drawn.flatten(1) for block in blocks if not block.discrete]
    own = [block for block in blocks if not block.side]
    means = [_mean(block).flatten(1) for block in own]
    likeliest = [_mean(block).reshape(n, -1, block.drawn.shape[-1]).argmax(-1).to(x) for block in own if block.discrete]
    return Codes(
        z=flatten(code),
        side=torch.cat(side, -1) if side else x.new_zeros(n, 0),
        log_q=_total([_log(block.q, block.drawn) for block in blocks]),
        log_p=_total([_log(block.p, block.drawn) for block in blocks]),
        rate={name: block.rate for name, block in code.items()},
        continuous=torch.cat(smooth, -1) if smooth else x.new_zeros(n, 0),
        symbols=torch.cat(symbols, -1) if symbols else torch.zeros(n, 0, dtype=torch.int64, device=x.device),
        sizes=tuple(sizes),
        own=sum(part.shape[-1] for part in likeliest),
        drawn=tuple(block.drawn for block in blocks),
        mean=torch.cat(means, -1),
        centre=torch.cat([m for m, block in zip(means, own, strict=True) if not block.discrete] + likeliest, -1),
        names=tuple(_names(code, False)) + tuple(_names(code, True)),
        distortion=-model.decode(code).log_prob(x) if decode and model.decodes else None,
    )


def _names(code: Code, discrete: bool) -> Iterator[str]:
    """Latents of one kind: `z[0]`, or `y` where a block has only one."""
    for name, block in code.items():
        if block.discrete == discrete and not block.side:
            size = math.prod(block.drawn.shape[1:-1]) if discrete else block.drawn[0].numel()
            yield from (name if size == 1 else f"{name}[{i}]" for i in range(size))


def _log(density: Distribution, at: Tensor) -> Tensor:
    """(B,) log-density; positions that a distribution keeps apart are added up."""
    return density.log_prob(at).reshape(len(at), -1).sum(-1)


def _total(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).sum(0)


def _mean(block: Block) -> Tensor:
    try:
        return block.q.mean
    except NotImplementedError:  # a density without a closed-form mean
        return block.sample


def _side_by_side(parts: list[Codes]) -> Codes:
    return _merge(parts, torch.cat)


def _stack(draws: list[Codes]) -> Codes:
    merged = _merge(draws, torch.stack)
    return Codes(
        **{f.name: getattr(merged, f.name) for f in fields(Codes)} | {"mean": draws[0].mean, "centre": draws[0].centre}
    )


def _merge(parts: list[Codes], join) -> Codes:  # type: ignore[no-untyped-def]
    first = parts[0]
    merged: dict[str, object] = {}
    for field in fields(Codes):
        values = [getattr(part, field.name) for part in parts]
        if isinstance(values[0], Tensor):
            merged[field.name] = join(values).cpu()
        elif field.name == "rate":
            merged[field.name] = {name: join([v[name] for v in values]).cpu() for name in values[0]}
        elif field.name == "drawn":
            merged[field.name] = tuple(join([v[i] for v in values]).cpu() for i in range(len(values[0])))
        else:
            merged[field.name] = getattr(first, field.name)
    return Codes(**merged)  # type: ignore[arg-type]


class Posteriors:
    """q(z|x_m) of M examples, evaluated at any codes: the stuff of aggregate posteriors.

    Where no block depends on the draw of another, densities are those of M stored distributions; otherwise every
    code is sent again under every example.
    """

    def __init__(self, model: Model, seen: Batch | Tensor, device: str = "cpu"):
        self.model, self.seen, self.device = model, as_batch(seen), device
        self.flat = _independent(model, self.seen.rows(slice(64)).to(device))
        if self.flat:
            self.stored = [model.encode(part.to(device)) for part in self.seen.chunks(CHUNK)]

    def __len__(self) -> int:
        return len(self.seen.x)

    def pairs(self, n: int) -> int:
        """Numbers of work for n codes."""
        return n * len(self) if self.flat else n * len(self) * 100

    @torch.no_grad()
    def log_density(self, drawn: tuple[Tensor, ...]) -> Tensor:
        """(n, M) log q(z_n|x_m) of codes drawn as (n, …) a block."""
        return torch.cat(list(self._columns(drawn)), 1).cpu()

    @torch.no_grad()
    def aggregate(self, codes: Codes) -> Tensor:
        """(S, N) log (1/M) Σ_m q(z|x_m)."""
        flat = [part.flatten(0, 1) for part in codes.drawn]
        step = max(1, PAIRS // len(self))
        out = [
            self.log_density(tuple(part[i : i + step] for part in flat)).logsumexp(1)
            for i in range(0, len(flat[0]), step)
        ]
        return (torch.cat(out) - torch.tensor(float(len(self))).log()).reshape(codes.log_q.shape)

    @torch.no_grad()
    def singles(self, codes: Codes) -> Tensor:
        """(c + P, N) log (1/M) Σ_m q(z_j|x_m) of every latent alone, at the first draw; where `flat` only."""
        smooth, hot = [], []
        for parts, draws in zip(zip(*(code.values() for code in self.stored), strict=True), codes.drawn, strict=True):
            at = draws[0].to(self.device)
            if parts[0].discrete:
                logits = torch.cat([_logits(part).reshape(len(part.rate), -1, at.shape[-1]) for part in parts])
                pooled = logits.logsumexp(0) - math.log(len(self))  # (P, K)
                hot += [(at.reshape(len(at), *pooled.shape) * pooled).sum(-1).T]
                continue
            mean, scale = (torch.cat([getattr(part.q, m).flatten(1) for part in parts]) for m in ("mean", "stddev"))
            for z, mu, sd in zip(at.flatten(1).T, mean.T, scale.T, strict=True):
                log_q = -0.5 * ((z[:, None] - mu) / sd).square() - sd.log() - 0.9189385332046727
                smooth += [log_q.logsumexp(1)[None] - math.log(len(self))]
        return torch.cat(smooth + hot).cpu()

    def _columns(self, drawn: tuple[Tensor, ...]) -> Iterator[Tensor]:
        drawn = tuple(part.to(self.device) for part in drawn)
        if self.flat:
            for code in self.stored:
                yield _total([_pairwise(block, at) for block, at in zip(code.values(), drawn, strict=True)])
            return
        n = len(drawn[0])
        step = max(1, CHUNK * 8 // n)
        for part in self.seen.to(self.device).chunks(step):
            m = len(part.x)
            tiled = [at.repeat(m, *[1] * (at.dim() - 1)) for at in drawn]
            with replay(tiled):
                code = self.model.encode(part.rows(torch.arange(m, device=self.device).repeat_interleave(n)))
            for block, at in zip(code.values(), tiled, strict=True):
                if block.drawn is not at:
                    raise ValueError("the model's code does not follow the draws it is given, so it has no density")
            total = _total([_log(block.q, block.drawn) for block in code.values()])
            yield total.reshape(m, n).T


def _independent(model: Model, batch: Batch) -> bool:
    """Whether the posteriors stay the same when the draws differ."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        codes: list[Code] = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            codes.append(model.encode(batch))
    pairs = list(zip(codes[0].values(), codes[1].values(), strict=True))
    known = all(a.discrete or _is_normal(a.q) for a, _ in pairs)
    return known and all(torch.equal(_mean(a), _mean(b)) for a, b in pairs)


def _is_normal(q: Distribution) -> bool:
    base = getattr(q, "base_dist", q)
    return isinstance(base, torch.distributions.Normal)


def _logits(block: Block) -> Tensor:
    base: Any = getattr(block.q, "base_dist", block.q)
    logits: Tensor = base.logits  # normalised
    return logits


def _pairwise(block: Block, at: Tensor) -> Tensor:
    """(n, m) log q(at_n|x_m) of one block."""
    if block.discrete:
        hot = at.flatten(1)
        return hot @ _logits(block).flatten(1).T
    mean, scale = block.q.mean.flatten(1).double(), block.q.stddev.flatten(1).double()
    z, w = at.flatten(1).double(), scale**-2
    quadratic = z.square() @ w.T - 2 * z @ (mean * w).T + (mean.square() * w).sum(-1)
    return (-0.5 * quadratic - (scale.log() + 0.9189385332046727).sum(-1)).float()
