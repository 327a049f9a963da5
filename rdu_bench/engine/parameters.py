"""Parameters of the plug-ins of a suite, held against what their files say they take, before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from .. import registry
from .._cards import Parameter
from .sentences import close, place, shown
from .suite import DataEntry, ModelEntry, SuiteError

AnEntry = TypeVar("AnEntry", ModelEntry, DataEntry)
WORDS = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "Sequence": "a list",
    "tuple": "a list",
    "list": "a list",
}


def checked(kind: str, entry: AnEntry, where: tuple[str | int, ...]) -> AnEntry:
    """`entry`, at `where` in the suite, under its file's name; its parameters are some that the plug-in takes.

    Values are held against the types in the plug-in's signature where these are plain.  Values of a sweep are
    integers where an integer is taken.  Raises `LookupError` or `PluginError` for the plug-in, `SuiteError` for a
    parameter.
    """
    stem = registry.full_name(kind, entry.name)
    registry.card(kind, stem)
    sweep = dict(entry.sweep) if isinstance(entry, ModelEntry) else {}
    known = registry.parameters(kind, stem) if entry.params or sweep else None
    if known is None:
        return entry.model_copy(update={"name": stem})
    check_names(stem, place((*where, "params")), entry.params, known)
    check_names(stem, place((*where, "sweep")), sweep, known)
    check_values(stem, lambda name: place((*where, "params", name)), entry.params, known)
    for name, values in sweep.items():
        if "int" in known[name].types and all(value.is_integer() for value in values):
            sweep[name] = tuple(map(int, values))
        elif not known[name].takes(values[0]):
            raise _wrong(stem, place((*where, "sweep", name)), list(values), known[name].types)
    update: dict[str, Any] = {"name": stem, **({"sweep": sweep} if sweep else {})}
    return entry.model_copy(update=update)


def check_names(stem: str, at: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raises `SuiteError` for a name, given `at` some place, that is none of the parameters that `stem` takes."""
    for name in given:
        if name not in known:
            takes = ", ".join(known) or "no parameters"
            raise SuiteError(f"{at}: {stem} takes no {shown(name)}.{close(name, known)} It takes {takes}.")


def check_values(
    stem: str, at: Callable[[str], str], params: Mapping[str, Any], known: Mapping[str, Parameter]
) -> None:
    """Raises `SuiteError` for a value that is surely of none of the types in the signature; `at` names its place."""
    for name, value in params.items():
        if not known[name].takes(value):
            raise _wrong(stem, at(name), value, known[name].types)


def _wrong(stem: str, at: str, value: Any, types: tuple[str, ...]) -> SuiteError:
    taken = " or ".join(WORDS[kind] for kind in types)
    return SuiteError(f"{at} = {shown(value)}: {stem} takes {taken} there")
