"""Examples that are in two splits: what a model has learned by heart may then be tested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from .dequantised import Dequantised
from .entropy import image_hash
from .examples import CHUNK, Examples


def repeated(splits: Mapping[str, Examples]) -> dict[str, int]:
    """Part → how many of its examples are in train too, number for number; of bytes made real, the bytes."""
    known = set(_hashes(splits["train"]))
    return {part: sum(h in known for h in _hashes(split)) for part, split in splits.items() if part != "train"}


def _hashes(split: Examples) -> Iterator[bytes]:
    source = split.source
    while isinstance(source, Dequantised):
        source = source.levels
    stored = Examples(source, {}, rows=split.rows)
    for i in range(0, len(stored), CHUNK):
        yield from (image_hash(np.ascontiguousarray(row)) for row in stored.stored(slice(i, i + CHUNK)))
