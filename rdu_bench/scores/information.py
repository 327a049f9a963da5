"""Scores that need the mutual information of every latent with every factor: MIG, modularity, and their matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._inputs import Protocol, Sample, Undefined, check_protocol, codes, equal_mass, sample

BINS = {"dlib": 20, "robust": 64}  # of equal width, of equal mass
CHANCE = 3.0  # standard deviations of the mutual information with shuffled factors
SHUFFLES = 5
LEAST = 0.05  # of the factors' entropy must be in single latents for a ratio of informations to mean anything


def mutual_information(z: Any, factors: Any, protocol: Protocol = "robust") -> np.ndarray:
    """I(z_j; y_k) in nats, (d, K): an estimate, biased up by chance in `dlib` and corrected for it in `robust`.

    `dlib`: plug-in estimate on 20 bins of equal width, as in disentanglement_lib.  `robust`: at most 64 bins of equal
    mass, √n on fewer than 4096 examples, with the correction of Miller and Madow (1955).
    """
    check_protocol(protocol)
    return _matrix(sample(z, factors), protocol)


def entropies(factors: Any) -> np.ndarray:
    """H(y_k) in nats, (K,), of the frequencies in `factors` (n, K)."""
    return np.array([_entropy(np.unique(column, return_counts=True)[1]) for column in np.asarray(factors).T])


def mig(z: Any, factors: Any, protocol: Protocol = "robust") -> float:
    """Mutual information gap: mean_k (I_(1)k − I_(2)k) / H(y_k), in [0, 1] up to estimation error.

    By how much the most informative latent beats the second for each factor; 0 where a factor is encoded twice.
    z (n, d), factors (n, K).  In `dlib` a factor of more than 20 values cannot reach 1.
    Chen et al. (2018), arXiv:1802.04942.  Raises as `sample`, and `Undefined` for a single latent.
    """
    check_protocol(protocol)
    given = sample(z, factors)
    if given.z.shape[1] < 2:
        raise Undefined("MIG is a gap between two latents, and there is only one")
    ordered = np.sort(_matrix(given, protocol), axis=0)
    h = [_entropy(np.bincount(y)) for y, _ in given.factors]
    return float(((ordered[-1] - ordered[-2]) / h).mean())


def modularity(z: Any, factors: Any, protocol: Protocol = "robust") -> float:
    """Modularity: for each latent 1 − Σ_{k≠k*} I_jk² / (I_jk*² (K − 1)), in [0, 1]; 1 when each knows one factor.

    `dlib`: mean over latents, dead ones count 0, and pure noise gets about two thirds.  `robust`: informations that
    chance explains are 0, latents weigh by what they know, and a code of less than 5 % of the factors' entropy in
    single latents is `Undefined`.  It says nothing of how much is known: read it beside `explicitness`.
    z (n, d), factors (n, K ≥ 2).  Ridgeway and Mozer (2018), arXiv:1802.05312.
    """
    check_protocol(protocol)
    given = sample(z, factors)
    many = given.y.shape[1]
    if many < 2:
        raise Undefined("modularity compares factors, and there is only one")
    found = _matrix(given, protocol)
    if protocol == "robust":
        found = _significant(given, found)
    squared = found**2
    top = squared.max(1)
    each = np.where(top > 0, 1 - (squared.sum(1) - top) / (np.where(top > 0, top, 1) * (many - 1)), 0.0)
    if protocol == "dlib":
        return float(each.mean())
    return float(np.average(each, weights=found.sum(1)))


def mutual_info_score(z: Any, protocol: Protocol = "robust") -> float:
    """Mean of I(z_i; z_j) over pairs of latents, nats: an estimate, 0 for independent latents.  z (n, d ≥ 2).

    The dependence score of Locatello et al. (2019), arXiv:1811.12359; bins as in `mutual_information`, in
    `robust` only ∛n of them.  Constant latents count as independent in `dlib` and are left out in `robust`.  Raises
    `Undefined` where fewer than two are left, or all are constant.
    """
    check_protocol(protocol)
    checked = codes(z)
    varied = np.ptp(checked, axis=0) > 0
    if protocol == "robust":
        checked = checked[:, varied]
    d = checked.shape[1]
    if d < 2 or not varied.any():
        raise Undefined(f"pairs of latents that are not constant are needed, and there are {int(varied.sum())} of them")
    bins = discretise(checked, "dlib") if protocol == "dlib" else equal_mass(checked, _cells(len(checked), 1 / 3))
    total = sum(_information(bins[:, i], bins[:, j], protocol) for i in range(d) for j in range(i))
    return float(2 * total / (d * (d - 1)))


def discretise(z: np.ndarray, protocol: Protocol) -> np.ndarray:
    """(n, d) → (n, d) int64: the bins that informations are counted in."""
    if protocol == "robust":
        return equal_mass(z, _cells(len(z), 1 / 2))
    edges = [np.histogram(column, BINS["dlib"])[1][:-1] for column in z.T]
    return np.stack([np.searchsorted(e, column, side="right") for e, column in zip(edges, z.T, strict=True)], 1)


def _cells(n: int, power: float) -> int:
    return max(2, min(BINS["robust"], int(n**power + 1e-9)))


def _matrix(given: Sample, protocol: Protocol) -> np.ndarray:
    bins = discretise(given.z, protocol)
    return np.array([[_information(column, y, protocol) for y, _ in given.factors] for column in bins.T])


def _significant(given: Sample, found: np.ndarray) -> np.ndarray:
    """`found` with 0 wherever shuffled factors give as much; raises `Undefined` when next to nothing is left."""
    bins, draw = discretise(given.z, "robust"), np.random.default_rng(0)
    null = []
    for _ in range(SHUFFLES):
        y = given.y[draw.permutation(len(given.y))]
        null.append([[_information(column, other, "robust") for other in y.T] for column in bins.T])
    chance = np.array(null)
    kept = np.where(found > chance.mean((0, 1)) + CHANCE * chance.std((0, 1)), found, 0.0)
    share = (kept.max(0) / [_entropy(np.bincount(y)) for y, _ in given.factors]).mean()
    if share < LEAST:
        raise Undefined(f"single latents know {share:.1%} of the factors' entropy, too little to say what knows what")
    return kept


def _information(a: np.ndarray, b: np.ndarray, protocol: Protocol) -> float:
    """I(a; b) in nats of two columns of small whole numbers."""
    rows, columns = int(a.max()) + 1, int(b.max()) + 1
    joint = np.bincount(a * columns + b, minlength=rows * columns).reshape(rows, columns)
    counts = joint.sum(1), joint.sum(0), joint
    nats = _entropy(counts[0]) + _entropy(counts[1]) - _entropy(joint)
    if protocol == "dlib":
        return max(nats, 0.0)
    seen = [np.count_nonzero(c) for c in counts]
    return nats + (seen[0] + seen[1] - seen[2] - 1) / (2 * len(a))


def _entropy(counts: np.ndarray) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())
