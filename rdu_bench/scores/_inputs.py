"""What every score is given: a code (n, d) and factors (n, K), checked once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from .._arrays import check_columns, check_rows
from ._given import array, columns, real

Protocol = Literal["dlib", "robust"]
PROTOCOLS = ("dlib", "robust")
BINS_OF_A_REAL_FACTOR = 20
LARGEST = 1e30  # that a latent may reach, and one over how narrow the widest may be: trees compute in single precision


class Undefined(ValueError):
    """The score has no value for this input, though nothing is wrong with it; the message says why."""


class Sample(NamedTuple):
    """Codes and factors, row by row."""

    z: np.ndarray  # (n, d) float64
    y: np.ndarray  # (n, K) int64, each column counting from 0
    sizes: tuple[int, ...]  # (K,) number of values of each column

    @property
    def factors(self) -> Iterator[tuple[np.ndarray, int]]:
        """Each column of y with its number of values."""
        return zip(self.y.T, self.sizes, strict=True)


def check_protocol(protocol: str) -> None:
    """Raises `ValueError` for a protocol that there is not."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol is {protocol!r}; it must be 'dlib' or 'robust'")


def codes(z: Any, name: str = "z") -> np.ndarray:
    """(n, d) float64; raises `ValueError` for another shape, emptiness, and what is no finite real of a usual size."""
    found = real(array(z, name), name)
    if found.ndim != 2:
        raise ValueError(f"{name} has shape {found.shape}; it must be (n, d): examples in rows, latents in columns")
    if 0 in found.shape:
        raise ValueError(f"{name} is empty, its shape is {found.shape}; a score needs examples and latents")
    if not np.isfinite(found).all():
        row, column = np.argwhere(~np.isfinite(found))[0]
        raise ValueError(f"{name}[{row}, {column}] is {found[row, column]}; leave out examples without finite codes")
    largest, widest = np.abs(found).max(), np.ptp(found, axis=0).max()
    if largest > LARGEST or 0 < widest < 1 / LARGEST:
        raise ValueError(
            f"{name} reaches {largest:.0e}, its widest latent {widest:.0e}; scale it, no score depends on units"
        )
    return found


def sample(z: Any, factors: Any, *, name: str = "") -> Sample:
    """Check a code with its factors; `name` is the suffix of both arguments in messages.

    Integers and texts are classes, whatever they are called; a column of reals with more values than 20 is cut into 20
    bins of equal mass.  Raises `ValueError` for malformed input, `Undefined` where nothing can be measured: a factor
    with one value, fewer than two examples a value, a code that is constant.
    """
    checked = codes(z, f"z{name}")
    called = f"factors{name}"
    given = columns(factors, called)
    check_rows(z, factors, (f"z{name}", called))
    if len(given[0]) != len(checked):
        raise ValueError(
            f"{called} has {len(given[0])} rows and z{name} has {len(checked)}; they must be the same examples"
        )
    found = []
    for k, column in enumerate(given):
        values, index = np.unique(column, return_inverse=True)
        if column.dtype.kind == "f" and len(values) > BINS_OF_A_REAL_FACTOR and (values % 1 != 0).any():
            index = equal_mass(column[:, None], BINS_OF_A_REAL_FACTOR)[:, 0]
            values = np.unique(index)
        if len(values) == 1:
            raise Undefined(f"{called}[:, {k}] has one value only, so there is nothing to know of it; leave it out")
        if len(column) < 2 * len(values):
            raise Undefined(
                f"{called}[:, {k}] has {len(values)} values on {len(column)} examples; at least two examples a value "
                "are needed"
            )
        found.append(index)
    if (np.ptp(checked, axis=0) == 0).all():
        raise Undefined("every latent is constant, so the code says nothing")
    y = np.stack(found, 1).astype(np.int64)
    return Sample(checked, y, tuple(int(c.max()) + 1 for c in found))


