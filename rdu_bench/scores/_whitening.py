"""The map of codes to unit covariance on numpy arrays; `nn/whitening.py` is the same in torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FLOOR = 1e-6  # of the largest variance; directions below it are not part of the code


class Whitening(NamedTuple):
    """z → (z − mean) W with unit covariance on the codes that it was fitted to."""

    mean: np.ndarray  # (d,)
    matrix: np.ndarray  # (d, k) W; k = 0 where the code is constant

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """(…, d) → (…, k)."""
        white: np.ndarray = (z - self.mean) @ self.matrix
        return white


def whitening(z: np.ndarray, most: int | None = None) -> Whitening:
    """Of codes (n, d), in their `most` leading directions, greatest variance first, none below `FLOOR`.

    Few directions of many are found by a randomised singular value decomposition of fixed seed.
    """
    mean = z.mean(0)
    if most is not None and most < min(z.shape) // 4:
        from sklearn.utils.extmath import randomized_svd

        _, singular, rows = randomized_svd(z - mean, most, n_iter=2, random_state=0)
        values, vectors = singular**2 / len(z), rows.T
    else:
        values, vectors = np.linalg.eigh((z - mean).T @ (z - mean) / len(z))
        values, vectors = values[::-1][:most], vectors[:, ::-1][:, :most]
    kept = values > FLOOR * max(values[0], 1e-30)
    return Whitening(mean, vectors[:, kept] / np.sqrt(values[kept]))
