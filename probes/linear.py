from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MultivariateNormal
from torch.nn.functional import one_hot

from rdu_bench.api import Budget, Head, Probe, ProbeCard, Target

RIDGES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
BIAS = 1e-6  # ridge on the bias, which keeps it from drifting along the one direction that changes nothing
STILL = 2e-6  # predicted decrease, in nats, at which a head has converged
STEPS, HALVINGS = 200, 20  # most for one ridge, and for one step
MEMORY = 10  # steps that curvature is learned from
WORSE = 0.05  # nats above its best on validation at which a head's path ends
CACHE = 100_000  # numbers worked on at once, so that they stay near the processor
BITS = 1 / math.log(2)


class Linear(Probe):
    """Softmax regression, or linear regression with a full covariance, on the code.

        min_W  E −log softmax(W z)_y + λ/2 ‖W‖²        λ on validation, from large to small, each from the last

    All codes descend side by side, one factor after the other so that no class is padded; a head that has converged
    is dropped.  Quasi-Newton steps: the curvature of the best constant head, (diag π − ππᵀ) ⊗ E zzᵀ, which is exact
    where the path begins and diagonal for whitened z, corrected by the last steps taken (L-BFGS).  What they learned
    of the data term holds for every λ.
    """

    card = ProbeCard(title="linear", family="softmax(W z + b), N(W z + b, Σ)")

    def __init__(self, ridges: Sequence[float] = RIDGES):
        self.ridges = ridges  # from large to small

    def fit(self, fit: Tensor, val: Tensor, targets: list[Target], *, seed: int, budget: Budget) -> list[Head]:
        return self.fit_many(fit[None], val[None], targets, seed=seed, budget=budget)[0]

    def fit_many(
        self, fit: Tensor, val: Tensor, targets: list[Target], *, seed: int, budget: Budget
    ) -> list[list[Head]]:
        x, v = _columns(fit), _columns(val)
        fitted = []
        for target in targets:
            y, truth = torch.cat([target.fit] * fit.shape[1]), torch.cat([target.val] * val.shape[1])
            if target.factor.kind == "class":
                fitted.append(_classes(x, y, v, truth, target.factor.size, self.ridges))
            else:
                fitted.append(
                    [_real(*code, y.double(), truth.double(), self.ridges) for code in zip(x, v, strict=True)]
                )
        return [[heads[p] for heads in fitted] for p in range(len(fit))]


def _columns(z: Tensor) -> Tensor:
    """(P, S, N, d) → (P, d + 1, S·N), ones last: examples side by side, which is how they are summed fast."""
    flat = z.float().flatten(1, 2).mT
    return torch.cat([flat, flat.new_ones(len(flat), 1, flat.shape[2])], 1).contiguous()


def _classes(x: Tensor, y: Tensor, v: Tensor, truth: Tensor, k: int, ridges: Sequence[float]) -> list[Head]:
    path, held = _Path(_Loss(x, y, k)), _Loss(v, truth, k)
    best, chosen, kept = x.new_full((len(x),), torch.inf).double(), [0.0] * len(x), path.weights()
    going = torch.arange(len(x))
    for ridge in ridges:
        path.descend(ridge, going)
        weights = path.weights()
        loss = held(weights[going], going)[0]
        for code, now in zip(going.tolist(), loss.tolist(), strict=True):
            if now < best[code]:
                best[code], chosen[code], kept[code] = now, ridge, weights[code]
        going = going[loss < best[going] + WORSE]
        if not len(going):
            break
    return [_head(*found) for found in zip(kept, chosen, strict=True)]


def _head(weights: Tensor, ridge: float) -> Head:
    w, b = weights[:, :-1].T, weights[:, -1].double()

    def predict(z: Tensor) -> Distribution:
        return Categorical(logits=(z.float() @ w).double() + b)

    return Head(predict, {"ridge": ridge})


