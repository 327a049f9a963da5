"""Training a curve: each rate on its own, each from the one above it, or all as one network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import NamedTuple, TypeVar

from .._files import WriteError
from ..data import Dataset
from ..model import Model
from .fitting import Trained, before, fit, fit_stack, put_at, train_at
from .loop import Progress, Training
from .posthoc import comes_after

MACHINE = (KeyboardInterrupt, GeneratorExit, MemoryError, WriteError)  # trouble that is no fault of a plug-in


T = TypeVar("T")


class Plan(NamedTuple):
    """What of a curve is to be trained, and how."""

    new: Callable[[], Model]  # the model as it starts: the same weights at every call
    data: Dataset
    sigmas: tuple[float | None, ...]  # nats, all of the curve; None is the ELBO
    wanted: tuple[float | None, ...]  # those that are measured
    training: Training
    strategy: str  # independent, continuation or batched
    progress: Callable[[float | None, int, int], None] = lambda sigma, step, steps: None
    held: Callable[[Sequence[float | None]], AbstractContextManager[bool]] = lambda sigmas: nullcontext(True)
    # whether these are ours to train, which nobody else does until they are left

    def counted(self, sigma: float | None) -> Progress:
        """Progress of one point."""
        return lambda step, steps: self.progress(sigma, step, steps)


class Attempt(NamedTuple):
    """A point of a curve: what training made of it, or why there is nothing."""

    sigma: float | None
    trained: Trained | None
    seconds: float
    error: BaseException | None = None
    cpu: float = 0.0  # seconds of CPU


def attempts(plan: Plan) -> Iterator[Attempt]:
    """Every wanted σ of a curve that is ours, and those that it is warm-started from.

    An exception of the model is an answer, and `SystemExit` of a plug-in is one of its exceptions.  Only trouble of the
    machine, `MACHINE`, is raised.
    """
    model, error = tried(plan.new)
    if model is None:
        yield from _each(plan, lambda sigma: Attempt(sigma, None, 0.0, error))
    elif comes_after(model):
        yield from _together(plan, lambda: _afterwards(plan, model))
    elif type(model).for_rate is not Model.for_rate:  # models of several sizes neither stack nor follow each other
        yield from _each(plan, lambda sigma: _independent(plan, sigma))
    elif plan.strategy == "batched":
        yield from _together(plan, lambda: _batched(plan))
    elif plan.strategy == "continuation":
        yield from _together(plan, lambda: _continuation(plan))
    else:
        yield from _each(plan, lambda sigma: _independent(plan, sigma))


def _each(plan: Plan, attempt: Callable[[float | None], Attempt]) -> Iterator[Attempt]:
    """One point after the other, of which others may have some in work."""
    for sigma in plan.wanted:
        with plan.held((sigma,)) as ours:
            if ours:
                yield attempt(sigma)


def _together(plan: Plan, attempts: Callable[[], Iterator[Attempt]]) -> Iterator[Attempt]:
    """Points of which none can be made without the others."""
    with plan.held(plan.wanted) as ours:
        if ours:
            yield from attempts()


def _independent(plan: Plan, sigma: float | None) -> Attempt:
    return _attempt(sigma, lambda: train_at(plan.new(), plan.data, sigma, plan.training, progress=plan.counted(sigma)))


def _continuation(plan: Plan) -> Iterator[Attempt]:
    """Highest rate first, each next σ warm-started on a fraction of the steps; the ELBO on its own.

    A resumed chain trains again what it needs, which gives the same weights, and stops at the last wanted σ.
    """
    if None in plan.wanted:
        yield _independent(plan, None)
    targets = [sigma for sigma in plan.wanted if sigma is not None]
    last: Trained | None = None
    for sigma in sorted((s for s in plan.sigmas if s is not None), reverse=True):
        if not targets or sigma < min(targets):
            return
        made = _independent(plan, sigma) if last is None else _continued(plan, sigma, last)
        last = made.trained if made.trained and made.trained.control.status != "diverged" else None
        yield made


def _continued(plan: Plan, sigma: float, last: Trained) -> Attempt:
    def work() -> Trained:
        model = plan.new()
        model.load_state_dict(last.model.state_dict())
        shorter, counted = plan.training.continued(), plan.counted(sigma)
        return train_at(model, plan.data, sigma, shorter, start=last.control, progress=counted)

    return _attempt(sigma, work)


def _batched(plan: Plan) -> Iterator[Attempt]:
    """All targets as one network."""

    def work() -> list[Trained]:
        models = [plan.new() for _ in plan.sigmas]
        return fit_stack(models, plan.data, plan.sigmas, plan.training, progress=plan.counted(None))

    found, error = tried(work)
    if found is None:
        yield from (Attempt(sigma, None, 0.0, error) for sigma in plan.sigmas)
        return
    for sigma, trained in zip(plan.sigmas, found, strict=True):
        yield Attempt(sigma, trained, trained.seconds)


def _afterwards(plan: Plan, model: Model) -> Iterator[Attempt]:
    """One training without a rate, then what gives it each σ; every point bears its share of the first."""
    first = before(model, plan.training)
    base = _attempt(None, lambda: fit(model, plan.data, None, first, progress=plan.counted(None)))
    for sigma in plan.wanted:
        if base.trained is None:
            yield base._replace(sigma=sigma)
        else:
            shared = replace(base.trained, seconds=base.seconds / len(plan.wanted))
            yield _at(plan, shared, sigma)


def _at(plan: Plan, base: Trained, sigma: float | None) -> Attempt:
    return _attempt(sigma, lambda: put_at(base, plan.data, sigma, plan.training, progress=plan.counted(sigma)))


def _attempt(sigma: float | None, work: Callable[[], Trained]) -> Attempt:
    began = time.perf_counter()
    trained, error = tried(work)
    return Attempt(sigma, trained, trained.seconds if trained else time.perf_counter() - began, error)


def tried(work: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """What `work` gives, or what it raised, but for trouble of the machine, which is raised."""
    try:
        return work(), None
    except MACHINE:
        raise
    except BaseException as error:  # a plug-in may also leave by sys.exit()
        return None, error
