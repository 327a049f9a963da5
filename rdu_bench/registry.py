"""Names → plug-ins.  A file is a plug-in: its name is the plug-in's name, and it defines exactly one.

A file whose name starts with `_`, and a package, is a module that the plug-ins beside it may import, as in
`from . import _parts`; what a plug-in so imports is part of its hash.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _adapters, _cards, _libraries, _near, _paths, _sources
from ._cards import check_parameters
from ._claims import Said
from ._modules import own_classes
from ._scan import LONGEST, Found, scan
from ._settings import untouched
from ._sources import PluginError
from ._text import called

if TYPE_CHECKING:
    from .data import About

__all__ = [
    "Found",
    "PluginError",
    "about",
    "card",
    "check_parameters",
    "claims",
    "dataset",
    "files",
    "find",
    "full_name",
    "libraries",
    "load",
    "model",
    "named",
    "of_file",
    "parameters",
    "plugin_hash",
    "scan",
    "trouble",
]

FETCHED = " `rdu-bench data get"  # how a sentence goes on that says how files are fetched
_loaded: dict[Path, tuple[str, type]] = {}  # hash and class of every plug-in that this process has imported


def files(kind: str) -> dict[str, Path]:
    """Every plug-in of a kind that can be used as far as its name tells, without reading any."""
    found = scan(kind)
    return {name: path for name, path in found.files.items() if name not in found.trouble}


def trouble(kind: str) -> list[str]:
    """What keeps files and folders from being plug-ins of a kind, a sentence each; files are read, none imported."""
    found = scan(kind)
    told = [*_paths.trouble(), *found.trouble.values()]
    for name in found.files:
        try:
            card(kind, name)
        except PluginError as error:
            told.append(str(error))
    return list(dict.fromkeys(told))


def find(kind: str, name: str) -> Path:
    """The file of a plug-in, which for a model of a library is its adapter; dashes may stand for underscores.

    Raises `LookupError` with the nearest name, `PluginError` for a file that cannot be used.
    """
    if _adapted(kind, name):
        return _adapters.file(_adapters.full_name(name))
    found = scan(kind)
    wanted = name.replace("-", "_")
    for known in (wanted, name):
        if known in found.trouble:
            raise PluginError(found.trouble[known])
    if wanted in found.files:
        _unconfused(found.files[wanted], found)
        return found.files[wanted]
    usable = [known for known in found.files if known not in found.trouble]
    hint = _near.near(kind, name)
    shown = repr(name) if len(name) <= LONGEST else f"{name[:LONGEST]!r}…"
    raise LookupError(f"there is no {kind[:-1]} {shown}.{hint} `rdu-bench {kind}` shows all {len(usable)}.")


def _adapted(kind: str, name: str) -> bool:
    return kind == "models" and _adapters.is_adapted(name)


def full_name(kind: str, name: str) -> str:
    """The name under which results have a plug-in: that of its file, or `pythae:CLASS`.  Raises as `find`."""
    return _adapters.full_name(name) if _adapted(kind, name) else find(kind, name).stem


def _unconfused(path: Path, found: Found) -> None:
    """Raises `PluginError` when a plug-in imports a module that is in two folders: Python would take the first."""
    twice = {name: paths for name, paths in found.modules.items() if len(paths) > 1}
    if not twice:
        return
    uses = _sources.imported(path)
    for name, (one, other, *_) in twice.items():
        if any(file == p or p in file.parents for file in uses for p in (one, other)):
            raise PluginError(f"{path} imports {name}, which is both {one} and {other}: rename one of the two.")


def card(kind: str, name: str) -> dict[str, Any]:
    """The literals of a plug-in's `row` or `card`, with its docstring as `doc`, read without importing the file.

    Raises `LookupError`, or `PluginError` when there is no such literal, or more than one.
    """
    return _adapters.card(name) if _adapted(kind, name) else _cards.card(kind, find(kind, name))


def claims() -> dict[str, Said]:
    """What the files of models say that these are for, and by which paper; nothing of a file that cannot be used."""
    found = {}
    for name in files("models"):
        with suppress(PluginError):
            about = card("models", name)
            found[name] = Said(about.get("claim", ""), about.get("paper", ""))
    return found


def parameters(kind: str, name: str) -> dict[str, _cards.Parameter] | None:
    """The parameters that a model or data set takes; None when it takes any, or hands them on.

    Its file is imported only where reading it does not tell.  Raises `LookupError` or `PluginError`.
    """
    path = find(kind, name)
    told = None if _adapted(kind, name) else _cards.parameters(kind, path)
    return _cards.declared(getattr(load(kind, name), _cards.METHODS[kind])) if told is None else told


def plugin_hash(kind: str, name: str) -> str:
    """Hash of a plug-in's file and of all it imports from its own folder, part of the key of every record it makes.

    Raises `LookupError` or `PluginError`.
    """
    path = find(kind, name)
    if _adapted(kind, name):
        return _libraries.digest(_adapters.library(name))
    try:
        return _sources.source_digest(path)
    except OSError as error:
        raise PluginError(f"{error.filename or path} cannot be read: {error.strerror}.") from error


def libraries(kind: str, name: str) -> dict[str, str | None]:
    """The libraries that a plug-in comes from by an adapter, and their versions.  Raises as `find`."""
    path = find(kind, name)
    names = [_adapters.library(name)] if _adapted(kind, name) else _sources.libraries(path)
    return {library: _libraries.version(library) for library in names}


def load(kind: str, name: str) -> Any:
    """The class of a plug-in, imported anew when its file, or what it imports from its folder, has changed.

    Raises `PluginError` with the traceback when its file does not import.
    """
    from .data import Dataset
    from .model import Model
    from .probe import Probe

    if _adapted(kind, name):
        return _of_library(_adapters.full_name(name))
    base = {"models": Model, "datasets": Dataset, "probes": Probe}[kind]
    path, now = find(kind, name), plugin_hash(kind, name)
    if path in _loaded and _loaded[path][0] == now:
        return _loaded[path][1]
    _cards.card(kind, path)
    _forget(path)
    try:
        with untouched(str(path)):
            module = importlib.import_module(f"rdu_bench.{kind}.{path.stem}")
    except PluginError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"{path} does not import:\n{traceback.format_exc(limit=-3)}") from error
    found = own_classes(module, base)
    if len(found) != 1:
        names = ", ".join(c.__name__ for c in found) or "none"
        raise PluginError(f"{path} must define exactly one subclass of {base.__name__}, but defines {names}.")
    _loaded[path] = now, found[0]
    return found[0]


def _of_library(name: str) -> Any:
    """The class of a model of a library."""
    try:
        return importlib.import_module(_adapters.module(name)).named(name.partition(":")[2])
    except Exception as error:
        raise PluginError(f"{name} does not import: {type(error).__name__}: {error}") from error


def _forget(path: Path) -> None:
    """Let go of what was imported of a plug-in that has changed since, and of folders that are no longer named."""
    changed = {path, *_sources.imported(path)} if path in _loaded else set()
    _paths.add_plugins()
    packages = {f"rdu_bench.{kind}": set(_paths.search_path(kind)) for kind in _paths.KINDS}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file:
            continue
        package, _, rest = name.rpartition(".")
        lost = package in packages and str(Path(file).parent) not in packages[package] and Path(file).stem == rest
        if lost or Path(file) in changed:
            del sys.modules[name]
            vars(sys.modules.get(package, module)).pop(rest, None)  # `from . import _parts` looks there first
            with suppress(OSError):  # a change within a second is not seen by the compiled copy
                Path(importlib.util.cache_from_source(file)).unlink(missing_ok=True)
    importlib.invalidate_caches()


def empty_dataset(name: str) -> Any:
    """The data set of a name, before anything is loaded.  Raises `LookupError` or `PluginError`."""
    path = find("datasets", name)
    made = load("datasets", path.stem)()
    made.name = path.stem
    return made


def dataset(name: str, **params: Any) -> Any:
    """The loaded data set of a name, or of a name and a file, as in `hdf5:usps.h5`.

    Raises `LookupError`, `PluginError`, `DataError`, also where what was loaded is unsound, or `TypeError` in one
    sentence for a parameter it does not take.
    """
    name, params = named(name, params)
    made = empty_dataset(name)
    check_parameters(made.name, made.load, params)
    made.name = called(made.name, params)
    with _sources.staying(made.name):
        made.load(**params)
    made.require_sound()
    return made


def missing_files(name: str, **params: Any) -> str:
    """What the data set of a name lacks of the files it needs, in a sentence; "" for nothing.  Reads none of them."""
    from .data.downloads import fetchable

    name, params = named(name, params)
    made = empty_dataset(name)
    told: str = made.missing(**params)
    known = fetchable(made.name, params) if told else ""
    return f"{told.partition(FETCHED)[0]}{FETCHED} {known}` fetches them." if known else told


def of_file(name: str) -> bool:
    """Whether the data set of a name is whatever a parameter `file` names.  Raises `LookupError` or `PluginError`.

    Its file is imported only where it inherits `load`.
    """
    told = _cards.names_parameter("datasets", find("datasets", name), "file")
    return "file" in (parameters("datasets", name) or ()) if told is None else told


def named(text: str, params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """`hdf5:usps.h5` → hdf5, and the parameters with that file; any other name as it is."""
    params = _paths.as_texts(params)
    name, colon, file = text.partition(":")
    if colon and name.replace("-", "_") in files("datasets") and of_file(name):
        return name, {"file": file, **params}
    return text, params


def about(name: str, params: dict[str, Any]) -> About:
    """What is known of the data set of a name with these parameters before it is loaded.

    Raises `LookupError`, `PluginError`, or `DataError` for a file that cannot be it.
    """
    made = empty_dataset(name)
    with _sources.staying(made.name):
        told: About = made.about(**_paths.as_texts(params))
    return told


def model(name: str, spec: Any, **params: Any) -> Any:
    """A new model of a name for a `Spec`.

    Raises `LookupError`, `PluginError`, or `TypeError` in one sentence for a parameter it does not take.
    """
    name = full_name("models", name)
    kind = load("models", name)
    check_parameters(name, kind.__init__, params)
    with _sources.staying(name), untouched(name):
        return kind(spec, **params)
