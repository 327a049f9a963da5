"""Which data sets of an HDF5 file are factors, and what their values are."""

import math
from typing import NamedTuple

import h5py
import numpy as np

from rdu_bench.api import DataError, Factor, are_whole, class_order, doubtful_names, in_order

from ._hdf5_file import check_size, dataset, is_numeric, is_text, listed, size_of

LABELS = ("labels", "label", "y", "target", "targets", "digit", "class", "classes", "latents/classes")
NAMES = ("class", "classes")  # of which some files have the names here, fewer than examples
CLASSES = 1000  # most values of a class
COLUMNS = 64  # most columns of a table of factors


class Column(NamedTuple):
    """A factor as it is used."""

    factor: Factor
    values: np.ndarray  # of all rows, groups one after the other
    note: str  # what was done to the values, a sentence; "" for nothing
    unknown: int = 0  # rows whose value is −1 where all others are from 0 on: of a label, no class


class Guess(NamedTuple):
    """The factors of a file that were not told."""

    factors: dict[str, str]  # name → key, or key:column
    notes: tuple[str, ...]  # what is named as labels and is none, a sentence each


def guessed(home: h5py.Group, x: h5py.Dataset, splits: tuple[str, ...]) -> Guess:
    """Vectors of whole numbers with a value for each row; what is named as labels, also tables, texts and reals.

    `x` is a data set in `home`, and names in `splits` are of what tells the part of each row.  Raises `DataError` for
    labels of other examples than those of x.
    """
    found: dict[str, str] = {}
    notes: list[str] = []
    for key, stored in listed(home).items():
        shape, name = stored.shape or (), key.rpartition("/")[2]
        if stored == x or not shape or name.lower() in splits:
            continue
        named = name.lower() in LABELS or key.lower() in LABELS
        if shape[0] != x.shape[0]:
            if named and stored.name.rpartition("/")[0] == x.name.rpartition("/")[0]:
                _same_examples(key, stored, x)
            continue
        why = ""
        if len(shape) == 1 or shape[1:] == (1,):
            if named or (is_numeric(stored) and stored.dtype.kind != "f"):
                why = no_class(stored)
                found |= {} if why else {name if name not in found else key.replace("/", "_"): key}
        elif named and len(shape) == 2 and is_numeric(stored):
            check_size(stored, "a table of factors")
            if one_hot(stored) is not None:
                found[name] = key
            elif lost := _rows_of_nothing(stored):
                raise DataError(
                    f"{x.file.filename}: {key} has a 1 in one column of a row, but none in {lost} of {shape[0]} rows; "
                    f"leave these out, or name its columns, as in factors = {{ a = {f'{key}:0'!r} }}."
                )
            elif shape[1] > COLUMNS:
                why = f"has {shape[1]} columns, and {COLUMNS} are the most"
            else:
                found |= {name: key} if stored.dtype.kind == "f" else _columns(home, key, stored)
        notes += [f"{key} {why} and is left out"] if named and why else []
    return Guess(found, tuple(notes))


def _same_examples(key: str, stored: h5py.Dataset, x: h5py.Dataset) -> None:
    """Raises `DataError` where a vector that is named as labels has a value for each of other examples than x has."""
    n, values = x.shape[0], math.prod(stored.shape)
    vector = values == max(stored.shape)
    names = values < n and (key.rpartition("/")[2].lower() in NAMES or is_text(stored))
    if vector and values > 1 and not names:
        turned = f"store x as numpy.moveaxis(x, {x.shape.index(values)}, 0), or " if values in x.shape[1:] else ""
        raise DataError(
            f"{x.file.filename}: {key} is {size_of(stored)}, but {x.name[1:]} is {size_of(x)}: {n} examples, which "
            f"come first, want {n} labels; {turned}name the factors there are, as in factors = {{}} for none."
        )


def one_hot(stored: h5py.Dataset) -> np.ndarray | None:
    """(N,) the column of the 1 in each row of a table that has one 1 a row and zeros else; None for any other."""
    if stored.ndim != 2 or not 2 <= stored.shape[1] <= CLASSES or not is_numeric(stored):
        return None
    found = []
    for rows in in_order(stored):
        piece = stored[rows]
        if not (((piece == 0) | (piece == 1)).all() and (np.count_nonzero(piece, 1) == 1).all()):
            return None
        found.append(piece.argmax(1))
    return np.concatenate(found)


