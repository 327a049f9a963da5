"""Principal directions of codes, and the map to unit covariance: whatever whitens a code in torch does it here.

`scores/_whitening.py` is the same on numpy arrays, for the scores are of use without torch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

FLOOR = 1e-6  # of the largest variance; directions below it are not part of the code


class Directions(NamedTuple):
    """Of draws (…, d), those of least variance first, float64."""

    mean: Tensor  # (d,)
    variances: Tensor  # (k,) ascending
    vectors: Tensor  # (d, k) orthonormal columns

    def turned(self, z: Tensor) -> Tensor:
        """(…, d) → (…, k) float64, centred, each direction with the variance it has."""
        return (z.double() - self.mean) @ self.vectors


class Whitening(NamedTuple):
    """z → (z − mean) W with unit covariance on the draws that it was fitted to."""

    mean: Tensor  # (d,) float64
    matrix: Tensor  # (d, k) W, float64; k = 0 where the code is constant
    back: Tensor  # (k, d) float64: z is mean + u back, up to directions that were left out

    def __call__(self, z: Tensor) -> Tensor:
        """(…, d) → (…, k) float32; of a constant code one column of zeros."""
        if not self.matrix.shape[1]:
            return z.new_zeros(*z.shape[:-1], 1, dtype=torch.float32)
        return ((z.double() - self.mean) @ self.matrix).float()


def principal(z: Tensor, most: int | None = None) -> Directions:
    """The `most` directions of greatest variance of draws (…, d), all of them unless given."""
    flat = z.reshape(-1, z.shape[-1]).double()
    mean = flat.mean(0)
    values, vectors = torch.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
    return Directions(mean, values, vectors) if most is None else Directions(mean, values[-most:], vectors[:, -most:])


def whitening(z: Tensor, most: int | None = None) -> Whitening:
    """Of draws (…, d), in their `most` leading directions, without those whose variance is below `FLOOR`."""
    mean, values, vectors = principal(z, most)
    kept = values > FLOOR * values.amax().clamp(min=1e-30)
    scale, vectors = values[kept].sqrt(), vectors[:, kept]
    return Whitening(mean, vectors / scale, (vectors * scale).T)
