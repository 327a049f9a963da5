"""q(z|x_m) of many examples, evaluated at any codes: what aggregate posteriors are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from ..data import Examples, View
from ..model import Batch, Block, Code, Model, replay
from .codes import CHUNK, Codes, log_density, mean_of, total
from .spaces import is_one_hot
from .streams import seed_all

HALF_LOG_2PI = 0.9189385332046727
MOST = 10_000  # examples of a population whose posteriors are averaged
PAIRS = 2_000_000  # numbers held at once by all-pairs densities
TILE = 200_000  # of those that have a closed form, so that they stay near the processor


class Posteriors:
    """q(z|x_m) of M examples, evaluated at any codes: the stuff of aggregate posteriors.

    Where no block depends on the draw of another, and a density takes many codes at once, densities are those of M
    stored distributions; otherwise every code is sent again under every example.
    """

    @torch.no_grad()
    def __init__(self, model: Model, view: View, device: str = "cpu"):
        self.model, self.view, self.device = model, view, device
        self._known: list[tuple[Codes, Tensor]] = []  # codes whose aggregate has been asked for
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
        """(S, N) log (1/M) Σ_m q(z|x_m), found once for the same codes."""
        for known, found in self._known:
            if known is codes:
                return found
        flat = [part.flatten(0, 1) for part in codes.drawn]
        if self.closed:
            nats = _pooled([f.given(z.to(self.device)) for f, z in zip(self._forms, flat, strict=True)], self._tables)
        else:
            step = max(1, PAIRS // len(self))
            parts = (tuple(part[i : i + step] for part in flat) for i in range(0, len(flat[0]), step))
            nats = torch.cat([self.log_density(part).logsumexp(1) for part in parts])
        found = (nats.cpu().double() - math.log(len(self))).reshape(codes.log_q.shape)
        self._known.append((codes, found))
        return found

    @torch.no_grad()
    def singles(self, codes: Codes) -> Tensor:
        """(c + P, N) log (1/M) Σ_m q(z_j|x_m) of every latent alone, at the first draw; where `closed` only."""
        smooth, hot = [], []
        for form, draws in zip(self._forms, codes.drawn, strict=True):
            first = draws[0].to(self.device)
            if isinstance(form, _Symbols):
                pooled = form.logits.reshape(len(self), -1, first.shape[-1]).logsumexp(0)  # (P, K)
                hot += [(first.reshape(len(first), *pooled.shape) * pooled).sum(-1).T.double()]
                continue
            for j, z in enumerate(first.flatten(1).T[:, :, None]):
                alone = form.latent(j)
                smooth += [_pooled([alone.given(z)], [alone.table])[None]]
        return torch.cat(smooth + hot).cpu() - math.log(len(self))

    @cached_property
    def _forms(self) -> list[_Gaussians | _Symbols]:
        """What the posteriors are, block by block; where `closed` only."""
        return [_form(parts) for parts in zip(*(code.values() for code in self.stored), strict=True)]

    @cached_property
    def _tables(self) -> list[Tensor]:
        return [form.table for form in self._forms]

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
    """The posteriors of training examples, and of a known population, where no block depends on another's draw.

    Of a population of more than `MOST` examples there are none: they would cost more than all else that is measured.
    """
    posteriors = Posteriors(model, view, device)
    if not posteriors.flat:
        return {}
    found = {"train aggregate": posteriors}
    if population is not None and len(population) <= MOST and not model.row.side:
        found["population"] = Posteriors(model, View(population), device)
    return found


def _independent(model: Model, batch: Batch) -> bool:
    """Whether the posteriors stay the same when the draws differ."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        codes: list[Code] = []
        for seed in (0, 1):
            seed_all(seed)
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


class _Gaussians(NamedTuple):
    """log q(z|x_m) = Σ_j a_mj z_j² + b_mj z_j + c_mj of M posteriors, float64."""

    a: Tensor  # (M, d)
    b: Tensor
    c: Tensor

    @property
    def table(self) -> Tensor:
        """(2d + 1, M)."""
        return torch.cat([self.a, self.b, self.c.sum(1, keepdim=True)], 1).T.contiguous()

    def given(self, z: Tensor) -> Tensor:
        """(n, …) → (n, 2d + 1), whose product with the table is log q of all pairs."""
        z = z.flatten(1).double()
        return torch.cat([z.square(), z, torch.ones_like(z[:, :1])], 1)

    def latent(self, j: int) -> _Gaussians:
        """Those of one latent."""
        return _Gaussians(*(part[:, j : j + 1] for part in self))


class _Symbols(NamedTuple):
    """log q(z|x_m) = Σ z logits_m of M posteriors."""

    logits: Tensor  # (M, P·K)

    @property
    def table(self) -> Tensor:
        """(P·K, M)."""
        return self.logits.T

    def given(self, z: Tensor) -> Tensor:
        """(n, P·K)."""
        return z.flatten(1)


def _form(parts: Sequence[Block]) -> _Gaussians | _Symbols:
    """Of one block, in the order of the examples."""
    if is_one_hot(parts[0]):
        return _Symbols(torch.cat([_logits(part).flatten(1) for part in parts]))
    mean, scale = (torch.cat([getattr(p.q, m).flatten(1) for p in parts]).double() for m in ("mean", "stddev"))
    w = scale**-2
    return _Gaussians(-0.5 * w, mean * w, -0.5 * mean.square() * w - scale.log() - HALF_LOG_2PI)


def _pooled(given: Sequence[Tensor], tables: Sequence[Tensor]) -> Tensor:
    """(n,) log Σ_m exp Σ_b (given_b @ tables_b)_nm, float64, of all blocks b."""
    n, m = len(given[0]), tables[0].shape[1]
    columns = min(m, CHUNK)
    rows = max(1, TILE // columns)
    out = []
    for i in range(0, n, rows):
        some = [g[i : i + rows] for g in given]
        tiles = []
        for j in range(0, m, columns):
            first, *others = (g @ t[:, j : j + columns] for g, t in zip(some, tables, strict=True))
            nats = first.double()
            for more in others:
                nats += more
            tiles.append(nats.logsumexp(1))
        out.append(torch.stack(tiles).logsumexp(0))
    return torch.cat(out)


def _pairwise(block: Block, z: Tensor) -> Tensor:
    """(n, m) log q(z_n|x_m) of one block."""
    if not _closed(block):
        return _broadcast(block, z)
    form = _form([block])
    return (form.given(z) @ form.table).float()


def _broadcast(block: Block, z: Tensor) -> Tensor:
    """The same by asking q for every pair."""
    log_q = block.q.log_prob(z[:, None])
    return log_q.reshape(len(z), len(block.rate), -1).sum(-1)
