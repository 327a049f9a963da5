"""The formats of dSprites and of 3D Shapes, as originals that can be converted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from .converted import Original
from .error import DataError
from .files import regular
from .hdf5 import pieces_of
from .npz import AGAIN, BAD, NpzArray, npz_bytes

STAND_IN = "stand-in"  # in the metadata of a file that was drawn here, and never in an original
SIDE = 64
ROWS = 2**26  # bytes of images read from an HDF5 file at once


def dsprites_npz(path: Path, sizes: Sequence[int], *, stand_in: bool = False) -> Original:
    """An .npz file of dSprites: `imgs` (N, 64, 64) of 0 and 1, `latents_classes` and `latents_values` (N, 6).

    `sizes` are those of colour, which is one, shape, scale, orientation, x and y.  Headers are looked at now, numbers
    when they are converted.  Raises `DataError`, also for a stand-in unless one is asked for.
    """
    mark_is(path, STAND_IN.encode() in npz_bytes(path, "metadata"), stand_in)
    n = int(np.prod(sizes))
    images, classes, values = (NpzArray(path, key) for key in ("imgs", "latents_classes", "latents_values"))
    _expect(path, images, "imgs", (n, SIDE, SIDE), "u", 1)
    _expect(path, classes, "latents_classes", (n, len(sizes)), "iu", None)
    _expect(path, values, "latents_values", (n, len(sizes)), "f", None)

    def pieces() -> Iterator[np.ndarray]:
        check_grid(path, "latents_classes", classes.whole(), sizes)
        if not np.isfinite(values.whole()).all():
            raise DataError(f"{path}: latents_values holds NaN or infinity; {AGAIN}.")
        for piece in images.pieces():
            if piece.max(initial=0) > 1:
                raise DataError(f"{path}: imgs holds {piece.max()}; dSprites has 0 and 1 only; {AGAIN}.")
            yield piece[:, None]

    return Original((path,), tuple(sizes), (1, SIDE, SIDE), np.dtype(np.uint8), pieces)


def shapes3d_file(path: Path, sizes: Sequence[int], *, stand_in: bool = False) -> Original:
    """A file of 3D Shapes: `images` (N, 64, 64, 3) uint8 and `labels` (N, 6), the values of the factors, rising.

    It is 3dshapes.h5, or the .npz file of disentanglement_lib, whose first axes are the factors.  Raises `DataError`
    as `dsprites_npz` does.
    """
    n, shape = int(np.prod(sizes)), (SIDE, SIDE, 3)
    if path.suffix == ".npz":
        images, found = NpzArray(path, "images", tail=3), NpzArray(path, "labels", tail=1)
        mark_is(path, STAND_IN.encode() in npz_bytes(path, "metadata"), stand_in)
        _expect(path, images, "images", (n, *shape), "u", 1)
        _expect(path, found, "labels", (n, len(sizes)), "iuf", None)

        def read() -> Iterator[np.ndarray]:
            return images.pieces()

        def labels() -> np.ndarray:
            return found.whole()

    else:
        with _hdf5(path) as file:
            mark_is(path, bool(file.attrs.get(STAND_IN, False)), stand_in)
            _expect(path, _stored(path, file, "images"), "images", (n, *shape), "u", 1)
            _expect(path, _stored(path, file, "labels"), "labels", (n, len(sizes)), "iuf", None)

        def read() -> Iterator[np.ndarray]:
            return _hdf5_pieces(path, "images")

        def labels() -> np.ndarray:
            return np.concatenate(list(_hdf5_pieces(path, "labels")))

    def pieces() -> Iterator[np.ndarray]:
        values = labels()
        if not np.isfinite(values).all():
            raise DataError(f"{path}: labels holds NaN or infinity; {AGAIN}.")
        columns = [np.unique(column, return_inverse=True)[1] for column in values.T]
        check_grid(path, "labels", np.stack(columns, 1), sizes)
        for piece in read():
            yield piece.transpose(0, 3, 1, 2)

    return Original((path,), tuple(sizes), (3, SIDE, SIDE), np.dtype(np.uint8), pieces)


def check_grid(path: Path, key: str, classes: np.ndarray, sizes: Sequence[int]) -> None:
    """Raises `DataError` unless `classes` (N, K) are all combinations, the last factor running fastest."""
    for k, size in enumerate(sizes):
        least, most = (int(classes[:, k].min()), int(classes[:, k].max())) if len(classes) else (0, 0)
        if (least, most) != (0, size - 1):
            raise DataError(f"{path}: column {k} of {key} goes from {least} to {most}, not to {size - 1}; {AGAIN}.")
    if not np.array_equal(classes, np.indices(tuple(sizes)).reshape(len(sizes), -1).T):
        raise DataError(f"{path}: {key} is not the grid of {'×'.join(map(str, sizes))} in order; {AGAIN}.")


def mark_is(path: Path, marked: bool, wanted: bool) -> None:
    """Raises `DataError` where a stand-in lies at the place of an original, or the other way round."""
    if marked and not wanted:
        raise DataError(f"{path} is a stand-in that was drawn by rule, not the original; load it by its own name.")
    if wanted and not marked:
        raise DataError(f"{path} is not what `rdu-bench data make` writes there; remove it and make it again.")


def _expect(
    path: Path, array: NpzArray | h5py.Dataset, key: str, shape: tuple[int, ...], kinds: str, size: int | None
) -> None:
    dtype = np.dtype(array.dtype)
    if tuple(array.shape) != shape or dtype.kind not in kinds or (size and dtype.itemsize != size):
        found = f"{dtype} of {'×'.join(map(str, array.shape))}"
        wanted = {"u": "uint8", "iu": "whole numbers", "f": "floats", "iuf": "numbers"}[kinds]
        raise DataError(f"{path}: {key} is {found}; expected {wanted} of {'×'.join(map(str, shape))}; {AGAIN}.")


def _hdf5(path: Path) -> h5py.File:
    try:
        return h5py.File(regular(path), "r")
    except (OSError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read as HDF5; is it whole? {AGAIN.capitalize()}.") from error


def _stored(path: Path, file: h5py.File, key: str) -> h5py.Dataset:
    try:
        found = file.get(key)
    except (*BAD, KeyError):
        found = None
    if not isinstance(found, h5py.Dataset):
        if key in list(file):
            raise DataError(f"{path} has no data set {key}, but a group or link of that name; {AGAIN}.")
        raise DataError(f"{path} has no data set {key}; it has {', '.join(sorted(file)[:10]) or 'nothing'}.")
    if found.size and not found.id.get_storage_size():
        raise DataError(f"{path}: {key} is declared but holds nothing; {AGAIN}.")
    there, wanted = pieces_of(found)
    if there < wanted:
        raise DataError(f"{path}: {key} was not written to its end, {there:,} of {wanted:,} chunks are there; {AGAIN}.")
    return found


def _hdf5_pieces(path: Path, key: str) -> Iterator[np.ndarray]:
    """Rows of a data set in order, whole chunks at a time where memory allows."""
    with _hdf5(path) as file:
        stored = _stored(path, file, key)
        one = max(1, int(np.prod(stored.shape[1:])) * stored.dtype.itemsize)
        chunk = stored.chunks[0] if stored.chunks else 1
        step = max(1, ROWS // one)
        step = max(chunk, step // chunk * chunk) if chunk <= step else step
        for first in range(0, stored.shape[0], step):
            try:
                piece = stored[first : first + step]
            except (OSError, RuntimeError) as error:
                raise DataError(f"{path}: rows of {key} cannot be read; {AGAIN}.") from error
            yield piece
