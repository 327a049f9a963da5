"""A curve: train each rate target, freeze, measure, record; one failed point stops no other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from filelock import Timeout
from threadpoolctl import threadpool_limits

from .. import registry
from .._alone import alone
from .._hash import named_seed
from .._settings import LEAVE, Untouched, untouched
from ..data import Dataset
from ..measure import Study, measure
from ..model import Model
from ..nn.networks import Spec
from ..records.store import Store
from ..training import Trained, Training
from ..training.strategies import Attempt, Plan, attempts, tried
from .clock import timed
from .kept import keep_beside
from .left import Targets, missing
from .point import MEASURED_TABLES, compose, describe_data, describe_model, words
from .spec import Curve

Report = Callable[[dict[str, Any]], None]


class Work(NamedTuple):
    """A curve on its way into a store."""

    curve: Curve
    store: Store
    report: Report
    written: set[float | None]  # targets

    @contextmanager
    def held(self, targets: Sequence[float | None]) -> Iterator[bool]:
        """Whether these points are ours until the block ends: no other process has them, nor has made all of them."""
        with ExitStack() as locks:
            free = True
            try:
                for sigma in targets:
                    locks.enter_context(self.store.lock(self.curve.key(sigma), wait=False))
            except Timeout:
                free = False
                locks.close()
            yield free and any(self.lacks(sigma) for sigma in targets)

    def lacks(self, sigma: float | None) -> bool:
        """Whether there is no record yet of a point."""
        return not self.store.has(self.curve.spec(sigma))

    def left(self) -> Targets:
        """Points without a record, but for those that were written here and are gone."""
        return tuple(sigma for sigma in missing(self.curve, self.store) if sigma not in self.written)


class Given(NamedTuple):
    """The data of a curve."""

    data: Dataset
    spec: Spec
    about: dict[str, Any]


@alone
def run_curve(curve: Curve, store: Store, *, progress: Report = lambda _: None, wait: bool = True) -> None:
    """Write a record for every point of `curve` that `store` lacks, and its weights where they are kept.

    Points that other processes have in work are waited for, and made where those leave them; without `wait` they are
    left to them.
    Whatever a plug-in raises, `SystemExit` included, becomes a record with status `error` and its traceback, at every
    point it concerns.  Only trouble of the machine itself (no space, no memory, interrupt) is raised.
    """
    work = Work(curve, store, progress, set())
    while wanted := work.left():
        with threadpool_limits(curve.threads):
            torch.set_num_threads(curve.threads)
            _run(work, wanted)
        if not wait:
            return
        for sigma in work.left():
            with store.lock(curve.key(sigma)):
                pass


def _run(work: Work, wanted: Targets) -> None:
    started = time.time()
    given, error = tried(lambda: _given(work.curve))
    if given is None:
        for sigma in wanted:
            with work.held((sigma,)) as ours:
                if ours:
                    _write(work, Attempt(sigma, None, 0.0, error), {}, {}, started)
        return
    before = Untouched()
    for attempt in timed(attempts(_plan(work, given, wanted))):
        if changed := before.put_back():
            error = registry.PluginError(f"{work.curve.model} changes {', '.join(changed)}: {LEAVE}")
        if error:  # of all points from then on, which may have been trained together, or start from one another
            attempt = attempt._replace(trained=None, error=error)
        if work.lacks(attempt.sigma):
            _record(work, given, attempt, started)
            started = time.time()


def _given(curve: Curve) -> Given:
    data: Dataset = registry.dataset(curve.dataset, **curve.dataset_params)
    return Given(data, data.spec(**curve.network), describe_data(data))


def give_up(
    curve: Curve,
    store: Store,
    error: BaseException,
    progress: Report = lambda _: None,
    *,
    only: Sequence[float | None] | None = None,
    most: int | None = None,
) -> None:
    """Record `error` at every point of a curve that has no record and is in nobody's hands.

    At `only` these of them; and at no more than `most`, the first.
    """
    work = Work(curve, store, progress, set())
    for sigma in curve.sigmas if only is None else only:
        if most is not None and most <= 0:
            return
        with work.held((sigma,)) as ours:
            if ours:
                _write(work, Attempt(sigma, None, 0.0, error), {}, {}, time.time())
                most = most and most - 1


def _new(curve: Curve, data: Dataset, spec: Spec) -> Model:
    """The model of a curve as it starts: the same weights for every rate target."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(named_seed("init", curve.seed))
        model: Model = registry.model(curve.model, spec, **curve.params)
    missing = set(model.row.needs) - data.provides
    if missing:
        raise registry.PluginError(
            f"{curve.model} needs data with {', '.join(sorted(missing))}, which {data.name} lacks"
        )
    return model.to(curve.device)


