"""Names → plug-ins.  A file is a plug-in: its name is the plug-in's name, and it defines exactly one."""

from __future__ import annotations

import ast
import difflib
import importlib
import traceback
from pathlib import Path
from typing import Any

from . import _paths
from ._hash import file_digest

CARDS = {"models": "row", "datasets": "card", "probes": "card"}  # the literal that describes a plug-in


class PluginError(Exception):
    """A plug-in file cannot be used; the message says why and what to do."""


def files(kind: str) -> dict[str, Path]:
    """Every plug-in of a kind (`models`, `probes`, `datasets`), ours and the user's, without importing any.

    Raises `PluginError` when a user's file has the name of one already there.
    """
    found: dict[str, Path] = {}
    for folder in map(Path, _paths.search_path(kind)):
        for path in sorted(folder.glob("*.py")):
            if path.stem.startswith("_"):
                continue
            if path.stem in found and found[path.stem] != path:
                raise PluginError(
                    f"{path} has the name of {found[path.stem]}: a file's name is its plug-in's name. "
                    f"Rename yours, for example to my_{path.name}."
                )
            found[path.stem] = path
    return dict(sorted(found.items()))


def find(kind: str, name: str) -> Path:
    """The file of a plug-in; dashes may stand for underscores.  Raises `LookupError` with the nearest name."""
    known = files(kind)
    wanted = name.replace("-", "_")
    if wanted in known:
        return known[wanted]
    close = difflib.get_close_matches(wanted, known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise LookupError(f"there is no {kind[:-1]} {name!r}.{hint} `rdu-bench {kind}` shows all {len(known)}.")


def card(kind: str, name: str) -> dict[str, Any]:
    """The literals of a plug-in's `row` or `card`, with its docstring as `doc`, read without importing the file.

    Raises `PluginError` when the file does not parse or the literal is missing or not a literal.
    """
    path = find(kind, name)
    try:
        tree = ast.parse(path.read_text())
    except SyntaxError as error:
        raise PluginError(f"{path}, line {error.lineno}: {error.msg}") from error
    wanted = CARDS[kind]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        if [t.id for t in node.targets if isinstance(t, ast.Name)] != [wanted]:
            continue
        try:
            fields = {k.arg: ast.literal_eval(k.value) for k in node.value.keywords if k.arg}
        except ValueError as error:
            raise PluginError(f"{path}, line {node.lineno}: `{wanted}` must hold literals only") from error
        return {**fields, "doc": _docstring(tree), "path": str(path)}
    raise PluginError(f"{path} has no `{wanted} = …(name=value, …)` with keyword arguments")


def _docstring(tree: ast.Module) -> str:
    """Docstring of the one public class or function."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            text = ast.get_docstring(node)
            if text:
                return text
    return ast.get_docstring(tree) or ""


def plugin_hash(kind: str, name: str) -> str:
    """Hash of a plug-in's file, part of the key of every record it makes."""
    return file_digest(find(kind, name))


def load(kind: str, name: str) -> Any:
    """The class of a plug-in.  Raises `PluginError` with the traceback when its file does not import."""
    from .data import Dataset
    from .model import Model
    from .probe import Probe

    base = {"models": Model, "datasets": Dataset, "probes": Probe}[kind]
    path = find(kind, name)
    try:
        module = importlib.import_module(f"rdu_bench.{kind}.{path.stem}")
    except Exception as error:
        raise PluginError(f"{path} does not import:\n{traceback.format_exc(limit=-3)}") from error
    classes = [c for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__]
    found = [c for c in classes if issubclass(c, base)]
    if len(found) != 1:
        names = ", ".join(c.__name__ for c in found) or "none"
        raise PluginError(f"{path} must define exactly one subclass of {base.__name__}, but defines {names}.")
    return found[0]


def dataset(name: str, **params: Any) -> Any:
    """The loaded data set of a name.  Raises `LookupError`, `PluginError` or `DataError`."""
    path = find("datasets", name)
    made = load("datasets", path.stem)()
    made.name = path.stem
    try:
        made.load(**params)
    except TypeError as error:
        raise _signature(path.stem, error) from error
    return made


def model(name: str, spec: Any, **params: Any) -> Any:
    """A new model of a name for a `Spec`.  Raises `LookupError`, `PluginError`, `TypeError` for unknown parameters."""
    path = find("models", name)
    kind = load("models", path.stem)
    try:
        return kind(spec, **params)
    except TypeError as error:
        raise _signature(path.stem, error) from error


def _signature(name: str, error: TypeError) -> Exception:
    if "unexpected keyword argument" not in str(error):
        return error
    return TypeError(f"{name}: {error}")
