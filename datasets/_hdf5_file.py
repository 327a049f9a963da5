"""Looks into an HDF5 file of others before any of it is believed; whatever it may be, the answer is one sentence."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from rdu_bench.api import Beside, DataError, cache_of, file_digest, in_order, pieces_of, regular

NUMBERS = "biuf"  # kinds of numpy dtypes: bool, integers, unsigned integers, floats
EXAMPLES = 2**26  # most of them in a file
NUMBERS_EACH = 2**24  # most numbers of one example
UNPACKED = 2**28  # most bytes of a chunk, all of which is unpacked to read one row
LEVELS = 256  # so many different floats, or fewer, were whole numbers once
SHOWN = 12  # data sets that a sentence lists
WALKED = 2000  # groups and data sets that are looked at
KINDS = {  # by how it begins
    b"PK\x03\x04": "an .npz or .zip file",
    b"\x93NUMPY": "an .npy file",
    b"MATLAB 5": "a .mat file of MATLAB 5",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"PAR1": "a Parquet file",
    b"CDF": "a NetCDF 3 file",
    b"\0\0\x08\x01": "an IDX file",
    b"\0\0\x08\x03": "an IDX file",
}
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
AGAIN = "get the file again, or write it anew"


@contextmanager
def opened(path: Path, cache: int = 2**20) -> Iterator[h5py.File]:
    """The file, open for reading; inside, whatever h5py raises is a `DataError` in one sentence.

    `cache` bytes of unpacked chunks of each data set are held.
    """
    if not regular(path).stat().st_size:
        raise DataError(f"{path} is empty; {AGAIN}.")
    if packer := begins(path, PACKED):
        raise DataError(f"{path} is packed by {packer}, and rows of it cannot be picked; unpack it.")
    if kind := begins(path, KINDS):
        raise DataError(f"{path} is {kind}, not HDF5: write its arrays into one, as create_dataset('images', data=x).")
    if not h5py.is_hdf5(path):
        table = " (of a table of text, write its columns into one)" if path.suffix in (".csv", ".tsv", ".txt") else ""
        raise DataError(f"{path} is no HDF5 file, or its beginning is damaged; {AGAIN}{table}.")
    try:
        with h5py.File(path, "r", rdcc_nbytes=cache) as file:
            yield file
    except DataError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
        why = " ".join(str(error).split())[:200]
        asked = f"is it damaged or truncated ({why})? {AGAIN.capitalize()}"
        raise DataError(f"{path} cannot be read as HDF5, {asked}.") from error


def begins(path: Path, marks: Mapping[bytes, str]) -> str:
    """What a file is by how it begins; "" where it is none of `marks`."""
    with suppress(OSError), path.open("rb") as file:
        start = file.read(8)
        for mark, kind in marks.items():
            if start.startswith(mark):
                return kind
    return ""


def listed(file: h5py.Group) -> dict[str, h5py.Dataset]:
    """The data sets in a file or group by their names from there on, as far as `WALKED` objects go."""
    found: dict[str, h5py.Dataset] = {}
    seen = 0

    def visit(name: str, thing: Any) -> bool | None:
        nonlocal seen
        seen += 1
        if isinstance(thing, h5py.Dataset):
            found[name] = thing
        return True if seen >= WALKED else None

    file.visititems(visit)
    return dict(sorted(found.items()))


def kind_of(stored: h5py.Dataset) -> np.dtype | None:
    """Of the numbers in a data set; None where numpy has no such kind."""
    try:
        return np.dtype(stored.dtype)
    except (TypeError, ValueError):
        return None


def is_numeric(stored: h5py.Dataset) -> bool:
    """Whether a data set holds numbers."""
    kind = kind_of(stored)
    return kind is not None and kind.kind in NUMBERS


def is_text(stored: h5py.Dataset) -> bool:
    """Whether a data set holds strings, of one length or of any."""
    kind = kind_of(stored)
    return kind is not None and h5py.check_string_dtype(kind) is not None


def there(file: h5py.Group) -> str:
    """The data sets that a file has, in words."""
    found = [f"{key} {size_of(stored)} {kind_of(stored)}" for key, stored in listed(file).items()]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"there are {', '.join(found[:SHOWN])}{more}" if found else "there is no data set in it"


def size_of(stored: h5py.Dataset) -> str:
    """The shape of a data set, in words."""
    return "×".join(map(str, stored.shape or ())) or "of one value"


def dataset(file: h5py.File, key: str, role: str) -> h5py.Dataset:
    """The data set `key`, whose numbers are all in this file.  Raises `DataError` that says what it was wanted for."""
    path = file.filename
    try:
        found = file[key]
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        link = _link(file, key)
        said = f"{key} is {link}" if link else f"there is no {key}"
        raise DataError(f"{path}: {said}, which is to be {role}; {there(file)}.") from error
    if not isinstance(found, h5py.Dataset):
        raise DataError(f"{path}: {key} is a group, not a data set, and is to be {role}; {there(file)}.")
    if Path(found.file.filename) != Path(path):
        raise DataError(f"{path}: {key} is a link to {found.file.filename}; name that file, or copy it into this one.")
    if found.is_virtual:
        raise DataError(
            f"{path}: the numbers of {key} are in other files ({_sources(found)}); copy them into this one."
        )
    if found.external:
        raise DataError(f"{path}: the numbers of {key} are in {found.external[0][0]}; copy them into this file.")
    return found


def _link(file: h5py.Group, key: str) -> str:
    """What kind of link leads nowhere at `key`; "" for none."""
    try:
        link = file.get(key, getlink=True)
    except (KeyError, OSError, RuntimeError, ValueError):
        return ""
    if isinstance(link, h5py.ExternalLink):
        return f"a link to {link.path} in {link.filename}, which is not there"
    return f"a link to {link.path}, which leads nowhere" if isinstance(link, h5py.SoftLink) else ""


def _sources(virtual: h5py.Dataset) -> str:
    names = dict.fromkeys(source.file_name for source in virtual.virtual_sources())
    folder = Path(virtual.file.filename).parent
    lost = [name for name in names if name != "." and not (folder / name).exists()]
    return f"of which {lost[0]} is missing" if lost else ", ".join(list(names)[:3])


def check_size(stored: h5py.Dataset, role: str) -> None:
    """Raises `DataError` unless a data set has rows, all written, each of which can be read in little memory."""
    what = f"{stored.file.filename}: {stored.name.lstrip('/')}, which is to be {role},"
    shape, kind = stored.shape, kind_of(stored)
    if shape is None or not shape or kind is None:
        raise DataError(f"{what} has no rows; {there(stored.file)}.")
    if not stored.size:
        raise DataError(f"{what} is empty: its shape is {size_of(stored)}.")
    if shape[0] > EXAMPLES:
        raise DataError(f"{what} has {shape[0]:,} rows; at most {EXAMPLES:,} can be used, so keep some of them.")
    if math.prod(shape[1:]) > NUMBERS_EACH:
        raise DataError(f"{what} has rows of {size_of(stored)} numbers; a row may have at most {NUMBERS_EACH:,}.")
    if not stored.chunks:
        if stored.id.get_storage_size() < stored.size * kind.itemsize:
            raise DataError(f"{what} declares {stored.size:,} numbers that were never written; {AGAIN}.")
        return
    if math.prod(stored.chunks) * kind.itemsize > UNPACKED:
        raise DataError(
            f"{what} is in chunks of {math.prod(stored.chunks) * kind.itemsize / 1e6:,.0f} MB; cut it finer."
        )
    written, wanted = pieces_of(stored)
    if written < wanted:
        raise DataError(f"{what} was not written to its end: {written:,} of {wanted:,} chunks are there; {AGAIN}.")


class Pixels(NamedTuple):
    """What a look at every number of a data set says."""

    low: float
    high: float
    two: bool  # whether it holds 0 and one other number at most
    levels: int  # how many different numbers floats are, `LEVELS` + 1 for more; 0 for whole numbers


def pixels_of(stored: h5py.Dataset) -> Pixels:
    """What is in a data set.

    Every number is read once, a piece at a time.  Raises `DataError` for NaN, infinity and what does not unpack.
    """
    name = f"{stored.file.filename}: {stored.name.lstrip('/')}"
    low, high, tops, two = math.inf, -math.inf, set[float](), True
    levels = set[float]()
    for rows in in_order(stored):
        start = rows.start
        try:
            piece = stored[rows]
        except (OSError, RuntimeError) as error:
            at = f"row {start:,} on"
            raise DataError(f"{name} cannot be read from {at}: it is damaged there; {AGAIN}.") from error
        if piece.dtype.kind == "f" and not (finite := np.isfinite(piece)).all():
            first = start + int(np.flatnonzero(~finite.reshape(len(piece), -1).all(1))[0])
            raise DataError(f"{name} holds NaN or infinity, first in row {first:,}; leave out such rows.")
        least, most = float(piece.min()), float(piece.max())
        low, high = min(low, least), max(high, most)
        tops |= {most} - {0.0}
        two = two and len(tops) < 2 and least >= 0 and bool(((piece == 0) | (piece == most)).all())
        if piece.dtype.kind == "f" and len(levels) <= LEVELS:
            levels |= set(np.unique(piece)[: LEVELS + 1].tolist())
    return Pixels(low, high, two, min(len(levels), LEVELS + 1))


class Known:
    """What was worked out of every byte of a file, which is kept beside it once all of it is well."""

    def __init__(self, path: Path):
        self.path, self.beside = path, Beside(path)
        self.new: dict[str, Any] = {}

    def content(self) -> str:
        """16 digits of its SHA-256."""
        kept = self.beside.get("sha256")
        if not isinstance(kept, str):
            kept = self.new["sha256"] = file_digest(self.path)
        return kept

    def pixels(self, key: str) -> Pixels:
        """What `pixels_of` says of a data set in it."""
        kept, levels = self.beside.get(f"pixels of {key}"), self.beside.get(f"levels of {key}")
        if not (isinstance(kept, list) and len(kept) == 3 and isinstance(levels, int)):
            with opened(self.path) as file:
                cache = cache_of(file[key])
            with opened(self.path, cache) as file:
                *kept, levels = pixels_of(file[key])
            self.new |= {f"pixels of {key}": kept, f"levels of {key}": levels}
        return Pixels(float(kept[0]), float(kept[1]), bool(kept[2]), levels)

    def keep(self) -> None:
        """Write down what is new."""
        for key, value in self.new.items():
            self.beside.put(key, value)