def _plan(work: Work, given: Given, wanted: Targets) -> Plan:
    curve = work.curve

    def step(sigma: float | None, now: int, steps: int) -> None:
        work.report({"sigma": sigma, "phase": "train", "step": now, "steps": steps})

    return Plan(
        new=lambda: _new(curve, given.data, given.spec),
        data=given.data,
        sigmas=curve.sigmas,
        wanted=wanted,
        training=Training.of(curve.budget, seed=named_seed("train", curve.seed), device=curve.device),
        strategy=curve.strategy,
        progress=step,
        held=work.held,
    )


def _record(work: Work, given: Given, attempt: Attempt, started: float) -> None:
    """Measure one frozen model and write its record; what was found before an exception is kept."""
    tables: dict[str, Any] = {"data": given.about, "nulls": {}}
    vectors: dict[str, Any] = {}
    began, began_cpu = time.perf_counter(), time.process_time()
    trained = attempt.trained
    if trained is not None:
        _, error = tried(lambda: _measured(work, given, trained, tables, vectors))
        attempt = attempt._replace(error=error)
        if work.curve.keep_models and "model" in tables and trained.control.status != "diverged":
            kept, trouble = tried(lambda: keep_beside(work.store, work.curve, trained, given.spec))
            tables["model"] = {**tables["model"], "weights": kept}
            if trouble:
                tables["nulls"] = {**tables["nulls"], "model.weights": words(trouble)}
    tables["times"] = {"measure_s": time.perf_counter() - began, "measure_cpu_s": time.process_time() - began_cpu}
    _write(work, attempt, tables, vectors, started)


def _measured(work: Work, given: Given, trained: Trained, tables: dict[str, Any], vectors: dict[str, Any]) -> None:
    """Fill the tables and vectors of a record."""
    curve, sigma = work.curve, trained.control.sigma
    tables["model"] = describe_model(trained.model, given.data, curve.device)
    if trained.control.status == "diverged":
        return
    work.report({"sigma": sigma, "phase": "measure", "step": 0, "steps": 1})
    study = Study(
        trained.model.requires_grad_(False),
        given.data,
        curve.budget,
        curve.heads,
        given.spec,
        seed=named_seed("measure", curve.seed),
        device=curve.device,
    )
    with untouched(curve.model):
        found = measure(study)
    tables |= {name: getattr(found, name) for name in MEASURED_TABLES}
    vectors |= found.vectors


def _write(work: Work, attempt: Attempt, tables: dict[str, Any], vectors: dict[str, Any], started: float) -> None:
    """Compose the record of a point and store it; where the store refuses what is in it, why is the record."""
    record = compose(work.curve, attempt, tables, started=started)
    try:
        work.store.write(record, vectors)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        refused = attempt._replace(trained=None, error=ValueError(f"the record cannot be written: {words(error)}"))
        record = compose(work.curve, refused, {"data": tables.get("data", {})}, started=started)
        work.store.write(record, {})
    work.written.add(attempt.sigma)
    done = {"phase": "done", "step": 1, "steps": 1, "status": record["status"], "reason": record["reason"]}
    work.report({"sigma": attempt.sigma, **done})
