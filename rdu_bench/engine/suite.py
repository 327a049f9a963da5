"""Suites: TOML in, curves out.  A curve is the unit of work, a point on it the unit of record."""

from __future__ import annotations

import ast
import difflib
import fnmatch
import itertools
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from .. import budget as budgets
from .. import registry
from .._hash import canonical, digest
from ..budget import SUITES, Budget

PROTOCOL = 2  # raised whenever a number would come out differently; records of two protocols do not compare
STRATEGY = {"cpu": "independent", "cuda": "batched"}  # see README, how the numbers are made
STRATEGIES = ("independent", "continuation", "batched")
HIGHEST = 1e4  # nats, above any rate that a code of ours can have
Sigma = Annotated[float, Field(gt=0, lt=HIGHEST)]


class SuiteError(ValueError):
    """A suite file or a selection from it is not usable; the message names the key, the value and the fix."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Entry(_Strict):
    name: str
    params: dict[str, Any] = {}

    @field_validator("params")
    @classmethod
    def _sayable(cls, params: dict[str, Any]) -> dict[str, Any]:
        """Parameters are part of a record's key, so JSON must be able to say them."""
        try:
            canonical(params)
        except (TypeError, ValueError) as error:
            raise ValueError("must hold finite numbers, strings, lists and tables only") from error
        return params


Entry = TypeVar("Entry", bound=_Entry)


class ModelEntry(_Entry):
    """A model of a suite, with its parameters; `variant` tells two entries of one model apart.

    `sweep` gives a parameter the values that trace this model's frontier in the place of target rates: one ELBO
    point for each, all on one row.
    """

    variant: str = ""
    datasets: tuple[str, ...] = ("*",)
    sweep: dict[str, tuple[float, ...]] = Field(default_factory=dict, max_length=1)


class DataEntry(_Entry):
    """A data set of a suite, with the networks that all models use on it."""

    label: str = ""
    family: Literal["mlp", "conv"] = "mlp"
    hidden: tuple[Annotated[int, Field(gt=0)], ...] = (256, 256)
    latent: int = Field(10, gt=0)
    sigmas: tuple[Sigma, ...]
    budget: str = ""


def _named(entry: Any) -> Any:
    return {"name": entry} if isinstance(entry, str) else entry


class Suite(_Strict):
    """A suite file."""

    name: str
    version: int = 1
    title: str = ""
    budget: str = "laptop"
    strategy: Literal["auto", "independent", "continuation", "batched"] = "auto"
    seeds: int = Field(1, gt=0)
    elbo: bool = True
    heads: tuple[str, ...] = ("linear", "mlp")
    models: tuple[Annotated[ModelEntry, BeforeValidator(_named)], ...] = (ModelEntry(name="*"),)
    datasets: tuple[DataEntry, ...]

    @model_validator(mode="after")
    def _distinct(self) -> Suite:
        """Two entries of one name would share a row of the leaderboard, and their points a line."""
        models = [f"{m.name} {m.variant}".strip() for m in self.models]
        labels = [d.label or d.name for d in self.datasets]
        for names, what, key in ((models, "models", "variant"), (labels, "datasets", "label")):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{what}: {name} is there twice; give one another {key}")
        return self


@dataclass(frozen=True)
class Curve:
    """One model on one data set with one seed, at all its rate targets; None stands for the ELBO."""

    suite: str
    suite_version: int
    model: str
    dataset: str
    sigmas: tuple[float | None, ...]
    budget: Budget
    network: dict[str, Any]
    heads: tuple[str, ...]
    variant: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    label: str = ""  # of the data set, where its parameters are not the defaults
    dataset_params: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    strategy: str = "independent"
    threads: int = 1
    device: str = "cpu"

    @property
    def row(self) -> str:
        """Name of the leaderboard row: model and variant."""
        return f"{self.model}-{self.variant}" if self.variant else self.model

    @property
    def data_label(self) -> str:
        """Name of the data set in results."""
        return self.label or self.dataset

    def spec(self, sigma: float | None) -> dict[str, Any]:
        """Everything that decides the numbers of one point, as JSON can say it."""
        chain = [s for s in self.sigmas if s is not None and sigma is not None and s > sigma]
        return {
            "protocol": PROTOCOL,
            "suite": self.suite,
            "suite_version": self.suite_version,
            "model": self.model,
            "variant": self.variant,
            "params": self.params,
            "dataset": self.dataset,
            "dataset_label": self.data_label,
            "dataset_params": self.dataset_params,
            "network": self.network,
            "seed": self.seed,
            "sigma": sigma,
            "budget": self.budget.spec(),
            "strategy": self.strategy,
            "chain": sorted(chain, reverse=True) if self.strategy == "continuation" else [],
            "heads": sorted(self.heads),
            "threads": self.threads,
            "device": self.device.split(":")[0],
            "plugins": self.plugins,
        }

    @cached_property
    def plugins(self) -> dict[str, str]:
        """Hashes of the files that make this curve, as they were when it was first asked; it travels with them."""
        files = [("models", self.model), ("datasets", self.dataset), *(("probes", head) for head in self.heads)]
        return {f"{kind}/{name}": registry.plugin_hash(kind, name) for kind, name in files}

    def key(self, sigma: float | None) -> str:
        """Hash of the spec, 16 hex digits."""
        return digest(self.spec(sigma))


