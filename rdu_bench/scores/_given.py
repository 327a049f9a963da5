"""What others give as arrays, frames, tensors or lists, as arrays of numpy that have lost nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

import numpy as np

from .._arrays import of_tensor, scalar
from .._classes import doubtful_names

NO_ARRAYS = (str, bytes, Mapping, Iterator, Set, type(None))
LEAVE = "leave out examples without factors"


def array(values: Any, name: str) -> np.ndarray:
    """As numpy has it; a tensor of torch without its gradient, wherever it lies.

    Raises `ValueError` where it is no array, is sparse, ragged or of several fields, holds dates, or has masked values,
    which an array would forget.
    """
    if isinstance(values, NO_ARRAYS):
        what = repr(values) if isinstance(values, str | bytes) or values is None else f"a {type(values).__name__}"
        raise ValueError(
            f"{name} is {what:.60}; give an array, a frame or a tensor whose first axis goes over examples"
        )
    if masked := int(np.ma.count_masked(values)) if isinstance(values, np.ma.MaskedArray) else 0:
        raise ValueError(f"{name} has {masked} masked values; leave out examples that have any")
    if hasattr(values, "toarray"):
        raise ValueError(f"{name} is sparse; give {name}.toarray()")
    if "sparse" in str(getattr(values, "layout", "")):
        raise ValueError(f"{name} is a sparse tensor; give {name}.to_dense()")
    try:
        found = np.asarray(of_tensor(values))
    except ValueError:
        raise ValueError(f"{name} is no array: its rows have several lengths; give as many numbers of each") from None
    if found.dtype.names:
        fields = ", ".join(found.dtype.names)
        raise ValueError(f"{name} has the fields {fields}; give them as columns, numpy.stack([…], 1)")
    if found.dtype.kind in "mM":
        raise ValueError(f"{name} holds dates or durations ({found.dtype}); give numbers, such as days since the first")
    return found


def real(values: np.ndarray, name: str) -> np.ndarray:
    """float64; raises `ValueError` for complex numbers, missing values and what is no number."""
    if np.iscomplexobj(values):
        raise ValueError(f"{name} is complex; give real and imaginary parts as columns of their own")
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        at = next(at for at in np.ndindex(values.shape) if not _is_number(values[at]))
        shown = scalar(values[at])
        raise ValueError(f"{name}{list(at)} is {shown!r:.60}, which is no number; leave it out, or encode it") from None


def _is_number(value: Any) -> bool:
    try:
        np.asarray(value).astype(np.float64)
    except (TypeError, ValueError):
        return False
    return True


def columns(values: Any, name: str) -> list[np.ndarray]:
    """The columns (n,) of factors (n, K): whole numbers, finite reals, or texts.

    Raises `ValueError` for another shape, and for a column that holds anything else, or doubtful names of classes.
    """
    given = array(values, name)
    if given.ndim != 2 or given.shape[1] == 0:
        raise ValueError(f"{name} has shape {given.shape}; it must be (n, K): a column for each factor")
    return [_column(column, name, (k,), LEAVE) for k, column in enumerate(given.T)]


def labels(values: Any, name: str) -> np.ndarray:
    """(n,) int64, or texts: the class of each example; (n, 1) and whole numbers stored as floats are taken, too.

    Raises `ValueError` for another shape, for real numbers, and as `columns` does.
    """
    given = array(values, name)
    given = given[:, 0] if given.ndim == 2 and given.shape[1] == 1 else given
    wrong = f"{name} has shape {given.shape} and type {given.dtype}; it must be (n,) whole numbers"
    if given.ndim != 1 or given.dtype.kind == "c":
        raise ValueError(wrong)
    found = _column(given, name, (), "leave out examples without labels")
    if found.dtype.kind == "f":
        if (found % 1 != 0).any():
            raise ValueError(wrong)
        return found.astype(np.int64)
    return found if found.dtype.kind == "U" else found.astype(np.int64)


def _column(column: np.ndarray, name: str, at: tuple[int, ...], fix: str) -> np.ndarray:
    """A column, number `at` of a table if it is of one, as whole numbers, finite reals, or texts."""

    def place(row: int) -> str:
        return f"{name}{[row, *at]}"

    if column.dtype.kind == "O":
        texts = [isinstance(value, str | bytes) for value in column]
        if any(texts) and not all(texts):
            row = texts.index(False)
            raise ValueError(f"{place(row)} is {column[row]!r:.60} in a column of texts; {fix}")
        if any(texts):
            return _texts(column, name, at)
    if column.dtype.kind in "SU":
        return _texts(column, name, at)
    if column.dtype.kind in "iub":
        return column
    if column.dtype.kind == "O" and not all(known := [_is_number(value) for value in column]):
        row = known.index(False)
        raise ValueError(f"{place(row)} is {column[row]!r:.60}, which is no number; {fix}")
    found = real(column, name)
    if not (finite := np.isfinite(found)).all():
        row = int(finite.argmin())
        raise ValueError(f"{place(row)} is {found[row]}; {fix}")
    return found


def _texts(column: np.ndarray, name: str, at: tuple[int, ...]) -> np.ndarray:
    """Names of classes, also where they are stored as bytes."""
    called = f"{name}[:, {at[0]}]" if at else name
    try:
        texts = [value.decode("utf-8") if isinstance(value, bytes) else value for value in column.tolist()]
    except UnicodeDecodeError:
        raise ValueError(f"{called} holds bytes that are no UTF-8 text; number its classes from 0") from None
    if wrong := doubtful_names(set(texts)):
        raise ValueError(f"{called} {wrong}")
    return np.array(texts)
