"""Scores that need no factors: how far the latents are from independent, to second order."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._inputs import Protocol, Undefined, check_protocol, codes

FLOOR = 1e-10  # of the mean variance; eigenvalues below it are rounding


def gaussian_total_correlation(z: Any, protocol: Protocol = "robust") -> float:
    """½ (Σ_j log Σ_jj − log|Σ|) nats: the total correlation if z (n, d) were Gaussian with its covariance Σ.

    0 for uncorrelated latents.  A lower bound on the total correlation where each latent alone is Gaussian, an
    estimate elsewhere; Locatello et al. (2019), arXiv:1811.12359.  `dlib`: of the covariance as it is, `Undefined`
    when that is singular.  `robust`: of the rank correlations of the latents that vary, so that no outlier and no
    monotone map of a latent changes it.
    """
    covariance = _covariance(z, protocol)
    sign, logdet = np.linalg.slogdet(covariance)
    values = np.linalg.eigvalsh(covariance)
    if sign <= 0 or values[0] <= FLOOR * values[-1]:
        raise Undefined("the covariance of the latents is singular, so their total correlation is infinite")
    return float(0.5 * (np.log(covariance.diagonal()).sum() - logdet))


def gaussian_wasserstein_correlation(z: Any, protocol: Protocol = "robust", *, normalised: bool = False) -> float:
    """2 tr Σ − 2 tr (diag(Σ)½ Σ diag(Σ)½)½: squared 2-Wasserstein distance of N(0, Σ) to N(0, diag Σ).

    In squared units of z (n, d); divided by tr Σ with `normalised`.  0 for uncorrelated latents.
    Locatello et al. (2019), arXiv:1811.12359; protocols as in `gaussian_total_correlation`.
    """
    covariance = _covariance(z, protocol)
    root = np.sqrt(np.diag(covariance))
    values = np.linalg.eigvalsh(root[:, None] * covariance * root)
    distance = 2 * (np.trace(covariance) - np.sqrt(values.clip(min=0)).sum())
    return float(distance / np.trace(covariance) if normalised else distance)


def _covariance(z: Any, protocol: Protocol) -> np.ndarray:
    check_protocol(protocol)
    checked = codes(z)
    if len(checked) < 2:
        raise Undefined("a covariance needs two examples, and there is one")
    varied = np.ptp(checked, axis=0) > 0
    if not varied.any():
        raise Undefined("every latent is constant, so the code says nothing")
    if protocol == "robust":
        checked = normal_scores(checked[:, varied])
    return np.atleast_2d(np.cov(checked.T))


def normal_scores(z: np.ndarray) -> np.ndarray:
    """(n, d) → (n, d): each column's ranks as quantiles of N(0, 1), equal values staying equal, and unit variance.

    Monotone maps of a column change nothing, so that a few extreme values cannot either.  Constant columns become 0.
    """
    from scipy.stats import norm, rankdata

    scores = norm.ppf((rankdata(z, axis=0) - 0.5) / len(z))
    scores = scores - scores.mean(0)
    scale = scores.std(0)
    return scores / np.where(scale > 0, scale, 1)
