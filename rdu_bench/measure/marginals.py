"""R* = E KL(q(z|x) ‖ m*): the rate under the best marginal that can be refitted after training.

m* = Σ_k w_k m_k stacks the model's own marginal, Gaussians, mixtures, histograms of symbols, the aggregate of training
posteriors, and for codes of several blocks a product of stacks, one a block.  Every component is a density by the same
measure as q: which there are depends on the space in which the draws of a block lie.

Components see training codes, weights and smoothness see validation codes, and test codes are only scored, so
R* ≥ I(x; z) in expectation, whatever the components are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..scores import Undefined
from .charts import Placed, atoms, chart, fewer_dimensions, together
from .codes import Splits
from .directions import directional
from .gaussians import Component, Mixture, gaussians, normal, regression
from .histograms import histograms
from .posteriors import Posteriors
from .spaces import Space

LEAST = 1e-6  # weight of a component
CLASSWISE = 20  # most symbols for which the continuous part gets a density of its own
BY_BLOCK = "by block"


class Judged(NamedTuple):
    """Log-densities of one component, (S, N) nats: of validation codes, and of test codes."""

    val: Tensor
    test: Tensor

    @property
    def not_numbers(self) -> int:
        return int(self.val.isnan().sum() + self.test.isnan().sum())


class Parts(NamedTuple):
    """Codes of the three splits, in coordinates."""

    train: Placed
    val: Placed
    test: Placed

    def judge(self, density: Component) -> Judged:
        """A density that needs no validation of its own."""
        return Judged(density(self.val), density(self.test))


class Marginal(NamedTuple):
    """A stack and what it charges on test codes."""

    rate: Tensor  # (S, N) nats, log q − log m*
    parts: dict[str, Tensor]  # (S, N) nats under each component alone
    weights: dict[str, float]
    left_out: dict[str, str]  # component → why it has no weight
    mixture: Mixture | None  # the largest Gaussian mixture of continuous codes alone


def refit(codes: Splits, mixtures: Sequence[int], seed: int, aggregates: Mapping[str, Posteriors]) -> Marginal:
    """The stacked marginal of codes: fitted on train, weighed on val, scored on test.

    A component that is no density beside q, or whose density is not a number for some code of val or test, is left
    out.  Raises `Undefined` when none is left, and for draws on a set of fewer dimensions than log q is a density in.
    """
    candidates: dict[str, Judged] = {}
    left_out: dict[str, str] = {}
    if mixing := next((sent.mixing for sent in codes.train.sent_blocks if sent.mixing), ""):
        left_out["own"] = mixing
    else:
        candidates["own"] = Judged(codes.val.log_p.double(), codes.test.log_p.double())
    for name, posteriors in aggregates.items():
        candidates[name] = Judged(*(posteriors.aggregate(part).double() for part in (codes.val, codes.test)))
    blocks, reasons = _in_coordinates(codes)
    mixture = None
    if reasons:
        left_out["fitted"] = "; ".join(reasons)
    else:
        fitted, mixture = _fitted(codes, blocks, mixtures, seed)
        candidates |= fitted
    if len(blocks) > 1:
        candidates[BY_BLOCK] = _by_block(codes, blocks, mixtures, seed)
    for name, judged in candidates.items():
        if wrong := judged.not_numbers:
            left_out[name] = f"its log-density of {wrong} drawn codes is not a number"
    components = {name: judged for name, judged in candidates.items() if name not in left_out}
    if not components:
        raise Undefined(f"no marginal has a density that is a number for all codes ({'; '.join(left_out.values())})")
    weights, stacked = _stack(components)
    log_q = codes.test.log_q.double()
    return Marginal(
        rate=log_q - stacked.test,
        parts={name: log_q - judged.test for name, judged in components.items()},
        weights=dict(zip(components, weights.tolist(), strict=True)),
        left_out=left_out,
        mixture=mixture,
    )


def _stack(components: Mapping[str, Judged]) -> tuple[Tensor, Judged]:
    """Weights (K,) by validation, and the mixture of components."""
    val, test = (torch.stack(parts) for parts in zip(*components.values(), strict=True))
    weights = _weigh(val.flatten(1))
    each = weights.log()[:, None, None]
    return weights, Judged((val + each).logsumexp(0), (test + each).logsumexp(0))


def _weigh(log_density: Tensor, iterations: int = 200) -> Tensor:
    """(K, n) log-densities → (K,) weights of highest likelihood by EM, none below `LEAST`."""
    weights = torch.full((len(log_density),), 1 / len(log_density), dtype=torch.float64)
    for _ in range(iterations):
        weights = (log_density + weights.log()[:, None]).softmax(0).mean(1).clamp(min=1e-300)
    weights = weights.clamp(min=LEAST)
    return weights / weights.sum()


def _in_coordinates(codes: Splits) -> tuple[list[Parts | None], list[str]]:
    """Every block in coordinates, None where there are none, and why not.

    Raises `Undefined` where log q cannot be the density of the draws.
    """
    blocks: list[Parts | None] = []
    reasons = []
    for i, sent in enumerate(codes.train.sent_blocks):
        if sent.space == "unknown":
            reasons.append(f"the space of block {sent.name} is not known, nor the measure that its density goes by")
            blocks.append(None)
            continue
        place = chart(sent.space, codes.train.drawn[i])
        placed = Parts(*(place(part.drawn[i]) for part in codes))
        if fewer_dimensions(placed.train):
            raise Undefined(f"draws of block {sent.name} lie on a flat set of fewer dimensions than log q(z|x) is of")
        if repeated := atoms(placed.train):
            reasons.append(f"draws of block {sent.name} repeat each other, so that they have no density")
        blocks.append(None if repeated else placed)
    return blocks, reasons


def _fitted(
    codes: Splits, blocks: Sequence[Parts | None], mixtures: Sequence[int], seed: int
) -> tuple[dict[str, Judged], Mixture | None]:
    """Densities of all blocks at once, side information last, and the largest mixture where all latents are real."""
    order = sorted(range(len(blocks)), key=lambda i: codes.train.sent_blocks[i].side)
    whole = _joined([part for i in order if (part := blocks[i]) is not None])
    candidates, mixture = _candidates(whole, mixtures, seed)
    if len(blocks) == 1:
        sent = codes.train.sent_blocks[0]
        candidates |= _of_space(whole, sent.space, codes.train.drawn[0].shape[2:], mixtures, seed)
    real = all(sent.space == "real" for sent in codes.train.sent_blocks)
    return candidates, mixture if real else None


def _joined(blocks: Sequence[Parts]) -> Parts:
    return Parts(*(together(parts) for parts in zip(*blocks, strict=True)))


def _candidates(parts: Parts, mixtures: Sequence[int], seed: int) -> tuple[dict[str, Judged], Mixture | None]:
    """Fitted densities of codes in coordinates, and the largest mixture of those that are continuous."""
    smooth = gaussians(parts.train, mixtures, seed) if parts.train.real.shape[-1] else {}
    coded = histograms(parts.train, parts.val) if parts.train.sizes else {}
    mixture = next((c for c in reversed(smooth.values()) if isinstance(c, Mixture)), None)
    of_reals = {name: parts.judge(density) for name, density in smooth.items()}
    of_symbols = {name: Judged(fit.weighed(parts.val), fit.scored(parts.test)) for name, fit in coded.items()}
    if not smooth or not coded:
        return of_reals or of_symbols, mixture
    both = {
        f"{a}×{b}": Judged(
            first.val + second.val - parts.val.volume, first.test + second.test - parts.test.volume
        )  # each has the volume in it
        for a, first in of_symbols.items()
        for b, second in of_reals.items()
    }
    if len(parts.train.sizes) == 1 and parts.train.sizes[0] <= CLASSWISE:
        both["classwise"] = _classwise(parts, of_symbols["histogram"])
    return both, None


def _of_space(
    parts: Parts, space: Space, shape: Sequence[int], mixtures: Sequence[int], seed: int
) -> dict[str, Judged]:
    """Densities that only a bounded space has, of one block whose draws have a shape."""
    densities: dict[str, Component] = {}
    if space == "sphere":
        densities = directional(parts.train, shape[-1], mixtures, seed)
    elif space in ("interval", "simplex"):
        nats = math.prod(shape[:-1]) * math.lgamma(shape[-1]) if space == "simplex" else 0.0
        densities = {"uniform": lambda placed: torch.full_like(placed.volume, nats)}
    return {name: parts.judge(density) for name, density in densities.items()}


def _classwise(parts: Parts, symbol: Judged) -> Judged:
    """The continuous part as one full Gaussian for every value of the only symbol, shrunk to all of them."""
    z, k = parts.train.real.flatten(0, 1), parts.train.symbols.flatten()
    d = z.shape[1]
    pooled = torch.cov(z.T).reshape(d, d)
    densities = []
    for value in range(parts.train.sizes[0]):
        part = z[k == value]
        if len(part) < 2:
            densities.append(normal(z.mean(0), pooled))
            continue
        strength = (d + 2) / (len(part) + d + 2)
        densities.append(normal(part.mean(0), (1 - strength) * torch.cov(part.T).reshape(d, d) + strength * pooled))

    def log_density(placed: Placed) -> Tensor:
        each = torch.stack([density(placed) for density in densities])
        return each.gather(0, placed.symbols[..., 0][None])[0] - placed.volume

    smooth = parts.judge(log_density)
    return Judged(smooth.val + symbol.val, smooth.test + symbol.test)


def _by_block(codes: Splits, blocks: Sequence[Parts | None], mixtures: Sequence[int], seed: int) -> Judged:
    """∏_b Σ_k w_bk m_bk(z_b | blocks sent before): a stack of its own for every block.

    Beside the model's own conditional stand densities of that block alone, and a Gaussian about a linear function of
    the blocks before.  Each factor is a density given what was sent before it, so the product is one.
    """
    stacks = [_stack(dict(_of_block(codes, blocks, i, mixtures, seed)))[1] for i in range(len(blocks))]
    return Judged(*(torch.stack(parts).sum(0) for parts in zip(*stacks, strict=True)))


def _of_block(
    codes: Splits, blocks: Sequence[Parts | None], i: int, mixtures: Sequence[int], seed: int
) -> Iterator[tuple[str, Judged]]:
    """Densities of block i given those before it."""
    sent, here = codes.train.sent_blocks[i], blocks[i]
    own = Judged(*(part.expected[sent.name].double() for part in (codes.val, codes.test)))
    if not sent.mixing and not own.not_numbers:
        yield "own", own
    if here is None:
        return
    yield from _candidates(here, mixtures, seed)[0].items()
    yield from _of_space(here, sent.space, codes.train.drawn[i].shape[2:], mixtures, seed).items()
    before = [part for part in blocks[:i] if part is not None and part.train.real.shape[-1]]
    if before and here.train.real.shape[-1]:
        earlier = _joined(before)
        density = regression(here.train, earlier.train)
        yield "linear", Judged(density(here.val, earlier.val), density(here.test, earlier.test))
