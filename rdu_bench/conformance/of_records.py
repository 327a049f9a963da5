"""What `check` says of the plug-in files that made records, built with the parameters that they had there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from .. import _adapters, _paths, registry
from . import check
from .plugin import CheckError

Spec = Mapping[str, Any]  # of a record


class Examined(NamedTuple):
    """A plug-in file, and what is wrong with it in words; nothing where it is as it must be."""

    path: Path
    params: dict[str, Any]
    wrong: list[str]

    @property
    def where(self) -> str:
        """The file and the parameters that it was examined with."""
        given = ", ".join(f"{name}={value}" for name, value in self.params.items())
        return f"{self.path} ({given})" if given else str(self.path)


def examined(specs: Iterable[Spec], *, every: bool = False) -> Iterator[Examined]:
    """Every file that made a record and does not come with the package, or `every` one, with each set of parameters.

    A file that is not here is left out, as is one that is not what it was then.
    """
    for kind, path, params in _files(specs, every):
        given = json.loads(params)
        try:
            wrong = [f"{found.law}: {found.words}" for found in check(path, given, kind=kind) if not found.ok]
        except CheckError as error:
            wrong = [str(error)]
        yield Examined(path, given, wrong)


def faults(specs: Iterable[Spec]) -> list[str]:
    """What is wrong with any of them, a line each; in a checkout anybody's file may lie beside those of the package."""
    every = _paths.checkout() is not None
    return [f"{found.where}: {words}" for found in examined(specs, every=every) for words in found.wrong]


def own_files(specs: Iterable[Spec]) -> list[Path]:
    """The files that `examined` would examine, none of which is imported."""
    return sorted({path for _, path, _ in _files(specs, every=False)})


def _files(specs: Iterable[Spec], every: bool) -> Iterator[tuple[str, Path, str]]:
    """Kind, file and parameters, as JSON, each once, of plug-ins that do not come with the package, or of `every`."""
    for kind, name, then, params in sorted({use for spec in specs for use in _used(spec)}):
        with suppress(LookupError, registry.PluginError):
            path = registry.find(kind, name)
            own = (every and kind == "models") or path.parent != _paths.builtin(kind)
            if own and registry.plugin_hash(kind, name) == then:
                yield kind, path, params


def _used(spec: Spec) -> Iterator[tuple[str, str, str, str]]:
    """Kind, name, hash and parameters, as JSON, of the plug-ins of a record; models of a library have no file here."""
    hashes = spec.get("plugins", {})
    for kind, name, params in (
        ("models", spec["model"], spec["params"]),
        ("datasets", spec["dataset"], spec["dataset_params"]),
        *(("probes", head, {}) for head in spec["heads"]),
    ):
        then = hashes.get(f"{kind}/{name}")
        if then is not None and not (kind == "models" and _adapters.is_adapted(name)):
            yield kind, name, then, json.dumps(params, sort_keys=True)
