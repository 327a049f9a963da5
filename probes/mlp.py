from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MultivariateNormal

from rdu_bench.api import Budget, Factor, Head, Probe, ProbeCard, Target, named_seed

WIDTH, BATCH = 64, 256
RATE, AVERAGED = 5e-3, 0.02  # of Adam; weight of the newest weights in the average that is kept
DECAYS = (0.3, 1.0, 1.0)  # weight decays that are tried, each from weights of its own
JOINED = 2  # of the heads that they give, those best on validation, are averaged
LOOK, FIRST, PATIENCE = (
    25,
    300,
    0.4,
)  # steps between looks, the least there are, and how old, as a share, the best may be
CACHE = 700_000  # hidden units worked on at once, so that they stay near the processor


class MLPHead(Probe):
    """One hidden layer of 64 on the code, a trunk for every factor of every code, trained until validation is best.

        p(y|z) = mean over the best of softmax(W relu(V z + a) + b)        AdamW, averages of weights

    Heads of several weight decays start from weights of their own; each is looked at on validation every 25 steps, kept
    where it is best, and closed once that is 40 % of its steps old, or at the budget's most.  The two best are averaged
    in probability; reals in their mean.  All heads train side by side as batches of matrices with gradients written
    out; none feels another.  The weights of a factor begin the same for every code, so that codes differ by what they
    say and not by luck.
    """

    card = ProbeCard(title="MLP-64", family="mean of softmax(W relu(V z)), N(W relu(V z), Σ)")

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
        size = max(1, CACHE // (len(targets) * WIDTH * BATCH * len(DECAYS)))
        heads = []
        for some, held in zip(z.split(size), v.split(size), strict=True):
            trained = _train(some, held, answers, seed, budget.head_steps)
            heads += [
                [_head(trained, p, k, answer, code) for k, answer in enumerate(answers)] for p, code in enumerate(some)
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
        """Weights that depend on a factor's place and the decay, and on nothing beside; columns of zeros do not count.

        The nets of one code lie next to each other, one a decay.
        """
        used = (z != 0).any(3).any(1).sum(1).clamp(min=1)  # (P,)
        many = [cls._of(len(z[0, 0]), answers, named_seed(seed, member)) for member in range(len(DECAYS))]
        v, w = (torch.stack(parts).repeat(len(z), 1, 1) for parts in zip(*many, strict=True))
        scale = (2 / used).sqrt().repeat_interleave(len(DECAYS))[:, None, None]
        return cls(v * scale, v.new_zeros(len(v), v.shape[1], 1), w, w.new_zeros(len(w), w.shape[1], 1))

    @staticmethod
    def _of(d: int, answers: list[_Answer], seed: int) -> tuple[Tensor, Tensor]:
        v, w = [], []
        for place, answer in enumerate(answers):
            generator = torch.Generator().manual_seed(named_seed(seed, "head", place))
            w.append(torch.randn(answer.factor.size, WIDTH, generator=generator) * (0.1 * WIDTH**-0.5))
            v.append(torch.randn(d, WIDTH, generator=generator).T)
        return torch.cat(v), torch.cat(w)

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


class _Trained(NamedTuple):
    """Each head where it was best on validation; nets of one code lie next to each other."""

    net: _Net
    loss: Tensor  # (P·M, K) on validation
    steps: Tensor  # (P·M, K) after which that was
    open: Tensor  # (P·M, K) whether the budget ended before its patience did


def _train(z: Tensor, v: Tensor, answers: list[_Answer], seed: int, most: int) -> _Trained:
    """Heads of the codes z (P, S, d, N), looked at on v (P, S, d, M), for at most so many steps."""
    net = _Net.begin(z, answers, seed)
    z, v = (part.repeat_interleave(len(DECAYS), 0) for part in (z, v))
    mean, kept = (_Net(*(part.clone() for part in net)) for _ in range(2))
    optimizer = torch.optim.Adam(net, lr=RATE, fused=True)
    shrink = 1 - RATE * torch.tensor(DECAYS).repeat(len(z) // len(DECAYS))[:, None, None]
    best, when = torch.full((len(z), len(answers)), torch.inf), torch.zeros(len(z), len(answers))
    open_ = torch.ones(len(z), len(answers), dtype=torch.bool)
    for step, (draw, at) in enumerate(_batches(z.shape[1], z.shape[3], seed, most), 1):
        slopes = net.slopes(z[:, draw, :, at], answers, [answer.fit[..., at] for answer in answers])
        for weight, slope in zip(net, slopes, strict=True):
            weight.grad = slope
        optimizer.step()
        net.v.mul_(shrink)
        net.w.mul_(shrink)
        torch._foreach_lerp_(list(mean), list(net), max(AVERAGED, 1 / step))
        if step % LOOK and step < most:
            continue
        now = torch.stack([mean.losses(part, answers) for part in v.unbind(1)]).mean(0)
        better = open_ & (now < best)
        best, when = torch.where(better, now, best), torch.where(better, float(step), when)
        kept.keep(mean, better, answers)
        if step >= FIRST:
            open_ &= when >= step * (1 - PATIENCE)
            if not bool(open_.any()):
                break
    return _Trained(kept, best, when, open_)


def _batches(draws: int, n: int, seed: int, most: int) -> Iterator[tuple[int, Tensor]]:
    """A draw and some examples, every example once before any again, and then in another draw."""
    generator = torch.Generator().manual_seed(named_seed(seed, "order"))
    size, done = min(BATCH, n), 0
    while True:
        order = torch.randperm(n, generator=generator)
        for start in range(0, n - size + 1, size):
            if done == most:
                return
            yield (done // (n // size)) % draws, order[start : start + size]
            done += 1


def _head(trained: _Trained, p: int, k: int, answer: _Answer, fit: Tensor) -> Head:
    """Of code p and factor k: the heads best on validation together; `fit` (S, d, N)."""
    members = slice(p * len(DECAYS), (p + 1) * len(DECAYS))
    chosen = trained.loss[members, k].argsort()[:JOINED]
    at = chosen + members.start
    v, a = (part[at, answer.trunk].clone() for part in trained.net[:2])  # (J, 64, d), (J, 64, 1)
    w, b = (part[at, answer.rows].clone() for part in trained.net[2:])
    settings = {
        "steps": float(trained.steps[at[0], k]),
        "weight_decay": DECAYS[int(chosen[0])],
        "capped": float(trained.open[at, k].any()),
    }

    def outputs(z: Tensor) -> Tensor:
        """(J, …, size)."""
        z = z.float()
        return torch.stack(
            [(torch.relu(z @ v[j].T + a[j, :, 0]) @ w[j].T + b[j, :, 0]).double() for j in range(len(at))]
        )

    if answer.factor.kind == "class":

        def predict(z: Tensor) -> Distribution:
            return Categorical(logits=outputs(z).log_softmax(-1).logsumexp(0))

        return Head(predict, settings)

    mean, scale = answer.mean.double(), answer.scale.double()
    residual = ((answer.fit.T.double() - outputs(fit.mT).mean(0)) * scale).flatten(0, 1)
    covariance = residual.T @ residual / len(residual)
    covariance.diagonal().add_(1e-10 * covariance.diagonal().mean() + 1e-12)
    return Head(lambda z: MultivariateNormal(outputs(z).mean(0) * scale + mean, covariance), settings)
