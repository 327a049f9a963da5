"""Sequences, groups and scenes that are drawn by rule: an example is T pictures, and the file of them is made once.

In the file: `imgs` (N, T, H, W, C) uint8, `static/NAME` (N,) of every factor of the example, `dynamic/NAME` (N, T, …)
of every factor of frames, and as attributes what it was drawn with, a hash of the pixels, and the entropies, if they
can be counted.
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
from .dataset import PARTS, Dataset, Factor
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
    of_last: tuple[float, ...]  # nats of the last frame, of the last two, …; none unless they were `counted`


def made_sequences(
    name: str, params: Mapping[str, Any], draw: Callable[[], Sequences], *, counted: bool = True
) -> Made:
    """The file of these parameters in the data folder, else in the user's cache, where it is drawn if there is none.

    With `counted` what is drawn is every sequence there is, all equally likely, and entropies are counted over it.
    Raises `DataError` for a file that is not of these parameters, or is damaged.
    """
    places = [folder / file_name(name, params) for folder in made_folders(name)]
    there = next((path for path in places if path.is_file()), None)
    path = there or write(places[-1], name, params, draw(), counted=counted)
    return read(path, name, params, counted=counted)


def file_name(name: str, params: Mapping[str, Any]) -> str:
    """Of the file of a data set with these parameters."""
    return f"{name.replace('_', '-')}-{digest(dict(params), 8)}.h5"


def write(path: Path, name: str, params: Mapping[str, Any], drawn: Sequences, *, counted: bool = True) -> Path:
    """Write the file, which is there whole or not at all; with no entropies unless they are to be `counted`.

    Raises `DataError` where it cannot be written.
    """
    content = BytesIO()
    images = np.ascontiguousarray(drawn.x.transpose(0, 1, 3, 4, 2))
    with h5py.File(content, "w") as file:
        chunks = (min(CHUNK, len(images)), *images.shape[1:])
        file.create_dataset("imgs", data=images, chunks=chunks, compression="gzip", compression_opts=1)
        for kind, factors in (("static", drawn.static), ("dynamic", drawn.dynamic)):
            for factor, values in factors.items():
                file[f"{kind}/{factor}"] = values
        file.attrs.update({"params": json.dumps(dict(params)), "sha256": _hash(images)})
        if counted:
            file.attrs["of_last"] = _entropies(drawn.x)
    try:
        write_file(path, content.getvalue())
    except OSError as error:
        raise DataError(f"{name}: cannot write {path} ({error.strerror}); set XDG_CACHE_HOME to a folder.") from error
    return path


def read(path: Path, name: str, params: Mapping[str, Any], *, counted: bool = True) -> Made:
    """What `write` wrote of the same arguments.  Raises `DataError` that names the file and says what to do."""
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
    if counted and (of_last.shape != (x.shape[1],) or not np.isfinite(of_last).all()):
        raise DataError(f"{path} has no entropies of its {x.shape[1]} frames; {again}.")
    if not counted and of_last.size:
        raise DataError(f"{path} has entropies, which of {name} are not known; {again}.")
    return Made(drawn, tuple(of_last.tolist()))


def _entropies(x: np.ndarray) -> list[float | None]:
    """(T,) nats of the last frame, of the last two, … of sequences (N, T, …) that are equally likely."""
    parts = (Examples(np.ascontiguousarray(x[:, -n:]), {}) for n in range(1, 1 + x.shape[1]))
    return [population_entropy(part).nats for part in parts]


def _hash(images: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()


class SequenceGrid(GroundTruth):
    """Base of a data set that has one sequence for each combination of its factors, all of them equally likely.

    Splits are independent draws from all combinations by named seeds.  H(x) is counted over distinct sequences.
    """

    drawing: ClassVar[int] = 1  # raised when the same grid would be drawn differently
    defaults: ClassVar[Mapping[str, int]] = {}  # of what decides how it is drawn

    @abstractmethod
    def sizes(self, *args: Any, **params: Any) -> dict[str, int]:
        """How many values each factor of the example has."""

    @abstractmethod
    def draw(self, grid: np.ndarray, *args: Any, **params: Any) -> Sequences:
        """The sequences of combinations (N, K), in the order of `sizes`."""

    def make(self, folder: Path, **params: Any) -> Path:
        """Draw the grid of `params` into a file in `folder`."""
        name, params = _called(self), self.check(**{**self.defaults, **params})
        said = self._said(params)
        return write(folder / name / file_name(name, said), name, said, self._all(params))

    def check(self, **params: Any) -> dict[str, int]:
        """The parameters, if they can be drawn and held in memory.  Raises `DataError`."""
        for key in params:
            if key not in self.defaults:
                raise DataError(f"{_called(self)}: there is no parameter {key}; it has {', '.join(self.defaults)}.")
        check_counts(_called(self), **params)
        n = int(np.prod(list(self.sizes(**params).values())))
        _check_held(_called(self), (n, *self.shape_of(**params)))
        return dict(params)

    @abstractmethod
    def shape_of(self, *args: Any, **params: Any) -> tuple[int, ...]:
        """(T, C, H, W)."""

    def fill(self, task: tuple[str, ...], counts: Mapping[str, int], **params: int) -> None:
        """Fill the fields of a data set; `counts` are n_train, n_val and n_test."""
        check_counts(_called(self), **counts)
        params = self.check(**params)
        sizes = self.sizes(**params)
        found = made_sequences(_called(self), self._said(params), lambda: self._all(params))
        x, static, dynamic = found.sequences
        self.shape, self.likelihood, self.task = tuple(x.shape[1:]), "bernoulli", task
        self.factors = (
            *(Factor(n, k, independent=True, entropy=float(np.log(k))) for n, k in sizes.items()),
            *(_of_frames(name, values) for name, values in dynamic.items()),
        )
        self.population = self.pool = Examples(x, {**static, **dynamic})
        self.of_last = found.of_last
        self.entropy = Entropy(found.of_last[-1], "exact")
        for part in PARTS:
            rows = np.random.default_rng(named_seed(_called(self), part)).integers(len(x), size=counts[f"n_{part}"])
            self.splits[part] = self.pool.subset(rows)

    def _said(self, params: Mapping[str, int]) -> dict[str, int]:
        return {**params, "drawing": self.drawing}

    def _all(self, params: Mapping[str, int]) -> Sequences:
        sizes = list(self.sizes(**params).values())
        return self.draw(np.indices(sizes).reshape(len(sizes), -1).T, **params)


class SequenceDraws(Dataset):
    """Base of a data set whose sequences are drawn at random, those of each split by themselves; H(x) is not known."""

    drawing: ClassVar[int] = 1  # raised when the same parameters would be drawn differently
    defaults: ClassVar[Mapping[str, int]] = {}  # of all parameters of `load`, n_train, n_val and n_test among them

    @abstractmethod
    def shape_of(self, *args: Any, **params: Any) -> tuple[int, ...]:
        """(T, C, H, W).  Raises `DataError` for what cannot be drawn."""

    @abstractmethod
    def draw(self, part: str, n: int, draws: np.random.Generator, *args: Any, **params: Any) -> Sequences:
        """`n` sequences of a split, random by `draws` alone; `params` are those that `shape_of` takes."""

    def make(self, folder: Path, **params: Any) -> Path:
        """Draw the sequences of all splits into a file in `folder`."""
        params = {**self.defaults, **params}
        said, name = self._said(params), _called(self)
        return write(folder / name / file_name(name, said), name, said, self._all(params), counted=False)

    def fill(self, task: tuple[str, ...], classes: Mapping[str, int], **params: int) -> None:
        """Fill the fields of a data set; `classes` are the numbers of values of the factors of the example."""
        name, said = _called(self), self._said(params)
        x, static, dynamic = made_sequences(name, said, lambda: self._all(params), counted=False).sequences
        self.shape, self.likelihood, self.task = tuple(x.shape[1:]), "bernoulli", task
        of_frames = (_of_frames(factor, values) for factor, values in dynamic.items())
        self.factors = (*(Factor(factor, size) for factor, size in classes.items()), *of_frames)
        every, first = Examples(x, {**static, **dynamic}), 0
        for part in PARTS:
            n = params[f"n_{part}"]
            self.splits[part] = every.subset(np.arange(first, first + n))
            first += n

    def _said(self, params: Mapping[str, int]) -> dict[str, int]:
        """The parameters as its file names them.  Raises `DataError` unless they can be drawn and held in memory."""
        name = _called(self)
        check_counts(name, **params)
        _check_held(name, (sum(params[f"n_{part}"] for part in PARTS), *self.shape_of(**_drawn_with(params))))
        return {**params, "drawing": self.drawing}

    def _all(self, params: Mapping[str, int]) -> Sequences:
        """The sequences of train, of val and of test, one behind the other."""
        name, drawn_with = _called(self), _drawn_with(params)
        draws = {part: np.random.default_rng(named_seed(name, part)) for part in PARTS}
        each = [self.draw(part, params[f"n_{part}"], draws[part], **drawn_with) for part in PARTS]
        static, dynamic = (
            {factor: np.concatenate([getattr(one, kind)[factor] for one in each]) for factor in getattr(each[0], kind)}
            for kind in ("static", "dynamic")
        )
        return Sequences(np.concatenate([one.x for one in each]), static, dynamic)


def _drawn_with(params: Mapping[str, int]) -> dict[str, int]:
    """The parameters that are no counts of examples."""
    return {key: value for key, value in params.items() if key.removeprefix("n_") not in PARTS}


def _called(data: Dataset) -> str:
    return data.name or type(data).__module__.rpartition(".")[2]


def _check_held(name: str, shape: tuple[int, ...]) -> None:
    """Raises `DataError` for more pixels than a file of sequences may have."""
    pixels = int(np.prod(shape, dtype=object))
    if pixels > MOST:
        raise DataError(f"{name}: these are {pixels:,} pixels; at most {MOST:,} are held. Make it smaller.")


def _of_frames(name: str, values: np.ndarray) -> Factor:
    if values.dtype.kind == "f":
        return Factor(name, values.shape[-1], "real", frames=values.shape[1])
    return Factor(name, int(values.max()) + 1, frames=values.shape[1])
