"""UDR: whether models of other seeds found the same latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._inputs import Protocol, Undefined, check_protocol, codes

LEAST = 5  # models for a median that means something
PENALTY = 0.1  # of the lasso


def udr(
    models: Sequence[Any], protocol: Protocol = "robust", *, kl: Sequence[Any] | None = None, method: str = "lasso",
    least: int = LEAST,
) -> np.ndarray:  # fmt: skip
    """Unsupervised disentanglement ranking: one score in [0, 1] for each of M ≥ 5 models, higher is better.

    `models` are codes (n, d_m) of the same examples, `kl` the rate of each latent, (d_m,) nats; latents below 0.01
    nats are left out (without `kl`: constant ones).  For two models, R_ij says how much latent i of one is needed for
    latent j of the other: |coefficients| of a lasso with penalty 0.1 between standardised codes, or |rank correlation|
    with `method="spearman"`.  Their agreement is the mean over rows and columns of max² / sum, a model's score the
    median over all others.  No labels are used, so it may choose hyper-parameters.
    Duan et al. (2020), arXiv:1905.12614.  `dlib` and `robust` differ in the lasso's codes: standardised, or as normal
    scores.  Raises `ValueError` for malformed input, `Undefined` for fewer than `least` models.
    """
    check_protocol(protocol)
    if method not in ("lasso", "spearman"):
        raise ValueError(f"method is {method!r}; it must be 'lasso' or 'spearman'")
    checked = [codes(z, f"models[{m}]") for m, z in enumerate(models)]
    if len({len(z) for z in checked}) > 1:
        raise ValueError(f"the models have codes of {[len(z) for z in checked]} examples; they must be the same ones")
    if len(checked) < max(2, least):
        raise Undefined(f"UDR compares models of at least {max(2, least)} seeds, and there are {len(checked)}")
    kept = [_informative(z, None if kl is None else kl[m], m) for m, z in enumerate(checked)]
    prepared = [_standard(z, rank=method == "spearman" or protocol == "robust") for z in kept]
    agree = np.full((len(kept), len(kept)), np.nan)
    for a, first in enumerate(prepared):
        for b in range(a):
            agree[a, b] = agree[b, a] = _agreement(first, prepared[b], method)
    return np.nanmedian(agree, axis=1)


def _informative(z: np.ndarray, kl: Any, m: int) -> np.ndarray:
    if kl is None:
        return z[:, np.ptp(z, axis=0) > 0]
    rates = np.asarray(kl, dtype=float)
    if rates.shape != (z.shape[1],):
        raise ValueError(f"kl[{m}] has shape {rates.shape}; it must be ({z.shape[1]},), nats for each latent")
    return z[:, (rates > 0.01) & (np.ptp(z, axis=0) > 0)]


def _standard(z: np.ndarray, rank: bool) -> np.ndarray:
    if rank:
        from scipy.stats import rankdata

        z = rankdata(z, axis=0) if z.shape[1] else z
    return (z - z.mean(0)) / np.where(np.ptp(z, axis=0) > 0, z.std(0), 1) if z.shape[1] else z


def _agreement(a: np.ndarray, b: np.ndarray, method: str) -> float:
    """In [0, 1]; 0 where one of them has no latent in use."""
    if not a.shape[1] or not b.shape[1]:
        return 0.0
    if method == "spearman":
        return _strength(np.abs(a.T @ b / len(a)))
    return 0.5 * (_strength(np.abs(_lasso(a, b))) + _strength(np.abs(_lasso(b, a)).T))


def _strength(relation: np.ndarray) -> float:
    """Mean over rows and over columns of max² / sum, which is 1 for a permutation matrix."""
    sides = []
    for axis in (0, 1):
        total = relation.sum(axis)
        sides.append(np.where(total > 0, relation.max(axis) ** 2 / np.where(total > 0, total, 1), 0.0).mean())
    return float(np.mean(sides))


def _lasso(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(d, t) coefficients of t standardised targets y (n, t) on standardised x (n, d), each fitted on its own."""
    from sklearn.linear_model import Lasso

    fitted = Lasso(alpha=PENALTY, fit_intercept=False, precompute=x.T @ x, tol=1e-6, max_iter=10_000).fit(x, y)
    return fitted.coef_.reshape(y.shape[1], x.shape[1]).T
