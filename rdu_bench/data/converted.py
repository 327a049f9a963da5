"""Images of an original format, converted once into a compressed HDF5 file from which any rows are read quickly."""

from __future__ import annotations

import errno
import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from filelock import FileLock, Timeout

from .. import _files
from .._hash import digest
from .entropy import image_hash, images_of
from .error import DataError
from .files import made_folders, stamp
from .hdf5 import HDF5Source

VERSION = 2  # raised when the same originals would be converted into another file
KEY, IMAGES = "x", "images"  # the rows, and which of the distinct images each row is
NOT_HERE = (errno.EACCES, errno.EPERM, errno.EROFS)  # a folder that may not be written: the next one is taken


class Original(NamedTuple):
    """Images as others distribute them, one for each combination of factors."""

    files: tuple[Path, ...]  # which they are read from
    sizes: tuple[int, ...]  # of the factors; images are in row-major order of them
    shape: tuple[int, ...]  # of one image, channels first
    dtype: np.dtype
    pieces: Callable[[], Iterator[np.ndarray]]  # (n, *shape) each, all images in order
    unlike: frozenset[str] = frozenset()  # SHA-256 of pixels that are of another set in this format
    name: str = ""  # of the data set that converts it, for the file's name and what is said of it
    content: str = ""  # what tells these images from all others, in the place of the names and times of the files
    counted: bool = True  # whether images that are there twice are looked for

    @property
    def n(self) -> int:
        """Number of images."""
        return math.prod(self.sizes)


class Converted(NamedTuple):
    """What a conversion left."""

    source: HDF5Source  # (n, *shape)
    sha256: str  # of the pixels
    images: np.ndarray  # (n,) which of the distinct images each is; of none where they were not counted


def converted(original: Original, folder: Path, chunk: int) -> Converted:
    """The HDF5 file of `original`: one that is there, or else a new one, written whole or not at all.

    It lies in the data folder, under the name of the data set, or in the user's cache where that may not be written.
    `chunk` images are compressed together.  Processes that ask at the same time wait for the one that converts.
    Raises `DataError`.
    """
    name, made = named(original, chunk)
    places = [folder / original.name, made_folders(original.name)[-1]]
    for place in places:
        if found := read(place / name, original, made):
            return found
    for place in places:
        try:
            return convert(place / name, original, made, chunk)
        except OSError as error:
            if error.errno not in NOT_HERE or place == places[-1]:
                fix = "" if isinstance(error, _files.WriteError) else "; name another with XDG_CACHE_HOME"
                raise DataError(f"{original.name}: {error}{fix}.") from error
    raise AssertionError("there is always a place")


def named(original: Original, chunk: int) -> tuple[str, str]:
    """The name of the file that `original` is converted into, and the hash of all that decides what is in it."""
    made = digest(
        {
            "version": VERSION,
            "chunk": chunk,
            "files": original.content or [[path.name, *stamp(path)] for path in original.files],
            "sizes": original.sizes,
            "shape": original.shape,
        }
    )
    return f"{original.name}-{made[:8]}.h5", made


def read(path: Path, original: Original, made: str) -> Converted | None:
    """What the file at `path` holds, if it is whole and of these originals."""
    try:
        with h5py.File(path, "r") as file:
            told = dict(file.attrs)
            x = file[KEY]
            right = told.get("made") == made and x.shape == (original.n, *original.shape) and x.dtype == original.dtype
            images = file[IMAGES][:] if right and original.counted else np.zeros(0, dtype=np.int64)
            right = right and len(images) == original.n * original.counted
        return Converted(HDF5Source(path, KEY), str(told["sha256"]), images) if right else None
    except (OSError, RuntimeError, KeyError, AttributeError, ValueError):  # not there, or not one of ours
        return None


def convert(path: Path, original: Original, made: str, chunk: int) -> Converted:
    """Write the file at `path`, unless another process does meanwhile.  Raises `OSError` and `DataError`."""
    lock = path.with_name(f".{path.name}.lock")
    with _files.explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock):
            if found := read(path, original, made):  # by another, meanwhile
                return found
            _write(path, original, made, chunk)
    except Timeout as error:  # pragma: no cover
        raise DataError(f"{lock} cannot be had; remove it.") from error
    finally:
        with suppress(OSError):
            lock.unlink()
    found = read(path, original, made)
    if found is None:
        raise DataError(f"{path} was written but cannot be read again; is the disk whole?")
    return found


def _write(path: Path, original: Original, made: str, chunk: int) -> None:
    told: dict[str, Any] = {"made": made, "data set": original.name}
    with _files.replacing(path) as plain:
        try:
            with h5py.File(plain, "w", libver="latest") as file:
                x = file.create_dataset(
                    KEY,
                    (original.n, *original.shape),
                    original.dtype,
                    chunks=(min(chunk, original.n), *original.shape),
                    compression="gzip",
                    compression_opts=1,
                )
                done, sha, rows = 0, hashlib.sha256(), bytearray()
                for piece in original.pieces():
                    if done + len(piece) > original.n or piece.shape[1:] != original.shape:
                        raise DataError(f"{original.files[0]} has other images than its header says.")
                    block = np.ascontiguousarray(piece, original.dtype)
                    x[done : done + len(block)] = block
                    sha.update(block.data)
                    if original.counted:
                        rows += b"".join(map(image_hash, block))
                    done += len(block)
                if done != original.n:
                    raise DataError(f"{original.files[0]} has {done} images of {original.n}.")
                if sha.hexdigest() in original.unlike:
                    raise DataError(f"{original.files[0]} is a stand-in, not {original.name}; load it by its own name.")
                if original.counted:
                    file.create_dataset(IMAGES, data=images_of(rows), compression="gzip", shuffle=True)
                file.attrs.update({**told, "sha256": sha.hexdigest()})
        except (RuntimeError, ValueError) as error:  # of HDF5, in which trouble of the disk may be hidden
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} cannot be written ({error}); is there space?") from error
