"""What numpy and torch have, as plain Python and numpy have it; imports neither."""

from __future__ import annotations

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
