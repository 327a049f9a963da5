"""Suites: TOML in, curves out.  A curve is the unit of work, a point on it the unit of record."""

from __future__ import annotations

import difflib
import fnmatch
import os
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from . import registry
from ._hash import digest

HERE = Path(__file__).parent / "suites"
PROTOCOL = 1  # raised whenever a number would come out differently; records of two protocols do not compare
STRATEGY = {"cpu": "independent", "cuda": "batched"}  # fastest within 0.1 BD-nats: tests/benchmarks/strategies.py
Sigma = Annotated[float, Field(gt=0, lt=1e4)]


class SuiteError(ValueError):
    """A suite file or a selection from it is not usable; the message names the key, the value and the fix."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Budget(_Strict):
    """How much is spent on one point."""

    steps: int = Field(gt=0, description="training steps from scratch")
    batch: int = Field(128, gt=1)
    lr: float = Field(2e-3, gt=0)
    continuation: float = Field(0.35, gt=0, le=1, description="fraction of steps for a warm-started point")
    codes: int = Field(4000, gt=10, description="training codes used to fit the marginal")
    draws_fit: int = Field(2, ge=1)
    draws_test: int = Field(4, ge=2)
    mixtures: tuple[int, ...] = (10, 40)
    probe_steps: int = Field(600, gt=0, description="decoder probe")
    head_epochs: int = Field(60, gt=0, description="MLP head")
    test: int = Field(10_000, gt=1, description="most test points scored")


class ModelEntry(_Strict):
    """A model of a suite, with its parameters; `variant` tells two entries of one model apart."""

    name: str
    variant: str = ""
    params: dict[str, Any] = {}
    datasets: tuple[str, ...] = ("*",)


class DataEntry(_Strict):
    """A data set of a suite, with the networks that all models use on it."""

    name: str
    label: str = ""
    params: dict[str, Any] = {}
    family: Literal["mlp", "conv"] = "mlp"
    hidden: tuple[int, ...] = (256, 256)
    latent: int = Field(10, gt=0)
    sigmas: tuple[Sigma, ...]
    budget: str = ""


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
    models: tuple[ModelEntry | str, ...] = ("*",)
    datasets: tuple[DataEntry, ...]


@dataclass(frozen=True)
class Curve:
    """One model on one data set with one seed, at all its rate targets; None stands for the ELBO."""

    suite: str
    suite_version: int
    model: str
    dataset: str
    sigmas: tuple[float | None, ...]
    budget: dict[str, Any]
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
            "budget": self.budget,
            "strategy": self.strategy,
            "chain": sorted(chain, reverse=True) if self.strategy == "continuation" else [],
            "heads": list(self.heads),
            "threads": self.threads,
            "device": self.device.split(":")[0],
            "plugins": {
                f"models/{self.model}": registry.plugin_hash("models", self.model),
                f"datasets/{self.dataset}": registry.plugin_hash("datasets", self.dataset),
                **{f"probes/{head}": registry.plugin_hash("probes", head) for head in self.heads},
            },
        }

    def key(self, sigma: float | None) -> str:
        """Hash of the spec, 16 hex digits."""
        return digest(self.spec(sigma))


def names() -> list[str]:
    """The suites that come with the package."""
    return sorted(p.stem for p in HERE.glob("*.toml") if p.stem != "budgets")


def read(name: str | Path) -> Suite:
    """The suite of a name, or of a TOML file.  Raises `SuiteError`."""
    path = Path(name)
    if path.suffix != ".toml":
        path = HERE / f"{name}.toml"
        if not path.is_file():
            raise SuiteError(
                f"there is no suite {str(name)!r}.{_close(str(name), names())} There are {', '.join(names())}."
            )
    if not path.is_file():
        raise SuiteError(f"suite file {path} does not exist")
    try:
        return Suite.model_validate({"name": path.stem, **tomllib.loads(path.read_text())})
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"{path}: {error}") from error
    except ValidationError as error:
        raise SuiteError(f"{path}:\n" + "\n".join(_words(e) for e in error.errors())) from error


def budget(name: str) -> dict[str, Any]:
    """The budget of a name (`smoke`, `laptop`, `paper`).  Raises `SuiteError`."""
    known = tomllib.loads((HERE / "budgets.toml").read_text())
    if name not in known:
        raise SuiteError(f"there is no budget {name!r}.{_close(name, list(known))} There are {', '.join(known)}.")
    return Budget.model_validate(known[name]).model_dump(mode="json")


def _words(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"] if part not in ("ModelEntry", "str"))
    if error["type"] == "extra_forbidden":
        known = {*Suite.model_fields, *DataEntry.model_fields, *ModelEntry.model_fields}
        return f"  {where}: there is no such key.{_close(str(error['loc'][-1]), sorted(known))}"
    return f"  {where} = {error['input']!r}: {error['msg']}"


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
        if not 0 < sigma < 1e4:
            raise SuiteError(f"--sigma {sigma}: a rate target is a positive number of nats")
    if sigmas:
        found = [replace(c, sigmas=tuple(sigmas)) for c in found]
    if not found:
        raise SuiteError(f"nothing selected from suite {suite.name!r}")
    return found


def _matches(name: str, glob: str) -> bool:
    return fnmatch.fnmatchcase(name, glob.replace("-", "_")) or fnmatch.fnmatchcase(name, glob)


def _expand(
    suite: Suite, seeds: int, budget_name: str | None, strategy: str | None, device: str, threads: int
) -> Iterator[Curve]:
    chosen = strategy or suite.strategy
    for data in suite.datasets:
        registry.find("datasets", data.name)
        provides = set(registry.card("datasets", data.name).get("provides", ()))
        spent = budget(budget_name or data.budget or suite.budget)
        network = {"family": data.family, "hidden": list(data.hidden), "latent": data.latent}
        for entry in _entries(suite):
            if not any(fnmatch.fnmatchcase(data.label or data.name, glob) for glob in entry.datasets):
                continue
            if not set(registry.card("models", entry.name).get("needs", ())) <= provides:
                continue
            for seed in range(seeds):
                yield Curve(
                    suite=suite.name,
                    suite_version=suite.version,
                    model=entry.name,
                    variant=entry.variant,
                    params=entry.params,
                    dataset=data.name,
                    label=data.label,
                    dataset_params=data.params,
                    network=network,
                    seed=seed,
                    sigmas=(*([None] if suite.elbo else []), *data.sigmas),
                    budget=spent,
                    strategy=STRATEGY[device.split(":")[0]] if chosen == "auto" else chosen,
                    heads=suite.heads,
                    threads=threads,
                    device=device,
                )


def _entries(suite: Suite) -> Iterator[ModelEntry]:
    """Models in order; `*` stands for every model not named otherwise."""
    named = [ModelEntry(name=m) if isinstance(m, str) else m for m in suite.models]
    taken = {entry.name for entry in named}
    for entry in named:
        if entry.name == "*":
            yield from (ModelEntry(name=name) for name in registry.files("models") if name not in taken)
        else:
            yield entry.model_copy(update={"name": registry.find("models", entry.name).stem})


def data_dir() -> Path | None:
    """The folder of data files: RDU_BENCH_DATA, which `--data-dir` sets."""
    folder = os.environ.get("RDU_BENCH_DATA")
    return Path(folder) if folder else None
