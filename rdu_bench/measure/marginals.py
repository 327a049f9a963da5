"""R* = E KL(q(z|x) ‖ m*): the rate under the best marginal that can be refitted after training.

m* = Σ_k w_k m_k stacks the model's own marginal, Gaussians, mixtures, histograms of symbols and the aggregate of
training posteriors.  Components see training codes, weights see validation codes, and test codes are only scored,
so R* ≥ I(x; z) in expectation, whatever the components are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

from ..scores import Undefined
from .codes import Codes, Splits
from .posteriors import Posteriors

Component = Callable[[Codes], Tensor]  # codes → (S, N) log-density
LEAST = 1e-6  # weight of a component
CLASSWISE = 20  # most symbols for which the continuous part gets a density of its own
JITTER = 1e-6


class Mixture:
    """A fitted mixture of full Gaussians over continuous latents, each divided by its `scale` (c,)."""

    def __init__(self, fitted: GaussianMixture, scale: Tensor):
        self.fitted, self.scale = fitted, scale

    def __call__(self, codes: Codes) -> Tensor:
        """(S, N) log-density."""
        return (self._joint(codes.continuous.flatten(0, 1)) - self.scale.log().sum()).reshape(codes.log_q.shape)

    def dependence(self, z: Tensor) -> Tensor:
        """(n, c) → (n,) log m(z) − Σ_j log m(z_j): its mean under m is the total correlation of m, nats."""
        u = (z.double() / self.scale)[:, None]  # (n, 1, c)
        mean, variance = (torch.from_numpy(part) for part in (self.fitted.means_, self._variances))
        each = -0.5 * ((u - mean).square() / variance + (2 * math.pi * variance).log())  # (n, K, c)
        single = (each + torch.from_numpy(self.fitted.weights_).log()[:, None]).logsumexp(1)
        return self._joint(z) - single.sum(1)

    @property
    def _variances(self) -> np.ndarray:
        """(K, c)."""
        return np.diagonal(self.fitted.covariances_, axis1=1, axis2=2).copy()

    def _joint(self, z: Tensor) -> Tensor:
        return torch.from_numpy(self.fitted.score_samples((z.double() / self.scale).numpy()))


class Marginal(NamedTuple):
    """A stack and what it charges on test codes."""

    rate: Tensor  # (S, N) nats, log q − log m*
    parts: dict[str, Tensor]  # (S, N) nats under each component alone
    weights: dict[str, float]
    left_out: dict[str, str]  # component → why it has no weight
    mixture: Mixture | None  # the largest Gaussian mixture of continuous codes alone


def refit(codes: Splits, mixtures: Sequence[int], seed: int, aggregates: Mapping[str, Posteriors]) -> Marginal:
    """The stacked marginal of codes: fitted on train, weighed on val, scored on test.

    A component whose density is not finite for some code of val or test is left out.  Raises `Undefined` when none is
    left.
    """
    candidates: dict[str, Component] = {"own": lambda codes: codes.log_p}
    candidates |= {name: posteriors.aggregate for name, posteriors in aggregates.items()}
    candidates |= _fitted(codes.train, mixtures, seed)
    on_val = {name: density(codes.val).double() for name, density in candidates.items()}
    on_test = {name: density(codes.test).double() for name, density in candidates.items()}
    left_out = {}
    for name in candidates:
        wrong = int(on_val[name].isnan().sum() + on_test[name].isnan().sum())
        if wrong:
            left_out[name] = f"its log-density of {wrong} drawn codes is not a number"
    components = [name for name in candidates if name not in left_out]
    if not components:
        raise Undefined("no marginal has a density that is a number for all codes")
    weights = _weigh(torch.stack([on_val[name] for name in components]).flatten(1))
    log_q, scored = codes.test.log_q.double(), torch.stack([on_test[name] for name in components])
    return Marginal(
        rate=log_q - (scored + weights.log()[:, None, None]).logsumexp(0),
        parts={name: log_q - on_test[name] for name in components},
        weights=dict(zip(components, weights.tolist(), strict=True)),
        left_out=left_out,
        mixture=next((c for c in reversed(candidates.values()) if isinstance(c, Mixture)), None),
    )


def _weigh(log_density: Tensor, iterations: int = 200) -> Tensor:
    """(K, n) log-densities → (K,) weights of highest likelihood by EM, none below `LEAST`."""
    weights = torch.full((len(log_density),), 1 / len(log_density), dtype=torch.float64)
    for _ in range(iterations):
        weights = (log_density + weights.log()[:, None]).softmax(0).mean(1).clamp(min=1e-300)
    weights = weights.clamp(min=LEAST)
    return weights / weights.sum()


def _fitted(train: Codes, mixtures: Sequence[int], seed: int) -> dict[str, Component]:
    smooth = _gaussians(train, mixtures, seed) if train.continuous.shape[-1] else {}
    coded = _histograms(train) if train.sizes else {}
    if not coded:
        return smooth
    if not smooth:
        return coded
    both: dict[str, Component] = {
        f"{a}×{b}": _product(first, second) for a, first in coded.items() for b, second in smooth.items()
    }
    if len(train.sizes) == 1 and train.sizes[0] <= CLASSWISE:
        both["classwise"] = _classwise(train, coded["histogram"])
    return both


def _product(first: Component, second: Component) -> Component:
    return lambda codes: first(codes) + second(codes)


def _gaussians(train: Codes, mixtures: Sequence[int], seed: int) -> dict[str, Component]:
    z = train.continuous.flatten(0, 1).double()
    found: dict[str, Component] = {
        "diagonal": _normal(z.mean(0), torch.diag(z.var(0))),
        "full": _normal(z.mean(0), torch.cov(z.T).reshape(z.shape[1], z.shape[1])),
    }
    once = train.continuous[0].double()
    scale = once.std(0).clamp(min=1e-8)
    for k in mixtures:
        if len(once) < 10 * k:
            continue
        mixture = GaussianMixture(
            k, reg_covar=1e-4, random_state=seed % 2**32, max_iter=60, tol=1e-2, init_params="k-means++"
        )
        mixture.fit((once / scale).numpy())
        found[f"mixture-{k}"] = Mixture(mixture, scale)
    return found


def _normal(mean: Tensor, covariance: Tensor) -> Component:
    floor = JITTER * covariance.diagonal().mean().clamp(min=1e-12)
    factor = torch.linalg.cholesky(covariance + floor * torch.eye(len(mean), dtype=mean.dtype))
    constant = 0.5 * len(mean) * math.log(2 * math.pi) + factor.diagonal().log().sum()

    def log_density(codes: Codes) -> Tensor:
        u = torch.linalg.solve_triangular(factor, (codes.continuous.double() - mean).flatten(0, 1).T, upper=False)
        return (-0.5 * u.square().sum(0) - constant).reshape(codes.log_q.shape)

    return log_density


def _histograms(train: Codes) -> dict[str, Component]:
    """Over symbols (S, N, P): uniform, one histogram a position, and each position given the one before."""
    seen = train.symbols.flatten(0, 1)
    nats = sum(math.log(k) for k in train.sizes)
    single = [_smoothed(torch.bincount(seen[:, i], minlength=k).double()) for i, k in enumerate(train.sizes)]

    def histogram(codes: Codes) -> Tensor:
        return torch.stack([log_p[codes.symbols[..., i]] for i, log_p in enumerate(single)]).sum(0)

    found: dict[str, Component] = {
        "uniform": lambda codes: torch.full(codes.log_q.shape, -nats, dtype=torch.float64),
        "histogram": histogram,
    }
    sizes = train.sizes
    if len(sizes) > 1:
        steps = []
        for i in range(1, len(sizes)):
            joint = torch.bincount(seen[:, i - 1] * sizes[i] + seen[:, i], minlength=sizes[i - 1] * sizes[i])
            prior = sizes[i] * 0.5 * single[i].exp()  # a row never seen falls back on the histogram
            steps.append(_normalise(joint.double().reshape(sizes[i - 1], sizes[i]) + prior))

        def chain(codes: Codes) -> Tensor:
            s = codes.symbols
            first = single[0][s[..., 0]]
            return first + sum(step[s[..., i], s[..., i + 1]] for i, step in enumerate(steps))

        found["chain"] = chain
    return found


def _smoothed(counts: Tensor) -> Tensor:
    return _normalise(counts + 0.5)


def _normalise(counts: Tensor) -> Tensor:
    """Log-probabilities over the last axis."""
    return (counts / counts.sum(-1, keepdim=True)).log()


def _classwise(train: Codes, symbol: Component) -> Component:
    """The continuous part as one full Gaussian for every value of the only symbol, shrunk to all of them."""
    z, k = train.continuous.flatten(0, 1).double(), train.symbols.flatten()
    d = z.shape[1]
    pooled = torch.cov(z.T).reshape(d, d)
    densities = []
    for value in range(train.sizes[0]):
        part = z[k == value]
        if len(part) < 2:
            densities.append(_normal(z.mean(0), pooled))
            continue
        strength = (d + 2) / (len(part) + d + 2)
        densities.append(_normal(part.mean(0), (1 - strength) * torch.cov(part.T).reshape(d, d) + strength * pooled))

    def log_density(codes: Codes) -> Tensor:
        each = torch.stack([density(codes) for density in densities])
        return each.gather(0, codes.symbols[..., 0][None])[0] + symbol(codes)

    return log_density
