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

    All codes and all factors of as many classes descend side by side, so that no class is padded; a head that has
    converged is dropped.  Quasi-Newton steps: the curvature of the best constant head, (diag π − ππᵀ) ⊗ E zzᵀ, which
    is exact where the path begins and diagonal for whitened z, corrected by the last steps taken (L-BFGS).  What they
    learned of the data term holds for every λ.
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
        truth = [[torch.cat([y] * z.shape[1]) for y, z in ((t.fit, fit), (t.val, val))] for t in targets]
        fitted: dict[int, list[Head]] = {}  # of every code, by the place of the target
        for k, places in _alike(targets).items():
            ys = [torch.stack([truth[place][part] for place in places]) for part in (0, 1)]
            heads = _classes(x, ys[0], v, ys[1], k, self.ridges)
            fitted |= {place: heads[i :: len(places)] for i, place in enumerate(places)}
        for place, target in enumerate(targets):
            if target.factor.kind == "real":
                y, held = (part.double() for part in truth[place])
                fitted[place] = [_real(*code, y, held, self.ridges) for code in zip(x, v, strict=True)]
        return [[fitted[place][p] for place in range(len(targets))] for p in range(len(fit))]


def _alike(targets: list[Target]) -> dict[int, list[int]]:
    """Places of the classes by how many values they have."""
    found: dict[int, list[int]] = {}
    for place, target in enumerate(targets):
        if target.factor.kind == "class":
            found.setdefault(target.factor.size, []).append(place)
    return found


def _columns(z: Tensor) -> Tensor:
    """(P, S, N, d) → (P, d + 1, S·N), ones last: examples side by side, which is how they are summed fast."""
    flat = z.float().flatten(1, 2).mT
    return torch.cat([flat, flat.new_ones(len(flat), 1, flat.shape[2])], 1).contiguous()


def _classes(x: Tensor, y: Tensor, v: Tensor, truth: Tensor, k: int, ridges: Sequence[float]) -> list[Head]:
    """Of P codes x (P, F, N) and G factors y (G, N) of k classes, code by code."""
    path, held = _Path(_Loss(x, y, k)), _Loss(v, truth, k)
    many = len(x) * len(y)
    best, chosen, kept = x.new_full((many,), torch.inf).double(), [0.0] * many, path.weights()
    going = torch.arange(many)
    for ridge in ridges:
        path.descend(ridge, going)
        weights = path.weights()
        loss = held(weights[going], going)[0]
        for head, now in zip(going.tolist(), loss.tolist(), strict=True):
            if now < best[head]:
                best[head], chosen[head], kept[head] = now, ridge, weights[head]
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
    """E −log softmax(W x)_y of P codes and G factors, without penalty; x (P, F, N), y (G, N), W (P·G, K, F)."""

    def __init__(self, x: Tensor, y: Tensor, k: int):
        self.x, self.k, self.many = x, k, len(y)
        hot = [one_hot(each, k).to(x).T for each in y]
        frequencies = [(each.sum(1) + 0.5) / (y.shape[1] + 0.5 * k) for each in hot]
        self.frequencies = torch.stack(frequencies * len(x))  # (P·G, K)
        self.truth = torch.stack([each @ code.T for code in x for each in hot]) / y.shape[1]  # (P·G, K, F) E 1[y = k] x

    def __call__(self, w: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """(L,) nats and (L, K, F) gradient of the heads `at` (L,) at weights `w` (L, K, F)."""
        values, gradients = [], []
        size = max(1, CACHE // (self.k * self.x.shape[2]))
        for mine, some in zip(w.split(size), (at // self.many).split(size), strict=True):
            one = bool((some == some[0]).all())
            x = self.x[int(some[0]), None] if one else self.x[some]
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
    """Weights of H heads on their way from large ridges to small, flat (H, K·F).

    They are held in the basis of classes in which the curvature of a constant head is diagonal.
    """

    def __init__(self, loss: _Loss):
        self.loss = loss
        heads, features, pi = len(loss.truth), loss.x.shape[1], loss.frequencies
        spread, self.basis = torch.linalg.eigh(torch.diag_embed(pi) - pi[:, :, None] * pi[:, None])
        moments = loss.x.square().mean(2).repeat_interleave(loss.many, 0)
        self.curvature = (spread.clamp(min=0)[:, :, None] * moments[:, None]).flatten(1)
        start = loss.x.new_zeros(heads, loss.k, features)
        start[:, :, -1] = pi.log()
        self.w = (self.basis.mT @ start).flatten(1)
        self.value, self.gradient = self._data(self.w, torch.arange(heads))
        self.steps = self.w.new_zeros(heads, MEMORY, self.w.shape[1])
        self.bends = torch.zeros_like(self.steps)  # of the gradient of the data term, along each step

    def weights(self) -> Tensor:
        """(H, K, F)."""
        return self.basis @ self.w.view(len(self.w), self.loss.k, -1)

    def descend(self, ridge: float, live: Tensor) -> None:
        """Move the heads `live` to the weights of least penalised loss."""
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
        value, gradient = self.loss(self.basis[at] @ w.view(len(w), self.loss.k, -1), at)
        return value, (self.basis[at].mT @ gradient).flatten(1)

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
        u = torch.linalg.solve_triangular(r, _times(s, gradient)[:, :, None], upper=True)[:, :, 0]
        bent = _times(scaled.mT, u)
        right = along * known * u + _times(y, bent) - _times(scaled, gradient)
        t = torch.linalg.solve_triangular(r.mT, right[:, :, None], upper=False)[:, :, 0]
        return inverse * gradient + (_times(s.mT, t) - bent)

    def _move(self, live: Tensor, step: Tensor, decrease: Tensor, penalty: Tensor) -> Tensor:
        """Take each step, halved until the loss falls; returns the heads that moved."""
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


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    """(H, a, b) and (H, b) → (H, a), one by one: together they would round otherwise than a head alone."""
    if len(matrices) == 1:
        return (matrices @ vectors[:, :, None])[:, :, 0]
    each = zip(matrices.split(1), vectors[:, :, None].split(1), strict=True)
    return torch.cat([matrix @ vector for matrix, vector in each])[:, :, 0]


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
