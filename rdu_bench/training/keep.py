"""Keeping trained models: weights and how to build what they fit into, in one safetensors file, without pickle."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .. import registry
from .._adapters import is_adapted
from .._files import write
from .._modules import import_file, own_classes
from .._sources import source_digest
from ..model import Model
from ..nn.networks import Spec
from .posthoc import Whitened, comes_after

FORMAT = 1
HEADER = "rdu_bench"  # the entry of the file's metadata that holds everything but the weights, as JSON

Chosen = str | Path | type[Model]  # a model's name, its file, or its class


@dataclass(frozen=True)
class Recipe:
    """How a model is built, as JSON can say it."""

    model: str  # name, path of a file, or module:class
    params: dict[str, Any]
    spec: Spec
    seed: int = 0  # of what it draws when it is built
    plugin: str = ""  # hash of its file; of a class none is known

    @classmethod
    def of(cls, model: Chosen, params: Mapping[str, Any], spec: Spec, seed: int) -> Recipe:
        """Of a model that is named, or given as a file or a class; raises as `kind_of` does."""
        if isinstance(model, type):
            return cls(f"{model.__module__}:{model.__qualname__}", dict(params), spec, seed)
        path = _file(model)
        if _is_file(model):
            return cls(str(path), dict(params), spec, seed, source_digest(path))
        name = registry.full_name("models", str(model))
        return cls(name, dict(params), spec, seed, registry.plugin_hash("models", name))

    def build(self, model: Chosen | None = None) -> Model:
        """The untrained model; `model` stands for the one named here, where its file or class lies elsewhere now.

        Raises `LookupError`, `PluginError`, and `TypeError` for a parameter it does not take.
        """
        by_class = ":" in self.model and not is_adapted(self.model)
        kind = kind_of(_class(self.model) if model is None and by_class else model or self.model)
        registry.check_parameters(kind.__name__ if model else self.model, kind.__init__, self.params)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return kind(self.spec, **self.params)


def kind_of(model: Chosen) -> type[Model]:
    """The class of a model that is named, or given as a file or a class.

    Raises `LookupError` with the nearest name, `PluginError` for a file that is no model's, and `TypeError` for what is
    none of the three.
    """
    if isinstance(model, type):
        if not issubclass(model, Model):
            raise TypeError(f"{model.__name__} is no model: give a subclass of rdu_bench.api.Model, a name or a file")
        return model
    path = _file(model)
    if not _is_file(model):
        kind: type[Model] = registry.load("models", str(model))
        return kind
    try:
        found = own_classes(import_file(path), Model)
    except (Exception, SystemExit) as error:
        raise registry.PluginError(f"{path} does not import: {type(error).__name__}: {error}") from error
    if len(found) != 1:
        names = ", ".join(c.__name__ for c in found) or "none"
        raise registry.PluginError(f"{path} must define exactly one subclass of Model, but defines {names}.")
    return found[0]


def _is_file(model: str | Path) -> bool:
    return isinstance(model, Path) or model.endswith(".py")


def _file(model: object) -> Path:
    if not isinstance(model, str | Path):
        raise TypeError(f"model = {model!r}: give a name as `rdu-bench models` lists them, a file, or a class")
    if not _is_file(model):
        return registry.find("models", str(model))
    path = Path(model).resolve()
    if not path.is_file():
        raise LookupError(f"model = {str(model)!r}: there is no such file")
    return path


def _class(name: str) -> type[Model]:
    module, _, rest = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in rest.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise LookupError(f"{name} cannot be imported ({error}): give the class as `model`") from error
    return found  # type: ignore[no-any-return]


class Kept(NamedTuple):
    """What a file of weights holds."""

    recipe: Recipe
    channel: dict[str, Any]  # what a channel that came afterwards needs beside weights
    about: dict[str, Any]  # what the writer had to say
    weights: dict[str, Tensor]


def keep(path: Path, model: Model, recipe: Recipe, about: Mapping[str, Any]) -> None:
    """Write a trained model.  Raises `ValueError` where JSON cannot say its parameters, and `WriteError`."""
    from safetensors.torch import save

    channel: dict[str, Any] = {"limit": model.limit, "rate_is_set": model.rate_is_set}
    if isinstance(model, Whitened):
        channel |= {"sigma": model.sigma, "blocks": model.blocks}
    made = {**vars(recipe), "spec": recipe.spec._asdict(), "params": {**recipe.params, **model.size}}
    given = {"format": FORMAT, "recipe": made, "channel": channel}
    try:
        header = json.dumps({**given, "about": dict(about)}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the parameters cannot be kept without pickle: {error}") from error
    weights = {name: part.detach().cpu().clone().contiguous() for name, part in model.state_dict().items()}
    write(path, save(weights, metadata={HEADER: header}))


def read(path: Path) -> Kept:
    """What `keep` wrote.  Raises `FileNotFoundError`, or `ValueError` for any other file."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            told = json.loads((file.metadata() or {})[HEADER])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if told["format"] != FORMAT:
            raise ValueError(f"format {told['format']} is not {FORMAT}, which this version reads")
        spec: dict[str, Any] = told["recipe"]["spec"]
        spec |= {name: tuple(spec[name]) for name in ("shape", "hidden")}
        recipe = Recipe(**{**told["recipe"], "spec": Spec(**spec)})
        return Kept(recipe, dict(told["channel"]), dict(told["about"]), weights)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no file of a model that was kept here, or is damaged: {error}") from error


def rebuilt(kept: Kept, model: Chosen | None = None) -> Model:
    """The frozen model of a file, in evaluation mode; `model` as in `Recipe.build`.

    Raises as that does, and `ValueError` where the weights do not fit what the model is today.
    """
    made = kept.recipe.build(model)
    try:
        if "sigma" in kept.channel:
            inner = {n.removeprefix("model."): v for n, v in kept.weights.items() if n.startswith("model.")}
            made.load_state_dict(inner)
            blocks = {name: (width, sent) for name, (width, sent) in kept.channel.get("blocks", {}).items()}
            made = Whitened.restored(made, kept.weights, kept.channel["sigma"], blocks)
        elif comes_after(made):
            made.rate_is_set = bool(kept.channel["rate_is_set"])
        made.load_state_dict(kept.weights)
    except (RuntimeError, KeyError) as error:
        said = " ".join(str(error).split())[:300]
        raise ValueError(f"the weights do not fit {kept.recipe.model} as it is now: {said}") from error
    made.limit = kept.channel["limit"]
    if isinstance(made, Whitened):
        made.rate_is_set = bool(kept.channel["rate_is_set"])
    return made.eval().requires_grad_(False)
