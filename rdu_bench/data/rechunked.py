"""A copy of an HDF5 file of others, for files whose chunks are so large that shuffled rows are slow to read."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from .. import _files
from .._text import megabytes, one_line, say
from .converted import Converted, Original, convert, named, read
from .examples import AHEAD
from .files import made_folders
from .hdf5 import HDF5Source

# The convolutional VAE of the study has 0.71 to 0.86 of the images a second that it has from memory on files of 1 GB in
# gzip chunks of 64, of 1,024, of all images and of h5py's choice, and 0.95 to 1.03 on copies of these; reading alone is
# 3.5 to 6.5 times as fast (`tests/benchmarks/streaming.py --users`).
WASTE = 8  # bytes unpacked for each that is wanted, from which on rows are read from a copy
CHUNK = 2**14  # bytes that are packed together in it, or one example
SPARE = 2**26  # bytes that are left free beside it

Rows = TypeVar("Rows", bound=HDF5Source)


def rechunked(source: Rows, content: str, wanted: int) -> tuple[Rows, str]:
    """`source`, or where training on `wanted` shuffled rows would wait for it, the same from a copy in small chunks.

    Also a sentence that says so, "" for nothing.  `content` tells the source's file from all others.  The copy is
    written once, whole or not at all, into the user's cache, or the data folder where that has no room; processes that
    ask at the same time wait for the one that writes.  Where neither has room the source stays as it is.
    """
    if source.unpacked(wanted, AHEAD) <= WASTE:
        return source, ""
    n, chunk = source.shape[0], max(1, CHUNK // source.row_bytes)
    original = Original(
        files=(source.path,),
        sizes=(n,),
        shape=source.stored_shape,
        dtype=source.dtype,
        pieces=source.pieces,
        name="hdf5",
        content=f"{content} {source.key}",
        counted=False,
    )
    why = f"x is packed {source.chunks.rows:,} examples at a time"
    copied, lost = _copied(original, chunk, why)
    if copied is None:
        return source, f"{why}, and training may wait for it, since {lost}"
    return source.elsewhere(copied.source), f"{why}; its rows are read from a copy that packs {min(chunk, n)} together"


def _copied(original: Original, chunk: int, why: str) -> tuple[Converted | None, str]:
    """A copy that is there or is written now; or none, and why not."""
    name, made = named(original, chunk)
    places = list(reversed(made_folders(original.name)))
    for place in places:
        if found := read(place / name, original, made):
            return found, ""
    size = original.n * math.prod(original.shape) * original.dtype.itemsize
    lost = f"a copy in smaller chunks needs {megabytes(size)} free; free some, or name a folder with XDG_CACHE_HOME"
    for place in places:
        if _free(place) < size + SPARE:
            continue
        said = f"{original.files[0]}: {why}; it is copied once, in smaller chunks, into {place / name}"
        try:
            _files.sweep(place, f".*{_files.PART}")
            pieces = partial(_telling, said, original.pieces)
            return convert(place / name, original._replace(pieces=pieces), made, chunk), ""
        except OSError as error:
            lost = f"a copy in smaller chunks cannot be written: {error.strerror or error}"
    return None, lost


def _telling(said: str, pieces: Callable[[], Iterator[np.ndarray]]) -> Iterator[np.ndarray]:
    """The pieces; a sentence is said once they are asked for, so by the process alone that writes them."""
    say(f"rdu-bench: {one_line(said)}", sys.stderr)
    yield from pieces()


def _free(place: Path) -> int:
    """Bytes that are free where a folder is, or would be."""
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return 0
