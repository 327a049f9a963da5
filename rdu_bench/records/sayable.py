"""What JSON and the form of a record cannot say, and what stands in its place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .._arrays import scalar
from .schema import misfits, short


def sayable(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record as JSON and its form can say it: what they cannot is null, with the reason in `nulls`.

    Numbers that are not finite and values of another type than their field's become null; letters that UTF-8 lacks
    become escapes.  Raises `ValueError` when the spec, the key or the status is what cannot be said.
    """
    notes: dict[str, str] = {}
    said = {name: _said(value, (name,), notes) for name, value in record.items()}
    for misfit in list(misfits(said)):
        if not misfit.place or misfit.place[0] in ("schema", "key", "status", "spec") or len(misfit.place) < 2:
            raise ValueError(f"this cannot be recorded: {misfit.words}")
        _forget(said, misfit.place)
        notes.setdefault(_called(misfit.place), misfit.words)
    if notes:
        nulls = said.get("nulls")
        said["nulls"] = {**(nulls if isinstance(nulls, dict) else {}), **notes}
    return said


def _forget(table: dict[str, Any], place: tuple[str, ...]) -> None:
    for name in place[:-1]:
        table = table[name]
    del table[place[-1]]


def _called(place: tuple[str, ...]) -> str:
    """`D` of the values and the scores, `Dy[digit]` of a factor, else the path."""
    if place[0] in ("values", "scores"):
        return ".".join(place[1:])
    return f"{'.'.join(place[2:])}[{place[1]}]" if place[0] == "factors" and len(place) > 2 else ".".join(place)


def _said(value: Any, place: tuple[str, ...], notes: dict[str, str]) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        return {(n := _said(str(k), place, notes)): _said(v, (*place, n), notes) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_said(v, place, notes) for v in value]
    value = scalar(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        notes[_called(place)] = f"it came out as {value}"
        return None
    if isinstance(value, int) and abs(value) < 10**300:
        return int(value)
    notes[_called(place)] = f"it came out as {short(value)}"
    return None
