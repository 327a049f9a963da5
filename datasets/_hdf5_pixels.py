"""Pixels of an HDF5 file: where channels are, which likelihood they have, and what that says of D."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rdu_bench.api import DataError, HDF5Source

from ._hdf5_file import LEVELS, Known

LARGEST, SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
STEPS = 256  # float32 numbers that there must be from the least to the greatest
COLOURS = (1, 3, 4)  # numbers of channels by which an image is known to have them last


class Rows(HDF5Source):
    """x of shape (N, *shape), channels first also where the file has them last."""

    def __init__(self, path: Path, key: str, shape: tuple[int, ...], *, last: bool):
        super().__init__(path, key, None if last else shape)
        if last:
            self.shape, self.layout = (self.shape[0], *shape), "channels last"

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        found = super().__getitem__(rows)
        if not self.layout:
            return found
        return np.ascontiguousarray(np.moveaxis(found.reshape(len(rows), *self.stored_shape), -1, -3))


def shape_of(path: Path, stored: tuple[int, ...], channels: str) -> tuple[str, tuple[int, ...]]:
    """Where channels are, and the shape of an example with channels first, behind frames if it has any.

    Raises `DataError` where that cannot be known.
    """
    if len(stored) not in (3, 4):
        if channels == "last":
            raise DataError(f"{path}: channels are 'last', but examples have shape {stored}, which has no channels.")
        return "first", (1, *stored) if len(stored) == 2 else stored
    frames, one = stored[:-3], stored[-3:]
    first, last = one[0] in COLOURS, one[2] in COLOURS
    unclear = first and last if first or last else one[2] < one[0]
    if channels == "auto" and unclear:
        raise DataError(f"{path}: examples of shape {stored} may have channels first or last; say which (channels).")
    if channels == "last" or (channels == "auto" and last):
        return "last", (*frames, one[2], *one[:2])
    return "first", stored


def likelihood_of(known: Known, keys: list[str], dtype: np.dtype, params: Mapping[str, Any]) -> dict[str, Any]:
    """Likelihood and scale, told or found by a look at every pixel, which is kept beside the file."""
    path, told = known.path, [known.pixels(key) for key in keys]
    low, high = min(t.low for t in told), max(t.high for t in told)
    two = all(t.two for t in told) and len({t.high for t in told} - {0.0}) < 2
    likelihood = params.get("likelihood", "auto")
    black = two and likelihood != "gaussian" and dtype == np.uint8 and high == 255  # and white
    scale = params.get("scale") or (1 / 255 if black else 1.0)
    most = max(-low, high)
    if most * scale > LARGEST:
        raise DataError(f"{path}: {keys[0]} holds {most:g}, which float32 cannot hold; set scale.")
    if 0 < most * scale < SMALLEST:
        times = f", times scale {scale:g}" if scale != 1 else ""
        raise DataError(f"{path}: {keys[0]} holds {most:g} at most{times}, which float32 takes for 0; set scale.")
    few = (high - low) * scale < STEPS * np.spacing(np.float32(most * scale))
    if low < high and few:
        raise DataError(
            f"{path}: {keys[0]} goes from {low:.12g} to {high:.12g}, of which float32 tells few numbers apart; "
            "take away what they have in common, such as their mean."
        )
    binary = two and float(np.float32(high) * np.float32(scale)) in (0.0, 1.0)
    if likelihood == "bernoulli" and not binary:
        raise DataError(
            f"{path}: {keys[0]} holds more than 0 and 1, from {low:g} to {high:g} times scale {scale:g}; "
            "a Bernoulli likelihood takes 0 and 1 only, so set likelihood to 'gaussian'."
        )
    likelihood = ("bernoulli" if binary else "gaussian") if likelihood == "auto" else likelihood
    if likelihood == "bernoulli" and params.get("noise") is not None:
        raise DataError(f"{path}: noise is {params['noise']}, but x is Bernoulli, which has none; leave it out.")
    return {"likelihood": likelihood, "scale": scale}


def notes_on(known: Known, keys: list[str], dtype: np.dtype, found: Mapping[str, Any], size: int) -> list[str]:
    """What a D of these pixels is and is not, a sentence each; `size` numbers are one example."""
    if found["likelihood"] == "bernoulli":
        return []
    scale, free = found["scale"], found.get("noise") is None
    if dtype == np.uint8:
        nats = -size * math.log(scale)
        said = f"x is bytes times {scale:g}: D and {nats:,.6g} nats are at least what the bytes take"
        return [said] if scale != 1 else []
    if dtype.kind in "biu":
        return [f"x holds {dtype}, whose density has no bound; declare noise, or store bytes"] if free else []
    levels = max(known.pixels(key).levels for key in keys)
    if levels > LEVELS or not free:
        return []
    floats = f"{levels} different float{'s' * (levels > 1)} only, as bytes do that were divided"
    fix = "store the bytes, or declare noise"
    return [f"x holds {floats}: their density has no bound, and D is not that of the bytes; {fix}"]
