"""What a data set is: splits, factors, likelihood, entropy and content hash."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._hash import named_seed
from ..model import GROUP, Batch, Row
from ..nn.networks import Spec
from .examples import Examples, Rows, View

DATA = "RDU_BENCH_DATA"  # the variable that names the data folder; --data-dir sets it


class DataError(ValueError):
    """A data file or a parameter of a data set is not what it must be; the message says which and what to do."""


class Card(NamedTuple):
    """A data set's line in `rdu-bench datasets`.  Literals only: it is read without importing the file."""

    title: str
    source: str  # who made it, where it is described
    shape: str  # of one example, in words
    task: str  # what y is
    sensitive: str = ""  # what s is
    entropy: str = "none"  # exact, differential, or none: what is known of H(x)
    provides: tuple[
        str, ...
    ] = ()  # of "labels", "groups", "factors", "image", "binary": what a model's `Row.needs` may ask for
    files: str = ""  # what it needs in the data folder; empty when it brings or makes its own


class Factor(NamedTuple):
    """Something that is known of every example."""

    name: str
    size: int  # number of values of a class, number of components of a real vector
    kind: Literal["class", "real"] = "class"
    independent: bool = False  # of all other factors in the population
    entropy: float | None = None  # H(y) in nats in the population where known (differential for real factors)


class Entropy(NamedTuple):
    """What is known of H(x)."""

    nats: float | None
    kind: Literal["exact", "differential", "none"]


@dataclass
class Dataset(ABC):
    """Base of the one class in each file of datasets/; `load` fills the fields below.

    Factors of class kind count from 0.  `splits` holds train, val and test, fixed by a named seed: a partition of
    what was collected, or independent draws from a population that is known.  Nothing is ever fitted on test.
    """

    card = Card("", "", "", "")

    name: str = ""
    shape: tuple[int, ...] = ()
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    noise: float | None = None  # declared variance of a Gaussian likelihood; None: one is learned
    factors: tuple[Factor, ...] = ()
    task: tuple[str, ...] = ()  # factors whose D_y make the headline; the first, if a class, trains label models
    sensitive: str | None = None
    entropy: Entropy = field(default_factory=lambda: Entropy(None, "none"))
    population: Tensor | None = None  # (M, *shape) every equally likely x, when it is finite and known
    splits: dict[str, Examples] = field(default_factory=dict)

    @abstractmethod
    def load(self, *args: Any, **params: Any) -> None:
        """Fill the fields; parameters are keyword-only and may be set from a suite file."""

    def make(self, folder: Path, **params: Any) -> Path:
        """Write the files that `load` reads into `folder`; returns the one written.  For data sets made by rule."""
        raise DataError(f"{self.card.title} has nothing to make; it needs {self.card.files or 'no files'}.")

    def verify(self) -> list[str]:
        """What is wrong with what was loaded, a sentence each; empty when all is well."""
        wrong = [f"there is no {part} split" for part in ("train", "val", "test") if not self.splits.get(part)]
        for part, split in self.splits.items():
            wrong += [f"{part}: {what}" for what in self._faults(split)]
        for name in filter(None, [*self.task, self.sensitive]):
            if name not in [f.name for f in self.factors]:
                wrong.append(f"{name} is no factor")
        if self.population is not None and self.entropy != (found := population_entropy(self.population)):
            wrong.append(f"H(x) is given as {self.entropy.nats}, but the population has {found.nats} nats")
        return wrong

    def _faults(self, split: Examples) -> Iterator[str]:
        if split.shape != self.shape:
            yield f"x has the shape {split.shape}, not {self.shape}"
        if not all(bool(x.isfinite().all()) for x in split.chunks()):
            yield "x holds NaN or infinity"
        if self.likelihood == "bernoulli" and not all(bool(((x == 0) | (x == 1)).all()) for x in split.chunks()):
            yield "x must hold 0 and 1 only for a Bernoulli likelihood"
        if set(split.factors) != {f.name for f in self.factors}:
            yield f"it has the factors {sorted(split.factors)}, not {sorted(f.name for f in self.factors)}"
            return
        for f in self.factors:
            y = split.factors[f.name]
            if len(y) != len(split):
                yield f"{f.name} has {len(y)} values for {len(split)} examples"
            elif f.kind == "class" and (y.dtype != torch.int64 or not ((y >= 0) & (y < f.size)).all()):
                yield f"{f.name} must be int64 from 0 to {f.size - 1}"
            elif f.kind == "real" and (tuple(y.shape[1:]) != (f.size,) or not y.isfinite().all()):
                yield f"{f.name} must be {f.size} finite numbers an example"

    @property
    def hash(self) -> str:
        """Hash of everything in the splits, 16 hex digits."""
        h = hashlib.sha256()
        for part in sorted(self.splits):
            split = self.splits[part]
            h.update(f"{part}/x/float32/{(len(split), *split.shape)}".encode())
            for x in split.chunks():
                h.update(np.ascontiguousarray(x.numpy()).data)
            for key, y in sorted(split.factors.items()):
                array = np.ascontiguousarray(y.numpy())
                h.update(f"{part}/{key}/{array.dtype}/{array.shape}".encode())
                h.update(array.data)
        return h.hexdigest()[:16]

    @property
    def label(self) -> Factor | None:
        """The class factor that label-using models train on: the first of `task`, if it is a class."""
        first = self.factor(self.task[0]) if self.task else None
        return first if first and first.kind == "class" else None

    def factor(self, name: str) -> Factor:
        """The factor of that name; raises `KeyError` with the names there are."""
        for known in self.factors:
            if known.name == name:
                return known
        raise KeyError(f"{self.name} has no factor {name!r}; it has {', '.join(f.name for f in self.factors)}")

    @property
    def provides(self) -> frozenset[str]:
        """What a model's `Row.needs` may ask for and this data set has."""
        image, binary = len(self.shape) == 3, self.likelihood == "bernoulli"
        has = {"labels": self.label is not None, "groups": self.sensitive is not None, "image": image, "binary": binary}
        return frozenset(name for name, there in has.items() if there)

    def view(self, part: str, row: Row, at: Rows = slice(None)) -> View:
        """Examples `at` of a split as a model of `row` is given them when it is measured, a chunk at a time."""
        return View(self.splits[part], at, self.sensitive if row.side else None)

    def seen(self, part: str, row: Row, at: Rows = slice(None)) -> Batch:
        """The same at once: for few."""
        return self.view(part, row, at).batch()

    def spec(self, **network: Any) -> Spec:
        """The `Spec` that networks are built from, with the suite's family, hidden and latent."""
        return Spec(
            shape=self.shape,
            examples=len(self.splits["train"]),
            classes=self.label.size if self.label else 0,
            groups=self.factor(self.sensitive).size if self.sensitive else 0,
            factors=sum(f.kind == "class" for f in self.factors),
            likelihood=self.likelihood,
            noise=self.noise,
            **network,
        )


