"""q(z|x_m) of many examples, evaluated at any codes: what aggregate posteriors are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from ..data import Examples, View
from ..model import Batch, Block, Code, Model, replay
from .codes import CHUNK, Codes, log_density, mean_of, total
from .spaces import is_one_hot

HALF_LOG_2PI = 0.9189385332046727
PAIRS = 2_000_000  # numbers held at once by all-pairs densities


class Posteriors:
    """q(z|x_m) of M examples, evaluated at any codes: the stuff of aggregate posteriors.

    Where no block depends on the draw of another, and a density takes many codes at once, densities are those of M
    stored distributions; otherwise every code is sent again under every example.
    """

    @torch.no_grad()
    def __init__(self, model: Model, view: View, device: str = "cpu"):
        self.model, self.view, self.device = model, view, device
        self.flat = _independent(model, view.rows(slice(64)).batch().to(device))
        if self.flat:
            self.stored = [model.encode(part.to(device)) for part in view.chunks(CHUNK)]

    def __len__(self) -> int:
        return len(self.view)

    @property
    def closed(self) -> bool:
        """Whether the density of every latent alone has a closed form."""
        return self.flat and all(_closed(block) for block in self.stored[0].values())

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
        """(c + P, N) log (1/M) Σ_m q(z_j|x_m) of every latent alone, at the first draw; where `closed` only."""
        smooth, hot = [], []
        for parts, draws in zip(zip(*(code.values() for code in self.stored), strict=True), codes.drawn, strict=True):
            first = draws[0].to(self.device)
            if is_one_hot(parts[0]):
                logits = torch.cat([_logits(part).reshape(len(part.rate), -1, first.shape[-1]) for part in parts])
                pooled = logits.logsumexp(0) - math.log(len(self))  # (P, K)
                hot += [(first.reshape(len(first), *pooled.shape) * pooled).sum(-1).T]
                continue
            mean, scale = (torch.cat([getattr(part.q, m).flatten(1) for part in parts]) for m in ("mean", "stddev"))
            for z, mu, sd in zip(first.flatten(1).T, mean.T, scale.T, strict=True):
                log_q = -0.5 * ((z[:, None] - mu) / sd).square() - sd.log() - HALF_LOG_2PI
                smooth += [log_q.logsumexp(1)[None] - math.log(len(self))]
        return torch.cat(smooth + hot).cpu()

    def _columns(self, drawn: tuple[Tensor, ...]) -> Iterator[Tensor]:
        drawn = tuple(part.to(self.device) for part in drawn)
        if self.flat:
            for code in self.stored:
                yield total([_pairwise(block, z) for block, z in zip(code.values(), drawn, strict=True)])
            return
        n = len(drawn[0])
        step = max(1, CHUNK * 8 // n)
        for chunk in self.view.chunks(step):
            part, m = chunk.to(self.device), len(chunk.x)
            tiled = [z.repeat(m, *[1] * (z.dim() - 1)) for z in drawn]
            with replay(tiled):
                code = self.model.encode(part.rows(torch.arange(m, device=self.device).repeat_interleave(n)))
            for block, z in zip(code.values(), tiled, strict=True):
                if block.drawn is not z:
                    raise ValueError("the model's code does not follow the draws it is given, so it has no density")
            yield total([log_density(block.q, block.drawn) for block in code.values()]).reshape(m, n).T


def aggregates(model: Model, view: View, population: Examples | None, device: str) -> dict[str, Posteriors]:
    """The posteriors of training examples, and of a known population, where no block depends on another's draw."""
    posteriors = Posteriors(model, view, device)
    if not posteriors.flat:
        return {}
    found = {"train aggregate": posteriors}
    if population is not None and not model.row.side:
        found["population"] = Posteriors(model, View(population), device)
    return found


def _independent(model: Model, batch: Batch) -> bool:
    """Whether the posteriors stay the same when the draws differ."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        codes: list[Code] = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            codes.append(model.encode(batch))
    pairs = list(zip(codes[0].values(), codes[1].values(), strict=True))
    return all(_same_density(a, b) and (_closed(a) or _takes_many(a)) for a, b in pairs)


def _same_density(a: Block, b: Block) -> bool:
    if _closed(a):
        return torch.equal(mean_of(a), mean_of(b))
    return torch.equal(log_density(a.q, b.drawn), log_density(b.q, b.drawn))


def _closed(block: Block) -> bool:
    """Whether `_pairwise` has a closed form."""
    return is_one_hot(block) or _is_normal(block.q)


def _takes_many(block: Block) -> bool:
    """Whether a density gives (n, m) of n codes under m examples by broadcasting."""
    try:
        pairs = _broadcast(block, block.drawn)
    except Exception:  # of whoever wrote the density
        return False
    n = len(block.drawn)
    if pairs.shape != (n, n):
        return False
    own, others = (log_density(block.q, z) for z in (block.drawn, block.drawn.roll(1, 0)))
    return all(torch.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in ((pairs.diagonal(), own), (_next(pairs), others)))


def _next(pairs: Tensor) -> Tensor:
    """(n,) of each example at the code of the one before."""
    return pairs.roll(1, 0).diagonal()


def _is_normal(q: Distribution) -> bool:
    base = getattr(q, "base_dist", q)
    return isinstance(base, Normal)


def _logits(block: Block) -> Tensor:
    base: Any = getattr(block.q, "base_dist", block.q)
    logits: Tensor = base.logits  # normalised
    return logits


def _pairwise(block: Block, z: Tensor) -> Tensor:
    """(n, m) log q(z_n|x_m) of one block."""
    if is_one_hot(block):
        return z.flatten(1) @ _logits(block).flatten(1).T
    if not _is_normal(block.q):
        return _broadcast(block, z)
    mean, scale = block.q.mean.flatten(1).double(), block.q.stddev.flatten(1).double()
    z, w = z.flatten(1).double(), scale**-2
    quadratic = z.square() @ w.T - 2 * z @ (mean * w).T + (mean.square() * w).sum(-1)
    return (-0.5 * quadratic - (scale.log() + HALF_LOG_2PI).sum(-1)).float()


def _broadcast(block: Block, z: Tensor) -> Tensor:
    """The same by asking q for every pair."""
    log_q = block.q.log_prob(z[:, None])
    return log_q.reshape(len(z), len(block.rate), -1).sum(-1)
