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
    m = len(population)
    rows = (np.ascontiguousarray(row) for i in range(0, m, CHUNK) for row in population.stored(slice(i, i + CHUNK)))
    hashes = b"".join(hashlib.blake2b(row.data, digest_size=16).digest() for row in rows)
    counts = np.unique(np.frombuffer(hashes, np.uint64).reshape(m, 2), axis=0, return_counts=True)[1]
    return Entropy(float(np.log(m) - (counts * np.log(counts)).sum() / m), "exact")
