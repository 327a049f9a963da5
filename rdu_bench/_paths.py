"""Where the files of models/, probes/ and datasets/ are: beside this package in a checkout, inside it in a wheel."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PLUGINS = "RDU_BENCH_PLUGINS"
DATA = ("RDU_BENCH_DATA", "DISENTANGLEMENT_LIB_DATA")  # variables that name the data folder, the first that is set
KINDS = ("models", "probes", "datasets")


def checkout() -> Path | None:
    """The root of the checkout this package runs from, or None when it is installed from a wheel."""
    root = HERE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "models").is_dir() else None


def builtin(kind: str) -> Path:
    """The folder of our own files of one kind (`models`, `probes`, `datasets`), the `report` or `results`."""
    root = checkout()
    if root:
        return root / kind
    return HERE / (kind if kind in KINDS else f"_{kind}")


def named_roots() -> list[Path]:
    """The folders that RDU_BENCH_PLUGINS names, separated as those of PATH are, each once and whole."""
    given = filter(None, os.environ.get(PLUGINS, "").split(os.pathsep))
    return list(dict.fromkeys(Path(os.path.abspath(root)) for root in given))


@cache
def installed_roots() -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The folders of installed packages that have an entry point `rdu_bench.plugins`, and what is wrong with others."""
    roots, trouble = [], []
    for point in entry_points(group="rdu_bench.plugins"):
        try:
            where = point.load()
            roots.append(Path(where() if callable(where) else getattr(where, "__path__", [where])[0]))
        except (Exception, SystemExit) as error:
            trouble.append(
                f"entry point {point.name} = {point.value}: it does not load ({type(error).__name__}: {error})"
            )
    return tuple(roots), tuple(trouble)


def data_folder() -> tuple[str, str] | None:
    """The variable that names the data folder and what it says; None where none does.  --data-dir sets the first."""
    return next(((name, os.path.expanduser(os.environ[name])) for name in DATA if os.environ.get(name)), None)


def as_texts(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a plug-in, paths among them as texts."""
    return {key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in params.items()}


def plugin_roots() -> list[Path]:
    """The user's plug-in folders: those of RDU_BENCH_PLUGINS, then those of installed packages."""
    return list(dict.fromkeys([*named_roots(), *installed_roots()[0]]))


def trouble() -> list[str]:
    """What is wrong with plug-in folders as a whole, a sentence each."""
    lost = [root for root in named_roots() if not any((root / kind).is_dir() for kind in KINDS)]
    return [*(f"{PLUGINS}: {_holds_none(root)}" for root in lost), *installed_roots()[1]]


def _holds_none(root: Path) -> str:
    if not root.is_dir():
        return f"{root} is no folder; name one that holds models/, probes/ or datasets/."
    return f"{root} holds no models/, probes/ or datasets/. Put a model file in {root / 'models'}."


def add_plugins(*roots: str | Path) -> None:
    """Add plug-in folders for this process and its children; each must hold `models/`, `probes/` or `datasets/`.

    Raises `FileNotFoundError` for one that does not.
    """
    for given in map(Path, roots):
        root = Path(os.path.abspath(given))
        if not any((root / kind).is_dir() for kind in KINDS):
            raise FileNotFoundError(f"--plugins {given}: {_holds_none(given)}")
        if os.pathsep in str(root):
            raise FileNotFoundError(
                f"--plugins {given}: its name holds {os.pathsep!r}, which separates folders; rename it."
            )
        known = named_roots()
        if root not in known:
            os.environ[PLUGINS] = os.pathsep.join(map(str, [*known, root]))
    for kind in KINDS:  # packages that are imported already know only the folders that there were then
        if package := sys.modules.get(f"rdu_bench.{kind}"):
            package.__path__ = search_path(kind)


_named: dict[str, tuple[str | None, str | None]] = {}  # variable → as it was before a call named folders, and then


@contextmanager
def instead() -> Iterator[None]:
    """What names folders inside does so in place of what did so last time; the user's own variables stay."""
    for name, (before, then) in _named.items():
        if os.environ.get(name) == then:  # nobody has set it since
            _put(name, before)
    found = {name: os.environ.get(name) for name in (PLUGINS, DATA[0])}
    try:
        yield
    finally:
        _named.update({name: (before, os.environ.get(name)) for name, before in found.items()})


def _put(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


@contextmanager
def only_plugins(root: str | Path) -> Iterator[None]:
    """Inside, `root` is the one folder that RDU_BENCH_PLUGINS names; nothing of it is imported."""
    before = os.environ.get(PLUGINS)
    os.environ[PLUGINS] = os.path.abspath(root)
    try:
        yield
    finally:
        _put(PLUGINS, before)


def search_path(kind: str) -> list[str]:
    """Folders of `kind` files: ours, then the user's, each once."""
    found: dict[str, str] = {}
    for folder in (builtin(kind), *(root / kind for root in plugin_roots())):
        if folder.is_dir():
            found.setdefault(os.path.realpath(folder), str(folder))
    return list(found.values())
