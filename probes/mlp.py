from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MultivariateNormal

from rdu_bench.api import Budget, Factor, Head, Probe, ProbeCard, Target, named_seed

WIDTH, BATCH = 64, 256
RATE, DECAY = 5e-3, 1e-3
CACHE = 700_000  # hidden units worked on at once, so that they stay near the processor


class MLPHead(Probe):
    """One hidden layer of 64 on the code, a trunk for every factor of every code, stopped where validation is best.

        softmax(W relu(V z + a) + b)        one draw of each code an epoch, AdamW, cosine

    All heads train side by side as batches of matrices with gradients written out; none feels another.  The weights
    of a factor begin the same for every code, so that codes differ by what they say and not by luck.
    """

    card = ProbeCard(title="MLP-64", family="softmax(W relu(V z)), N(W relu(V z), Σ)")

    def fit(self, fit: Tensor, val: Tensor, targets: list[Target], *, seed: int, budget: Budget) -> list[Head]:
        return self.fit_many(fit[None], val[None], targets, seed=seed, budget=budget)[0]

    @torch.no_grad()
    def fit_many(
        self, fit: Tensor, val: Tensor, targets: list[Target], *, seed: int, budget: Budget
    ) -> list[list[Head]]:
        if not targets:
            return [[] for _ in fit]
        z, v = (part.float().mT.contiguous() for part in (fit, val))  # (P, S, d, N): examples side by side
        answers = _answers(targets)
        size = max(1, CACHE // (len(targets) * WIDTH * BATCH))
        heads = []
        for some, held in zip(z.split(size), v.split(size), strict=True):
            net, epochs = _train(some, held, answers, seed, budget.head_epochs)
            heads += [
                [_head(net, p, answer, code, int(e)) for answer, e in zip(answers, epochs[p], strict=True)]
                for p, code in enumerate(some)
            ]
        return heads


def _answers(targets: list[Target]) -> list[_Answer]:
    found, row = [], 0
    for i, target in enumerate(targets):
        trunk, rows = slice(i * WIDTH, (i + 1) * WIDTH), slice(row, row := row + target.factor.size)
        fit, val, mean, scale = target.fit, target.val, torch.zeros(1), torch.ones(1)
        if target.factor.kind == "real":
            mean, scale = fit.mean(0), fit.std(0).clamp(min=1e-6)
            fit, val = (((y - mean) / scale).T.contiguous() for y in (fit, val))
        found.append(_Answer(target.factor, trunk, rows, fit, val, mean, scale))
    return found


class _Answer(NamedTuple):
    """A factor's truth and its place in the net."""

    factor: Factor
    trunk: slice  # of the hidden units
    rows: slice  # of the outputs
    fit: Tensor  # (N,) classes, or (size, N) standardised reals
    val: Tensor
    mean: Tensor  # of reals, (size,)
    scale: Tensor

    def slope(self, out: Tensor, y: Tensor) -> Tensor:
        """Of the mean loss by `out` (P, size, n)."""
        if self.factor.kind == "real":
            return (out - y) * (2 / y.numel())
        slope = out.softmax(1)
        slope.scatter_add_(1, y.expand(len(out), 1, -1), out.new_full((len(out), 1, len(y)), -1.0))
        return slope.div_(len(y))

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        """(P,) mean loss of `out` (P, size, n)."""
        if self.factor.kind == "real":
            return (out - y).square().mean((1, 2))
        return (out.logsumexp(1) - out.gather(1, y.expand(len(out), 1, -1))[:, 0]).mean(1)


class _Net(NamedTuple):
    """K trunks side by side and their outputs one below the other, for P codes."""

    v: Tensor  # (P, K·64, d)
    a: Tensor  # (P, K·64, 1)
    w: Tensor  # (P, Σ size, 64)
    b: Tensor  # (P, Σ size, 1)

    @classmethod
    def begin(cls, z: Tensor, answers: list[_Answer], seed: int) -> _Net:
        """Weights that depend on the place of a factor and on nothing beside it; columns of zeros do not count."""
        codes, _, d, _ = z.shape
        used = (z != 0).any(3).any(1).sum(1).clamp(min=1)  # (P,)
        v, w = [], []
        for place, answer in enumerate(answers):
            generator = torch.Generator().manual_seed(named_seed(seed, "head", place))
            w.append(torch.randn(answer.factor.size, WIDTH, generator=generator) * (0.1 * WIDTH**-0.5))
            v.append(torch.randn(d, WIDTH, generator=generator).T)
        outputs = sum(len(part) for part in w)
        return cls(
            torch.cat(v) * (2 / used)[:, None, None].sqrt(),
            torch.zeros(codes, len(v) * WIDTH, 1),
            torch.cat(w).repeat(codes, 1, 1),
            torch.zeros(codes, outputs, 1),
        )

    def hidden(self, z: Tensor) -> Tensor:
        """(P, d, n) → (P, K·64, n)."""
        return torch.baddbmm(self.a, self.v, z).relu_()

    def out(self, answer: _Answer, hidden: Tensor) -> Tensor:
        """(P, size, n) of one factor."""
        return torch.baddbmm(self.b[:, answer.rows], self.w[:, answer.rows], hidden[:, answer.trunk])

    def slopes(self, z: Tensor, answers: list[_Answer], truth: list[Tensor]) -> _Net:
        """Gradient of the sum of all heads' mean losses."""
        hidden = self.hidden(z)
        back, w, b = torch.empty_like(hidden), [], []
        for answer, y in zip(answers, truth, strict=True):
            slope = answer.slope(self.out(answer, hidden), y)
            w.append(slope @ hidden[:, answer.trunk].mT)
            b.append(slope.sum(2, keepdim=True))
            torch.bmm(self.w[:, answer.rows].mT, slope, out=back[:, answer.trunk])
        back = torch.ops.aten.threshold_backward(back, hidden, 0)
        return _Net(back @ z.mT, back.sum(2, keepdim=True), torch.cat(w, 1), torch.cat(b, 1))

    def losses(self, z: Tensor, answers: list[_Answer]) -> Tensor:
        """(P, K) on validation."""
        hidden = self.hidden(z)
        return torch.stack([answer.loss(self.out(answer, hidden), answer.val) for answer in answers], 1)

    def keep(self, other: _Net, better: Tensor, answers: list[_Answer]) -> None:
        """Take the heads of `other` where `better` (P, K)."""
        trunks = better.repeat_interleave(WIDTH, 1)[:, :, None]
        rows = better.repeat_interleave(torch.tensor([a.factor.size for a in answers]), 1)[:, :, None]
        for mine, new, where in zip(self, other, (trunks, trunks, rows, rows), strict=True):
            torch.where(where, new, mine, out=mine)


def _train(z: Tensor, v: Tensor, answers: list[_Answer], seed: int, epochs: int) -> tuple[_Net, Tensor]:
    """Weights of each head at its best epoch, and that epoch (P, K)."""
    net = _Net.begin(z, answers, seed)
    kept = _Net(*(part.clone() for part in net))
    optimizer = torch.optim.AdamW(net, lr=RATE, weight_decay=DECAY, fused=True)
    best, when = torch.full((len(z), len(answers)), torch.inf), torch.zeros(len(z), len(answers))
    draws, n = z.shape[1], z.shape[3]
    size = min(BATCH, n)
    batches = [slice(i, i + size) for i in range(0, n - size + 1, size)]
    generator = torch.Generator().manual_seed(named_seed(seed, "order"))
    done = 0
    for epoch in range(epochs):
        order = torch.randperm(n, generator=generator)
        shuffled, truth = z[:, epoch % draws, :, order], [answer.fit[..., order] for answer in answers]
        for at in batches:
            optimizer.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * done / (len(batches) * epochs))) / 2
            slopes = net.slopes(shuffled[:, :, at], answers, [y[..., at] for y in truth])
            for weight, slope in zip(net, slopes, strict=True):
                weight.grad = slope
            optimizer.step()
            done += 1
        now = torch.stack([net.losses(part, answers) for part in v.unbind(1)]).mean(0)
        better = now < best
        best, when = torch.where(better, now, best), torch.where(better, float(epoch + 1), when)
        kept.keep(net, better, answers)
    return kept, when


def _head(net: _Net, p: int, answer: _Answer, fit: Tensor, epochs: int) -> Head:
    """Of code p and one factor; `fit` (S, d, N)."""
    v, a = (part[p, answer.trunk].clone() for part in net[:2])
    w, b = (part[p, answer.rows].clone() for part in net[2:])

    def outputs(z: Tensor) -> Tensor:
        return (torch.relu(z.float() @ v.T + a[:, 0]) @ w.T + b[:, 0]).double()

    if answer.factor.kind == "class":

        def predict(z: Tensor) -> Distribution:
            return Categorical(logits=outputs(z))

        return Head(predict, {"epochs": epochs})

    mean, scale = answer.mean.double(), answer.scale.double()
    residual = ((answer.fit.T.double() - outputs(fit.mT)) * scale).flatten(0, 1)
    covariance = residual.T @ residual / len(residual)
    covariance.diagonal().add_(1e-10 * covariance.diagonal().mean() + 1e-12)
    return Head(lambda z: MultivariateNormal(outputs(z) * scale + mean, covariance), {"epochs": epochs})