class _Loss:
    """E −log softmax(W x)_y of P codes, without penalty; x (P, F, N), y (N,), W (P, K, F)."""

    def __init__(self, x: Tensor, y: Tensor, k: int):
        self.x, self.k = x, k
        hot = one_hot(y, k).to(x).T
        self.frequencies = (hot.sum(1) + 0.5) / (len(y) + 0.5 * k)
        self.truth = torch.stack([hot @ code.T for code in x]) / len(y)  # (P, K, F) E 1[y = k] x

    def __call__(self, w: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """(L,) nats and (L, K, F) gradient of the codes `at` (L,) at weights `w` (L, K, F)."""
        values, gradients = [], []
        size = max(1, CACHE // (self.k * self.x.shape[2]))
        for mine, some in zip(w.split(size), at.split(size), strict=True):
            x = self.x if len(some) == len(self.x) else self.x[some] if len(some) > 1 else self.x[int(some), None]
            logits = (mine * BITS) @ x  # in bits, because exp2 takes a third of the time of exp
            top = logits.amax(1, keepdim=True)
            powers = logits.sub_(top).exp2_()
            total = powers.sum(1, keepdim=True)
            values.append((top + total.log2()).mean((1, 2), dtype=torch.float64) / BITS)
            if x.shape[1] < self.k:  # the smaller of the two is divided
                gradients.append(((x / total) @ powers.mT).mT)
            else:
                gradients.append(powers.div_(total) @ x.mT)
        truth = self.truth[at]
        value = torch.cat(values) - (w * truth).sum((1, 2), dtype=torch.float64)
        return value, torch.cat(gradients) / self.x.shape[2] - truth


class _Path:
    """Weights of P codes on their way from large ridges to small, flat (P, K·F).

    They are held in the basis of classes in which the curvature of a constant head is diagonal.
    """

    def __init__(self, loss: _Loss):
        self.loss = loss
        codes, features, pi = len(loss.x), loss.x.shape[1], loss.frequencies
        spread, self.basis = torch.linalg.eigh(torch.diag(pi) - pi[:, None] * pi)
        self.curvature = (spread.clamp(min=0)[:, None] * loss.x.square().mean(2)[:, None]).flatten(1)
        start = loss.x.new_zeros(codes, loss.k, features)
        start[:, :, -1] = pi.log()
        self.w = (self.basis.T @ start).flatten(1)
        self.value, self.gradient = self._data(self.w, torch.arange(codes))
        self.steps = self.w.new_zeros(codes, MEMORY, self.w.shape[1])
        self.bends = torch.zeros_like(self.steps)  # of the gradient of the data term, along each step

    def weights(self) -> Tensor:
        """(P, K, F)."""
        return self.basis @ self.w.view(len(self.w), self.loss.k, -1)

    def descend(self, ridge: float, live: Tensor) -> None:
        """Move the codes `live` to the weights of least penalised loss."""
        penalty = self.w.new_full((self.loss.x.shape[1],), ridge)
        penalty[-1] = BIAS
        penalty = penalty.repeat(self.loss.k)
        for _ in range(STEPS):
            gradient = self.gradient[live] + penalty * self.w[live]
            step = self._step(gradient, penalty, live)
            decrease = (step * gradient).sum(1, dtype=torch.float64) / 2
            moving = decrease > STILL
            if not bool(moving.any()):
                return
            live = self._move(live[moving], step[moving], decrease[moving], penalty)

    def _data(self, w: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = self.loss(self.basis @ w.view(len(w), self.loss.k, -1), at)
        return value, (self.basis.T @ gradient).flatten(1)

    def _step(self, gradient: Tensor, penalty: Tensor, live: Tensor) -> Tensor:
        """H⁻¹ ∇ by L-BFGS in its compact form (Byrd, Nocedal and Schnabel 1994, equation 2.6)."""
        inverse = 1 / (self.curvature[live] + penalty)
        s = self.steps[live]
        y = self.bends[live] + penalty * s
        sy = s @ y.mT
        along = sy.diagonal(dim1=1, dim2=2)
        known = (along > 1e-10).to(s)  # the rest is rounding, or not yet filled
        s, y = s * known[:, :, None], y * known[:, :, None]
        r = (sy * known[:, :, None] * known[:, None]).triu() + torch.diag_embed(1 - known)
        scaled = y * inverse[:, None]
        u = torch.linalg.solve_triangular(r, s @ gradient[:, :, None], upper=True)
        right = (along * known)[:, :, None] * u + y @ (scaled.mT @ u) - scaled @ gradient[:, :, None]
        t = torch.linalg.solve_triangular(r.mT, right, upper=False)
        return inverse * gradient + (s.mT @ t - scaled.mT @ u)[:, :, 0]

    def _move(self, live: Tensor, step: Tensor, decrease: Tensor, penalty: Tensor) -> Tensor:
        """Take each step, halved until the loss falls; returns the codes that moved."""
        old, scale = self.w[live], step.new_ones(len(live), 1)
        before = self.value[live] + 0.5 * (penalty * old.square()).sum(1, dtype=torch.float64)
        new = old - step
        value, gradient = self._data(new, live)
        for _ in range(HALVINGS):
            after = value + 0.5 * (penalty * new.square()).sum(1, dtype=torch.float64)
            short = ~(after <= before - 0.1 * scale[:, 0] * decrease + 1e-7)  # which rounding alone may reach
            if not bool(short.any()):
                break
            scale[short] /= 2
            new[short] = (old - scale * step)[short]
            value[short], gradient[short] = self._data(new[short], live[short])
        fell = ~short
        live, new, old, value, gradient = (part[fell] for part in (live, new, old, value, gradient))
        bend = gradient - self.gradient[live]
        self.steps[live] = torch.cat([self.steps[live, 1:], (new - old)[:, None]], 1)
        self.bends[live] = torch.cat([self.bends[live, 1:], bend[:, None]], 1)
        self.w[live], self.value[live], self.gradient[live] = new, value, gradient
        return live


def _real(x: Tensor, v: Tensor, y: Tensor, truth: Tensor, ridges: Sequence[float]) -> Head:
    """Least squares of y (N, size) on x (F, N), with the covariance of what is left."""
    x, v = x.double(), v.double()
    gram, cross = x @ x.T / x.shape[1], x @ y / x.shape[1]
    best, chosen = torch.inf, 0.0
    for ridge in ridges:
        penalty = torch.full((len(x),), ridge, dtype=x.dtype)
        penalty[-1] = 0
        w = torch.linalg.solve(gram + torch.diag(penalty), cross)
        residual = y - x.T @ w
        covariance = residual.T @ residual / len(y)
        covariance.diagonal().add_(1e-10 * covariance.diagonal().mean() + 1e-12)
        loss = -float(MultivariateNormal(v.T @ w, covariance).log_prob(truth).mean())
        if loss < best:
            best, chosen, weights, spread = loss, ridge, w, covariance

    def predict(z: Tensor) -> Distribution:
        return MultivariateNormal(z.double() @ weights[:-1] + weights[-1], spread)

    return Head(predict, {"ridge": chosen})
