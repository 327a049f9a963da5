"""Training under a rate constraint: min D + w|σ − R| + what makes a model itself, for one σ or for many at once.

Derivation, gains and tolerances are those of a clamped primal-dual method: max over |β| ≤ w of β(R − σ) is
w|R − σ|, so dual ascent on a clamped β optimises the absolute value itself, with smooth gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from .._hash import named_seed
from ..data import Dataset, Examples, GroundTruth, batches
from ..model import Batch, Model, Terms
from ..nn.critics import Average, Critic

FLOOR = 1e-4  # the smallest β; where it is reached, no more rate helps
ROUNDS, ROUND, SLOWER = 8, 0.15, 0.2  # most rounds of settling, their share of the steps, and of the learning rate
LOOK = 25  # steps between two looks at whether the loss is finite, each of which waits for the device
UNKNOWN = -1  # class label of an example whose label is hidden

Progress = Callable[[int, int], None]  # step, steps
Optimizers = tuple[torch.optim.Optimizer, torch.optim.Optimizer | None]  # of weights, and of averages if there are any


class RateTarget:
    """The multiplier β ∈ [1e-4, w] of the rate, one a cell, that a PI rule on log β steers until R = σ.

    At rest R = σ and β = −dD/dR, the slope of the frontier there.  A σ of NaN stands for w = 1 below its reach,
    which is the ELBO: β ≡ 1.  β < 0, paying the sender to say more, is left out: such a σ is unreachable.
    """

    def __init__(
        self, sigma: Tensor, *, w: float = 100.0, kp: float = 1.0, ki: float = 0.02, log_beta: Tensor | None = None
    ):
        self.free = sigma.isnan()
        self.sigma, self.w, self.kp, self.ki = torch.where(self.free, 1.0, sigma), w, kp, ki
        self.log_beta = torch.zeros_like(sigma) if log_beta is None else log_beta.clone()

    def __call__(self, rate: Tensor) -> Tensor:
        """(cells,) mean rate of this batch → (cells,) β, without gradient."""
        error = (rate.detach() / self.sigma - 1).clamp(-1, 1).masked_fill(self.free, 0.0)
        self.log_beta = (self.log_beta + self.ki * error).clamp(math.log(FLOOR), math.log(self.w))
        return (self.log_beta + self.kp * error).exp().clamp(max=self.w)


@dataclass(frozen=True)
class Control:
    """What became of one rate target."""

    sigma: float | None  # nats; None is the ELBO, the w = 1 solution for every σ below its rate
    w: float
    beta_end: float | None  # slope −dD/dR where training stopped; None where σ needed none
    R_train: float  # nats, mean over the training set, as if unlabelled
    rate_err: float | None  # R_train/σ − 1
    literal_ok: bool | None  # whether this is also the solution of D + |σ − R|
    steps: int
    strategy: str
    status: str  # ok, rate_missed, unreachable, collapsed or diverged
    reason: str | None = None


class Single:
    """One model and one rate target, trained as any PyTorch module is."""

    def __init__(self, model: Model):
        self.model = model

    def __call__(self, batch: Batch) -> Terms:
        """Terms with a leading cell axis of one."""
        return Terms(*(term[None] for term in self.model(batch)))

    def optimizers(self, lr: float) -> Optimizers:
        """Of the model's own weights and its critics', and of its averages."""
        return _optimizers(self.model, dict(self.model.named_parameters()), lr)


class Stack:
    """Copies of a model, one a rate target, trained side by side.

    Every parameter gains a leading cell axis.  Cells share each batch and each draw of noise, so a stack and
    separate runs agree to rounding, whether the cells are vmapped or taken in turn.
    """

    def __init__(self, model: Model, cells: int, *, vectorise: bool = True):
        self.model, self.cells, self.vectorise = model, cells, vectorise
        self.params = {
            name: weight.detach().expand(cells, *weight.shape).clone().requires_grad_()
            for name, weight in model.named_parameters()
        }

    def __call__(self, batch: Batch) -> Terms:
        """Terms with a leading cell axis."""

        def terms(params: dict[str, Tensor]) -> Terms:
            return functional_call(self.model, params, (batch,))

        if self.vectorise:
            return vmap(terms, randomness="same")(self.params)
        done: list[Terms] = []
        for i in range(self.cells):
            with torch.random.fork_rng(enabled=i + 1 < self.cells):  # the same noise for all
                done.append(terms({name: weight[i] for name, weight in self.params.items()}))
        return Terms(*map(torch.stack, zip(*done, strict=True)))

    def optimizers(self, lr: float) -> Optimizers:
        """Of the models' own weights and their critics', and of their averages."""
        return _optimizers(self.model, self.params, lr)

    def write(self, i: int, into: Model) -> None:
        """Copy the i-th cell's weights into a model of the same shape."""
        with torch.no_grad():
            for name, weight in into.named_parameters():
                weight.copy_(self.params[name][i])


