"""The record of a point: what was trained and measured, in a form that can always be written."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Mapping
from typing import Any

import torch

from .. import registry
from .._arrays import scalar
from ..data import Dataset
from ..model import Model
from ..records.laws import judged
from ..records.schema import SCHEMA
from ..training.strategies import Attempt
from . import provenance
from .spec import Curve

MEASURED_TABLES = ("values", "factors", "folds", "scores", "mi", "structure", "pictures", "nulls")  # of a record
DIGITS = 7  # of a number that was measured: as many as networks of single precision have
UNMEASURED = {"measure_s": 0.0, "measure_cpu_s": 0.0}
LONGEST = 2000  # characters of a reason
TRACED = 20_000  # characters of a traceback


def compose(curve: Curve, attempt: Attempt, tables: Mapping[str, Any], *, started: float) -> dict[str, Any]:
    """The record of a point that was trained, or was not; `tables` are what is known beside its training.

    What was measured has seven digits, what was asked and steered has all.
    """
    trained, error = attempt.trained, attempt.error
    status, reason = (
        ("error", words(error)) if error or not trained else (trained.control.status, trained.control.reason)
    )
    record = {
        "schema": SCHEMA,
        "key": curve.key(attempt.sigma),
        "spec": curve.spec(attempt.sigma),
        "status": status,
        "reason": reason,
        "traceback": _traced(error) if error else None,
        "model": tables.get("model", {}),
        "data": tables.get("data", {}),
        "control": _finite(dataclasses.asdict(trained.control)) if trained else {"sigma": attempt.sigma},
        "learning": shortened(trained.learning.table()) if trained else {},
        **{name: shortened(tables.get(name, {})) for name in MEASURED_TABLES},
        "times": {"train_s": attempt.seconds, "train_cpu_s": attempt.cpu, **(tables.get("times") or UNMEASURED)},
        "provenance": {
            **provenance.of_run(device=curve.device, threads=curve.threads, started=started),
            **_libraries(curve),
        },
    }
    record["status"], judgement = judged(record)
    record["reason"] = judgement[:LONGEST] if judgement else judgement
    return record


def shortened(value: Any) -> Any:
    """The same with seven digits of every number that is no whole one, in tables and lists, too."""
    if isinstance(value, Mapping):
        return {name: shortened(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [shortened(part) for part in value]
    value = scalar(value)
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _libraries(curve: Curve) -> dict[str, dict[str, str | None]]:
    """Versions of the libraries that a model comes from by an adapter; no entry for a model of ours."""
    try:
        found = registry.libraries("models", curve.model)
    except (LookupError, OSError, registry.PluginError):  # its file is gone, which the record says otherwise
        return {}
    return {"libraries": found} if found else {}


def _traced(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error, limit=-6))
    return text if len(text) <= TRACED else f"{text[: TRACED // 2]} … {text[-TRACED // 2 :]}"


def words(error: BaseException | None) -> str:
    """An exception in words, whatever a plug-in has made of it."""
    if error is None:
        return "there is neither a model nor a reason"
    try:
        said = str(error)
    except Exception as other:
        said = f"it cannot say what it is ({type(other).__name__})"
    return f"{type(error).__name__}: {said}"[:LONGEST]


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """NaN → None, the only form in which a record says that there is no number."""
    return {name: None if isinstance(value, float) and value != value else value for name, value in values.items()}


@torch.no_grad()
def describe_model(model: Model, data: Dataset, device: str) -> dict[str, Any]:
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


def describe_data(data: Dataset) -> dict[str, Any]:
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
            | ({"frames": f.frames} if f.frames else {})
            for f in data.factors
        },
        **({"notes": list(data.notes)} if data.notes else {}),
    }