def names() -> list[str]:
    """The suites that come with the package."""
    return sorted(p.stem for p in SUITES.glob("*.toml") if p.stem != "budgets")


def read(name: str | Path) -> Suite:
    """The suite of a name, or of a TOML file.  Raises `SuiteError`."""
    path = Path(name)
    if path.suffix != ".toml":
        path = SUITES / f"{name}.toml"
        if not path.is_file():
            raise SuiteError(
                f"there is no suite {str(name)!r}.{_close(str(name), names())} There are {', '.join(names())}."
            )
    if not path.is_file():
        raise SuiteError(f"suite file {path} does not exist")
    try:
        return Suite.model_validate({"name": path.stem, **tomllib.loads(path.read_text())})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        raise SuiteError("\n".join(f"{path}: {_words(e)}" for e in error.errors())) from error


def budget(name: str) -> Budget:
    """The budget of a name (`smoke`, `laptop`, `paper`).  Raises `SuiteError`."""
    known = budgets.named()
    if name not in known:
        raise SuiteError(f"there is no budget {name!r}.{_close(name, list(known))} There are {', '.join(known)}.")
    return known[name]


def _words(error: Any) -> str:
    """What pydantic found wrong, as one sentence with the key and the value."""
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
    if error["type"] == "extra_forbidden":
        levels: dict[str, type[BaseModel]] = {"models": ModelEntry, "datasets": DataEntry}
        known = list(levels.get(str(error["loc"][0]) if error["loc"][1:] else "", Suite).model_fields)
        return f"{where}: there is no such key.{_close(str(error['loc'][-1]), known)} There are {', '.join(known)}."
    if error["type"] == "missing":
        return f"{where} is missing"
    said = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{where} = {error['input']!r}: {said}" if where else said


