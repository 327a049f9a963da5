"""What of an HDF5 file is x and how it is split: as told, or guessed from names and shapes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import h5py
import numpy as np

from rdu_bench.api import DataError, assign_splits, named_seed

from ._hdf5_factors import LABELS, guessed, values_of
from ._hdf5_file import check_size, dataset, is_numeric, is_text, listed, there

IMAGES = ("images", "image", "imgs", "x", "data")  # names that x has in the files of many
SPLIT = ("split", "splits", "part", "fold")  # the first that there is
PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
FRACTIONS = (0.1, 0.1)  # of validation and test


class Layout(NamedTuple):
    """Which keys are what; those of x and of factors are below the group of a part where `splits` names groups."""

    x: str
    factors: dict[str, str]  # name → key, or key:column
    splits: dict[str, str] | str | None  # part → group or row numbers; or what holds the part of each row; or nothing
    notes: tuple[str, ...] = ()  # what was not taken for what its name says, a sentence each


def layout(file: h5py.File, x: str | None, factors: Mapping[str, str] | None, splits: Any) -> Layout:
    """What is told, and the rest guessed.  Raises `DataError` where a guess is no better than another."""
    notes: tuple[str, ...] = ()
    if splits is None:
        splits, notes = _guessed_splits(file)
    home = file[groups(file, splits)["train"]] if groups(file, splits) else file
    if x is None:
        x = _guessed_x(file, home)
    if factors is None:
        stored = dataset(file, _below(file, splits, "train", x), "x")
        check_size(stored, "x")
        factors, said = guessed(home, stored, SPLIT)
        notes += said
    return Layout(x, dict(factors), splits, notes)


def groups(file: h5py.File, splits: Any) -> dict[str, str]:
    """Part → group, where that is how the file is split; else nothing."""
    if not isinstance(splits, Mapping):
        return {}
    kinds = {isinstance(file.get(name), h5py.Group) for name in splits.values()}
    return dict(splits) if kinds == {True} and "train" in splits else {}


def _below(file: h5py.File, splits: Any, part: str, key: str) -> str:
    """The key as it is from the top of the file."""
    home = groups(file, splits).get(part)
    return f"{home}/{key}" if home else key


def _guessed_splits(file: h5py.File) -> tuple[dict[str, str] | str | None, tuple[str, ...]]:
    """Groups by the names of parts; else the data set that is named as one that tells the part of each row; and notes.

    Numbers named fold may be those of a cross-validation, and are not taken for parts.
    """
    found = {}
    for part, names in PARTS.items():
        known = [name for name in file if name.lower() in names and isinstance(file.get(name), h5py.Group)]
        if len(known) == 1:
            found[part] = known[0]
    if {"train", "test"} <= set(found):
        return found, ()
    told = [name for name in file if name.lower() in SPLIT and isinstance(file.get(name), h5py.Dataset)]
    told.sort(key=lambda name: SPLIT.index(name.lower()))
    if told and told[0].lower() == "fold" and not is_text(file[told[0]]):
        fix = f"say splits = {told[0]!r} if 0, 1 and 2 are train, val and test"
        return None, (f"{told[0]} holds numbers, as of a cross-validation, and is left out; {fix}",)
    return (told[0] if told else None), ()


def _guessed_x(file: h5py.File, home: h5py.Group) -> str:
    """The only data set of numbers with two dimensions or more, or the only one with the name of an image."""
    able = [key for key, stored in listed(home).items() if is_numeric(stored) and len(stored.shape or ()) >= 2]
    able = [key for key in able if key.lower().rpartition("/")[2] not in LABELS] or able
    named = [key for key in able if key.lower().rpartition("/")[2] in IMAGES]
    for found in (named, able):
        if len(found) == 1:
            return found[0]
    if some := named or able:
        halves = [next((key for key in some if part in key.lower()), "") for part in ("train", "test")]
        fix = f"name it, as in x = {some[0]!r}"
        if all(halves):
            fix = f"put the parts of one set into groups, as in file.move({halves[0]!r}, 'train/x'), or {fix}"
        raise DataError(f"{file.filename}: x may be {' or '.join(some[:6])}; {fix}.")
    raise DataError(f"{file.filename}: nothing can be x, which is numbers with two dimensions or more; {there(file)}.")


def parts_of(file: h5py.File, n: int, splits: dict[str, str] | str | None, seed: str) -> dict[str, np.ndarray]:
    """Part → rows, of n, where parts are no groups.  Raises `DataError`."""
    if splits is None:
        return assign_splits(n, seed, FRACTIONS)
    found = _told(file, n, splits) if isinstance(splits, str) else _numbered(file, n, splits)
    for part in ("train", "test"):
        if not len(found.get(part, ())):
            raise DataError(f"{file.filename}: splits = {splits!r} leaves {part} without a row.")
    return with_val(found, seed)


def with_val(parts: dict[str, np.ndarray], seed: str) -> dict[str, np.ndarray]:
    """The parts, and a tenth of train for validation where there is none."""
    if "val" in parts:
        return parts
    train = parts["train"]
    order = np.random.default_rng(named_seed("split", seed, "val")).permutation(len(train))
    cut = len(train) // 10
    return {**parts, "val": train[order[:cut]], "train": train[order[cut:]]}


def _told(file: h5py.File, n: int, key: str) -> dict[str, np.ndarray]:
    """By a data set with the part of each row, as a text or as 0, 1 and 2 for train, val and test."""
    values = values_of(file, "the split of each row", key)
    where = f"{file.filename}: {key}, which is to be the split of each row,"
    if values.shape != (n,) or values.dtype.kind == "f":
        raise DataError(f"{where} is {values.dtype} of shape {values.shape}; it must be a text or number for {n} rows.")
    names = {word: part for part, words in PARTS.items() for word in words}
    names |= {str(i): part for i, part in enumerate(PARTS)}
    plain = np.char.lower(np.char.strip(values.astype(str)))
    known = {str(value): names.get(str(value)) for value in np.unique(plain)}
    for value, part in known.items():
        if part is None:
            raise DataError(f"{where} holds {value!r}; it may hold train, val and test, or 0, 1 and 2 for them.")
    every = {part: [v for v, of in known.items() if of == part] for part in dict.fromkeys(known.values())}
    return {str(part): np.flatnonzero(np.isin(plain, words)) for part, words in every.items()}


def _numbered(file: h5py.File, n: int, splits: dict[str, str]) -> dict[str, np.ndarray]:
    """By data sets with the numbers of the rows of each part."""
    found: dict[str, np.ndarray] = {}
    taken = np.zeros(n, dtype=bool)
    for part, key in splits.items():
        rows = values_of(file, f"the rows of {part}", key)
        where = f"{file.filename}: {key}, which is to be the rows of {part},"
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise DataError(f"{where} is {rows.dtype} of shape {rows.shape}; it must be a vector of row numbers.")
        if len(rows) and (rows.min() < 0 or rows.max() >= n):
            bad = int(rows[(rows < 0) | (rows >= n)][0])
            raise DataError(f"{where} names row {bad}, but x has the rows 0 to {n - 1}.")
        rows = rows.astype(np.int64)
        if len(np.unique(rows)) < len(rows) or taken[rows].any():
            raise DataError(f"{where} names a row that it or another part names too; name each row once.")
        taken[rows] = True
        found[part] = rows
    return found
