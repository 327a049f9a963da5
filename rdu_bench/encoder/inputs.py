"""What an encoder is given: its arguments, X and y, each checked, with one sentence for what is wrong."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence, Set
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.utils import check_random_state
from torch.utils import data

from .._arrays import of_tensor
from ..data import Card, Dataset, Examples, Factor
from ..model import Model
from ..registry import PluginError
from ..training.keep import kind_of

Likelihood = Literal["bernoulli", "gaussian"]
CHOICES = {
    "likelihood": ("auto", "bernoulli", "gaussian"),
    "family": ("mlp", "conv"),
    "output": ("sample", "mean"),
}
NO_ARRAYS = (str, bytes, Path, Mapping, Iterator, Set, type(None), data.Dataset, data.DataLoader)
STEPS = 256  # float32 numbers that there must be from the least of X to the greatest
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
    return given


def _check_columns(frame: Any) -> None:
    """Raises `ValueError` for the first column of a frame of pandas that holds dates, or what is no number."""
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
    layers = len(hidden) - 1
    if min(shape[1:]) < 2**layers:
        raise ValueError(
            f"hidden = {tuple(hidden)!r} halves images {layers} times, which those of {shape[1]} × {shape[2]} are too "
            f"small for: give at most {int(math.log2(max(2, min(shape[1:]))))} numbers of channels"
        )


class Labels(NamedTuple):
    """y as numbers."""

    classes: np.ndarray  # (K,) what was given, sorted
    y: np.ndarray  # (n,) int64 index into classes, −1 where unknown


def labels(given: ArrayLike, n: int) -> Labels:
    """Class labels of any kind that can be told apart; −1, None and NaN are unknown.

    Raises `ValueError` for y of another length, for real numbers, and for integers below −1.
    """
    given = array_of(given, "y")
    y = np.asarray(given) if not isinstance(given, list | tuple) else _objects(given)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != (n,):
        hint = "; give one label an example, which of a table with one 1 a row is y.argmax(1)" if y.ndim == 2 else ""
        raise ValueError(f"y has shape {y.shape}, but X has {n} examples{hint}")
    found: list[Any] = [_label(value) for value in y.tolist()]
    try:
        classes = sorted({value for value in found if value is not None}, key=lambda v: (type(v).__name__, v))
    except TypeError as error:
        raise ValueError(f"y holds labels that cannot be sorted or hashed: {error}") from error
    at = {value: i for i, value in enumerate(classes)}
    return Labels(_objects(classes, plain=True), np.array([-1 if v is None else at[v] for v in found], dtype=np.int64))


def _objects(values: Sequence[Any], plain: bool = False) -> np.ndarray:
    """As a vector, whatever the values are."""
    made = np.empty(len(values), dtype=object)
    made[:] = list(values) if not any(isinstance(v, tuple | list) for v in values) else made
    for i, value in enumerate(values):
        made[i] = value
    kinds = {type(value) for value in values}
    return np.array(values) if plain and len(kinds) == 1 and kinds <= {int, str, bool} else made


def _label(value: Any) -> Any:
    """None where unknown."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if not value.is_integer():
            raise ValueError(f"y holds {value:g}: labels are classes; give integers, texts, or None where unknown")
        value = int(value)
    if _whole(value) and value < 0:
        if value < -1:
            raise ValueError(f"y holds {value}: class labels count from 0, and -1 stands for unknown")
        return None
    return value


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
