from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MultivariateNormal
from torch.nn.functional import cross_entropy, mse_loss

from rdu_bench.api import Head, Probe, ProbeCard, Target

WIDTH, BATCH = 64, 256


class MLPHead(Probe):
    """One hidden layer of 64 on the code, a trunk for every factor, stopped where validation is best.

    All factors train side by side as one batch of matrices; AdamW, one draw of each code an epoch.
    """

    card = ProbeCard(title="MLP-64", family="softmax(W relu(V z)), N(W relu(V z), Σ)")

    def fit(
        self, fit: Tensor, val: Tensor, targets: list[Target], *, seed: int, budget: Mapping[str, Any]
    ) -> list[Head]:
        torch.manual_seed(seed)
        with torch.enable_grad():
            best, epochs = _train(fit.float(), val.float(), targets, budget["head_epochs"])
        return [_head(best, i, t, fit.float(), int(epochs[i])) for i, t in enumerate(targets)]


def _outputs(weights: list[Tensor], z: Tensor) -> Tensor:
    """(n, d) → (K, n, out)."""
    v, a, w, b = weights
    return torch.baddbmm(b, torch.relu(torch.baddbmm(a, z.expand(len(v), *z.shape), v)), w)


def _scaled(target: Target) -> tuple[Tensor, Tensor]:
    return target.fit.mean(0), target.fit.std(0).clamp(min=1e-6)


def _losses(out: Tensor, targets: list[Target], pick: Tensor | None) -> Tensor:
    """(K,) mean loss a factor, on the examples `pick` of fit or on all of val."""
    found = []
    for i, target in enumerate(targets):
        truth = target.val if pick is None else target.fit[pick]
        mine = out[i, :, : target.factor.size]
        if target.factor.kind == "class":
            found.append(cross_entropy(mine, truth))
        else:
            mean, scale = _scaled(target)
            found.append(mse_loss(mine, (truth - mean) / scale))
    return torch.stack(found)


def _train(fit: Tensor, val: Tensor, targets: list[Target], epochs: int) -> tuple[list[Tensor], Tensor]:
    """Weights at each factor's best epoch, and that epoch."""
    k, d, out = len(targets), fit.shape[-1], max(t.factor.size for t in targets)
    weights = [
        (torch.randn(k, d, WIDTH) * (2 / d) ** 0.5).requires_grad_(),
        torch.zeros(k, 1, WIDTH, requires_grad=True),
        (torch.randn(k, WIDTH, out) * WIDTH**-0.5 * 0.1).requires_grad_(),
        torch.zeros(k, 1, out, requires_grad=True),
    ]
    n, size = fit.shape[1], min(BATCH, fit.shape[1])
    steps = max(1, n // size) * epochs
    optimizer = torch.optim.AdamW(weights, lr=5e-3, weight_decay=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best, kept = torch.full((k,), torch.inf), [w.detach().clone() for w in weights]
    when = torch.zeros(k)
    for epoch in range(epochs):
        for pick in torch.randperm(n).split(size):
            if len(pick) < size:
                continue
            loss = _losses(_outputs(weights, fit[epoch % len(fit), pick]), targets, pick).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            now = torch.stack([_losses(_outputs(weights, z), targets, None) for z in val]).mean(0)
            better = now < best
            best, when = torch.where(better, now, best), torch.where(better, float(epoch + 1), when)
            kept = [torch.where(better[:, None, None], w, old) for w, old in zip(weights, kept, strict=True)]
    return kept, when


def _head(weights: list[Tensor], i: int, target: Target, fit: Tensor, epochs: int) -> Head:
    mine = [w[i : i + 1].detach() for w in weights]
    size = target.factor.size

    def outputs(z: Tensor) -> Tensor:
        flat = z.float().reshape(-1, z.shape[-1])
        return _outputs(mine, flat)[0, :, :size].reshape(*z.shape[:-1], size).double()

    if target.factor.kind == "class":

        def predict(z: Tensor) -> Distribution:
            return Categorical(logits=outputs(z))

        return Head(predict, {"epochs": epochs})

    mean, scale = (part.double() for part in _scaled(target))
    residual = (target.fit.double() - (outputs(fit) * scale + mean)).flatten(0, 1)
    covariance = residual.T @ residual / len(residual)
    covariance.diagonal().add_(1e-10 * covariance.diagonal().mean() + 1e-12)
    return Head(lambda z: MultivariateNormal(outputs(z) * scale + mean, covariance), {"epochs": epochs})
