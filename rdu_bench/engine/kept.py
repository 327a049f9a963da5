"""Models that a run keeps beside their records, and how they come back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import registry
from .._hash import named_seed
from ..model import Model
from ..nn.networks import Spec
from ..records.store import WEIGHTS, Store
from ..training import Trained
from ..training.keep import Recipe, keep, read, rebuilt
from .spec import Curve


def keep_beside(store: Store, curve: Curve, trained: Trained, spec: Spec) -> str:
    """Write the weights of a point where its record will lie; returns the file's name."""
    sigma = trained.control.sigma
    path = store.path(curve.spec(sigma), curve.key(sigma)).with_suffix(WEIGHTS)
    recipe = Recipe.of(curve.model, curve.params, spec, named_seed("init", curve.seed))
    keep(path, trained.model, recipe, {"key": curve.key(sigma), "sigma": sigma, "R_train": trained.control.R_train})
    return path.name


def load_model(record: Mapping[str, Any] | str | Path, folder: str | Path | None = None) -> Model:
    """The frozen model of a point that `run(…, keep_models=True)` trained, in evaluation mode, on the CPU.

    `record` is the path of a record, a row of `load_results`, or a record itself, which lies in the run `folder`.
    Raises `FileNotFoundError` where its weights were not kept, `PluginError` where the model's file is another now,
    and `ValueError` for a file that is damaged or belongs to another record.
    """
    path = _path(record, folder)
    whole = json.loads(path.read_text(encoding="utf-8"))
    name, spec = whole["model"].get("weights"), whole["spec"]
    if not name:
        raise FileNotFoundError(
            f"{path}: its model was not kept; run its suite again into another folder with --keep-models"
        )
    kept = read(path.with_name(Path(name).name))
    if kept.about.get("key") != whole["key"]:
        raise ValueError(f"{path.with_name(name)} holds the weights of record {kept.about.get('key')}, not of {path}")
    now, then = registry.plugin_hash("models", spec["model"]), spec["plugins"][f"models/{spec['model']}"]
    if now != then:
        raise registry.PluginError(
            f"{registry.find('models', spec['model'])} has changed since {path.name} was made (its hash is {now}, was "
            f"{then}): take back the file as it was, or run again"
        )
    return rebuilt(kept)


def _path(record: Mapping[str, Any] | str | Path, folder: str | Path | None) -> Path:
    if isinstance(record, str | Path):
        path = Path(record)
    elif isinstance(record.get("path"), str):
        path = Path(str(record["path"]))
    elif folder is not None:
        path = Store(folder).path(record["spec"], record["key"])
    else:
        raise ValueError("a record does not say where it lies: give its path, or the folder of its run as `folder`")
    if not path.is_file():
        raise FileNotFoundError(f"there is no record {path}")
    return path