def _rows_of_nothing(stored: h5py.Dataset) -> int:
    """The rows of zeros in a table that has one 1 in all others, and is no mere column; 0 for any other table."""
    if not 2 <= stored.shape[1] <= CLASSES:
        return 0
    lost = 0
    for rows in in_order(stored):
        piece = stored[rows]
        ones = np.count_nonzero(piece, 1)
        if not ((piece == 0) | (piece == 1)).all() or ones.max() > 1:
            return 0
        lost += int((ones == 0).sum())
    return lost if lost < stored.shape[0] else 0


def _columns(home: h5py.Group, key: str, stored: h5py.Dataset) -> dict[str, str]:
    """The columns of a table of classes that are no constants, by the names that the file has for them, if any."""
    told = stored.attrs.get("names", home.file.attrs.get("latents_names", ()))
    names = [n.decode() if isinstance(n, bytes) else str(n) for n in np.ravel(told)]
    if len(names) != stored.shape[1] or len(set(names)) != len(names):
        names = [f"{key.rpartition('/')[2]}_{i}" for i in range(stored.shape[1])]
    values = stored[()]
    return {name: f"{key}:{i}" for i, name in enumerate(names) if (values[:, i] != values[0, i]).any()}


def no_class(stored: h5py.Dataset) -> str:
    """Why a vector tells no class, nor a real: it never changes, or numbers the rows; "" where it may."""
    check_size(stored, "a factor")
    values = np.ravel(stored[()])  # texts as bytes
    n = len(np.unique(values))
    if n < 2:
        return "has one value only"
    if values.dtype.kind == "f":
        return ""
    if n == len(values):
        return "has another value in every row"
    return f"has {n:,} values, more than a class may have" if n > CLASSES else ""


def column(file: h5py.File, name: str, keys: list[str]) -> Column:
    """The factor `name` from its key in every group.  Raises `DataError`."""
    raw = [values_of(file, f"factor {name!r}", key) for key in keys]
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
    hot = _is_table(file, keys[0]) and values.ndim == 1
    known, ranks = np.unique(values, return_inverse=True)
    if len(known) < 2:
        raise DataError(f"{where} has the same value everywhere, {known.tolist()[0]!r}; leave it out.")
    if len(known) > CLASSES:
        raise DataError(f"{where} has {len(known):,} values; a class may have {CLASSES:,}. Store reals as floats.")
    whole = values.dtype.kind != "U" or are_whole(known)
    if values.dtype.kind == "U":
        if wrong := doubtful_names(known.tolist()):
            raise DataError(f"{where} {wrong}.")
        at = {name: i for i, name in enumerate(class_order(known))}
        known, ranks = np.array(list(at)), np.array([at[name] for name in known])[ranks]
    elif values.dtype.kind == "i" and values.dtype.itemsize > 2 and known[0] == np.iinfo(values.dtype).min:
        raise DataError(f"{where} holds {known[0]}, which a missing value becomes as {values.dtype}; leave it out.")
    said = f"{name} has a 1 in one column of each row, and is the number of that column, from 0" if hot else ""
    if values.dtype.kind == "U" or known[0] != 0 or known[-1] != len(known) - 1:
        shown = ", ".join(map(str, known if len(known) < 6 else [*known[:4], "…", known[-1]]))
        said += "; " if said else ""
        said += f"the values of {name} are {shown}; they are numbered from 0 in that order"
    unknown = int((ranks == 0).sum()) if whole and str(known[0]) == "-1" else 0
    return Column(Factor(name, len(known)), ranks.reshape(-1).astype(np.int64), said, unknown)


def _is_table(file: h5py.File, key: str) -> bool:
    """Whether a key is of a data set with columns, all of them."""
    found = file.get(key)
    return isinstance(found, h5py.Dataset) and found.ndim == 2 and found.shape[1] > 1


def values_of(file: h5py.File, role: str, key: str) -> np.ndarray:
    """What is stored for a role: whole numbers (n,), floats (n, d), or texts (n,)."""
    plain, _, at = key.rpartition(":")
    if not (plain and at.isdigit()) or key in file:
        plain, at = key, ""
    stored = dataset(file, plain, role)
    check_size(stored, role)
    where = f"{file.filename}: {plain}, which is to be {role},"
    if is_text(stored):
        try:
            values = stored.asstr("utf-8")[()].astype(str)  # also where the file calls them ASCII
        except UnicodeDecodeError as error:
            raise DataError(f"{where} holds bytes that are no UTF-8 text; number its classes from 0.") from error
    elif is_numeric(stored) and stored.dtype.itemsize <= 8:
        if not at and (hot := one_hot(stored)) is not None:
            return hot
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
