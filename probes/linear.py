from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MultivariateNormal

from rdu_bench.api import Head, Probe, ProbeCard, Target

RIDGES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
STILL = 2e-6  # predicted decrease, in nats, at which Newton's method stops


class Linear(Probe):
    """Softmax regression, or linear regression with a full covariance, on the code.

        min_W  E −log softmax(W z)_y + λ/2 ‖W‖²        λ on validation, from large to small

    Newton's method with the exact Hessian; the bias is free.
    """

    card = ProbeCard(title="linear", family="softmax(W z + b), N(W z + b, Σ)")

    def fit(
        self, fit: Tensor, val: Tensor, targets: list[Target], *, seed: int, budget: Mapping[str, Any]
    ) -> list[Head]:
        return [_classes(fit, val, t) if t.factor.kind == "class" else _reals(fit, val, t) for t in targets]


def _ones(z: Tensor) -> Tensor:
    z = z.double()
    return torch.cat([z, z.new_ones(*z.shape[:-1], 1)], -1)


def _classes(fit: Tensor, val: Tensor, target: Target) -> Head:
    x, draws, k = _ones(fit).flatten(0, 1), len(fit), target.factor.size
    y = target.fit.repeat(draws)
    best, chosen, weights = torch.inf, 0.0, x.new_zeros(x.shape[1], k)
    w = weights
    for ridge in RIDGES:
        w = _newton(x, y, w, ridge)
        loss = float(torch.nn.functional.cross_entropy((_ones(val) @ w).flatten(0, 1), target.val.repeat(len(val))))
        if loss < best:
            best, chosen, weights = loss, ridge, w

    def predict(z: Tensor) -> Distribution:
        return Categorical(logits=_ones(z) @ weights)

    return Head(predict, {"ridge": chosen})


def _newton(x: Tensor, y: Tensor, w: Tensor, ridge: float) -> Tensor:
    """(d + 1, K) weights of least penalised loss, from `w`."""
    n, features = x.shape
    k = w.shape[1]
    truth = torch.nn.functional.one_hot(y, k).to(x)
    penalty = torch.full((features, 1), ridge, dtype=x.dtype)
    penalty[-1] = 1e-9  # the bias, kept from drifting along the one direction that changes nothing

    def objective(w: Tensor) -> Tensor:
        logits = x @ w
        return (logits.logsumexp(-1) - (logits * truth).sum(-1)).mean() + 0.5 * (penalty * w.square()).sum()

    value = objective(w)
    for _ in range(100):
        p = (x @ w).softmax(-1)
        gradient = x.T @ (p - truth) / n + penalty * w
        crossed = (p[:, :, None] * x[:, None]).flatten(1)  # (n, K·(d+1)): row (k, i) is p_k x_i
        hessian = -crossed.T @ crossed / n
        blocks = torch.einsum("nk,ni,nj->kij", p, x, x) / n if features * k <= 2000 else _blocks(p, x)
        for c in range(k):
            at = slice(c * features, (c + 1) * features)
            hessian[at, at] += blocks[c] + torch.diag(penalty[:, 0])
        hessian.diagonal().add_(1e-10)
        flat = gradient.T.reshape(-1, 1)
        step = torch.cholesky_solve(flat, torch.linalg.cholesky(hessian))
        decrease = float((flat * step).sum()) / 2
        direction, scale = step.reshape(k, features).T, 1.0
        if decrease < STILL:
            break
        while scale > 1e-6:
            trial = objective(w - scale * direction)
            if trial <= value - 0.1 * scale * decrease:
                break
            scale /= 2
        else:
            break
        w, value = w - scale * direction, trial
    return w


def _blocks(p: Tensor, x: Tensor) -> Tensor:
    return torch.stack([(x * p[:, c, None]).T @ x / len(x) for c in range(p.shape[1])])


def _reals(fit: Tensor, val: Tensor, target: Target) -> Head:
    x, v = _ones(fit).flatten(0, 1), _ones(val).flatten(0, 1)
    y, truth = target.fit.double().repeat(len(fit), 1), target.val.double().repeat(len(val), 1)
    gram, cross = x.T @ x / len(x), x.T @ y / len(x)
    best, chosen = torch.inf, 0.0
    for ridge in RIDGES:
        penalty = torch.full((x.shape[1],), ridge, dtype=x.dtype)
        penalty[-1] = 0
        w = torch.linalg.solve(gram + torch.diag(penalty), cross)
        residual = y - x @ w
        covariance = residual.T @ residual / len(x)
        covariance.diagonal().add_(1e-10 * covariance.diagonal().mean() + 1e-12)
        loss = -float(MultivariateNormal(v @ w, covariance).log_prob(truth).mean())
        if loss < best:
            best, chosen, weights, spread = loss, ridge, w, covariance

    def predict(z: Tensor) -> Distribution:
        return MultivariateNormal(_ones(z) @ weights, spread)

    return Head(predict, {"ridge": chosen})
