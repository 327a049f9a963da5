"""y as numbers: class labels of any kind, and those that are unknown."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import scalar
from .._classes import are_whole, class_order, doubtful_names
from .arrays import array_of


class Labels(NamedTuple):
    """y as numbers."""

    classes: np.ndarray  # (K,) what was given, sorted
    y: np.ndarray  # (n,) int64 index into classes, −1 where unknown


def labels(given: ArrayLike, n: int) -> Labels:
    """Class labels of any kind that can be told apart; −1, None and NaN are unknown.

    Bytes are texts, and texts of whole numbers go in the order of these.  Raises `ValueError` for y of another length,
    for real numbers, for integers below −1, for texts that name no class, and for −1 where it seems to be a class: as a
    text, or beside one class alone.
    """
    given = array_of(given, "y")
    y = np.asarray(given) if not isinstance(given, list | tuple) else _objects(given)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != (n,):
        hint = "; give one label an example, which of a table with one 1 a row is y.argmax(1)" if y.ndim == 2 else ""
        raise ValueError(f"y has shape {y.shape}, but X has {n} examples{hint}")
    if y.dtype.kind in "mM":
        y = y.astype(f"{y.dtype.kind}8[us]")  # which Python has as dates; of finer ones it makes numbers
    plain = [_plain(value) for value in y.tolist()]
    unknown = [value is None or _is_minus_one(value) for value in plain]
    classes = _sorted({value for value, lost in zip(plain, unknown, strict=True) if not lost})
    one_of_two = len(classes) == 1 and any(map(_is_minus_one, plain))
    if one_of_two or (classes[:1] == ["-1"] and are_whole(classes)):
        raise ValueError(
            "y holds -1, which stands for unknown and seems to be a class here: number the classes from 0, or give "
            "None where a label is unknown"
        )
    at = {value: i for i, value in enumerate(classes)}
    numbers = [-1 if lost else at[value] for value, lost in zip(plain, unknown, strict=True)]
    return Labels(_objects(classes, plain=True), np.array(numbers, dtype=np.int64))


def kept(classes: np.ndarray) -> list[Any]:
    """Classes as JSON can say them.  Raises `ValueError` for one that it cannot."""
    found = classes.tolist()
    try:
        if restored(json.loads(json.dumps(found))).tolist() == found:
            return found
    except TypeError:
        pass
    shown = next((value for value in found if not isinstance(value, str | int)), found[0])
    raise ValueError(f"classes_ holds {shown!r:.60}, which no file without pickle can: give texts or integers for y")


def restored(found: list[Any]) -> np.ndarray:
    """The classes that `kept` gave."""
    return _objects([_tuples(value) for value in found], plain=True)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _sorted(values: set[Any]) -> list[Any]:
    """Classes in their order.  Raises `ValueError` for those that have none, and for texts that name no class."""
    try:
        classes = sorted(values, key=lambda value: (type(value).__name__, value))
    except TypeError as error:
        raise ValueError(f"y holds labels that cannot be sorted: {error}") from error
    texts = [value for value in classes if isinstance(value, str)]
    if wrong := doubtful_names(texts):
        raise ValueError(f"y {wrong}")
    return class_order(texts) if len(texts) == len(classes) else classes


def _objects(values: Sequence[Any], plain: bool = False) -> np.ndarray:
    """As a vector, whatever the values are."""
    made = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        made[i] = value
    kinds = {type(value) for value in values}
    return np.array(values) if plain and len(kinds) == 1 and kinds <= {int, str, bool} else made


def _plain(value: Any) -> Any:
    """As Python has it, whole numbers as such and bytes as text; None where it says nothing.

    Raises `ValueError` for what is no class.
    """
    value = scalar(value)
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"y holds {value!r:.60}, which is no UTF-8 text: number its classes from 0") from None
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if not value.is_integer():
            raise ValueError(f"y holds {value:g}: labels are classes; give integers, texts, or None where unknown")
        value = int(value)
    if isinstance(value, int) and value < -1:
        raise ValueError(f"y holds {value}: class labels count from 0, and -1 stands for unknown")
    try:
        hash(value)
    except TypeError:
        raise ValueError(f"y holds {value!r:.60}, which cannot be hashed: give integers or texts") from None
    return value


def _is_minus_one(value: Any) -> bool:
    return isinstance(value, int) and value == -1
