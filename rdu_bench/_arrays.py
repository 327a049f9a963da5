"""What numpy and torch have, as plain Python and numpy have it; imports neither."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def of_tensor(values: Any) -> Any:
    """A tensor of torch as an array, without its gradient and wherever it lies; anything else as it is.

    bfloat16, which numpy lacks, becomes float32.  Raises `TypeError` for a sparse tensor.
    """
    if not hasattr(values, "detach"):
        return values
    here = values.detach().cpu()
    return (here.float() if str(here.dtype) == "torch.bfloat16" else here).numpy()


def scalar(value: Any) -> Any:
    """A scalar of numpy or torch as Python's number; anything else as it is."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value


def check_rows(first: Any, second: Any, names: Sequence[str]) -> None:
    """Raises `ValueError` where the indexes of two frames of pandas name the same rows in another order.

    Rows are taken by their place, so that what belongs together by name would not.
    """
    if not all(hasattr(given, "iloc") for given in (first, second)):
        return
    if _reordered(first.index, second.index):
        raise ValueError(
            f"{names[0]} and {names[1]} have the same index in another order, and rows are taken by their place; give "
            f"{names[1]}.loc[{names[0]}.index], or {names[1]}.to_numpy() if the places are right"
        )


def check_columns(first: Any, second: Any, names: Sequence[str]) -> None:
    """Raises `ValueError` where two frames of pandas have the same columns in another order."""
    if not all(hasattr(given, "iloc") and hasattr(given, "columns") for given in (first, second)):
        return
    if _reordered(first.columns, second.columns):
        raise ValueError(
            f"{names[1]} has the columns of {names[0]} in another order; give {names[1]}[{names[0]}.columns]"
        )


def _reordered(index: Any, other: Any) -> bool:
    """Whether two indexes of pandas hold the same labels, each once, in another order."""
    if len(index) != len(other) or index.equals(other) or not (index.is_unique and other.is_unique):
        return False
    return bool(index.isin(other).all())