@dataclass
class GroundTruth(Dataset):
    """A data set whose class factors can be chosen: examples are drawn with given values of them.

    The vocabulary is that of `GroundTruthData` in disentanglement_lib (Locatello et al. 2019, arXiv:1811.12359), so
    that its metrics run unchanged; observations keep our shape, channels first.
    """

    pool: Examples | None = None  # what observations are drawn from; None: those of test

    @property
    def provides(self) -> frozenset[str]:
        """As of any data set, and "factors" where one factor can be varied while all others stay."""
        crossed = self.pool is not None and self.num_factors > 1
        return super().provides | ({"factors"} if crossed else set())

    def one_factor(self, size: int, steps: int, *, seed: int, device: str = "cpu") -> Iterator[Batch]:
        """`steps` batches of groups of `GROUP` examples, all that fit in `size`: one class factor varies in each batch.

        Within a group every other factor has one value.  Which factor varies is told in `Batch.varied`, class labels
        are not.  Raises `DataError` where the factors are not crossed.
        """
        if "factors" not in self.provides:
            raise DataError(f"{self.name} cannot vary one factor alone: it has no full grid of two or more factors")
        draw = np.random.default_rng(seed)
        groups = max(1, size // GROUP)
        unknown = torch.full((groups * GROUP,), -1, device=device)
        for step in range(steps):
            k = int(draw.integers(self.num_factors))
            factors = np.repeat(self.sample_factors(groups, draw), GROUP, axis=0)
            factors[:, k] = draw.integers(self.factors_num_values[k], size=len(factors))
            x = torch.from_numpy(self.sample_observations_from_factors(factors, draw)).to(device)
            yield Batch(x, unknown, unknown, torch.tensor(step / steps, device=device), torch.tensor(k, device=device))

    @property
    def num_factors(self) -> int:
        """How many class factors there are."""
        return len(self._classes)

    @property
    def factors_num_values(self) -> list[int]:
        """Number of values of each."""
        return [f.size for f in self._classes]

    @property
    def factor_names(self) -> list[str]:
        """Name of each, in the order of the columns of `sample_factors`."""
        return [f.name for f in self._classes]

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.shape

    def sample_factors(self, num: int, random_state: np.random.RandomState | np.random.Generator) -> np.ndarray:
        """(num, num_factors) int64, uniform and independent of each other."""
        columns = [random_state.choice(size, num) for size in self.factors_num_values]
        return np.stack(columns, 1).astype(np.int64)

    def sample_observations_from_factors(
        self, factors: np.ndarray, random_state: np.random.RandomState | np.random.Generator
    ) -> np.ndarray:
        """(num, *shape) float32, each drawn among the examples with its row of `factors` (num, num_factors).

        Raises `DataError` for values out of range and for a combination that no example has.
        """
        wanted = np.asarray(factors)
        sizes = np.array(self.factors_num_values)
        if wanted.ndim != 2 or wanted.shape[1] != len(sizes) or not np.issubdtype(wanted.dtype, np.integer):
            raise DataError(f"{self.name}: factors must be integers of shape (num, {len(sizes)}), not {wanted.shape}")
        bad = ((wanted < 0) | (wanted >= sizes)).any(1)
        keys, order, pool = self._lookup
        row = np.zeros(len(wanted), dtype=np.int64)
        if not bad.any():
            flat = np.ravel_multi_index(tuple(wanted.T), tuple(sizes))
            first, last = np.searchsorted(keys, flat, "left"), np.searchsorted(keys, flat, "right")
            bad = first == last
            row = first + (random_state.choice(2**31, len(wanted)) * (last - first) >> 31)
        if bad.any():
            named = dict(zip(self.factor_names, wanted[bad][0].tolist(), strict=True))
            raise DataError(f"{self.name}: there is no example with {named}; the sizes are {sizes.tolist()}")
        return pool.take(order[row]).numpy()

    def sample(
        self, num: int, random_state: np.random.RandomState | np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Factors (num, num_factors) and observations (num, *shape) that have them."""
        factors = self.sample_factors(num, random_state)
        return factors, self.sample_observations_from_factors(factors, random_state)

    def sample_observations(self, num: int, random_state: np.random.RandomState | np.random.Generator) -> np.ndarray:
        """(num, *shape) float32."""
        return self.sample(num, random_state)[1]

    @property
    def _classes(self) -> list[Factor]:
        return [f for f in self.factors if f.kind == "class"]

    @cached_property
    def _lookup(self) -> tuple[np.ndarray, np.ndarray, Examples]:
        """Combinations as sorted numbers, where each is in the pool, and the pool."""
        pool = self.splits["test"] if self.pool is None else self.pool
        columns = tuple(pool.factors[name].numpy() for name in self.factor_names)
        flat = np.ravel_multi_index(columns, tuple(self.factors_num_values))
        order = np.argsort(flat, kind="stable")
        return flat[order], order, pool


def population_entropy(population: Tensor) -> Entropy:
    """H(x) of a draw from M equally likely examples (M, *shape), from hashed counts of the distinct ones.

    With duplicates it is below log M: taking log M would forbid what is possible.
    """
    rows = np.ascontiguousarray(population.numpy()).reshape(len(population), -1)
    found = Counter(hashlib.blake2b(row.data, digest_size=16).digest() for row in rows)
    counts = np.array(list(found.values()))
    return Entropy(float(np.log(len(rows)) - (counts * np.log(counts)).sum() / len(rows)), "exact")


def binarise(levels: np.ndarray, top: int, name: str) -> Tensor:
    """(N, …) float32 of 0 and 1, each 1 with probability levels/top, drawn once by the named seed of `name`.

    `levels` are integers from 0 to `top` ≤ 255.  The first n examples do not depend on how many follow.
    """
    draws = np.random.default_rng(named_seed("binarise", name)).integers(0, top, levels.shape, dtype=np.uint8)
    return torch.from_numpy((levels > draws).astype(np.float32))


def data_folder(given: str | None, name: str, needs: str) -> Path:
    """The data folder: `given`, else the variable RDU_BENCH_DATA.  Raises `DataError` that says what `name` needs."""
    folder = given or os.environ.get(DATA)
    if not folder:
        raise DataError(f"{name} needs {needs}; name the folder that holds them with --data-dir or {DATA}.")
    if not Path(folder).is_dir():
        raise DataError(f"{name}: the data folder {folder} does not exist; create it and put there {needs}.")
    return Path(folder)


def check_counts(name: str, **params: Any) -> None:
    """Raises `DataError` for a parameter that is not a whole number of at least 1."""
    for key, value in params.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise DataError(f"{name}: {key} is {value!r}; it must be a whole number of at least 1.")


def assign_splits(n: int, name: str, fractions: tuple[float, float] = (0.1, 0.2)) -> dict[str, np.ndarray]:
    """A fixed disjoint partition of range(n) into train, val and test by the named seed of `name`."""
    order = np.random.default_rng(named_seed("split", name)).permutation(n)
    val, test = (round(n * fraction) for fraction in fractions)
    return {"test": order[:test], "val": order[test : test + val], "train": order[test + val :]}
