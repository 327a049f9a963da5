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
        unknown = torch.full((groups * GROUP,), -1)
        for step in range(steps):
            k = int(draw.integers(self.num_factors))
            factors = np.repeat(self.sample_factors(groups, draw), GROUP, axis=0)
            factors[:, k] = draw.integers(self.factors_num_values[k], size=len(factors))
            x = torch.from_numpy(self.sample_observations_from_factors(factors, draw))
            yield Batch(x, unknown, unknown, torch.tensor(step / steps), torch.tensor(k)).to(device)

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
