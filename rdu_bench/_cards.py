"""What a plug-in's file says of itself, read without importing it: its card, its docstring and its parameters."""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ._claims import claims
from ._sources import PluginError, parse

CARDS = {"models": "row", "datasets": "card", "probes": "card"}  # the literal that describes a plug-in
METHODS = {"models": "__init__", "datasets": "load"}  # whose keyword-only parameters a suite may set
TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "Sequence": (list, tuple),
    "tuple": (list, tuple),
    "list": (list, tuple),
}


class Parameter(NamedTuple):
    """A parameter of a model or data set, as far as its file tells."""

    types: tuple[str, ...] = ()  # names of the types it is declared to have, of `TYPES`; none when that cannot be told
    default: str = ""  # as written

    def takes(self, value: Any) -> bool:
        """False only when a value can surely not be meant: its type is none of the declared ones."""
        if not self.types:
            return True
        kinds = {kind for name in self.types for kind in TYPES[name]}
        return type(value) in kinds


def _assigns(node: ast.AST, wanted: str) -> ast.Call | None:
    """The call in `wanted = …(…)`, with or without a type; None for any other line."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
        return node.value if [t.id for t in targets if isinstance(t, ast.Name)] == [wanted] else None
    return None


def _calls(tree: ast.Module, wanted: str) -> Iterator[ast.Call]:
    """Calls that are assigned to `wanted`: in classes, or anywhere when no class has one."""
    direct = [line for node in tree.body if isinstance(node, ast.ClassDef) for line in node.body]
    for lines in (direct, list(ast.walk(tree))):
        if found := [call for line in lines if (call := _assigns(line, wanted))]:
            yield from found
            return


def _docstring(tree: ast.Module) -> str:
    """Docstring of the one public class or function."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            text = ast.get_docstring(node)
            if text:
                return text
    return ast.get_docstring(tree) or ""


def card(kind: str, path: Path) -> dict[str, Any]:
    """The literals of a plug-in's `row` or `card`, with its docstring as `doc`, read without importing the file.

    Raises `PluginError` when the file does not parse, defines none or more than one, or has something else than
    literals of the right types there.
    """
    return dict(_card(kind, path, parse(path)))


@lru_cache(maxsize=1024)
def _card(kind: str, path: Path, tree: ast.Module) -> dict[str, Any]:
    calls = list(_calls(tree, CARDS[kind]))
    if not calls:
        raise PluginError(
            f"{path} has no `{CARDS[kind]} = …(name=value, …)` with keyword arguments; "
            f"if it is no {kind[:-1]}, let its name start with _."
        )
    call, *more = calls
    if more:
        raise PluginError(
            f"{path}, line {more[0].lineno}: there is a second `{CARDS[kind]}`; a file defines one {kind[:-1]}, "
            "so put the other in a file of its own."
        )
    try:
        fields = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise PluginError(f"{path}, line {call.lineno}: `{CARDS[kind]}` must hold literals only") from error
    for field, value in fields.items():
        listed = field in ("needs", "provides")
        if listed and not (isinstance(value, tuple | list) and all(isinstance(v, str) for v in value)):
            raise PluginError(
                f"{path}, line {call.lineno}: {field} = {value!r:.60} must be a tuple of names, such as ('labels',)."
            )
        if not listed and not isinstance(value, str):
            raise PluginError(f"{path}, line {call.lineno}: {field} = {value!r:.60} must be a string.")
    try:
        claims(fields.get("claim", ""))
    except ValueError as error:
        raise PluginError(f"{path}, line {call.lineno}: {error}") from error
    return {**fields, "doc": _docstring(tree), "path": str(path)}


def parameters(kind: str, path: Path) -> dict[str, Parameter] | None:
    """Keyword-only parameters of a file's class; None when they cannot be told.  Raises `PluginError`."""
    method = _method(kind, path)
    if method is None or method.args.kwarg:
        return None
    given = zip(method.args.kwonlyargs, method.args.kw_defaults, strict=True)
    return {a.arg: Parameter(_types(a.annotation), ast.unparse(d) if d else "") for a, d in given}


def names_parameter(kind: str, path: Path, name: str) -> bool | None:
    """Whether a file's class names a parameter, beside any others it hands on; None when its method is inherited."""
    method = _method(kind, path)
    return None if method is None else name in [a.arg for a in method.args.kwonlyargs]


def _method(kind: str, path: Path) -> ast.FunctionDef | None:
    """The method whose parameters a suite may set, where the file has it; None where the class inherits it."""
    for node in ast.walk(parse(path)):
        if not (isinstance(node, ast.ClassDef) and any(_assigns(line, CARDS[kind]) for line in node.body)):
            continue
        for line in node.body:
            if isinstance(line, ast.FunctionDef) and line.name == METHODS[kind]:
                return line
    return None


def _types(annotation: ast.expr | None) -> tuple[str, ...]:
    """`int | None` → ("int",); nothing for what is not made of `TYPES`."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        sides = [_types(side) for side in (annotation.left, annotation.right) if not _is_none(side)]
        return tuple(name for side in sides for name in side) if all(sides) else ()
    name = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return (name.id,) if isinstance(name, ast.Name) and name.id in TYPES else ()


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def takes(function: Any) -> list[str] | None:
    """Names of the parameters that a suite may set of a function; None where it takes any."""
    found = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in found):
        return None
    return [p.name for p in found if p.kind is p.KEYWORD_ONLY or p.default is not p.empty]


def declared(function: Any) -> dict[str, Parameter] | None:
    """As `parameters`, of a function that is there; None where it takes any."""
    names, found = takes(function), inspect.signature(function).parameters
    if names is None:
        return None
    plain = {name: getattr(found[name].annotation, "__name__", "") for name in names}
    return {name: Parameter((kind,) if kind in TYPES else ()) for name, kind in plain.items()}


def check_parameters(name: str, function: Any, params: dict[str, Any]) -> None:
    """Raises `TypeError` for a parameter that a plug-in does not take; what it raises itself is its own."""
    known = takes(function)
    for given in params:
        if known is not None and given not in known:
            close = difflib.get_close_matches(given, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise TypeError(f"{name} takes no {given!r}.{hint} It takes {', '.join(known) or 'no parameters'}.")
