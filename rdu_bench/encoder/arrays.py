"""X and y as arrays that have lost nothing, with one sentence for what is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from torch.utils import data

from .._arrays import of_tensor

NO_ARRAYS = (str, bytes, Path, Mapping, Iterator, Set, type(None), data.Dataset, data.DataLoader)


def array_of(given: Any, name: str = "X") -> Any:
    """What is given for X or y, a tensor as an array of numpy.

    Raises `ValueError` for what is no array, and for what would lose something on its way into one.
    """
    if isinstance(given, np.ma.MaskedArray):
        raise ValueError(
            f"{name} is a masked array, whose mask would be lost: fill what is masked, or drop those examples"
        )
    if isinstance(given, NO_ARRAYS) and not issparse(given):  # one of which is a dict, and left to scikit-learn
        what = repr(given) if isinstance(given, str | Path) or given is None else f"a {type(given).__name__}"
        raise ValueError(f"{name} is {what}: give an array, a frame or a tensor whose first axis goes over examples")
    if isinstance(given, torch.Tensor):
        if given.layout != torch.strided:
            raise ValueError(f"{name} is a sparse tensor: give {name}.to_dense()")
        return of_tensor(given)
    if hasattr(given, "columns") and hasattr(given, "iloc") and name == "X":
        _check_columns(given)
    return _numbers(given) if name == "X" and isinstance(given, np.ndarray | list | tuple) else given


def _numbers(given: Any) -> np.ndarray:
    """X as an array; raises `ValueError` for rows of several lengths, and for what numpy would not take for numbers."""
    try:
        X = np.asarray(given)
    except ValueError:
        raise ValueError("X is no array, its examples have several shapes: give all of them the same") from None
    if X.dtype.names:
        raise ValueError(f"X has the fields {', '.join(X.dtype.names)}: give them as columns, numpy.stack([…], 1)")
    if X.dtype.kind in "mM":
        raise ValueError(f"X holds dates or durations ({X.dtype}): give numbers, such as days since the first")
    if X.dtype.kind == "c":
        raise ValueError("Complex data not supported: give real and imaginary parts of X as columns of their own")
    if X.dtype.kind in "US":
        try:
            return X.astype(np.float64)
        except ValueError:
            at = next(at for at in np.ndindex(X.shape) if not _is_number(X[at]))
            shown = X[at].item()
            raise ValueError(f"X{list(at)} is {shown!r:.60}, which is no number: encode it, or leave it out") from None
    return X


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_finite(X: np.ndarray) -> None:
    """Raises `ValueError` with the first place of X that is NaN or infinite."""
    if not (finite := np.isfinite(X)).all():
        at = tuple(np.argwhere(~finite)[0].tolist())
        shown = "NaN" if np.isnan(X[at]) else f"{X[at]:g}"
        raise ValueError(f"X{list(at)} is {shown}: leave out such examples, or fill in what they lack")


def _check_columns(frame: Any) -> None:
    """Raises `ValueError` for the first column of a frame of pandas that holds dates, or what is no number.

    And for two columns of one name.
    """
    if len(twice := frame.columns[frame.columns.duplicated()]):
        raise ValueError(f"X has two columns {twice[0]!r}: give each a name of its own, or give X.to_numpy()")
    for name, column in frame.items():
        if column.dtype.kind in "biufc":
            continue
        known = column.dropna()
        try:
            if column.dtype.kind not in "mM":
                known.to_numpy(float)
                continue
        except (TypeError, ValueError):
            known = known[[not isinstance(value, Real) for value in known]]
        raise ValueError(f"X has no numbers in column {name!r}, such as {known.iloc[0]!r}: encode it, or leave it out")
