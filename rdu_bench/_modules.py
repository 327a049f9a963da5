"""A plug-in's file imported as itself, wherever it lies, and the classes that a module defines."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from ._hash import digest


def import_file(path: Path) -> ModuleType:
    """The module of a file, run anew, in a package of its folder, where `from . import _parts` finds what lies beside.

    Raises what the file raises.
    """
    package = ModuleType(f"_rdu_bench_file_{digest(str(path))}")
    package.__path__ = [str(path.parent)]
    for name in [n for n in sys.modules if n.partition(".")[0] == package.__name__]:
        del sys.modules[name]
    name = f"{package.__name__}.{path.stem}"
    made = importlib.util.spec_from_file_location(name, path)
    assert made is not None and made.loader is not None
    module = importlib.util.module_from_spec(made)
    sys.modules |= {package.__name__: package, name: module}
    made.loader.exec_module(module)
    return module


def own_classes(module: ModuleType, base: type) -> list[type]:
    """The classes made from `base` that a module defines itself, each once, in their order."""
    classes = [c for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__]
    return [c for c in dict.fromkeys(classes) if issubclass(c, base)]
