"""What is known of H(x)."""

from __future__ import annotations

import hashlib
from typing import Literal, NamedTuple

import numpy as np

from .examples import CHUNK, Examples


class Entropy(NamedTuple):
    """What is known of H(x)."""

    nats: float | None
    kind: Literal["exact", "differential", "none"]


def population_entropy(population: Examples) -> Entropy:
    """H(x) of a draw from M equally likely examples, from hashed counts of the distinct ones.

    With duplicates it is below log M: taking log M would forbid what is possible.
    """
    return Entropy(entropy_of(images_among(population)), "exact")


def images_among(examples: Examples) -> np.ndarray:
    """(n,) int64, which of the distinct images each example is, from hashes of what is stored: its first place."""
    starts = range(0, len(examples), CHUNK)
    rows = (np.ascontiguousarray(row) for i in starts for row in examples.stored(slice(i, i + CHUNK)))
    return images_of(b"".join(map(image_hash, rows)))


def image_hash(row: np.ndarray) -> bytes:
    """16 bytes that tell the numbers of a contiguous array from any others."""
    return hashlib.blake2b(row.data, digest_size=16).digest()


def images_of(hashes: bytes | bytearray) -> np.ndarray:
    """(n,) int64, which image each of n hashes is of: the number of the first hash that is the same."""
    pairs = np.frombuffer(hashes, np.uint64).reshape(-1, 2)
    _, first, image = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    return first[image.reshape(-1)]


def entropy_of(images: np.ndarray) -> float:
    """H(x) in nats of one of n equally likely examples, `images` (n,) which image each is: log n for distinct ones."""
    counts = np.unique(images, return_counts=True)[1]
    return float(np.log(len(images)) - (counts * np.log(counts)).sum() / len(images))
