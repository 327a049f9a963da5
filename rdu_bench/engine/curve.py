"""A curve, the unit of work: train each rate target, freeze, measure, record; one failed point stops no other."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from threadpoolctl import threadpool_limits

from .. import registry
from .._hash import named_seed
from ..data import Dataset
from ..measure import measure
from ..model import Model
from ..nn.networks import Spec
from ..records.store import Store
from ..training.posthoc import at_rate, comes_after
from ..training.train import Control, Progress, fit, fit_stack
from . import provenance
from .spec import Curve

MEASURED = ("values", "factors", "scores", "mi", "structure", "pictures", "nulls")  # tables of a record

Report = Callable[[dict[str, Any]], None]


class Trained(NamedTuple):
    """One frozen model, or why there is none."""

    sigma: float | None
    model: Model | None
    control: Control | None
    seconds: float
    error: BaseException | None = None


def run_curve(curve: Curve, store: Store, *, progress: Report = lambda _: None) -> None:
    """Write a record for every point of `curve` that `store` lacks.

    An exception of a plug-in becomes a record with status `error` and its traceback, at every point it concerns.
    Only trouble of the machine itself (no space, interrupt) is raised.
    """
    wanted = [sigma for sigma in curve.sigmas if not store.has(curve.key(sigma))]
    if not wanted:
        return
    with threadpool_limits(curve.threads):
        torch.set_num_threads(curve.threads)
        _run(curve, store, wanted, progress)


def _run(curve: Curve, store: Store, wanted: list[float | None], progress: Report) -> None:
    started = time.time()
    try:
        data = registry.dataset(curve.dataset, **curve.dataset_params)
        spec = data.spec(**curve.network)
        about = _describe_data(data)
        trainings = _trainings(curve, data, spec, wanted, progress)
    except Exception as error:
        for sigma in wanted:
            _write(curve, store, Trained(sigma, None, None, 0.0, error), {}, started, progress)
        return
    for trained in trainings:
        if trained.sigma in wanted:
            _measure(curve, store, trained, data, spec, about, started, progress)
            started = time.time()


def give_up(
    curve: Curve,
    store: Store,
    error: BaseException,
    progress: Report = lambda _: None,
    *,
    only: Sequence[float | None] | None = None,
) -> None:
    """Record `error` at every point of a curve that has no record, or at `only` these of them."""
    for sigma in curve.sigmas if only is None else only:
        if not store.has(curve.key(sigma)):
            _write(curve, store, Trained(sigma, None, None, 0.0, error), {}, time.time(), progress)


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


def _trainings(
    curve: Curve, data: Dataset, spec: Spec, wanted: list[float | None], progress: Report
) -> Iterator[Trained]:
    """The frozen model of every wanted σ, and of those it is warm-started from."""
    first = _new(curve, data, spec)
    if comes_after(first):
        return _afterwards(curve, data, first, wanted, progress)
    if curve.strategy == "batched":
        return _batched(curve, data, spec, progress)
    if curve.strategy == "continuation":
        return _continuation(curve, data, spec, wanted, progress)
    return (_attempt(curve, data, _new(curve, data, spec), sigma, progress) for sigma in wanted)


def _continuation(
    curve: Curve, data: Dataset, spec: Spec, wanted: list[float | None], progress: Report
) -> Iterator[Trained]:
    """Highest rate first, each next σ warm-started on a fraction of the steps; the ELBO on its own.

    A resumed chain trains again what it needs, which gives the same weights, and stops at the last wanted σ.
    """
    if None in wanted:
        yield _attempt(curve, data, _new(curve, data, spec), None, progress)
    targets = [sigma for sigma in wanted if sigma is not None]
    last: Trained | None = None
    for sigma in sorted((s for s in curve.sigmas if s is not None), reverse=True):
        if not targets or sigma < min(targets):
            return
        model, start = _new(curve, data, spec), None
        if last and last.model and last.control:
            model.load_state_dict(last.model.state_dict())
            start = last.control
        trained = _attempt(curve, data, model, sigma, progress, start=start)
        last = trained if trained.control and trained.control.status != "diverged" else None
        yield trained


def _batched(curve: Curve, data: Dataset, spec: Spec, progress: Report) -> Iterator[Trained]:
    """All targets as one network; measured from the highest."""
    began = time.perf_counter()
    models = [_new(curve, data, spec) for _ in curve.sigmas]
    how = _how(curve, None, progress)
    try:
        controls = fit_stack(models, data, curve.sigmas, **how)
    except Exception as error:
        yield from (Trained(sigma, None, None, 0.0, error) for sigma in curve.sigmas)
        return
    seconds = (time.perf_counter() - began) / len(models)
    for sigma, model, control in zip(curve.sigmas, models, controls, strict=True):
        yield Trained(sigma, model, control, seconds)


def _afterwards(
    curve: Curve, data: Dataset, model: Model, wanted: list[float | None], progress: Report
) -> Iterator[Trained]:
    """One training without a rate, then what gives it each σ."""
    base = _attempt(curve, data, model, None, progress)
    for sigma in wanted:
        if base.error or base.control is None or base.control.status == "diverged":
            yield base._replace(sigma=sigma)
            continue
        began = time.perf_counter()
        try:
            given = at_rate(model, data.seen("train", model.row), sigma)
            trained = _attempt(curve, data, given, sigma, progress, fraction=curve.budget.continuation)
        except Exception as error:
            trained = Trained(sigma, None, None, 0.0, error)
        yield trained._replace(seconds=time.perf_counter() - began + base.seconds / len(wanted))


def _attempt(
    curve: Curve,
    data: Dataset,
    model: Model,
    sigma: float | None,
    progress: Report,
    *,
    start: Control | None = None,
    fraction: float | None = None,
) -> Trained:
    """Train one point; an exception of the model is part of the answer."""
    began = time.perf_counter()
    how = _how(curve, sigma, progress)
    if start or fraction:
        how["steps"] = max(1, round(how["steps"] * (fraction or curve.budget.continuation)))
    try:
        control = fit(model, data, sigma, start=start, **how)
    except Exception as error:
        return Trained(sigma, None, None, time.perf_counter() - began, error)
    return Trained(sigma, model, control, time.perf_counter() - began)


def _how(curve: Curve, sigma: float | None, progress: Report) -> dict[str, Any]:
    def step(now: int, steps: int) -> None:
        progress({"sigma": sigma, "phase": "train", "step": now, "steps": steps})

    counted: Progress = step
    budget = curve.budget
    return {
        "steps": budget.steps,
        "batch": budget.batch,
        "lr": budget.lr,
        "seed": named_seed("train", curve.seed),
        "device": curve.device,
        "progress": counted,
    }


def _measure(
    curve: Curve,
    store: Store,
    trained: Trained,
    data: Dataset,
    spec: Spec,
    about: dict[str, Any],
    started: float,
    progress: Report,
) -> None:
    """Measure one frozen model and write its record."""
    extra: dict[str, Any] = {"data": about}
    vectors: dict[str, Any] = {}
    began = time.perf_counter()
    if trained.model is not None and trained.control is not None:
        extra["control"] = dataclasses.asdict(trained.control)
        extra["model"] = _describe_model(trained.model, data, curve.device)
        if trained.control.status != "diverged":
            progress({"sigma": trained.sigma, "phase": "measure", "step": 0, "steps": 1})
            try:
                measured = measure(
                    trained.model.requires_grad_(False),
                    data,
                    curve.budget,
                    curve.heads,
                    seed=named_seed("measure", curve.seed),
                    device=curve.device,
                    spec=spec,
                )
                extra |= {name: getattr(measured, name) for name in MEASURED}
                vectors = measured.vectors
            except Exception as error:
                trained = trained._replace(error=error)
    extra["measure_s"] = time.perf_counter() - began
    _write(curve, store, trained, extra, started, progress, vectors)


def _write(
    curve: Curve,
    store: Store,
    trained: Trained,
    extra: dict[str, Any],
    started: float,
    progress: Report,
    vectors: dict[str, Any] | None = None,
) -> None:
    """Compose the record of a point and store it."""
    control, error = trained.control, trained.error
    status, reason = ("error", f"{type(error).__name__}: {error}") if error else (control.status, control.reason)  # type: ignore[union-attr]
    record = {
        "schema": 1,
        "key": curve.key(trained.sigma),
        "spec": curve.spec(trained.sigma),
        "status": status,
        "reason": reason,
        "traceback": "".join(traceback.format_exception(error, limit=-6)) if error else None,
        "model": extra.get("model", {}),
        "data": extra.get("data", {}),
        "control": _finite(extra.get("control", {"sigma": trained.sigma})),
        **{name: extra.get(name, {}) for name in MEASURED},
        "times": {"train_s": trained.seconds, "measure_s": extra.get("measure_s", 0.0)},
        "provenance": provenance.of_run(device=curve.device, threads=curve.threads, started=started),
    }
    store.write(record, vectors or {})
    progress({"sigma": trained.sigma, "phase": "done", "step": 1, "steps": 1, "status": status, "reason": reason})


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """NaN → None, the only form in which a record says that there is no number."""
    return {k: None if isinstance(v, float) and v != v else v for k, v in values.items()}


@torch.no_grad()
def _describe_model(model: Model, data: Dataset, device: str) -> dict[str, Any]:
    """What a model is, apart from how well it does."""
    row = model.row
    code = model.encode(data.seen("train", row, slice(2)).to(device))
    return {
        "title": row.title,
        "paper": row.paper,
        "labels": row.labels,
        "labelled": model.labelled,
        "decoder": row.decoder,
        "objective": row.objective,
        "channel": model.channel,
        "side": row.side,
        "n_params": sum(p.numel() for p in model.parameters()),
        "blocks": {
            name: {
                "kind": "discrete" if block.discrete else "continuous",
                "dim": block.sample.shape[1],
                **({"side": True} if block.side else {}),
            }
            for name, block in code.items()
        },
    }


def _describe_data(data: Dataset) -> dict[str, Any]:
    """What the data are."""
    return {
        "hash": data.hash,
        "shape": list(data.shape),
        "likelihood": data.likelihood,
        **{f"n_{part}": len(split) for part, split in data.splits.items()},
        "task": list(data.task),
        "sensitive": data.sensitive,
        "factors": {
            f.name: {"size": f.size, "kind": f.kind, "independent": f.independent, "H_y": f.entropy}
            for f in data.factors
        },
    }
