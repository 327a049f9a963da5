"""Data sets whose factors can be chosen: examples are drawn with given values of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ..model import GROUP, Batch
from .dataset import Dataset, Factor
from .error import DataError
from .examples import Examples

LINE, TRIES = 20, 200  # draws of a factor until others are given other values, and draws in all


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

    def one_factor(
        self, size: int, steps: int, *, seed: int, device: str = "cpu", part: str = "train"
    ) -> Iterator[Batch]:
        """`steps` batches of groups of `GROUP` examples, all that fit in `size`: one class factor varies in each batch.

        Within a group every other factor has one value.  Which factor varies is told in `Batch.varied`, class labels
        are not.  No example is held out: of val, where `part` is train, or of test, unless it is in `part` too.  With
        any other `part` each group starts with an example of that.  Raises `DataError` where the factors are not
        crossed, or all examples are held out.
        """
        if "factors" not in self.provides:
            raise DataError(f"{self.name} cannot vary one factor alone: it has no full grid of two or more factors")
        draw = np.random.default_rng(seed)
        groups = max(1, size // GROUP)
        unknown = torch.full((groups * GROUP,), -1)
        held = self._held_out(part)
        own = None if part == "train" else np.flatnonzero(self._in_pool(part))
        for step in range(steps):
            k = int(draw.integers(self.num_factors))
            first = None if own is None else own[draw.integers(len(own), size=groups)]
            x = self._drawn_from.take(self._groups(groups, k, held, draw, first))
            yield Batch(x, unknown, unknown, torch.tensor(step / steps), torch.tensor(k)).to(device)

    def _groups(
        self, groups: int, k: int, held: np.ndarray, draw: np.random.Generator, first: np.ndarray | None
    ) -> np.ndarray:
        """(groups · GROUP,) places in the pool, none of them held out; within a group all factors but k agree.

        A group starts with the example that `first` (groups,) says, which also stands where no other is found.
        """
        if first is None:
            fixed = self.sample_factors(groups, draw)
        else:
            fixed = np.stack(np.unravel_index(self._numbers[first], self.factors_num_values), 1)
        found = np.zeros((groups, GROUP), dtype=np.int64)
        wanted = np.ones((groups, GROUP), dtype=bool)
        if first is not None:
            found[:], wanted[:, 0] = first[:, None], False
        for attempt in range(1, 1 + TRIES):
            factors = np.repeat(fixed, GROUP, axis=0)
            factors[:, k] = draw.integers(self.factors_num_values[k], size=len(factors))
            places = self._drawn(factors, draw).reshape(groups, GROUP)
            taken = wanted & ~held[places]
            found[taken] = places[taken]
            wanted &= ~taken
            if not wanted.any():
                return found.flatten()
            if first is None and attempt % LINE == 0:  # other values of what does not vary
                lost = wanted.any(1)
                fixed[lost], wanted[lost] = self.sample_factors(int(lost.sum()), draw), True
        if first is None:
            raise DataError(f"{self.name}: hardly any example is in the training split alone; hold fewer out")
        return found.flatten()

    def _in_pool(self, part: str) -> np.ndarray:
        """(N,) whether an example of the pool is one of a split: the same row, or in another store the same factors."""
        pool, split = self._drawn_from, self.splits[part]
        if split.source is pool.source and pool.rows is None and split.rows is not None:
            found = np.zeros(len(pool), dtype=bool)
            found[split.rows] = True
            return found
        return np.isin(self._numbers, self._numbered(split))

    def _held_out(self, part: str) -> np.ndarray:
        """(N,) whether an example of the pool judges what is trained, or chosen, on `part`, and is not in it."""
        judges = [name for name in ("val", "test") if name != part and name in self.splits]
        held = np.any([self._in_pool(name) for name in judges], axis=0)
        return held & ~self._in_pool(part)

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
        return self._drawn_from.take(self._drawn(np.asarray(factors), random_state)).numpy()

    def _drawn(self, wanted: np.ndarray, random_state: np.random.RandomState | np.random.Generator) -> np.ndarray:
        """(num,) of an example of the pool with each row of factors, drawn among all that have them."""
        sizes = np.array(self.factors_num_values)
        if wanted.ndim != 2 or wanted.shape[1] != len(sizes) or not np.issubdtype(wanted.dtype, np.integer):
            raise DataError(f"{self.name}: factors must be integers of shape (num, {len(sizes)}), not {wanted.shape}")
        bad = ((wanted < 0) | (wanted >= sizes)).any(1)
        keys, order = self._lookup
        row = np.zeros(len(wanted), dtype=np.int64)
        if not bad.any():
            flat = np.ravel_multi_index(tuple(wanted.T), tuple(sizes))
            first, last = np.searchsorted(keys, flat, "left"), np.searchsorted(keys, flat, "right")
            bad = first == last
            row = first + (random_state.choice(2**31, len(wanted)) * (last - first) >> 31)
        if bad.any():
            named = dict(zip(self.factor_names, wanted[bad][0].tolist(), strict=True))
            raise DataError(f"{self.name}: there is no example with {named}; the sizes are {sizes.tolist()}")
        places: np.ndarray = order[row]
        return places

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
        return [f for f in self.factors if f.kind == "class" and not f.frames]

    @property
    def _drawn_from(self) -> Examples:
        return self.splits["test"] if self.pool is None else self.pool

    def _numbered(self, examples: Examples) -> np.ndarray:
        """(N,) the combination of class factors of each example, as one number."""
        columns = tuple(examples.factors[name].numpy() for name in self.factor_names)
        return np.ravel_multi_index(columns, tuple(self.factors_num_values))

    @cached_property
    def _numbers(self) -> np.ndarray:
        """(N,) combinations of what observations are drawn from."""
        return self._numbered(self._drawn_from)

    @cached_property
    def _lookup(self) -> tuple[np.ndarray, np.ndarray]:
        """These numbers sorted, and where each is."""
        order = np.argsort(self._numbers, kind="stable")
        return self._numbers[order], order
