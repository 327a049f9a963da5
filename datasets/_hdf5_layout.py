"""What of an HDF5 file is x, what are factors and how it is split: as told, or guessed from names and shapes."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import h5py
import numpy as np

from rdu_bench.api import DataError, Factor, assign_splits, named_seed

from ._hdf5_file import NUMBERS, check_size, dataset, is_text, kind_of, listed, there

IMAGES = ("images", "image", "imgs", "x", "data")  # names that x has in the files of many
LABELS = ("labels", "label", "y", "target", "targets", "digit", "class", "classes", "latents/classes")
SPLIT = ("split", "splits", "part", "fold")
PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")  # a text that says a whole number
CLASSES = 1000  # most values of a class
COLUMNS = 64  # most columns of a table of factors
FRACTIONS = (0.1, 0.1)  # of validation and test


class Layout(NamedTuple):
    """Which keys are what; those of x and of factors are below the group of a part where `splits` names groups."""

    x: str
    factors: dict[str, str]  # name → key, or key:column
    splits: dict[str, str] | str | None  # part → group or row numbers; or what holds the part of each row; or nothing


class Column(NamedTuple):
    """A factor as it is used."""

    factor: Factor
    values: np.ndarray  # of all rows, groups one after the other
    note: str  # what was done to the values, a sentence; "" for nothing


def layout(file: h5py.File, x: str | None, factors: Mapping[str, str] | None, splits: Any) -> Layout:
    """What is told, and the rest guessed.  Raises `DataError` where a guess is no better than another."""
    splits = _guessed_splits(file) if splits is None else splits
    home = file[groups(file, splits)["train"]] if groups(file, splits) else file
    if x is None:
        x = _guessed_x(file, home)
    if factors is None:
        stored = dataset(file, _below(file, splits, "train", x), "x")
        check_size(stored, "x")
        factors = _guessed_factors(home, x, stored.shape[0])
    return Layout(x, dict(factors), splits)


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


def _guessed_splits(file: h5py.File) -> dict[str, str] | str | None:
    """Groups by the names of parts; else the data set that is named as one that tells the part of each row."""
    found = {}
    for part, names in PARTS.items():
        known = [name for name in file if name.lower() in names and isinstance(file.get(name), h5py.Group)]
        if len(known) == 1:
            found[part] = known[0]
    if {"train", "test"} <= set(found):
        return found
    told = [name for name in file if name.lower() in SPLIT and isinstance(file.get(name), h5py.Dataset)]
    return told[0] if len(told) == 1 else None


def _guessed_x(file: h5py.File, home: h5py.Group) -> str:
    """The only data set of numbers with two dimensions or more, or the only one with the name of an image."""
    able = [key for key, stored in listed(home).items() if _numeric(stored) and len(stored.shape or ()) >= 2]
    named = [key for key in able if key.lower().rpartition("/")[2] in IMAGES]
    for found in (named, able):
        if len(found) == 1:
            return found[0]
    if named or able:
        raise DataError(
            f"{file.filename}: x may be {' or '.join((named or able)[:6])}; name it, as in x = {able[0]!r}."
        )
    raise DataError(f"{file.filename}: nothing can be x, which is numbers with two dimensions or more; {there(file)}.")


def _numeric(stored: h5py.Dataset) -> bool:
    kind = kind_of(stored)
    return kind is not None and kind.kind in NUMBERS


def _guessed_factors(home: h5py.Group, x: str, n: int) -> dict[str, str]:
    """Vectors of whole numbers with a value for each row; what is named as labels, also tables, texts and reals."""
    found: dict[str, str] = {}
    for key, stored in listed(home).items():
        shape = stored.shape or ()
        if key == x or not shape or shape[0] != n or key.lower().rpartition("/")[2] in SPLIT:
            continue
        name = key.rpartition("/")[2]
        named = name.lower() in LABELS or key.lower() in LABELS
        whole = _numeric(stored) and stored.dtype.kind != "f"
        if len(shape) == 1 or shape[1:] == (1,):
            if (whole or named) and not _constant(stored):
                found[name if name not in found else key.replace("/", "_")] = key
        elif named and len(shape) == 2 and shape[1] <= COLUMNS and _numeric(stored):
            found |= _columns(home, key, stored) if whole else {name: key}
    return found


def _columns(home: h5py.Group, key: str, stored: h5py.Dataset) -> dict[str, str]:
    """The columns of a table of classes that are no constants, by the names that the file has for them, if any."""
    check_size(stored, "a table of factors")
    told = stored.attrs.get("names", home.file.attrs.get("latents_names", ()))
    names = [n.decode() if isinstance(n, bytes) else str(n) for n in np.ravel(told)]
    if len(names) != stored.shape[1] or len(set(names)) != len(names):
        names = [f"{key.rpartition('/')[2]}_{i}" for i in range(stored.shape[1])]
    values = stored[()]
    return {name: f"{key}:{i}" for i, name in enumerate(names) if (values[:, i] != values[0, i]).any()}


def _constant(stored: h5py.Dataset) -> bool:
    """Whether a vector has one value only, or so many that it numbers the rows."""
    check_size(stored, "a factor")
    values = np.ravel(stored[()])
    if is_text(stored):
        values = values.astype(str)
    n = len(np.unique(values))
    return n < 2 or (n > CLASSES and values.dtype.kind != "f")


def column(file: h5py.File, name: str, keys: list[str]) -> Column:
    """The factor `name` from its key in every group.  Raises `DataError`."""
    raw = [_values(file, f"factor {name!r}", key) for key in keys]
    where = f"{file.filename}: factor {name!r} ({keys[0]})"
    if len({(values.shape[1:], values.dtype.kind) for values in raw}) > 1:
        raise DataError(f"{where} has another shape or type in {keys[1]}; make them the same.")
    values = np.concatenate(raw)
    if values.dtype.kind == "f":
        values = values.astype(np.float32).reshape(len(values), -1)
        if not (finite := np.isfinite(values).all(1)).all():
            bad = int((~finite).sum())
            raise DataError(f"{where} has no finite value for {bad} of {len(values)} rows; leave these rows out.")
        whole = values.shape[1] == 1 and len(np.unique(values)) <= CLASSES and bool((values == np.rint(values)).all())
        said = f"{name} holds whole numbers as floats and is real; store integers for classes" if whole else ""
        return Column(Factor(name, values.shape[1], "real"), values, said)
    known, ranks = np.unique(values, return_inverse=True)
    if values.dtype.kind == "U" and all(map(WHOLE.fullmatch, known)):  # 2 before 10, as if they were numbers
        order = np.argsort([int(text) for text in known])
        known, ranks = known[order], np.argsort(order)[ranks]
    if len(known) < 2:
        raise DataError(f"{where} has the same value everywhere, {known[0]}; leave it out.")
    if len(known) > CLASSES:
        raise DataError(f"{where} has {len(known):,} values; a class may have {CLASSES:,}. Store reals as floats.")
    said = ""
    if values.dtype.kind == "U" or known[0] != 0 or known[-1] != len(known) - 1:
        shown = ", ".join(map(str, known[:4])) + (f", …, {known[-1]}" if len(known) > 4 else "")
        said = f"the values of {name} are {shown}; they are numbered from 0 in that order"
    return Column(Factor(name, len(known)), ranks.reshape(-1).astype(np.int64), said)


def _values(file: h5py.File, role: str, key: str) -> np.ndarray:
    """What is stored for a role: whole numbers (n,), floats (n, d), or texts (n,)."""
    plain, _, at = key.rpartition(":")
    if not (plain and at.isdigit()) or key in file:
        plain, at = key, ""
    stored = dataset(file, plain, role)
    check_size(stored, role)
    where = f"{file.filename}: {plain}, which is to be {role},"
    if is_text(stored):
        try:
            values = stored.asstr()[()].astype(str)
        except UnicodeDecodeError as error:
            raise DataError(f"{where} holds bytes that are no UTF-8 text; number its classes from 0.") from error
    elif _numeric(stored) and stored.dtype.itemsize <= 8:
        if stored.ndim > 2 or (stored.ndim == 2 and stored.shape[1] > COLUMNS):
            raise DataError(f"{where} has rows of {stored.shape[1:]}; it must have one value, or up to {COLUMNS}.")
        values = stored[()]
    else:
        raise DataError(f"{where} holds {stored.dtype}; it must hold whole numbers, floats or texts.")
    if at:
        if values.ndim != 2 or int(at) >= values.shape[1]:
            raise DataError(f"{where} has no column {at}: its shape is {values.shape}.")
        values = values[:, int(at)]
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim > 1 and values.dtype.kind != "f":
        raise DataError(f"{where} has {values.shape[1]} columns; name one of them, as in {plain + ':0'!r}.")
    return values


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
    values = _values(file, "the split of each row", key)
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
        rows = _values(file, f"the rows of {part}", key)
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
