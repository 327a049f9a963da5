"""The content hash: of every number in the splits of a data set, whatever they are stored in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from .examples import Examples, Source
from .files import Beside
from .hdf5 import HDF5Source


def content_hash(splits: Mapping[str, Examples]) -> str:
    """16 hex digits of SHA-256 over x as float32 and the factors of every split, a chunk at a time.

    Where all x are rows of HDF5 files, it is kept beside the first of them and read again from there until one of the
    files, the choice of rows or a factor changes.
    """
    files = files_of(splits)
    if not files:
        return _computed(splits)
    beside, key = Beside(files[0].path), f"hash of {choice_of(splits)}"
    kept = beside.get(key)
    if not isinstance(kept, str):
        kept = _computed(splits)
        beside.put(key, kept)
    return kept


def files_of(splits: Mapping[str, Examples]) -> list[HDF5Source]:
    """The sources of all splits, if all are files."""
    origins = [origin(split.source)[0] for split in splits.values()]
    files = [source for source in origins if isinstance(source, HDF5Source)]
    return files if len(files) == len(origins) else []


def origin(source: Source | np.ndarray) -> tuple[Source | np.ndarray, tuple[str, ...]]:
    """What the rows of a source are made of in the end, and by which rules, the last one first."""
    rules = []
    while isinstance(source, Source) and source.rule:
        rules.append(source.rule)
        source = source.levels
    return source, tuple(rules)


def _computed(splits: Mapping[str, Examples]) -> str:
    h = hashlib.sha256()
    for part, split in sorted(splits.items()):
        h.update(f"{part}/x/float32/{(len(split), *split.shape)}".encode())
        for x in split.chunks():
            h.update(np.ascontiguousarray(x.numpy()).data)
        _add_factors(h, part, split)
    return h.hexdigest()[:16]


def choice_of(splits: Mapping[str, Examples]) -> str:
    """Hash of what is taken from which files as they are now."""
    h = hashlib.sha256()
    for part, split in sorted(splits.items()):
        source, rules = origin(split.source)
        assert isinstance(source, HDF5Source)
        how = (split.shape, split.scale, source.layout, *rules)
        h.update(repr((part, source.path.name, source.key, source.stamp, *how)).encode())
        h.update(b"all" if split.rows is None else np.ascontiguousarray(split.rows).data)
        _add_factors(h, part, split)
    return h.hexdigest()[:16]


def _add_factors(h: hashlib._Hash, part: str, split: Examples) -> None:
    for key, y in sorted(split.factors.items()):
        array = np.ascontiguousarray(y.numpy())
        h.update(f"{part}/{key}/{array.dtype}/{array.shape}".encode())
        h.update(array.data)
