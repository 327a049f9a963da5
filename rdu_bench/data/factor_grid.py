"""Data sets with an image for every combination of some factors, as those of disentanglement_lib."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .converted import Converted, Original, converted
from .dataset import Factor
from .dequantised import Dequantised
from .entropy import Entropy, entropy_of
from .error import DataError
from .examples import Examples, Source
from .files import data_folder
from .ground_truth import GroundTruth
from .splits import assign_splits, check_counts

# Images that are compressed together, by their channels.  Networks of the study train on so much of the images a second
# that they see from memory: of one channel on 0.96 at 1, 1.04 at 4 and 1.05 at 16 (and the file is a third smaller at 4
# than at 1), of three on 0.96 at 1, 0.97 at 4, 0.90 at 16 and 0.86 at 64 (`tests/benchmarks/streaming.py`).
CHUNK = {1: 4, 3: 1}
FRACTIONS = (0.1, 0.1)  # that validate and test


@dataclass
class FactorGrid(GroundTruth):
    """Base of a data set that has one image, or some, for each combination of factors.

    Every combination is in the pool from which factors are chosen.  A permutation of them by a named seed is divided
    into 80 % that train, 10 % that validate and 10 % that test.
    """

    sha256: str = ""  # of all pixels as they are stored

    def fill(self, found: Converted, sizes: Mapping[str, int], task: Sequence[str], limit: int | None) -> None:
        """Splits and factors of converted images in row-major order of `sizes`; grey and coloured ones are real.

        A factor whose name starts with `_` is none: images that differ in it alone are draws of the same.  `limit`
        keeps that many examples at most of each split.
        """
        if limit is not None:
            check_counts(self.name, limit=limit)
        known = {name: size for name, size in sizes.items() if not name.startswith("_")}
        check_task(self.name, task, known)
        source: Source = found.source
        binary = "binary" in self.card.provides
        if not binary:
            source = Dequantised(source, self.name)
        classes = np.indices(tuple(sizes.values())).reshape(len(sizes), -1)
        columns = {name: classes[k] for k, name in enumerate(sizes) if name in known}
        self.shape, self.likelihood = tuple(source.shape[1:]), "bernoulli" if binary else "gaussian"
        self.factors = tuple(Factor(k, n, independent=True, entropy=math.log(n)) for k, n in known.items())
        self.task, self.sha256 = tuple(task), found.sha256
        self.pool = Examples(source, columns)
        parts = assign_splits(len(self.pool), self.name, FRACTIONS)
        self.splits = {part: self.pool.subset(rows[:limit]) for part, rows in parts.items()}
        known_rows = np.concatenate([parts[part][:limit] for part in ("train", "val")])
        others = np.delete(found.images, known_rows)
        self.entropy = Entropy(entropy_of(others), "exact" if binary else "differential")

    def redraw(self, plain: FactorGrid, drawn: Callable[[Source], Source]) -> None:
        """The examples of `plain` as `drawn` draws them, in its splits; they are real, and their H(x) is unknown."""
        assert plain.pool is not None and isinstance(plain.pool.source, Source)
        source = Dequantised(drawn(plain.pool.source), self.name)
        self.shape, self.likelihood = tuple(source.shape[1:]), "gaussian"
        self.factors, self.task = plain.factors, plain.task
        self.pool = Examples(source, plain.pool.factors)
        self.splits = {part: Examples(source, e.factors, rows=e.rows) for part, e in plain.splits.items()}

    def convert(self, name: str, read: Callable[[Path], Original], data_dir: str | None) -> Converted:
        """The images that `read` finds in the data folder; `name` is whose files they are.  Raises `DataError`."""
        folder = data_folder(data_dir, self.name, self.card.files)
        original = read(folder)._replace(name=name)
        return converted(original, folder, CHUNK.get(original.shape[0], 1))

    def lacking(self, read: Callable[[Path], object], data_dir: object) -> str:
        """What `missing` says: the sentence of `read` where it fails.  It looks at headers only."""
        try:
            read(data_folder(data_dir if isinstance(data_dir, str) else None, self.name, self.card.files))
        except DataError as error:
            return str(error)
        return ""


class Redrawn(Source):
    """Binary images (N, 1, H, W) in colour, (N, 3, H, W) levels of a byte; subclasses have a `rule` and draw rows."""

    dtype = np.dtype(np.uint8)

    def __init__(self, levels: Source):
        self.levels, self.slow = levels, levels.slow
        self.shape = (levels.shape[0], 3, *levels.shape[2:])


def check_task(name: str, task: Sequence[str], known: Mapping[str, int]) -> None:
    """Raises `DataError` unless `task` is a list of factors."""
    if isinstance(task, str) or not task:
        raise DataError(f"{name}: task is {task!r}; it must be a list of factors, such as [{next(iter(known))!r}].")
    for factor in task:
        if factor not in known:
            raise DataError(f"{name}: there is no factor {factor!r}; task takes {', '.join(known)}.")
