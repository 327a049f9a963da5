"""A curve, and the spec of each of its points, which decides the numbers and names the record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import registry
from .._hash import digest
from ..budget import Budget
from ..records.schema import PROTOCOL


@dataclass(frozen=True)
class Curve:
    """One model on one data set with one seed, at all its rate targets; None stands for the ELBO."""

    suite: str
    suite_version: int
    model: str
    dataset: str
    sigmas: tuple[float | None, ...]  # nats
    budget: Budget
    network: dict[str, Any]
    heads: tuple[str, ...]
    variant: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    sweep: tuple[str, ...] = ()  # names of the parameters that trace the frontier in the place of targets
    label: str = ""  # of the data set, where its parameters are not the defaults
    dataset_params: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    strategy: str = "independent"
    threads: int = 1
    device: str = "cpu"
    keep_models: bool = False  # beside the records; decides no number, and is no part of a spec

    @property
    def row(self) -> str:
        """Name of the leaderboard row: model and variant."""
        return f"{self.model}-{self.variant}" if self.variant else self.model

    @property
    def data_label(self) -> str:
        """Name of the data set in results."""
        return self.label or self.dataset

    @property
    def divisible(self) -> bool:
        """Whether its points can be made side by side, unless its model is trained once for all of them."""
        return self.strategy == "independent"

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
            "sweep": list(self.sweep),
            "dataset": self.dataset,
            "dataset_label": self.data_label,
            "dataset_params": _by_content(self.dataset_params),
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

    @property
    def files(self) -> list[tuple[str, str]]:
        """Kind and name of the plug-ins that make this curve."""
        return [("models", self.model), ("datasets", self.dataset), *(("probes", head) for head in self.heads)]

    @cached_property
    def plugins(self) -> dict[str, str]:
        """Hashes of these plug-ins, as they were when it was first asked; it travels with them."""
        return {f"{kind}/{name}": registry.plugin_hash(kind, name) for kind, name in self.files}

    def keeping_models(self) -> Curve:
        """The same curve, whose models are kept beside its records, with the hashes that were noted of its plug-ins."""
        made = replace(self, keep_models=True)
        vars(made)["plugins"] = self.plugins
        return made

    def key(self, sigma: float | None) -> str:
        """Hash of the spec, 16 hex digits."""
        return digest(self.spec(sigma))


def _by_content(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a data set, without the place of a file whose content is told."""
    return {**params, "file": Path(params["file"]).name} if params.get("content") and "file" in params else params


def hashed(curves: Iterable[Curve]) -> None:
    """Take note in every curve of the hashes of its plug-ins as they are now, each file being read once."""
    known: dict[tuple[str, str], str] = {}
    for curve in curves:
        for file in curve.files:
            known[file] = known.get(file) or registry.plugin_hash(*file)
        vars(curve)["plugins"] = {f"{kind}/{name}": known[kind, name] for kind, name in curve.files}
