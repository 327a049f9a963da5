"""IRS: how far a latent moves when only other factors change."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._inputs import Protocol, check_protocol, sample
from .information import _matrix, _significant

QUANTILE = 0.99


def irs(z: Any, factors: Any, protocol: Protocol = "robust") -> float:
    """Interventional robustness: mean_j max_k 1 − E_{y_k} q₉₉|z_j − E[z_j|y_k]| / max|z_j − E z_j|, in [0, 1].

    1 when each latent is decided by one factor, whatever the others do; factors must be crossed for that reading.
    Latents weigh by their largest deviation and constant ones are left out.  `robust`: latents are clipped to
    their central 99 %, deviations compared with the same quantile q₉₉ of all of them instead of the maximum, and
    latents weigh by what they know, those that know no factor not at all.
    z (n, d), factors (n, K).  Suter et al. (2019), arXiv:1811.00007.  Raises as `sample`.
    """
    check_protocol(protocol)
    given = sample(z, factors)
    code, weights = given.z[:, np.ptp(given.z, axis=0) > 0], None
    if protocol == "robust":
        known = _significant(given, _matrix(given, protocol))
        code, weights = _clipped(given.z[:, known.any(1)]), known[known.any(1)].sum(1)
    centred = np.abs(code - code.mean(0))
    most = centred.max(0) if protocol == "dlib" else np.quantile(centred, QUANTILE, axis=0)
    deviation = np.stack([_within(code, y, size) for y, size in given.factors])  # (K, d)
    each = (1 - deviation / most).max(0)
    return float(np.average(each, weights=most if weights is None else weights))


def _within(code: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    """(d,) mean over values of y of the 0.99 quantile of deviations from the mean of that value."""
    order = np.argsort(y, kind="stable")
    groups = np.split(code[order], np.cumsum(np.bincount(y, minlength=size))[:-1])
    return np.mean([np.quantile(np.abs(g - g.mean(0)), QUANTILE, axis=0) for g in groups if len(g)], axis=0)


def _clipped(z: np.ndarray) -> np.ndarray:
    """Each column within its central 99 %, so that no outlier sets the scale."""
    return np.clip(z, *np.quantile(z, [(1 - QUANTILE) / 2, (1 + QUANTILE) / 2], axis=0))
