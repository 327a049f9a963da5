"""Gaussians and mixtures of them, over coordinates of draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

from .charts import Placed

Component = Callable[[Placed], Tensor]  # coordinates of draws → (S, N) log-density of the draws
JITTER = 1e-6


class Mixture:
    """A fitted mixture of full Gaussians over coordinates, each divided by its `scale` (c,)."""

    def __init__(self, fitted: GaussianMixture, scale: Tensor):
        self.fitted, self.scale = fitted, scale

    def __call__(self, placed: Placed) -> Tensor:
        """(S, N) log-density."""
        u = self._joint(placed.real.flatten(0, 1)) - self.scale.log().sum()
        return u.reshape(placed.volume.shape) + placed.volume

    def dependence(self, z: Tensor, orders: Sequence[Tensor] | None = None) -> Tensor:
        """(n, c) → (n,) log m(z) − Σ_j log m(z_j): its mean under m is the total correlation of m, nats.

        With `orders` (k, c, n), → (k·n,) of z whose columns were put in other orders, k times.
        """
        u = (z.double() / self.scale)[:, None]  # (n, 1, c)
        mean, variance = (torch.from_numpy(part) for part in (self.fitted.means_, self._variances))
        each = -0.5 * ((u - mean).square() / variance + (2 * math.pi * variance).log())  # (n, K, c)
        single = (each + torch.from_numpy(self.fitted.weights_).log()[:, None]).logsumexp(1)
        if orders is None:
            return self._joint(z) - single.sum(1)
        return torch.cat([self._joint(z.T.gather(1, at).T) - single.T.gather(1, at).T.sum(1) for at in orders])

    @property
    def _variances(self) -> np.ndarray:
        """(K, c)."""
        return np.diagonal(self.fitted.covariances_, axis1=1, axis2=2).copy()

    def _joint(self, z: Tensor) -> Tensor:
        return torch.from_numpy(self.fitted.score_samples((z.double() / self.scale).numpy()))


def gaussians(train: Placed, mixtures: Sequence[int], seed: int) -> dict[str, Component]:
    """A diagonal and a full Gaussian, and mixtures of the given numbers of components."""
    z = train.real.flatten(0, 1)
    found: dict[str, Component] = {
        "diagonal": normal(z.mean(0), torch.diag(z.var(0))),
        "full": normal(z.mean(0), torch.cov(z.T).reshape(z.shape[1], z.shape[1])),
    }
    once = train.real[0]
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


def normal(mean: Tensor, covariance: Tensor) -> Component:
    """Of mean (c,) or one for every draw (S, N, c)."""
    floor = JITTER * covariance.diagonal().mean().clamp(min=1e-12)
    factor = torch.linalg.cholesky(covariance + floor * torch.eye(len(covariance), dtype=mean.dtype))
    constant = 0.5 * len(covariance) * math.log(2 * math.pi) + factor.diagonal().log().sum()

    def log_density(placed: Placed) -> Tensor:
        u = torch.linalg.solve_triangular(factor, (placed.real - mean).flatten(0, 1).T, upper=False)
        return (-0.5 * u.square().sum(0) - constant).reshape(placed.volume.shape) + placed.volume

    return log_density


def regression(train: Placed, earlier: Placed) -> Callable[[Placed, Placed], Tensor]:
    """A Gaussian about a linear function of what was sent before: (placed, earlier) → (S, N) log-density."""
    given, z = _with_one(earlier.real).flatten(0, 1), train.real.flatten(0, 1)
    ridge = JITTER * len(given) * torch.diag(given.square().mean(0))
    weight = torch.linalg.solve(given.T @ given + ridge, given.T @ z)
    spread = torch.cov((z - given @ weight).T).reshape(z.shape[1], z.shape[1])
    return lambda placed, before: normal(_with_one(before.real) @ weight, spread)(placed)


def _with_one(u: Tensor) -> Tensor:
    return torch.cat([u, torch.ones_like(u[..., :1])], -1)
