"""What a data set is: splits, factors, likelihood, entropy and content hash."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ._hash import digest, named_seed
from .model import Batch
from .nn.networks import Spec


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
    provides: tuple[str, ...] = ()  # of "labels", "image", "binary": what a model's `Row.needs` may ask for
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


@dataclass(frozen=True)
class Split:
    """Examples that play one part: train, val or test."""

    x: Tensor  # (N, *shape) float32
    factors: dict[str, Tensor]  # class: (N,) int64; real: (N, size) float32

    def __len__(self) -> int:
        return len(self.x)


@dataclass
class Dataset(ABC):
    """Base of the one class in each file of datasets/; `load` fills the fields below.

    Factors of class kind count from 0.  `splits` holds train, val and test, fixed by a named seed; no example
    of test is ever fitted on.
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
    splits: dict[str, Split] = field(default_factory=dict)

    @abstractmethod
    def load(self, **params: Any) -> None:
        """Fill the fields; parameters are keyword-only and may be set from a suite file."""

    @property
    def hash(self) -> str:
        """Hash of everything in the splits, 16 hex digits."""
        h = hashlib.sha256()
        for part in sorted(self.splits):
            split = self.splits[part]
            for key, tensor in [("x", split.x), *sorted(split.factors.items())]:
                array = np.ascontiguousarray(tensor.numpy())
                h.update(f"{part}/{key}/{array.dtype}/{array.shape}".encode())
                h.update(array)
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
        has = {"labels": self.label is not None, "image": image, "binary": binary}
        return frozenset(name for name, there in has.items() if there)

    def spec(self, **network: Any) -> Spec:
        """The `Spec` that networks are built from, with the suite's family, hidden and latent."""
        return Spec(
            shape=self.shape,
            examples=len(self.splits["train"]),
            classes=self.label.size if self.label else 0,
            groups=self.factor(self.sensitive).size if self.sensitive else 0,
            likelihood=self.likelihood,
            noise=self.noise,
            **network,
        )


def assign_splits(n: int, name: str, fractions: tuple[float, float] = (0.1, 0.2)) -> dict[str, np.ndarray]:
    """A fixed disjoint partition of range(n) into train, val and test by the named seed of `name`."""
    order = np.random.default_rng(named_seed("split", name)).permutation(n)
    val, test = (round(n * fraction) for fraction in fractions)
    return {"test": order[:test], "val": order[test : test + val], "train": order[test + val :]}


def batches(
    split: Split, size: int, steps: int, *, label: str | None, sensitive: str | None, seed: int, device: str = "cpu"
) -> Iterator[Batch]:
    """`steps` batches of `size` examples, reshuffled every epoch by `seed`; short last batches are not sent."""
    size = min(size, len(split))
    x = split.x.to(device)
    unknown = torch.full((len(split),), -1)
    y = (split.factors[label] if label else unknown).to(device)
    s = (split.factors[sensitive] if sensitive else unknown).to(device)
    generator = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.int64)
    for step in range(steps):
        if len(order) < size:
            order = torch.randperm(len(split), generator=generator).to(device)
        pick, order = order[:size], order[size:]
        yield Batch(x[pick], y[pick], s[pick], torch.tensor(step / steps, device=device))


def dataset_key(name: str, params: dict[str, Any]) -> str:
    """Short name of a data set with its parameters."""
    return name if not params else f"{name}-{digest(params, 6)}"
