"""Whether draws are those of q: plain noise, one-hot symbols, and a density that is theirs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, biject_to, constraints

from ..model import Batch, Block, Model, replay
from ..nn.densities import Sphere
from .charts import chart
from .codes import log_density
from .spaces import is_one_hot, support_of
from .streams import seed_all

REPEATS = 512  # draws of one example, where a density is compared with them
MODES = (2, 4, 8)  # numbers of places in which they may lie
SURE = (0.05, 0.95)  # probabilities of a symbol beyond which its noise is not looked at


class Off(NamedTuple):
    """How far off something is that should be nothing, and what it is."""

    by: float
    what: str


NOTHING = Off(0.0, "")


@contextmanager
def noise(seed: int) -> Iterator[None]:
    """Inside, random numbers are those of a seed; outside, nothing has happened."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        seed_all(seed)
        yield


def standard(model: Model, batch: Batch, draws: int) -> Off:
    """The largest of many tests, in standard errors, that draws are those of q: what is left of them is plain noise.

    Mean 0, variance 1, for Gaussians fourth moment 3, and nothing in common between dimensions, examples or successive
    draws; symbols are one-hot, bit by bit, and as frequent as q says.
    """
    with noise(4):
        codes = [model.encode(batch) for _ in range(draws)]
    off = [NOTHING]
    for name in codes[0]:
        blocks = [code[name] for code in codes]
        if is_one_hot(blocks[0]):
            off += [Off(by, f"{what} of block {name!r}") for by, what in _symbols(blocks)]
        else:
            u = _standardised(blocks)
            gaussian = isinstance(_base(blocks[0].q), Normal)
            alone = not _base(blocks[0].q).event_shape
            off += [Off(by, f"{what} of block {name!r}") for by, what in _moments(u, gaussian, alone)]
    return worst(off)


def density(model: Model, batch: Batch, repeats: int = REPEATS) -> Off:
    """The largest gap of E_q[g/q] from 1, as far as chance cannot explain it, of an example's continuous blocks.

    g is fitted to other draws of q, and narrower than they are; draws of the blocks before are held fixed.  Where q is
    bounded, both are densities of the unbounded numbers that are mapped there.
    """
    off = [NOTHING]
    for i in range(len(batch.x)):
        one = batch.rows(torch.full((repeats,), i, device=batch.x.device))
        with noise(5 + i):
            first = model.encode(one)
        before: list[Tensor] = []
        for name, block in first.items():
            if not block.discrete:
                with noise(50 + i), replay(before):
                    found = model.encode(one)[name]
                off.append(Off(_density_gap(found), f"log q(z|x) of block {name!r} is not that of its draws"))
            before.append(block.drawn[:1].expand_as(block.drawn))
    return worst(off)


def _density_gap(block: Block) -> float:
    u, log_q = _unbounded(block.q, block.drawn, log_density(block.q, block.drawn).double())
    if bool((u == u[0]).all()):
        return 0.0 if not len(u[0]) else math.inf
    spread = u.std(0)
    u = (u - u.mean(0)) / spread
    if not bool(u.isfinite().all()) or float(torch.linalg.eigvalsh(torch.cov(u.T).reshape(2 * u.shape[1:]))[0]) < 1e-7:
        return math.inf  # draws lie on a surface, where no density of all dimensions has its mass
    log_q = log_q + spread.log().sum()
    one, two = torch.arange(len(u)).chunk(2)
    return min(_mass_gap(u[a], u[b], log_q[b]) for a, b in ((one, two), (two, one)))


def _mass_gap(seen: Tensor, new: Tensor, log_q: Tensor) -> float:
    """|E_q[g/q] − 1| of new draws (n, d), beyond five standard errors, for a g that is narrower than draws seen."""
    ratio = (_narrowed(seen)(new) - log_q).exp()
    gap = abs(float(ratio.mean()) - 1)
    return 0.0 if gap <= 5 * float(ratio.std()) / math.sqrt(len(ratio)) else gap


