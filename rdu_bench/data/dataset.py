"""What a data set is: splits, factors, likelihood, entropy and content hash."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from ..model import Row
from ..nn.networks import Spec
from .content import content_hash
from .downloads import fetchable
from .entropy import Entropy, population_entropy
from .error import DataError
from .examples import Examples, Rows, View
from .pixels import Pixels, kept_pixels

PARTS = ("train", "val", "test")
LIKELIHOODS = ("bernoulli", "gaussian")


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
    ] = ()  # of "labels", "groups", "factors", "image", "sequence", "binary": what a model's `Row.needs` may ask for
    files: str = ""  # what it needs in the data folder; empty when it brings or makes its own


class About(NamedTuple):
    """What is known of a data set with given parameters before it is loaded."""

    params: dict[str, Any]  # as given, and with what was found out in place of what was left open
    provides: frozenset[str]  # as `Dataset.provides` will be
    notes: tuple[str, ...] = ()  # as `Dataset.notes` will be


class Factor(NamedTuple):
    """Something that is known of every example."""

    name: str
    size: int  # number of values of a class, number of components of a real vector
    kind: Literal["class", "real"] = "class"
    independent: bool = False  # of all other factors in the population
    entropy: float | None = None  # H(y) in nats in the population where known (differential for real factors)
    frames: int = 0  # how many values an example has, one a frame; 0: one for the whole example

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its values for one example: () of a class, (size,) of a real factor, behind an axis of frames if any."""
        return (*([self.frames] if self.frames else []), *([self.size] if self.kind == "real" else []))


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
    of_last: tuple[float, ...] = ()  # H of the last frame, of the last two, …, nats, where they are known
    entropy: Entropy = field(default_factory=lambda: Entropy(None, "none"))
    population: Examples | None = None  # every equally likely x, when there are finitely many and they are known
    splits: dict[str, Examples] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what was done to what was read, a sentence each
    _hashed: tuple[dict[str, Examples], str] | None = field(default=None, init=False, repr=False, compare=False)
    _summed: tuple[Examples, Pixels] | None = field(default=None, init=False, repr=False, compare=False)

    @abstractmethod
    def load(self, *args: Any, **params: Any) -> None:
        """Fill the fields; parameters are keyword-only and may be set from a suite file."""

    def make(self, folder: Path, **params: Any) -> Path:
        """Write the files that `load` reads into `folder`; returns the one written.  For data sets made by rule."""
        known = fetchable(self.name)
        fetched = f" `rdu-bench data get {known}` fetches them." if known else ""
        raise DataError(f"{self.card.title} has nothing to make; it needs {self.card.files or 'no files'}.{fetched}")

    def about(self, **params: Any) -> About:
        """What is known before `load` of the data with these parameters; asked where `load` takes a `file`.

        For data whose file says what they are.  Raises `DataError` where `load` would.
        """
        return About(params, frozenset(self.card.provides))

    def missing(self, **params: Any) -> str:
        """What `load` with these parameters would not find of the files it needs, in a sentence; "" for nothing."""
        return ""

    def verify(self) -> list[str]:
        """What is wrong with what was loaded, a sentence each; empty when all is well.  Reads every number once."""
        wrong = self.unsound()
        for part, split in self.splits.items():
            if split.shape == self.shape:
                wrong += [f"{part}: {what}" for what in self._misread(split)]
        if self.population is not None and self.entropy != (found := population_entropy(self.population)):
            wrong.append(f"H(x) is given as {self.entropy.nats}, but the population has {found.nats} nats")
        return wrong

    def unsound(self) -> list[str]:
        """The part of `verify` that looks at no pixel."""
        if wrong := [*self._of_another_kind()]:
            return wrong
        wrong = [f"there is no {part} split" for part in PARTS if part not in self.splits]
        for part, split in self.splits.items():
            wrong += [f"{part}: {what}" for what in self._faults(split)]
        known = [f.name for f in self.factors]
        used = [name for name in (*self.task, self.sensitive) if name]
        wrong += [f"{name} is no factor" for name in used if name not in known]
        for f in self.factors:
            if f.frames and f.name in used:
                wrong.append(f"{f.name} has a value for every frame: task and sensitive are factors of the example")
            if f.frames and self.shape[:1] != (f.frames,):
                wrong.append(f"{f.name} has {f.frames} frames, and x has the shape {self.shape}")
        return wrong

    def _of_another_kind(self) -> Iterator[str]:
        """What `load` set to something else than is meant, or left out."""
        if not self.shape:
            yield "load sets no shape, that of one example, such as self.shape = (1, 8, 8)"
        if self.likelihood not in LIKELIHOODS:
            yield f"likelihood = {self.likelihood!r}: it is {' or '.join(map(repr, LIKELIHOODS))}"
        if isinstance(self.factors, Factor) or not all(isinstance(f, Factor) for f in self.factors):
            yield f"factors = {self.factors!r:.60}: it is a tuple of Factors, such as (Factor('bar', 8),)"
        if isinstance(self.task, str):
            yield f"task = {self.task!r}: it is a tuple of names, such as ({self.task!r},)"

    def require_sound(self) -> None:
        """Raises `DataError` with the first thing that is unsound."""
        if wrong := self.unsound():
            raise DataError(f"{self.name}: {wrong[0]}.")

    def _faults(self, split: Examples) -> Iterator[str]:
        if not len(split):
            yield "it is empty"
        if split.shape != self.shape:
            yield f"x has the shape {split.shape}, not {self.shape}"
        if set(split.factors) != {f.name for f in self.factors}:
            yield f"it has the factors {sorted(split.factors)}, not {sorted(f.name for f in self.factors)}"
            return
        for f in self.factors:
            y = split.factors[f.name]
            each = f"each of {f.frames} frames of each example" if f.frames else "each example"
            there = tuple(y.shape[1:]) == f.shape
            if f.kind == "class" and not (y.dtype == torch.int64 and there and _within(y, f.size)):
                yield f"{f.name} must be a whole number from 0 to {f.size - 1} for {each}"
            elif f.kind == "real" and not there:
                yield f"{f.name} must be {f.size} numbers for {each}"

    def _misread(self, split: Examples) -> Iterator[str]:
        finite, bits = True, True
        for x in split.chunks():
            finite &= bool(x.isfinite().all())
            bits &= bool(((x == 0) | (x == 1)).all())
        if not finite:
            yield "x holds NaN or infinity"
        if self.likelihood == "bernoulli" and not bits:
            yield "x must hold 0 and 1 only for a Bernoulli likelihood"

    @property
    def hash(self) -> str:
        """Hash of everything in the splits, 16 hex digits; worked out once for the same splits."""
        if self._hashed is None or self._hashed[0] != self.splits:  # the very same Examples
            self._hashed = dict(self.splits), content_hash(self.splits)
        return self._hashed[1]

    @property
    def pixels(self) -> Pixels:
        """What the training examples are on average; worked out once for the same split."""
        train = self.splits["train"]
        if self._summed is None or self._summed[0] is not train:
            self._summed = train, kept_pixels(train)
        return self._summed[1]

    @property
    def label(self) -> Factor | None:
        """The class factor that label-using models train on: the first of `task`, if it is a class."""
        first = self.factor(self.task[0]) if self.task else None
        return first if first and first.kind == "class" else None

    @property
    def drawn_by(self) -> str:
        """What named seeds of draws know it by: its name without its file, for data are the same in any file."""
        return self.name.partition(":")[0]

    def factor(self, name: str) -> Factor:
        """The factor of that name; raises `KeyError` with the names there are."""
        for known in self.factors:
            if known.name == name:
                return known
        raise KeyError(f"{self.name} has no factor {name!r}; it has {', '.join(f.name for f in self.factors)}")

    @property
    def provides(self) -> frozenset[str]:
        """What a model's `Row.needs` may ask for and this data set has."""
        has = {
            "labels": self.label is not None,
            "groups": self.sensitive is not None,
            "image": len(self.shape) == 3,
            "sequence": len(self.shape) == 4,
            "binary": self.likelihood == "bernoulli",
        }
        return frozenset(name for name, there in has.items() if there)

    def entropy_of_last(self, frames: int) -> float | None:
        """H of the last frames of x, in nats; None where it is not known."""
        return self.of_last[frames - 1] if frames <= len(self.of_last) else None

    def view(self, part: str, row: Row, at: Rows = slice(None)) -> View:
        """Examples `at` of a split as a model of `row` is given them when it is measured, a chunk at a time."""
        return View(self.splits[part], at, self.sensitive if row.side else None)

    def spec(self, **network: Any) -> Spec:
        """The `Spec` that networks are built from, with the suite's family, hidden and latent.

        The unit of a Gaussian x is the spread of its training pixels, so that no number depends on the units of x.
        """
        real = self.likelihood == "gaussian"
        return Spec(
            shape=self.shape,
            examples=len(self.splits["train"]),
            classes=self.label.size if self.label else 0,
            groups=self.factor(self.sensitive).size if self.sensitive else 0,
            factors=sum(f.kind == "class" and not f.frames for f in self.factors),
            likelihood=self.likelihood,
            noise=self.noise,
            centre=float(self.pixels.mean.mean()) if real else 0.0,
            scale=(self.pixels.deviation or 1.0) if real else 1.0,
            **network,
        )


def _within(y: Tensor, size: int) -> bool:
    return not len(y) or (int(y.min()) >= 0 and int(y.max()) < size)
