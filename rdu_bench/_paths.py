"""Where the files of models/, probes/ and datasets/ are: beside this package in a checkout, inside it in a wheel."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLUGINS = "RDU_BENCH_PLUGINS"
KINDS = ("models", "probes", "datasets")


def checkout() -> Path | None:
    """The root of the checkout this package runs from, or None when it is installed from a wheel."""
    root = HERE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "models").is_dir() else None


def builtin(kind: str) -> Path:
    """The folder of our own files of one kind (`models`, `probes`, `datasets`) or of the report's templates."""
    root = checkout()
    if root:
        return root / kind
    return HERE / ("_report" if kind == "report" else kind)


def plugin_roots() -> list[Path]:
    """The user's plug-in folders: RDU_BENCH_PLUGINS (separated as PATH is), then entry points `rdu_bench.plugins`."""
    roots = [Path(root) for root in os.environ.get(PLUGINS, "").split(os.pathsep) if root]
    for point in entry_points(group="rdu_bench.plugins"):
        where = point.load()
        roots.append(Path(where() if callable(where) else getattr(where, "__path__", [where])[0]))
    return roots


def add_plugins(*roots: str | Path) -> None:
    """Add plug-in folders for this process and its children; each must hold `models/`, `probes/` or `datasets/`."""
    for root in map(Path, roots):
        if not any((root / kind).is_dir() for kind in KINDS):
            raise FileNotFoundError(
                f"--plugins {root}: it holds no models/, probes/ or datasets/. Put a model file in {root}/models/."
            )
        known = [r for r in os.environ.get(PLUGINS, "").split(os.pathsep) if r]
        if str(root.resolve()) not in known:
            os.environ[PLUGINS] = os.pathsep.join([*known, str(root.resolve())])


def search_path(kind: str) -> list[str]:
    """Folders of `kind` files: ours, then the user's."""
    folders = [builtin(kind), *(root / kind for root in plugin_roots())]
    return [str(folder) for folder in folders if folder.is_dir()]