def _narrowed(u: Tensor) -> Callable[[Tensor], Tensor]:
    """Log-density of a Gaussian of the mean and half the covariance of draws (n, d), or of several of them.

    Of several where draws are apart, by the BIC: a single one would have its mass in between, where draws are few.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    kinds = [(1, "full"), *((k, "diag") for k in MODES)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fits = [GaussianMixture(k, covariance_type=kind, random_state=0).fit(u.numpy()) for k, kind in kinds]
    best = min(fits, key=lambda fit: fit.bic(u.numpy()))
    best.covariances_, best.precisions_cholesky_ = best.covariances_ / 2, best.precisions_cholesky_ * math.sqrt(2)
    return lambda new: torch.from_numpy(best.score_samples(new.numpy()))


def _unbounded(q: Distribution, z: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
    """Draws and their log-density as those of the real numbers that are mapped into the support of q."""
    support = support_of(q)
    if isinstance(support, Sphere):
        placed = chart("sphere", z[None])(z[None])
        return placed.real[0], log_q - placed.volume[0]
    z = z.flatten(1).double()
    if support is None or support is constraints.real:
        return z, log_q
    to = biject_to(support)
    u = to.inv(z)
    jacobian = to.log_abs_det_jacobian(u, z)
    return u, log_q + jacobian.reshape(len(z), -1).sum(-1)


def _base(q: Distribution) -> Distribution:
    while isinstance(q, Independent):
        q = q.base_dist
    return q


def _standardised(blocks: list[Block]) -> Tensor:
    """(draws, B, d) (z − mean)/stddev under q; where q does not know them, under the draws themselves."""
    z = torch.stack([block.drawn for block in blocks]).flatten(2).double()
    try:
        mean, scale = (torch.stack([getattr(b.q, m) for b in blocks]).flatten(2) for m in ("mean", "stddev"))
    except (NotImplementedError, AttributeError):
        mean, scale = z.mean(0), z.std(0).clamp(min=1e-12)
    return (z - mean) / scale


def _moments(u: Tensor, gaussian: bool, alone: bool) -> Iterator[tuple[float, str]]:
    """Tests of noise u (draws, B, d), in standard errors under N(0, 1); `alone`: q draws every dimension by itself."""
    if not bool(u.isfinite().all()):
        yield math.inf, "a draw that is not finite"
        return
    times = math.sqrt(len(u) * u.shape[1])
    yield _most(u.mean((0, 1)) * times), "the mean of the draws is not that of q: noise"
    if gaussian:
        yield (
            _most((u.square().mean((0, 1)) - 1) * times / math.sqrt(2)),
            "the variance of the draws is not that of q: noise",
        )
        yield _most((u.pow(4).mean((0, 1)) - 3) * times / math.sqrt(96)), "draws are not Gaussian: noise"
    yield from _common(u, alone)


def _common(u: Tensor, alone: bool = True) -> Iterator[tuple[float, str]]:
    """What dimensions, examples and successive draws of noise u (draws, B, d) have in common, in standard errors."""
    draws, n, d = u.shape
    for axis, words in ((2, "dimensions share their noise"), (1, "examples share their noise")):
        k = u.shape[axis]
        if k > 1 and (alone or axis != 2):
            pairs = (u.sum(axis).square() - u.square().sum(axis)) / math.sqrt(2 * k * (k - 1))
            yield abs(float(pairs.mean())) * math.sqrt(2 * pairs.numel()) / math.sqrt(2), words
    if draws > 1:
        yield abs(float((u[1:] * u[:-1]).mean())) * math.sqrt((draws - 1) * n * d), "successive draws share their noise"


def _symbols(blocks: list[Block]) -> Iterator[tuple[float, str]]:
    hot = torch.stack([block.drawn for block in blocks]).double()
    probs = torch.stack([block.q.mean for block in blocks]).double()
    if not bool(((hot == 0) | (hot == 1)).all()) or not bool((hot.sum(-1) == 1).all()):
        yield math.inf, "symbols are not one-hot"
        return
    expected, variance = probs.sum(0), (probs * (1 - probs)).sum(0)
    z = torch.where(variance > 10, (hot.sum(0) - expected) / variance.clamp(min=1e-9).sqrt(), 0.0)
    yield _most(z), "symbols are not as frequent as q says: symbols"
    certain = (hot * (probs > 1 - 1e-6)).sum(-1) < (probs > 1 - 1e-6).sum(-1)
    yield math.inf if bool(certain.any()) else 0.0, "a symbol that q rules out was sent: symbols"
    likeliest, which = probs.max(-1, keepdim=True)
    u = (hot.gather(-1, which) - likeliest) / (likeliest * (1 - likeliest)).clamp(min=1e-9).sqrt()
    inside = (likeliest > SURE[0]) & (likeliest < SURE[1])
    yield from _common(torch.where(inside, u, torch.zeros_like(u)).flatten(2))


def _most(z: Tensor) -> float:
    return float(z.abs().max()) if z.numel() else 0.0


def worst(off: list[Off]) -> Off:
    """The one that is farthest off; what is no number is as far off as can be."""
    return max((one if one.by == one.by else one._replace(by=math.inf) for one in off), key=lambda one: one.by)
