"""Densities of symbols: histograms, and every position given the one before, as smooth as validation says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .charts import Placed
from .gaussians import Component

PSEUDO = (0.003, 0.01, 0.03, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0)  # counts added to that of every symbol
SHARES = (0.5, 2.0, 8.0, 32.0, 128.0, 512.0, 2048.0)  # counts that a row takes from a histogram of more codes
STEPS = (0, 1, 2, 3, 4, 6, 9, 14, 22, 40, 80)  # counts at which symbols begin to be pooled with others


class Smoothed(NamedTuple):
    """A density whose smoothness was chosen on validation."""

    weighed: Component  # from training codes alone: for weights that validation gives
    scored: Component  # from those of training and validation, for test


def histograms(train: Placed, val: Placed) -> dict[str, Smoothed]:
    """Over symbols (S, N, P): uniform, histograms a position, one that all share, and each given the one before."""
    once = _independent([torch.full((k,), 1 / k, dtype=torch.float64).log() for k in train.sizes])
    counts = [_counts(part) for part in (train, val)]
    pseudo = [_pseudo(seen, held) for seen, held in zip(*counts, strict=True)]
    single = [normalised(seen + a) for seen, a in zip(counts[0], pseudo, strict=True)]
    both = [normalised(seen + held + a) for seen, held, a in zip(*counts, pseudo, strict=True)]
    found = {
        "uniform": Smoothed(once, once),
        "histogram": Smoothed(_independent(single), _independent(both)),
    }
    pooled = _independent([_pooled(seen, held) for seen, held in zip(*counts, strict=True)])
    found["pooled"] = Smoothed(pooled, pooled)
    if len(train.sizes) > 1 and len(set(train.sizes)) == 1:
        found["tied"] = _tied(*counts)
    if len(train.sizes) > 1:
        found["chain"] = _chains(train, val, single, both)
    return found


def normalised(counts: Tensor) -> Tensor:
    """Log-probabilities over the last axis."""
    return (counts / counts.sum(-1, keepdim=True)).log()


def _counts(placed: Placed) -> list[Tensor]:
    """(K,) a position."""
    seen = placed.symbols.flatten(0, 1)
    return [torch.bincount(seen[:, i], minlength=k).double() for i, k in enumerate(placed.sizes)]


def _pseudo(seen: Tensor, held: Tensor) -> float:
    """The count to add under which held-out counts (K,) are likeliest."""
    return max(PSEUDO, key=lambda a: float((held * normalised(seen + a)).sum()))


def _pooled(seen: Tensor, held: Tensor) -> Tensor:
    """Symbols seen about equally often share what held-out codes have of them all, in proportion to what was seen."""
    pool = torch.bucketize(seen, torch.tensor(STEPS, dtype=seen.dtype), right=True)
    share = torch.where(seen > 0, seen, 1.0)
    size = torch.zeros(len(STEPS) + 1, dtype=seen.dtype)
    mass, total = size.index_add(0, pool, held) + 0.5, size.index_add(0, pool, share)
    return normalised(mass[pool] * share / total[pool])


def _tied(seen: list[Tensor], held: list[Tensor]) -> Smoothed:
    """Every position's histogram, drawn towards that of all positions together."""
    every = torch.stack(seen).sum(0), torch.stack(held).sum(0)
    a = _pseudo(*every)
    few, all_of_them = normalised(every[0] + a).exp(), normalised(every[0] + every[1] + a).exp()
    weighed, scored = [], []
    for mine, later in zip(seen, held, strict=True):
        share = max((*SHARES, 1e9), key=lambda s: float((later * normalised(mine + s * few)).sum()))
        weighed.append(normalised(mine + share * few))
        scored.append(normalised(mine + later + share * all_of_them))
    return Smoothed(_independent(weighed), _independent(scored))


def _independent(single: Sequence[Tensor]) -> Component:
    def log_density(placed: Placed) -> Tensor:
        return torch.stack([log_p[placed.symbols[..., i]] for i, log_p in enumerate(single)]).sum(0) + placed.volume

    return log_density


def _chains(train: Placed, val: Placed, single: Sequence[Tensor], both: Sequence[Tensor]) -> Smoothed:
    """A row never seen falls back on the histogram of its position."""
    weighed, scored = [], []
    for i in range(1, len(train.sizes)):
        seen, held = (_pairs(part, i) for part in (train, val))
        share = max(SHARES, key=lambda a: float((held * normalised(seen + a * single[i].exp())).sum()))
        weighed.append(normalised(seen + share * single[i].exp()))
        scored.append(normalised(seen + held + share * both[i].exp()))
    return Smoothed(_chain(single[0], weighed), _chain(both[0], scored))


def _pairs(placed: Placed, i: int) -> Tensor:
    """(K_before, K) counts of the symbols of position i after those of the one before."""
    before, here = placed.sizes[i - 1 : i + 1]
    seen = placed.symbols.flatten(0, 1)
    return torch.bincount(seen[:, i - 1] * here + seen[:, i], minlength=before * here).double().view(before, here)


def _chain(first: Tensor, steps: Sequence[Tensor]) -> Callable[[Placed], Tensor]:
    def log_density(placed: Placed) -> Tensor:
        s = placed.symbols
        nats = first[s[..., 0]] + placed.volume
        for i, step in enumerate(steps):
            nats = nats + step[s[..., i], s[..., i + 1]]
        return nats

    return log_density