def pair(z: Any, factors: Any, z_test: Any, factors_test: Any) -> tuple[Sample, Sample]:
    """Check a training and a test set; without a test set every second row of the first becomes one.

    Classes of the test set are those of the training set.  Raises `ValueError` for a class that was never seen in
    training and for half a test set, and what `sample` raises.
    """
    if (z_test is None) != (factors_test is None):
        raise ValueError("z_test and factors_test come together; one of them is missing")
    if z_test is None:
        whole = sample(z, factors)
        first, second = halves(len(whole.z))
        return _split(whole, first), _split(whole, second)
    train, z_checked = sample(z, factors), codes(z_test, "z_test")
    fitted, given = columns(factors, "factors"), columns(factors_test, "factors_test")
    check_columns(z, z_test, ("z", "z_test"))
    check_columns(factors, factors_test, ("factors", "factors_test"))
    check_rows(z_test, factors_test, ("z_test", "factors_test"))
    shape = (len(given[0]), len(given))
    if shape != (len(z_checked), train.y.shape[1]) or z_checked.shape[1] != train.z.shape[1]:
        raise ValueError(
            f"z_test is {z_checked.shape} and factors_test {shape}; they must be (m, {train.z.shape[1]}) and "
            f"(m, {train.y.shape[1]}) as in training"
        )
    found = []
    for k, (seen, new) in enumerate(zip(fitted, given, strict=True)):
        if "U" in (seen.dtype.kind, new.dtype.kind) and seen.dtype.kind != new.dtype.kind:
            kinds = ["texts" if column.dtype.kind == "U" else "numbers" for column in (seen, new)]
            raise ValueError(f"factors[:, {k}] holds {kinds[0]} and factors_test[:, {k}] {kinds[1]}; give both alike")
        values = np.unique(seen)
        if len(values) != train.sizes[k]:  # a real factor: the bins of training
            found.append(np.searchsorted(cut_points(seen, train.y[:, k]), new, side="right"))
            continue
        at = np.minimum(np.searchsorted(values, new), len(values) - 1)
        unknown = values[at] != new
        if unknown.any():
            raise ValueError(
                f"factors_test[:, {k}] has the value {new[unknown][0]}, which factors[:, {k}] never has; "
                "take the two sets from the same examples"
            )
        found.append(at)
    return train, Sample(z_checked, np.stack(found, 1).astype(np.int64), train.sizes)


def halves(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of n that are for training, and those that are for testing, where nobody says which."""
    order = np.random.default_rng(0).permutation(n)
    cut = (n + 1) // 2
    return order[:cut], order[cut:]


def _split(whole: Sample, rows: np.ndarray) -> Sample:
    return Sample(whole.z[rows], whole.y[rows], whole.sizes)


def column_order(columns: np.ndarray) -> np.ndarray:
    """An order of columns (n, d) by what is in them, so that what is drawn at random does not depend on theirs."""
    return np.lexsort(columns[::-1])


def by_appearance(y: np.ndarray) -> np.ndarray:
    """(size,) the number of each value of y (n,) when values are counted as they turn up, whatever they are called."""
    _, first = np.unique(y, return_index=True)
    return np.argsort(np.argsort(first))


def equal_mass(z: np.ndarray, bins: int) -> np.ndarray:
    """(n, d) → (n, d) int64: bins of equal mass for each column, equal values always in the same bin.

    A column with at most `bins` values keeps them all apart.
    """
    out = np.empty(z.shape, dtype=np.int64)
    order = np.argsort(z, axis=0, kind="stable")
    ordered = np.take_along_axis(z, order, 0)
    fresh = np.ones(z.shape, dtype=bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    few = fresh.sum(0) <= bins
    n = len(z)
    first = np.maximum.accumulate(np.where(fresh, np.arange(n)[:, None], 0), axis=0)  # rank of the first equal value
    fresh[1:] &= few | (first[1:] * bins // n != first[:-1] * bins // n)
    np.put_along_axis(out, order, np.cumsum(fresh, 0) - 1, 0)
    return out


def cut_points(column: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The smallest value of each bin but the first, so that `searchsorted(…, side="right")` bins other values alike."""
    smallest = np.full(int(index.max()) + 1, np.inf)
    np.minimum.at(smallest, index, column)
    return smallest[1:]
