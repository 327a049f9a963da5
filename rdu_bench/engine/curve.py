"""A curve, the unit of work: train each rate target, freeze, measure, record; one failed point stops no other."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from .. import registry
from .._hash import named_seed
from ..data import Dataset
from ..measure import Study, measure
from ..model import Model
from ..nn.networks import Spec
from ..records.schema import SCHEMA
from ..records.store import Store
from ..training import Training
from ..training.strategies import MACHINE, Attempt, Plan, attempts
from . import provenance
from .spec import Curve

MEASURED = ("values", "factors", "scores", "mi", "structure", "pictures", "nulls")  # tables of a record

Report = Callable[[dict[str, Any]], None]


def run_curve(curve: Curve, store: Store, *, progress: Report = lambda _: None) -> None:
    """Write a record for every point of `curve` that `store` lacks.

    An exception of a plug-in becomes a record with status `error` and its traceback, at every point it concerns.
    Only trouble of the machine itself (no space, interrupt) is raised.
    """
    wanted = [sigma for sigma in curve.sigmas if not store.has(curve.spec(sigma))]
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
    except MACHINE:
        raise
    except BaseException as error:
        for sigma in wanted:
            _write(curve, store, Attempt(sigma, None, 0.0, error), {}, started, progress)
        return
    for attempt in attempts(_plan(curve, data, spec, wanted, progress)):
        if attempt.sigma in wanted:
            _measure(curve, store, attempt, data, spec, about, started, progress)
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
        if not store.has(curve.spec(sigma)):
            _write(curve, store, Attempt(sigma, None, 0.0, error), {}, time.time(), progress)


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


def _plan(curve: Curve, data: Dataset, spec: Spec, wanted: list[float | None], progress: Report) -> Plan:
    def step(sigma: float | None, now: int, steps: int) -> None:
        progress({"sigma": sigma, "phase": "train", "step": now, "steps": steps})

    return Plan(
        new=lambda: _new(curve, data, spec),
        data=data,
        sigmas=curve.sigmas,
        wanted=tuple(wanted),
        training=Training.of(curve.budget, seed=named_seed("train", curve.seed), device=curve.device),
        strategy=curve.strategy,
        progress=step,
    )


def _measure(
    curve: Curve,
    store: Store,
    attempt: Attempt,
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
    if attempt.trained is not None:
        model, control = attempt.trained.model, attempt.trained.control
        extra["control"] = dataclasses.asdict(control)
        extra["learning"] = attempt.trained.learning.table()
        extra["model"] = _describe_model(model, data, curve.device)
        if control.status != "diverged":
            progress({"sigma": attempt.sigma, "phase": "measure", "step": 0, "steps": 1})
            try:
                study = Study(
                    model.requires_grad_(False),
                    data,
                    curve.budget,
                    curve.heads,
                    spec,
                    seed=named_seed("measure", curve.seed),
                    device=curve.device,
                )
                measured = measure(study)
                extra |= {name: getattr(measured, name) for name in MEASURED}
                vectors = measured.vectors
            except MACHINE:
                raise
            except BaseException as error:
                attempt = attempt._replace(error=error)
    extra["measure_s"] = time.perf_counter() - began
    _write(curve, store, attempt, extra, started, progress, vectors)


def _write(
    curve: Curve,
    store: Store,
    attempt: Attempt,
    extra: dict[str, Any],
    started: float,
    progress: Report,
    vectors: dict[str, Any] | None = None,
) -> None:
    """Compose the record of a point and store it."""
    control = attempt.trained.control if attempt.trained else None
    error = attempt.error
    status, reason = ("error", f"{type(error).__name__}: {error}") if error else (control.status, control.reason)  # type: ignore[union-attr]
    record = {
        "schema": SCHEMA,
        "key": curve.key(attempt.sigma),
        "spec": curve.spec(attempt.sigma),
        "status": status,
        "reason": reason,
        "traceback": "".join(traceback.format_exception(error, limit=-6)) if error else None,
        "model": extra.get("model", {}),
        "data": extra.get("data", {}),
        "control": _finite(extra.get("control", {"sigma": attempt.sigma})),
        "learning": extra.get("learning", {}),
        **{name: extra.get(name, {}) for name in MEASURED},
        "times": {"train_s": attempt.seconds, "measure_s": extra.get("measure_s", 0.0)},
        "provenance": provenance.of_run(device=curve.device, threads=curve.threads, started=started),
    }
    store.write(record, vectors or {})
    progress({"sigma": attempt.sigma, "phase": "done", "step": 1, "steps": 1, "status": status, "reason": reason})


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """NaN → None, the only form in which a record says that there is no number."""
    return {k: None if isinstance(v, float) and v != v else v for k, v in values.items()}


@torch.no_grad()
def _describe_model(model: Model, data: Dataset, device: str) -> dict[str, Any]:
    """What a model is, apart from how well it does."""
    row = model.row
    code = model.encode(data.view("train", row, slice(2)).batch().to(device))
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
