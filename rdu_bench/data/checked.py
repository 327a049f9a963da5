"""What may be stored as x and as a factor, in the one place where arrays of others come in.

Masks, imaginary parts and missing values are lost without a word by `numpy.asarray`; so each is asked for here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .error import DataError

NUMBERS = "biuf"  # kinds of numpy dtypes: bool, integers, unsigned integers, floats
OTHERS = {"c": "complex numbers", "M": "dates", "m": "durations", "V": "records", "S": "bytes", "U": "text"}


def pixels(values: Any, name: str = "x") -> np.ndarray:
    """`values` (N, *shape) as an array of numbers in the dtype they are stored in.  Raises `DataError`."""
    array = _array(values, name)
    if array.ndim < 2:
        raise DataError(f"{name} has shape {array.shape}; it must be (N, …): examples first, then their shape.")
    if array.dtype.kind not in NUMBERS:
        raise DataError(f"{name} holds {_kind(array)}; give whole numbers or floats.")
    if array.dtype.itemsize > 8:
        raise DataError(f"{name} holds {array.dtype}, of which float32 keeps little; store it as float64 or less.")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def factor(values: Any, name: str, examples: int) -> Tensor:
    """A factor's values as they are kept: whole numbers int64, reals float32.  Raises `DataError`."""
    array = _array(values, f"factor {name!r}")
    as_it_is = isinstance(values, Tensor) and values.dtype in (torch.int64, torch.float32)
    if array.dtype.kind not in NUMBERS:
        fix = f"number its classes from 0, as in numpy.unique({name}, return_inverse=True)[1]"
        raise DataError(f"factor {name!r} holds {_kind(array)}; {fix}.")
    if array.ndim < 1 or len(array) != examples:
        n = len(array) if array.ndim else "a single value"
        raise DataError(f"factor {name!r} has {n} values for {examples} examples; give one to each.")
    if array.dtype.kind == "f":
        bad = ~np.isfinite(array).all(tuple(range(1, array.ndim)))
        if bad.any():
            raise DataError(
                f"factor {name!r} has no finite value for {int(bad.sum())} of {examples} examples; leave those out, "
                "or make what is missing a class of its own."
            )
        return values if as_it_is else torch.from_numpy(array.astype(np.float32))
    if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise DataError(f"factor {name!r} holds {array.max()}, more than int64 can; number its classes from 0.")
    return values if as_it_is else torch.from_numpy(array.astype(np.int64))


def _array(values: Any, name: str) -> np.ndarray:
    """`values` as an array that has lost nothing."""
    if isinstance(values, Tensor):
        plain = values.detach().cpu()
        return plain.float().numpy() if plain.dtype is torch.bfloat16 else plain.numpy()
    mask = np.ma.getmask(values)
    if mask is not np.ma.nomask and np.any(mask):
        raise DataError(f"{name} is masked in {int(np.sum(mask))} places; fill them, or leave those examples out.")
    try:
        return np.asarray(values)
    except ValueError as error:  # rows of unequal length
        raise DataError(f"{name} is no array: its rows have different lengths; give rows of one shape.") from error


def _kind(array: np.ndarray) -> str:
    """What an array holds, in words, with an example."""
    if array.dtype.kind != "O":
        first = f", such as {array.ravel()[0]}" if array.dtype.kind in "US" and array.size else ""
        return OTHERS.get(array.dtype.kind, str(array.dtype)) + first
    missing = [v for v in array.ravel() if _is_missing(v)]
    if missing:
        return f"{len(missing)} missing values ({missing[0]})"
    some = next(iter(array.ravel()), None)
    return f"objects of Python, such as {some!r} ({type(some).__name__})"


def _is_missing(value: Any) -> bool:
    names = ("NoneType", "NAType", "NaTType", "MaskedConstant")
    return type(value).__name__ in names or (isinstance(value, float) and value != value)