def _optimizers(model: Model, params: dict[str, Any], lr: float) -> Optimizers:
    ours = dict(params)
    groups: list[dict[str, Any]] = []
    averages: list[dict[str, Any]] = []
    for path, module in model.named_modules():
        if isinstance(module, Critic | Average):
            names = [f"{path}.{name}" if path else name for name, _ in module.named_parameters()]
            apart = [ours.pop(name) for name in names]
            if isinstance(module, Critic):
                groups.append({"params": apart, "lr": module.lr, "betas": module.betas})
            else:
                averages.append({"params": apart, "lr": module.rate})
    weights = [p for p in ours.values() if p.requires_grad]
    adam = torch.optim.Adam([{"params": weights}, *groups], lr=lr, fused=True)
    return adam, torch.optim.SGD(averages) if averages else None


def labelled(data: Dataset, model: Model, seed: int) -> Examples:
    """The training split with all but `model.labelled` labels of the task hidden, equally many kept of each class."""
    split, label = data.splits["train"], data.label
    if label is None or model.labelled is None:
        return split
    y = split.factors[label.name]
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(named_seed("labelled", data.name, seed)))
    known = torch.full_like(y, UNKNOWN)
    for k in range(label.size):
        kept = order[y[order] == k][: -(-(model.labelled - k) // label.size)]  # the remainder goes to the first classes
        known[kept] = k
    return split.relabelled({**split.factors, label.name: known})


def fit(
    model: Model,
    data: Dataset,
    sigma: float | None,
    *,
    steps: int,
    batch: int = 128,
    lr: float = 2e-3,
    seed: int = 0,
    w: float = 100.0,
    device: str = "cpu",
    start: Control | None = None,
    progress: Progress | None = None,
) -> Control:
    """Train `model` in place towards rate `sigma` nats; None trains the ELBO.  `start` continues from its β.

    A rate that is missed in the end, though no price forbids it, gets up to `ROUNDS` more rounds of training at a lower
    learning rate, each a `ROUND` of the steps; `Control.steps` counts them.  The same seed, device and number of
    threads give the same weights, bit for bit.  A loss that is not finite ends training with status `diverged`; an
    exception of the model is passed on.  Raises `ValueError` for a negative or infinite σ.
    """
    _positive(sigma)
    strategy = "independent" if start is None else "continuation"
    model.to(device).eval()
    how: dict[str, Any] = {"batch": batch, "lr": lr, "seed": seed, "w": w, "device": device}
    if any(p.requires_grad for p in model.parameters()):
        aim = None if model.rate_is_set else sigma
        [control] = _run(Single(model), data, [aim], steps=steps, start=start, progress=progress, **how)
        control = replace(control, sigma=sigma, w=1.0 if sigma is None else w, strategy=strategy)
    else:
        control = Control(sigma, w, None, math.nan, None, None, 0, strategy, "ok")
    if model.rate_is_set:
        control = replace(control, beta_end=None, literal_ok=None)
    return _settle(model, data, _judge(model, data, control, device, seed), **how)


def _settle(
    model: Model, data: Dataset, control: Control, *, batch: int, lr: float, seed: int, w: float, device: str
) -> Control:
    """Train on, in rounds, until the rate is met: where the learning rate fell to 0, R may stop on its way to σ."""
    steps = max(1, round(ROUND * control.steps))
    for i in range(ROUNDS):
        if control.status != "rate_missed" or model.rate_is_set:
            break
        how: dict[str, Any] = {"batch": batch, "lr": SLOWER * lr, "seed": named_seed("settle", seed, i), "w": w}
        [more] = _run(Single(model), data, [control.sigma], steps=steps, device=device, start=control, **how)
        more = replace(more, w=control.w, strategy=control.strategy, steps=control.steps + steps)
        control = _judge(model, data, more, device, seed)
    return control


def _positive(sigma: float | None) -> None:
    if sigma is not None and not 0 < sigma < math.inf:
        raise ValueError(f"σ = {sigma}: a rate target is a positive number of nats, or None for the ELBO")


def fit_stack(
    models: Sequence[Model],
    data: Dataset,
    sigmas: Sequence[float | None],
    *,
    steps: int,
    batch: int = 128,
    lr: float = 2e-3,
    seed: int = 0,
    w: float = 100.0,
    device: str = "cpu",
    vectorise: bool = True,
    progress: Progress | None = None,
) -> list[Control]:
    """Train copies of `models[0]`, one a rate target, as one network, and write each into its model.

    Equal to as many calls of `fit` up to rounding; a cell that diverges does not touch the others.
    """
    for sigma in sigmas:
        _positive(sigma)
    stack = Stack(models[0].to(device), len(sigmas), vectorise=vectorise)
    how: dict[str, Any] = {"batch": batch, "lr": lr, "seed": seed, "w": w, "device": device}
    found = _run(stack, data, sigmas, steps=steps, progress=progress, **how)
    controls = []
    for i, (model, control) in enumerate(zip(models, found, strict=True)):
        stack.write(i, model.to(device))
        control = _judge(model, data, replace(control, strategy="batched"), device, seed)
        controls.append(_settle(model, data, control, **how))
    return controls


def _run(
    runner: Single | Stack,
    data: Dataset,
    sigmas: Sequence[float | None],
    *,
    steps: int,
    batch: int,
    lr: float,
    seed: int,
    w: float,
    device: str,
    start: Control | None = None,
    progress: Progress | None = None,
) -> list[Control]:
    at = torch.tensor([math.nan if s is None else s for s in sigmas], device=device)
    log_beta = torch.full_like(at, math.log(start.beta_end)) if start and start.beta_end else None
    target = RateTarget(at, w=w, ki=0.06 if steps <= 1000 else 0.02, log_beta=log_beta)
    optimizer, follow = runner.optimizers(lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.5 * (1 + math.cos(math.pi * t / steps)))
    lost: dict[int, str] = {}

    cuda = [torch.device(device)] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(named_seed("noise", seed))
        order: dict[str, Any] = {"seed": named_seed("order", seed), "device": device}
        stream = (
            data.one_factor(batch, steps, **order)
            if runner.model.row.batches == "one-factor" and isinstance(data, GroundTruth)
            else batches(
                labelled(data, runner.model, seed),
                batch,
                steps,
                label=data.label.name if data.label else None,
                sensitive=data.sensitive,
                **order,
            )
        )
        runner.model.train()
        for step, given in enumerate(stream):
            terms = runner(given)
            distortion, rate = terms.distortion.mean(-1), terms.rate.mean(-1)  # (cells,)
            loss = distortion + target(rate) * rate + terms.regularizer + terms.critic_loss
            optimizer.zero_grad()
            if follow:
                follow.zero_grad()
            loss.sum().backward()
            optimizer.step()
            schedule.step()
            if follow:
                follow.step()
            if step % LOOK == 0 or step == steps - 1:
                for i in (~loss.isfinite()).nonzero().flatten().tolist():
                    lost.setdefault(i, _blame(terms, i, step))
                if len(lost) == len(sigmas):
                    break
                if progress:
                    progress(step, steps)
        runner.model.eval()

    beta = target.log_beta.exp().tolist()
    return [
        Control(
            sigma=sigma,
            w=1.0 if sigma is None else w,
            beta_end=beta[i],
            R_train=math.nan,
            rate_err=None,
            literal_ok=beta[i] <= 1,
            steps=steps,
            strategy="",
            status="diverged" if i in lost else "ok",
            reason=lost.get(i),
        )
        for i, sigma in enumerate(sigmas)
    ]


def _blame(terms: Terms, cell: int, step: int) -> str:
    """Which term stopped being finite."""
    names = [name for name, term in terms._asdict().items() if not bool(term[cell].isfinite().all())]
    return f"{' and '.join(names) or 'the loss'} not finite at step {step}"


@torch.no_grad()
def mean_rate(model: Model, seen: Batch, *, size: int = 1024, device: str = "cpu", seed: int = 0) -> float:
    """R in nats, the mean over examples of what the model pays for its code."""
    cuda = [torch.device(device)] if device.startswith("cuda") else []
    total = 0.0
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(named_seed("rate", seed))
        for part in seen.chunks(size):
            code = model.encode(part.to(device))
            total += sum(float(block.rate.sum()) for block in code.values())
    return total / len(seen.x)


def _judge(model: Model, data: Dataset, control: Control, device: str, seed: int) -> Control:
    """`control` with the rate on the training set and what to call it."""
    if control.status == "diverged":
        return control
    rate = mean_rate(model, data.seen("train", model.row), device=device, seed=seed)
    if not math.isfinite(rate):
        return replace(control, status="diverged", reason="the rate on the training set is not finite")
    control = replace(control, R_train=rate)
    if control.sigma is None:
        return control
    status, reason = verdict(rate, control.sigma, control.beta_end, control.w)
    if status != "ok" and model.limit:
        status, reason = "unreachable", f"{model.limit}: R = {rate:.2f} nats"
    return replace(control, rate_err=rate / control.sigma - 1, status=status, reason=reason)


def verdict(rate: float, sigma: float, beta: float | None, w: float) -> tuple[str, str | None]:
    """Status and reason of a point that reached `rate` nats when `sigma` were asked, with β at `beta` in the end."""
    error, tolerance = rate / sigma - 1, 0.01 if sigma >= 2 else 0.02
    if abs(error) <= tolerance:
        return "ok", None
    if beta is not None and beta <= FLOOR * 1.01 and error < 0:
        return "unreachable", f"more rate does not lower the loss: R = {rate:.2f} nats at β = {beta:.0e}"
    if beta is not None and beta >= w * 0.99 and error > 0:
        return "unreachable", f"the slope of the frontier exceeds w = {w:g}: R = {rate:.2f} nats"
    if error < -0.95:
        return "collapsed", f"R = {rate:.2f} nats, under 5 % of σ = {sigma:g}"
    return "rate_missed", f"R = {rate:.2f} nats is {error:+.1%} off σ = {sigma:g} (tolerance {tolerance:.0%})"
