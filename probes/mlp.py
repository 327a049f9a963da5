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
        z, v = (part.float().mT.contiguous() for part in (fit, val))  # (P, S, d, N): examples side by side
        heads: list[list[Head]] = [[] for _ in fit]
        found: dict[int, list[Head]] = {}
        for alike in _alike(targets):
            size = max(1, CACHE // (len(alike) * WIDTH * BATCH * len(DECAYS)))
            trained = [
                _train(some, held, alike, seed, budget.head_steps)
                for some, held in zip(z.split(size), v.split(size), strict=True)
            ]
            for k, answer in enumerate(alike):
                found[answer.place] = [
                    _head(part, p, k, answer, code)
                    for part, some in zip(trained, z.split(size), strict=True)
                    for p, code in enumerate(some)
                ]
        for place in range(len(targets)):
            for mine, head in zip(heads, found[place], strict=True):
                mine.append(head)
        return heads


class _Answer(NamedTuple):
    """A factor's truth, and its place among all factors."""

    factor: Factor
    place: int
    row: int  # its first output among those of all factors
    rows: int  # which have so many
    fit: Tensor  # (N,) classes, or (size, N) standardised reals
    val: Tensor
    mean: Tensor  # of reals, (size,)
    scale: Tensor


def _alike(targets: list[Target]) -> list[list[_Answer]]:
    """Factors whose heads have the same shape, which are trained together."""
    found: dict[tuple[str, int], list[_Answer]] = {}
    row, rows = 0, sum(target.factor.size for target in targets)
    for place, target in enumerate(targets):
        fit, val, mean, scale = target.fit, target.val, torch.zeros(1), torch.ones(1)
        if target.factor.kind == "real":
            mean, scale = fit.mean(0), fit.std(0).clamp(min=1e-6)
            fit, val = (((y - mean) / scale).T.contiguous() for y in (fit, val))
        alike = found.setdefault((target.factor.kind, target.factor.size), [])
        alike.append(_Answer(target.factor, place, row, rows, fit, val, mean, scale))
        row += target.factor.size
    return list(found.values())


def _slope(out: Tensor, y: Tensor, real: bool) -> Tensor:
    """Of each head's mean loss by `out` (H, size, n)."""
    if real:
        return (out - y) * (2 / y[0].numel())
    slope = out.softmax(1)
    slope.scatter_add_(1, y[:, None], out.new_full((len(out), 1, y.shape[1]), -1.0))
    return slope.div_(y.shape[1])


def _loss(out: Tensor, y: Tensor, real: bool) -> Tensor:
    """(H,) mean loss of `out` (H, size, n)."""
    if real:
        return (out - y).square().mean((1, 2))
    return (out.logsumexp(1) - out.gather(1, y[:, None])[:, 0]).mean(1)


class _Net(NamedTuple):
    """H heads of one shape.

    Their biases stand where those of all factors would: Adam's kernel rounds the last few numbers of a tensor otherwise
    than the rest, and no head may feel whether others are trained beside it.
    """

    v: Tensor  # (H, 64, d)
    a: Tensor  # (H, 64, 1)
    w: Tensor  # (H, size, 64)
    b: Tensor  # (P·M·Σ size,)

    @classmethod
    def begin(cls, z: Tensor, answers: list[_Answer], seed: int) -> _Net:
        """Weights that depend on a factor's place and the decay, and on nothing beside; columns of zeros do not count.

        Heads of one code and factor lie next to each other, one a decay, and then those of the next factor.
        """
        used = (z != 0).any(3).any(1).sum(1).clamp(min=1)  # (P,)
        v, w = [], []
        for answer in answers:
            for member in range(len(DECAYS)):
                generator = torch.Generator().manual_seed(named_seed(named_seed(seed, member), "head", answer.place))
                w.append(torch.randn(answer.factor.size, WIDTH, generator=generator) * (0.1 * WIDTH**-0.5))
                v.append(torch.randn(z.shape[2], WIDTH, generator=generator).T)
        scale = (2 / used).sqrt().repeat_interleave(len(v))[:, None, None]
        first, last = (torch.stack(part).repeat(len(z), 1, 1) for part in (v, w))
        biases = first.new_zeros(len(z) * len(DECAYS) * answers[0].rows)
        return cls(first * scale, first.new_zeros(len(first), WIDTH, 1), last, biases)

    def some(self, at: Tensor) -> _Net:
        """A few of the heads, apart from the others."""
        return _Net(self.v[at], self.a[at], self.w[at], self.b)

    def out(self, z: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """z (H, d, n) → hidden units (H, 64, n) and outputs (H, size, n); `rows` (H, size) of the biases."""
        hidden = torch.baddbmm(self.a, self.v, z).relu_()
        return hidden, torch.baddbmm(self.b[rows][:, :, None], self.w, hidden)

    def slopes(self, z: Tensor, y: Tensor, rows: Tensor, real: bool) -> _Net:
        """Gradient of every head's mean loss."""
        hidden, out = self.out(z, rows)
        slope = _slope(out, y, real)
        b = torch.zeros_like(self.b).index_put_((rows,), slope.sum(2))
        back = self.w.mT @ slope
        torch.ops.aten.threshold_backward.grad_input(back, hidden, 0, grad_input=back)
        return _Net(back @ z.mT, back.sum(2, keepdim=True), slope @ hidden.mT, b)


class _Adam:
    """Adam on heads some of which are dropped on the way; the step is that of `torch.optim.Adam(…, fused=True)`."""

    def __init__(self, net: _Net):
        self.first, self.second = (_Net(*map(torch.zeros_like, net)) for _ in range(2))
        self.steps = torch.zeros(())

    def step(self, net: _Net, slopes: _Net) -> None:
        self.steps.add_(1)
        torch._fused_adam_(
            list(net),
            list(slopes),
            list(self.first),
            list(self.second),
            [],
            [self.steps] * len(net),
            lr=RATE,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )

    def keep(self, at: Tensor) -> None:
        """Drop all other heads."""
        self.first, self.second = self.first.some(at), self.second.some(at)


class _Trained(NamedTuple):
    """Each head where it was best on validation; P codes, K factors, one head a decay."""

    net: tuple[Tensor, ...]  # v (P, K, M, 64, d), a, w (P, K, M, size, 64), b
    loss: Tensor  # (P, K, M) on validation
    steps: Tensor  # (P, K, M) after which that was
    open: Tensor  # (P, K, M) whether the budget ended before its patience did


def _train(z: Tensor, v: Tensor, answers: list[_Answer], seed: int, most: int) -> _Trained:
    """Heads of the codes z (P, S, d, N), looked at on v (P, S, d, M), for at most so many steps.

    A head whose patience has ended is dropped, which no other feels.
    """
    real = answers[0].factor.kind == "real"
    net = _Net.begin(z, answers, seed)
    mean, kept = (_Net(*(part.clone() for part in net)) for _ in range(2))
    heads = torch.cartesian_prod(*(torch.arange(n) for n in (len(z), len(answers), len(DECAYS))))
    truth, held = (torch.stack([getattr(answer, part) for answer in answers]) for part in ("fit", "val"))
    shrink = 1 - RATE * torch.tensor(DECAYS)[heads[:, 2], None, None]
    row = torch.tensor([answer.row for answer in answers])[heads[:, 1], None] + torch.arange(answers[0].factor.size)
    rows = (heads[:, :1] * len(DECAYS) + heads[:, 2:]) * answers[0].rows + row  # (H, size)
    live = torch.arange(len(heads))
    best, when, open_ = torch.full((len(live),), torch.inf), torch.zeros(len(live)), torch.ones(len(live)) > 0
    adam = _Adam(net)

    def given(part: Tensor) -> Tensor:
        """(P, …) → (H, …): every head its code."""
        return part[heads[live, 0]] if len(part) > 1 else part.expand(len(live), *part.shape[1:])

    y, at_b = truth[heads[live, 1]], rows
    for step, (draw, at) in enumerate(_batches(z.shape[1], z.shape[3], seed, most), 1):
        adam.step(net, net.slopes(given(z[:, draw, :, at]), y[..., at], at_b, real))
        net.v.mul_(shrink)
        net.w.mul_(shrink)
        torch._foreach_lerp_(list(mean), list(net), max(AVERAGED, 1 / step))
        if step % LOOK and step < most:
            continue
        wanted = held[heads[live, 1]]
        now = torch.stack([_loss(mean.out(given(part), at_b)[1], wanted, real) for part in v.unbind(1)]).mean(0)
        better = now < best[live]
        best[live[better]], when[live[better]] = now[better], float(step)
        for mine, new in zip(kept[:3], mean[:3], strict=True):
            mine[live[better]] = new[better]
        kept.b[rows[live[better]]] = mean.b[rows[live[better]]]
        if step >= FIRST:
            stay = when[live] >= step * (1 - PATIENCE)
            open_[live[~stay]] = False
            if not bool(stay.any()):
                break
            if not bool(stay.all()):
                net, mean, shrink, live = net.some(stay), mean.some(stay), shrink[stay], live[stay]
                y, at_b = truth[heads[live, 1]], rows[live]
                adam.keep(stay)
    shape = len(z), len(answers), len(DECAYS)
    parts = *kept[:3], kept.b[rows][:, :, None]
    return _Trained(tuple(p.unflatten(0, shape) for p in parts), *(p.view(shape) for p in (best, when, open_)))


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
    at = trained.loss[p, k].argsort()[:JOINED]
    v, a, w, b = (part[p, k, at].clone() for part in trained.net)  # (J, 64, d), (J, 64, 1), …
    settings = {
        "steps": float(trained.steps[p, k, at[0]]),
        "weight_decay": DECAYS[int(at[0])],
        "capped": float(trained.open[p, k, at].any()),
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
