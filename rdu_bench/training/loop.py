"""The loop: one pass of training, with every setting in one object and every random draw named by its seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from .._hash import named_seed
from .._lean import lean
from ..budget import STEEPEST, Budget
from ..data import Dataset, Examples, GroundTruth, batches
from ..model import Batch, Model, Terms
from .control import Control, RateTarget
from .converge import Watch, validation
from .learning import Learning, Recorder
from .stack import Single, Stack

LOOK = 25  # steps between two looks at whether the loss is finite, each of which waits for the device
ROUNDS, ROUND = 5, 0.06  # of settling: how many, and the share of the steps that each is
SLOWER = 0.5  # learning rate at the start of each of them, as a share; it falls to 0 in each
QUICK, STEADY, SETTLING = 0.06, 0.02, 0.12  # ki of trainings of up to 1,000 steps, of longer ones, and of the rounds
UNKNOWN = -1  # class label of an example whose label is hidden

Progress = Callable[[int, int], None]  # step, steps


@dataclass(frozen=True)
class Training:
    """Settings of a training.  The same ones, with the same number of threads, give the same weights bit for bit.

    Without `patience` all `steps` are trained, and the learning rate falls to 0.  With it they are the most, and
    validation ends training, once its best average of the weights is older than this share of the steps so far.
    """

    steps: int
    batch: int = 128
    lr: float = 2e-3  # at the start; it falls to 0 along a cosine, or stays where validation ends training
    patience: float | None = None
    warm: int = 0  # steps of warming up, before which validation does not look
    seed: int = 0
    stage: int = 0  # which stretch of a training it is: each has batches and noise of its own, and the same labels
    w: float = STEEPEST  # of w|σ − R|: the largest slope of the frontier that is paid
    device: str = "cpu"
    continuation: float = 0.35  # fraction of the steps for what starts from a model that is trained already

    @classmethod
    def of(cls, budget: Budget, *, seed: int, device: str = "cpu") -> Training:
        """What a budget spends on training."""
        return cls(
            budget.steps,
            budget.batch,
            budget.lr,
            patience=budget.patience or None,
            warm=budget.warm if budget.patience else 0,
            seed=seed,
            w=budget.w,
            device=device,
            continuation=budget.continuation,
        )

    def continued(self) -> Training:
        """For a model that starts from a trained one."""
        return replace(self, steps=max(1, round(self.steps * self.continuation)), warm=0)

    def watching(self, model: Model) -> Training:
        """With all its steps for a model that D does not teach: validation of D cannot say when that is trained."""
        return self if model.learns_distortion else replace(self, patience=None, warm=0)

    def settling(self) -> tuple[Training, list[Training]]:
        """Divided: most of the steps, and short rounds at a lower learning rate in which a rate is met.

        All of them together take the steps that this one has, whatever becomes of the rate.
        """
        steps = round(ROUND * self.steps)
        rounds = [
            replace(self, steps=steps, lr=SLOWER * self.lr, stage=self.stage + 1 + i, patience=None)
            for i in range(ROUNDS * (steps > 0))
        ]
        return replace(self, steps=self.steps - steps * len(rounds)), rounds

    def settled(self, control: Control) -> list[Training]:
        """The rounds after a training that validation ended: the same share of the steps that it kept."""
        return replace(self, steps=round((control.kept_at or 0) / (1 - ROUNDS * ROUND))).settling()[1]

    @property
    def cuda(self) -> list[torch.device]:
        """The devices beside the CPU whose random state training moves."""
        return [torch.device(self.device)] if self.device.startswith("cuda") else []


def labelled(data: Dataset, model: Model, seed: int) -> Examples:
    """The training split with all but `model.labelled` labels of the task hidden, equally many kept of each class."""
    split, label = data.splits["train"], data.label
    if label is None or model.labelled is None:
        return split
    y = split.factors[label.name]
    generator = torch.Generator().manual_seed(named_seed("labelled", data.drawn_by, seed))
    order = torch.randperm(len(y), generator=generator)
    known = torch.full_like(y, UNKNOWN)
    for k in range(label.size):
        kept = order[y[order] == k][: -(-(model.labelled - k) // label.size)]  # the remainder goes to the first classes
        known[kept] = k
    return split.relabelled({**split.factors, label.name: known})


def stream(data: Dataset, model: Model, training: Training) -> Iterator[Batch]:
    """The batches that a training of `model` sees, on its device; in a round of settling all warming up is over."""
    given = _batches(data, model, training)
    if training.patience:
        paced = torch.arange(training.steps, device=training.device) / max(1, min(training.warm, training.steps))
        progress = paced.clamp(max=1) if training.warm else torch.ones_like(paced)
        return (batch._replace(progress=now) for batch, now in zip(given, progress, strict=False))
    if not training.stage:
        return given
    return (batch._replace(progress=torch.ones_like(batch.progress)) for batch in given)


def _batches(data: Dataset, model: Model, training: Training) -> Iterator[Batch]:
    seed = named_seed("order", training.seed, training.stage)
    if model.row.batches == "one-factor" and isinstance(data, GroundTruth):
        return data.one_factor(training.batch, training.steps, seed=seed, device=training.device)
    label = data.label.name if data.label else None
    split = labelled(data, model, training.seed)
    drawn = batches(split, training.batch, training.steps, label=label, sensitive=data.sensitive, seed=seed)
    return (batch.to(training.device) for batch in drawn)


@lean()
def run(
    runner: Single | Stack,
    data: Dataset,
    sigmas: Sequence[float | None],
    training: Training,
    *,
    start: Control | None = None,
    progress: Progress | None = None,
) -> list[tuple[Control, Learning]]:
    """Train `runner` in place towards one σ a cell, without judging what came out."""
    steps, device, patience = training.steps, training.device, training.patience
    at = torch.tensor([math.nan if s is None else float(s) for s in sigmas], device=device)
    log_beta = torch.full_like(at, math.log(start.price)) if start and start.price else None
    ki = SETTLING if training.stage else QUICK if steps <= 1000 and not patience else STEADY
    target = RateTarget(at, w=training.w, ki=ki, log_beta=log_beta)
    optimizer, follow = runner.optimizers(training.lr)
    schedule = None
    if not patience:
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.5 * (1 + math.cos(math.pi * t / steps)))
    watch = None
    if patience:
        seen = validation(data, runner.model, seed=training.seed, device=device)
        watch = Watch(runner, seen, at, patience=patience, warm=min(training.warm, steps))
    lost: dict[int, str] = {}
    step = 0
    recorder = Recorder()

    with torch.random.fork_rng(devices=training.cuda):
        torch.manual_seed(named_seed("noise", training.seed, training.stage))
        runner.model.train()
        for step, given in enumerate(stream(data, runner.model, training)):
            terms = runner(given)
            distortion, rate = terms.distortion.mean(-1), terms.rate.mean(-1)  # (cells,)
            beta = target(rate)
            recorder.add(distortion, rate, beta)
            loss = distortion + beta * (rate + terms.priced.to(rate)) + terms.regularizer + terms.critic_loss
            optimizer.zero_grad()
            if follow:
                follow.zero_grad()
            loss.sum().backward()
            optimizer.step()
            if schedule:
                schedule.step()
            if follow:
                follow.step()
            last = step == steps - 1
            if watch:
                watch.add()
                if watch.steps == watch.due or last:
                    last = watch.look(target.log_beta.exp()) or last
            if step % LOOK == 0 or last:
                recorder.look(step)
                for i in (~loss.isfinite()).nonzero().flatten().tolist():
                    lost.setdefault(i, _blame(terms, i, step))
                if len(lost) == len(sigmas):
                    break
                if progress:
                    progress(step, step + 1 if last else steps)
                if last:
                    break
        if watch:
            watch.keep()
        runner.model.eval()

    controls = [
        Control(
            sigma=sigma,
            w=1.0 if sigma is None else training.w,
            price=price,
            steps=step + 1,
            status="diverged" if i in lost else "ok",
            reason=lost.get(i),
        )
        for i, (sigma, price) in enumerate(zip(sigmas, target.log_beta.exp().tolist(), strict=True))
    ]
    if watch:
        controls = [watch.judged(i, control) for i, control in enumerate(controls)]
    return list(zip(controls, recorder.curves(len(sigmas)), strict=True))


def _blame(terms: Terms, cell: int, step: int) -> str:
    """Which term stopped being finite."""
    names = [name for name, term in terms._asdict().items() if not bool(term[cell].isfinite().all())]
    return f"{' and '.join(names) or 'the loss'} not finite at step {step}"
