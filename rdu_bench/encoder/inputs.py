"""What an encoder is given: its arguments and X, each checked, with one sentence for what is wrong."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from sklearn.utils import check_random_state

from ..data import Card, Dataset, Examples, Factor
from ..model import Model
from ..registry import PluginError
from ..training.keep import kind_of
from .labels import Labels

Likelihood = Literal["bernoulli", "gaussian"]
CHOICES = {
    "likelihood": ("auto", "bernoulli", "gaussian"),
    "family": ("mlp", "conv"),
    "output": ("sample", "mean"),
}
STEPS = 256  # float32 numbers that there must be from the least of X to the greatest
COLOURS = (1, 3, 4)  # numbers of channels by which images are known to have them last
LEAST = {"latent": 1, "steps": 1, "batch": 2}  # whole numbers


def check_arguments(given: Mapping[str, Any]) -> None:
    """Raises `ValueError` for an argument of `Encoder` that means nothing, `TypeError` for one of another type."""
    for name, choices in CHOICES.items():
        if given[name] not in choices:
            near = difflib.get_close_matches(str(given[name]), choices, n=1)
            hint = f"  Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{name} = {given[name]!r}: choose {' or '.join(map(repr, choices))}.{hint}")
    for name, least in LEAST.items():
        if not _whole(given[name]) or given[name] < least:
            raise ValueError(f"{name} = {given[name]!r}: give a whole number of at least {least}")
    for name, none in (("lr", ""), ("sigma", ", or None for the ELBO")):
        value = given[name]
        if value is None and none:
            continue
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < math.inf:
            raise ValueError(f"{name} = {value!r}: give a positive finite number{none}")
    _check_hidden(given["hidden"], given["family"])
    if given["params"] is not None and not isinstance(given["params"], Mapping):
        raise TypeError(f"params = {given['params']!r}: give a dict of the model's parameters, or None")
    _check_device(given["device"])
    check_model(given["model"])


def check_model(model: str | Path | type[Model]) -> type[Model]:
    """The class of `model`; raises `ValueError` in a sentence where there is none."""
    try:
        return kind_of(model)
    except (LookupError, PluginError) as error:
        raise ValueError(str(error)) from error


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _check_hidden(hidden: Any, family: str) -> None:
    least = 2 if family == "conv" else 0
    whole = isinstance(hidden, Sequence | np.ndarray) and not isinstance(hidden, str)
    if not whole or len(hidden) < least or not all(_whole(width) and width > 0 for width in hidden):
        what = "channels of one layer or more, then one width, such as (32, 64, 128)"
        raise ValueError(f"hidden = {hidden!r}: give {what if least else 'widths of layers, such as (256, 256)'}")


def _check_device(device: Any) -> None:
    try:
        made = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device = {device!r}: give 'cpu', 'cuda' or 'cuda:N'") from error
    if made.type == "cuda" and (made.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device = {device!r}: torch sees {torch.cuda.device_count()} such devices here; try 'cpu'")


def seed_of(random_state: Any) -> int:
    """The seed that a `random_state` stands for: an integer itself, anything else by one draw."""
    if _whole(random_state):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def check_range(X: np.ndarray) -> None:
    """Raises `ValueError` where float32 takes all of X, to be trained on, for 0, or tells few of its numbers apart."""
    low, high = float(X.min()), float(X.max())
    most = max(-low, high)
    if 0 < most < float(np.finfo(np.float32).tiny):
        raise ValueError(f"X reaches {most:g}, which float32 takes for 0: scale X")
    if low < high and high - low < STEPS * np.spacing(np.float32(most)):
        raise ValueError(
            f"X goes from {low:.12g} to {high:.12g}, of which float32 tells few numbers apart: take away what they "
            "have in common, such as their mean"
        )


def floats(X: np.ndarray, likelihood: str) -> tuple[torch.Tensor, Likelihood]:
    """X as float32, and its likelihood: by `auto`, Bernoulli where there are only 0 and 1, else Gaussian.

    Raises `ValueError` for numbers that float32 or the likelihood cannot hold.
    """
    with np.errstate(over="ignore"):
        x = torch.from_numpy(np.ascontiguousarray(X, dtype=np.float32))
    if not bool(x.isfinite().all()):
        raise ValueError("X holds values that are infinite as float32: scale X")
    binary = bool(((x == 0) | (x == 1)).all())
    if likelihood == "bernoulli" and not binary:
        raise ValueError(
            f"X holds values other than 0 and 1 (from {x.min():g} to {x.max():g}), for which a Bernoulli likelihood is "
            "no density: binarise X, or set likelihood='gaussian'"
        )
    if likelihood == "auto":
        return x, "bernoulli" if binary else "gaussian"
    return x, "bernoulli" if likelihood == "bernoulli" else "gaussian"


def check_images(shape: tuple[int, ...], family: str, hidden: Sequence[int]) -> None:
    """Raises `ValueError` where X (n, *shape) is no batch of images that convolutions can halve as often as asked."""
    if family != "conv":
        return
    if len(shape) != 3:
        raise ValueError(f"family='conv' needs images X (n, channels, height, width), and X is (n, {str(shape)[1:]}")
    if shape[0] not in COLOURS and shape[2] in COLOURS:
        raise ValueError(
            f"X is (n, {str(shape)[1:]}, which for family='conv' are {shape[0]} channels of {shape[1]} × {shape[2]}: "
            "give channels first, numpy.moveaxis(X, -1, 1)"
        )
    layers = len(hidden) - 1
    if min(shape[1:]) < 2**layers:
        raise ValueError(
            f"hidden = {tuple(hidden)!r} halves images {layers} times, which those of {shape[1]} × {shape[2]} are too "
            f"small for: give at most {int(math.log2(max(2, min(shape[1:]))))} numbers of channels"
        )


class Arrays(Dataset):
    """Examples in memory, all of them for training."""

    card = Card(title="arrays", source="the caller", shape="", task="y")

    def __init__(self, x: torch.Tensor, known: Labels | None, likelihood: Likelihood):
        super().__init__(name="arrays", likelihood=likelihood)
        self.shape = tuple(x.shape[1:])
        factors = {}
        if known is not None and len(known.classes):
            self.factors, self.task = (Factor("y", len(known.classes)),), ("y",)
            factors["y"] = torch.from_numpy(known.y)
        self.splits = {"train": Examples(x, factors)}

    def load(self, **params: Any) -> None:
        """There is nothing to load."""