def _close(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def curves(
    suite: Suite,
    *,
    models: Sequence[str] = (),
    datasets: Sequence[str] = (),
    sigmas: Sequence[float] = (),
    seeds: int | None = None,
    budget_name: str | None = None,
    strategy: str | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> list[Curve]:
    """Every curve of a suite, narrowed by globs of model and data set names.  Raises `SuiteError` when none is left."""
    if strategy not in (None, "auto", *STRATEGIES):
        raise SuiteError(f"--strategy {strategy}: choose {', '.join(STRATEGIES)}")
    if device.split(":")[0] not in STRATEGY:
        raise SuiteError(f"--device {device}: choose cpu, cuda or cuda:N")
    if seeds is not None and seeds < 1:
        raise SuiteError(f"--seeds {seeds}: give a number of at least 1")
    suite = _with(suite, models)
    found = list(_expand(suite, seeds or suite.seeds, budget_name, strategy, device, threads))
    for kind, globs, of in (
        ("model", models, lambda c: (c.model, c.row)),
        ("dataset", datasets, lambda c: (c.dataset, c.data_label)),
    ):
        for glob in globs:
            if not any(_matches(name, glob) for curve in found for name in of(curve)):
                there = sorted({of(curve)[1] for curve in found})
                raise SuiteError(f"--{kind} {glob} selects nothing: suite {suite.name!r} has {', '.join(there)}")
        if globs:
            found = [c for c in found if any(_matches(name, glob) for name in of(c) for glob in globs)]
    for sigma in sigmas:
        if not 0 < sigma < HIGHEST:
            raise SuiteError(f"--sigma {sigma:g}: a rate target is a positive number of nats below {HIGHEST:g}")
    if sigmas:
        chosen = tuple(dict.fromkeys(map(float, sigmas)))
        found = [c if c.sigmas == (None,) else replace(c, sigmas=chosen) for c in found]  # a sweep has no targets
    if not found:
        raise SuiteError(f"nothing selected from suite {suite.name!r}")
    return found


def _with(suite: Suite, models: Sequence[str]) -> Suite:
    """`suite` and the models that are asked for by name and not in it, so that a new file runs in any suite."""
    there = {entry.name for entry in _entries(suite)}
    wanted = dict.fromkeys(name.replace("-", "_") for name in models)
    new = [ModelEntry(name=name) for name in wanted if name in registry.files("models") and name not in there]
    return suite.model_copy(update={"models": (*suite.models, *new)})


def _matches(name: str, glob: str) -> bool:
    return fnmatch.fnmatchcase(name, glob.replace("-", "_")) or fnmatch.fnmatchcase(name, glob)


def _expand(
    suite: Suite, seeds: int, budget_name: str | None, strategy: str | None, device: str, threads: int
) -> Iterator[Curve]:
    chosen = strategy or suite.strategy
    for head in suite.heads:
        registry.find("probes", head)
    data = [_checked("datasets", entry) for entry in suite.datasets]
    entries = [_checked("models", entry) for entry in _entries(suite)]
    _usable(suite, entries, data)
    for at in data:
        spent = budget(budget_name or at.budget or suite.budget)
        for entry in entries:
            if not any(fnmatch.fnmatchcase(at.label or at.name, glob) for glob in entry.datasets) or lacks(entry, at):
                continue
            for seed, params in itertools.product(range(seeds), _swept(entry)):
                yield Curve(
                    suite=suite.name,
                    suite_version=suite.version,
                    model=entry.name,
                    variant=entry.variant,
                    params=params,
                    dataset=at.name,
                    label=at.label,
                    dataset_params=at.params,
                    network={"family": at.family, "hidden": list(at.hidden), "latent": at.latent},
                    seed=seed,
                    sigmas=(None,) if entry.sweep else (*([None] if suite.elbo else []), *dict.fromkeys(at.sigmas)),
                    budget=spent,
                    strategy=STRATEGY[device.split(":")[0]] if chosen == "auto" else chosen,
                    heads=suite.heads,
                    threads=threads,
                    device=device,
                )


def _swept(entry: ModelEntry) -> list[dict[str, Any]]:
    """The parameters of every curve of an entry."""
    for name, values in entry.sweep.items():
        return [{**entry.params, name: value} for value in values]
    return [entry.params]


def lacks(model: ModelEntry, data: DataEntry) -> set[str]:
    """What a model needs of the data and a data set has not."""
    provided = registry.card("datasets", data.name).get("provides", ())
    return set(registry.card("models", model.name).get("needs", ())) - set(provided)


def _usable(suite: Suite, entries: Iterable[ModelEntry], data: Sequence[DataEntry]) -> None:
    """A model that is named, not meant by `*`, must run on some data set of the suite."""
    named = {registry.find("models", m.name).stem for m in suite.models if m.name != "*"}
    for entry in entries:
        missing = [lacks(entry, at) for at in data]
        if entry.name in named and missing and all(missing):
            raise SuiteError(
                f"{entry.name} needs data with {', '.join(sorted(set.union(*missing)))}, "
                f"which no data set of suite {suite.name!r} has: add one that has, or leave {entry.name} out"
            )


def _checked(kind: str, entry: Entry) -> Entry:
    """`entry` under its file's name; raises `LookupError` for a name, `SuiteError` for a parameter there is not."""
    path = registry.find(kind, entry.name)
    known = _parameters(path, "__init__" if kind == "models" else "load")
    for name in (*entry.params, *getattr(entry, "sweep", ())):  # data sets have none
        if known is not None and name not in known:
            takes = ", ".join(known) if known else "no parameters"
            raise SuiteError(f"{path.stem} takes no {name!r}.{_close(name, known)} It takes {takes}.")
    return entry.model_copy(update={"name": path.stem})


def _parameters(path: Path, method: str) -> list[str] | None:
    """Keyword-only parameters of a method of the file's class, without importing it; None when they cannot be told."""
    try:
        tree = ast.parse(path.read_text())
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(
            isinstance(line, ast.Assign) and getattr(line.targets[0], "id", "") in ("row", "card") for line in node.body
        ):
            for line in node.body:
                if isinstance(line, ast.FunctionDef) and line.name == method:
                    return None if line.args.kwarg else [arg.arg for arg in line.args.kwonlyargs]
    return None


def _entries(suite: Suite) -> Iterator[ModelEntry]:
    """Models in order; `*` stands for every model not named otherwise."""
    taken = {entry.name.replace("-", "_") for entry in suite.models}
    for entry in suite.models:
        if entry.name != "*":
            yield entry
            continue
        for name in registry.files("models"):
            if name not in taken:
                yield entry.model_copy(update={"name": name})
