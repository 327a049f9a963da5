"""Sequences, groups and scenes that are drawn by rule: an example is T pictures, and the file of them is made once.

In the file: `imgs` (N, T, H, W, C) uint8, `static/NAME` (N,) of every factor of the example, `dynamic/NAME` (N, T, …)
of every factor of frames, and as attributes what it was drawn with, a hash of the pixels, and the entropies.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import h5py
import numpy as np

from .._files import write as write_file
from .._hash import digest, named_seed
from .dataset import Factor
from .entropy import Entropy, population_entropy
from .error import DataError
from .examples import Examples
from .files import made_folders
from .ground_truth import GroundTruth
from .splits import check_counts

MOST = 2**29  # pixels of one file
CHUNK = 64  # examples compressed together


class Sequences(NamedTuple):
    """Examples as they are drawn."""

    x: np.ndarray  # (N, T, C, H, W) uint8, 0 and 1
    static: Mapping[str, np.ndarray]  # (N,) int64, of the example
    dynamic: Mapping[str, np.ndarray]  # (N, T) int64 or (N, T, d) float32, of frames


class Made(NamedTuple):
    """What a file of sequences holds."""

    sequences: Sequences
    of_last: tuple[float, ...]  # nats of the last frame, of the last two, …, where examples are equally likely


def made_sequences(name: str, params: Mapping[str, Any], draw: Callable[[], Sequences]) -> Made:
    """The file of these parameters in the data folder, else in the user's cache, where it is drawn if there is none.

    Raises `DataError` for a file that is not of them, or is damaged.
    """
    places = [folder / file_name(name, params) for folder in made_folders(name)]
    path = next((path for path in places if path.is_file()), None) or write(places[-1], name, params, draw())
    return read(path, name, params)


def file_name(name: str, params: Mapping[str, Any]) -> str:
    """Of the file of a data set with these parameters."""
    return f"{name.replace('_', '-')}-{digest(dict(params), 8)}.h5"


def write(path: Path, name: str, params: Mapping[str, Any], drawn: Sequences) -> Path:
    """Write the file, which is there whole or not at all."""
    content = BytesIO()
    images = np.ascontiguousarray(drawn.x.transpose(0, 1, 3, 4, 2))
    with h5py.File(content, "w") as file:
        chunks = (min(CHUNK, len(images)), *images.shape[1:])
        file.create_dataset("imgs", data=images, chunks=chunks, compression="gzip", compression_opts=1)
        for kind, factors in (("static", drawn.static), ("dynamic", drawn.dynamic)):
            for factor, values in factors.items():
                file[f"{kind}/{factor}"] = values
        frames = range(1, 1 + drawn.x.shape[1])
        of_last = [population_entropy(Examples(np.ascontiguousarray(drawn.x[:, -n:]), {})).nats for n in frames]
        file.attrs.update({"params": json.dumps(dict(params)), "sha256": _hash(images), "of_last": of_last})
    try:
        write_file(path, content.getvalue())
    except OSError as error:
        raise DataError(f"{name}: cannot write {path} ({error.strerror}); set XDG_CACHE_HOME to a folder.") from error
    return path


def read(path: Path, name: str, params: Mapping[str, Any]) -> Made:
    """What `write` wrote.  Raises `DataError` that names the file and says what to do."""
    again = "delete it, and it is drawn again"
    try:
        with h5py.File(path, "r") as file:
            about = dict(file.attrs)
            images = file["imgs"][()]
            kinds = [kind for kind in ("static", "dynamic") if kind in file]
            factors = {kind: {name: values[()] for name, values in file[kind].items()} for kind in kinds}
    except (OSError, RuntimeError, KeyError, AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a file of {name}, is it truncated? {again.capitalize()}.") from error
    if about.get("params") != json.dumps(dict(params)):
        raise DataError(f"{path} was drawn with other parameters than {dict(params)}; {again}.")
    if images.ndim != 5 or images.dtype != np.uint8 or _hash(images) != str(about.get("sha256")):
        raise DataError(f"{path}: imgs are not the pictures that were drawn; {again}.")
    x = np.ascontiguousarray(images.transpose(0, 1, 4, 2, 3))
    drawn = Sequences(x, factors.get("static", {}), factors.get("dynamic", {}))
    for factor, values in {**drawn.static, **drawn.dynamic}.items():
        if len(values) != len(x):
            raise DataError(f"{path}: {factor} has {len(values)} values for {len(x)} examples; {again}.")
    of_last = np.atleast_1d(np.asarray(about.get("of_last", ()), dtype=float))
    if of_last.shape != (x.shape[1],) or not np.isfinite(of_last).all():
        raise DataError(f"{path} has no entropies of its {x.shape[1]} frames; {again}.")
    return Made(drawn, tuple(of_last.tolist()))


def _hash(images: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()


class SequenceGrid(GroundTruth):
    """Base of a data set that has one sequence for each combination of its factors, all of them equally likely.

    Splits are independent draws from all combinations by named seeds.  H(x) is counted over distinct sequences.
    """

    drawing: ClassVar[int] = 1  # raised when the same grid would be drawn differently

    @abstractmethod
    def sizes(self, *args: Any, **params: Any) -> dict[str, int]:
        """How many values each factor of the example has."""

    @abstractmethod
    def draw(self, grid: np.ndarray, *args: Any, **params: Any) -> Sequences:
        """The sequences of combinations (N, K), in the order of `sizes`."""

    def make(self, folder: Path, **params: Any) -> Path:
        """Draw the grid of `params` into a file in `folder`."""
        name, params = self._name, {**self.defaults, **self.check(**{**self.defaults, **params})}
        return write(folder / name / file_name(name, self._said(params)), name, self._said(params), self._all(params))

    defaults: ClassVar[Mapping[str, int]] = {}  # of what decides how it is drawn

    def check(self, **params: Any) -> dict[str, int]:
        """The parameters, if they can be drawn and held in memory.  Raises `DataError`."""
        for key in params:
            if key not in self.defaults:
                raise DataError(f"{self._name}: there is no parameter {key}; it has {', '.join(self.defaults)}.")
        check_counts(self._name, **params)
        n = int(np.prod(list(self.sizes(**params).values())))
        pixels = n * int(np.prod(self.shape_of(**params)))
        if pixels > MOST:
            raise DataError(f"{self._name}: these are {pixels:,} pixels; at most {MOST:,} are held. Make it smaller.")
        return dict(params)

    @abstractmethod
    def shape_of(self, *args: Any, **params: Any) -> tuple[int, ...]:
        """(T, C, H, W)."""

    def fill(self, task: tuple[str, ...], counts: Mapping[str, int], **params: int) -> None:
        """Fill the fields of a data set; `counts` are n_train, n_val and n_test."""
        check_counts(self._name, **counts)
        params = self.check(**params)
        sizes = self.sizes(**params)
        found = made_sequences(self._name, self._said(params), lambda: self._all(params))
        x, static, dynamic = found.sequences
        self.shape, self.likelihood, self.task = tuple(x.shape[1:]), "bernoulli", task
        self.factors = (
            *(Factor(n, k, independent=True, entropy=float(np.log(k))) for n, k in sizes.items()),
            *(_of_frames(name, values) for name, values in dynamic.items()),
        )
        self.population = self.pool = Examples(x, {**static, **dynamic})
        self.of_last = found.of_last
        self.entropy = Entropy(found.of_last[-1], "exact")
        for part in ("train", "val", "test"):
            rows = np.random.default_rng(named_seed(self._name, part)).integers(len(x), size=counts[f"n_{part}"])
            self.splits[part] = self.pool.subset(rows)

    @property
    def _name(self) -> str:
        return self.name or type(self).__module__.rpartition(".")[2]

    def _said(self, params: Mapping[str, int]) -> dict[str, int]:
        return {**params, "drawing": self.drawing}

    def _all(self, params: Mapping[str, int]) -> Sequences:
        sizes = list(self.sizes(**params).values())
        return self.draw(np.indices(sizes).reshape(len(sizes), -1).T, **params)


def _of_frames(name: str, values: np.ndarray) -> Factor:
    if values.dtype.kind == "f":
        return Factor(name, values.shape[-1], "real", frames=values.shape[1])
    return Factor(name, int(values.max()) + 1, frames=values.shape[1])
