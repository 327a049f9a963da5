"""What suites there are, what one holds, and all that one may say, in rows and lines to be printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from .. import budget as budgets
from .._text import aligned
from ..budget import Budget
from .expand import expand, on, resolve
from .spec import Curve
from .suite import DataEntry, ModelEntry, Suite, names, read

TABLES: dict[str, type[BaseModel]] = {
    "": Suite,
    "[[models]]": ModelEntry,
    "[[datasets]]": DataEntry,
    "[budget]": Budget,
}
PLAIN = {str: "string", int: "integer", float: "number", bool: "true or false", dict: "table", Any: "any value"}


class Key(NamedTuple):
    """A key that a suite file may have."""

    table: str  # where it stands: "" for the top, [[models]], [[datasets]] or [budget]
    name: str
    type: str  # in words
    default: str  # as TOML writes it, "required" where there is none, "" where it is to be left out
    meaning: str


def keys() -> list[Key]:
    """Every key that a suite file may have, table by table, from the definitions that read it."""
    found = []
    for table, model in TABLES.items():
        if model is Budget:
            found.append(Key(table, "base", "string", "", "name of the budget whose fields hold where none is given"))
        for name, field in model.model_fields.items():
            default = _default(field) if (table, name) != ("", "name") else "the file's"
            found.append(Key(table, name, _words(field.annotation), default, field.description or ""))
    return found


def _words(annotation: Any) -> str:
    """`tuple[int, ...]` → `list of integers`."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(inside[0])
    if origin in (Union, UnionType):
        return " or ".join(_words(one) for one in inside if one is not NoneType)
    if origin is Literal:
        return " or ".join(f'"{one}"' for one in inside)
    if origin is tuple:
        return "list of " + " or ".join(f"{one}s" for one in _words(inside[0]).split(" or "))
    if origin is dict:
        return "table" if inside[1] is Any else f"table of a {_words(inside[1])}"
    if annotation in (Budget, ModelEntry):  # which a name may stand for
        return "string or table"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    return PLAIN[annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Budget):
        return f'"{budgets.name_of(value)}"'
    if isinstance(value, tuple) and any(isinstance(one, ModelEntry) for one in value):
        value = [one.name for one in value]
    return _toml(value)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return "" if value in (None, {}) else f"{value:g}" if isinstance(value, float) else str(value)


def key_lines() -> list[str]:
    """`keys`, ready to be printed."""
    lines: list[str] = []
    for table in TABLES:
        rows = [(key.name, key.type, key.default, key.meaning) for key in keys() if key.table == table]
        lines += ["", table] if table else []
        lines += aligned([("key", "type", "default", "meaning"), *rows])
    return lines


def overview() -> list[tuple[str, ...]]:
    """The suites that come with the package, a row each, below the names of the columns."""
    rows: list[tuple[str, ...]] = [("name", "models", "points", "budget", "data sets", "title")]
    for name in names():
        suite = read(name)
        found = expand(suite).curves
        models, data = (dict.fromkeys(each) for each in ([c.row for c in found], [c.data_label for c in found]))
        spent = dict.fromkeys(budgets.name_of(c.budget) for c in found)
        points = str(sum(len(c.sigmas) for c in found))
        rows.append((name, str(len(models)), points, ", ".join(spent), ", ".join(data), suite.title))
    return rows


def description(suite: Suite) -> list[str]:
    """A suite with every row that it has on every data set, and the models that are left out there, and why."""
    found, left_out, notes = expand(suite)
    resolved = resolve(suite)
    lines = [f"{suite.name}: {suite.title or 'no title'}"]
    seeds = f"0 to {suite.seeds - 1}" if suite.seeds > 1 else "0"
    about = {"version": str(suite.version), "strategy": suite.strategy, "heads": ", ".join(resolved.heads)}
    lines += [f"  {line}" for line in aligned([*about.items(), ("seeds", seeds)])]
    for entry in resolved.datasets:
        label = entry.label or entry.name
        mine = [curve for curve in found if curve.data_label == label]
        budget = entry.budget or suite.budget
        named = budgets.name_of(budget)
        lines += ["", f"{label}: {sum(len(c.sigmas) for c in mine)} points"]
        targets = ", ".join(f"{sigma:g}" for sigma in dict.fromkeys(entry.sigmas)) or "none"
        network = f"{entry.family}, hidden {list(entry.hidden)}, latent {entry.latent}"
        facts = [("targets", f"{targets} nats{', and the ELBO' * suite.elbo}"), ("networks", network)]
        facts += [("parameters", _pairs(entry.params))] if entry.params else []
        facts += [("budget", named if named != "own" else _pairs(budget.spec()))]
        lines += [f"  {line}" for line in [*aligned(facts), *aligned(_rows(mine))]]
        for model in resolved.models:
            if on(model, entry) and (needs := resolved.lacks(model, entry)):
                lines.append(f"  without {model.name}, which needs {', '.join(sorted(needs))}")
    lines += [f"left out: {sentence}" for sentence in left_out]
    return [*lines, *(f"note: {sentence}" for sentence in notes)]


def _rows(curves: Sequence[Curve]) -> list[tuple[str, ...]]:
    """A line for each row of the board: its name, its points, and its parameters or what it sweeps."""
    points = Counter({curve.row: 0 for curve in curves})
    said: dict[str, dict[str, Any]] = {}
    for curve in curves:
        points[curve.row] += len(curve.sigmas)
        shown = said.setdefault(curve.row, {})
        for name, value in curve.params.items():
            if name in curve.sweep:
                values = shown.setdefault(name, [])
                shown[name] = values if value in values else [*values, value]
            else:
                shown[name] = value
    return [(row, f"{count} points", _pairs(said[row])) for row, count in points.items()]


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {_toml(value)}" for name, value in values.items())
