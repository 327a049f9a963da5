"""Scores of what can be read off a code: SAP and explicitness."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ._given import columns
from ._inputs import Protocol, Sample, Undefined, by_appearance, check_protocol, cut_points, halves, pair
from .information import discretise
from .linear_svm import Feature, Machines

CENTRAL = (0.005, 0.995)  # quantiles between which robust scores take a latent as it is
PENALTIES = {"dlib": 1.0, "robust": 100.0}  # C of the heads of explicitness


def sap(
    z: Any, factors: Any, protocol: Protocol = "robust", *, z_test: Any = None, factors_test: Any = None,
    continuous: bool = False,
) -> float:  # fmt: skip
    """Separated attribute predictability: mean_k of the gap between the two latents that predict y_k best, in [0, 1].

    `dlib`: test accuracy of a class-balanced linear support vector machine (C = 0.01) on one latent; with
    `continuous` the squared correlation on the training set, for ordered factors.  A linear machine on one latent
    cannot tell many ordered classes apart, so even a perfect code stays low.  `robust`: balanced test accuracy of the
    most frequent class in each of at most 64 bins of equal mass, rescaled so that guessing is 0 and certainty 1.
    z (n, d ≥ 2), factors (n, K) and their test set; without one, half of the examples are held out.
    Kumar et al. (2018), arXiv:1711.00848.  Raises as `pair`, and `Undefined` for a single latent.
    """
    check_protocol(protocol)
    train, test = pair(z, factors, z_test, factors_test)
    if train.z.shape[1] < 2:
        raise Undefined("SAP is a gap between two latents, and there is only one")
    if continuous:
        if protocol == "robust":
            raise ValueError("continuous=True belongs to protocol='dlib'; the robust score takes factors of any kind")
        found = _squared_correlation(train.z, _numbers(factors, halved=z_test is None))
    else:
        found = _machines(train, test) if protocol == "dlib" else _lookup(train, test)
    ordered = np.sort(found, axis=0)
    return float((ordered[-1] - ordered[-2]).mean())


def explicitness(
    z: Any, factors: Any, protocol: Protocol = "robust", *, z_test: Any = None, factors_test: Any = None
) -> float:
    """Explicitness: how well logistic regression on the whole code tells each value of each factor from the rest.

    Area under the ROC curve of p(y_k = v|z) on the test set, mean over values v, then over factors k, of heads on
    standardised codes.  `dlib`: as it is, ½ by guessing, of heads with C = 1, which tell many ordered values apart
    only with many examples.  `robust`: (area − ½)/½, 0 by guessing, with C = 100, latents clipped to their
    central 99 %.
    z (n, d), factors (n, K) and their test set; without one, half of the examples are held out.
    Ridgeway and Mozer (2018), arXiv:1802.05312.  Raises as `pair`.
    """
    from sklearn.linear_model import LogisticRegression

    check_protocol(protocol)
    train, test = pair(z, factors, z_test, factors_test)
    fit, score = train.z, test.z
    if protocol == "robust":
        low, high = np.quantile(fit, CENTRAL, axis=0)
        fit, score = np.clip(fit, low, high), np.clip(score, low, high)
    mean, scale = fit.mean(0), np.where(np.ptp(fit, axis=0) > 0, fit.std(0), 1)
    fit, score = (fit - mean) / scale, (score - mean) / scale
    areas = []
    for k, ((y, _), (truth, _)) in enumerate(zip(train.factors, test.factors, strict=True)):
        present = np.unique(truth)
        if len(present) < 2:
            raise Undefined(f"factor {k} has one value only in the test set, so nothing can be told apart there")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an early stop: the area changes in the fourth digit
            head = LogisticRegression(C=PENALTIES[protocol]).fit(fit, y)
        p = head.predict_proba(score)
        columns = np.searchsorted(head.classes_, present)
        areas.append(_areas(p[:, columns], truth[:, None] == present).mean())
    area = float(np.mean(areas))
    return area if protocol == "dlib" else (area - 0.5) / 0.5


def _areas(p: np.ndarray, own: np.ndarray) -> np.ndarray:
    """(C,) areas under the ROC curve of p (n, C) for what is its `own` (n, C): the share of pairs in order."""
    from scipy.stats import rankdata

    many = own.sum(0)
    return ((rankdata(p, axis=0) * own).sum(0) - many * (many + 1) / 2) / (many * (len(p) - many))


def _numbers(factors: Any, *, halved: bool) -> np.ndarray:
    """(n, K) values of factors, or of the half that is for training; raises `ValueError` for texts."""
    given = columns(factors, "factors")
    for k, column in enumerate(given):
        if column.dtype.kind == "U":
            raise ValueError(
                f"continuous=True takes ordered numbers, and factors[:, {k}] holds texts, {str(column[0])!r}"
            )
    found = np.stack(given, 1).astype(np.float64)
    return found[halves(len(found))[0]] if halved else found


def _squared_correlation(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(d, K), 0 for a constant latent."""
    n = len(z)
    a, b = z - z.mean(0), y - y.mean(0)
    var_z, var_y = (a**2).sum(0) / (n - 1), (b**2).sum(0) / (n - 1)
    squared = (a.T @ b / (n - 1)) ** 2
    return np.where(var_z[:, None] > 1e-12, squared / (np.where(var_z > 1e-12, var_z, 1)[:, None] * var_y), 0.0)


def _machines(train: Sample, test: Sample) -> np.ndarray:
    """(d, K) test accuracy of a linear support vector machine on each latent."""
    out = np.empty((train.z.shape[1], len(train.sizes)))
    for j, (x, held) in enumerate(zip(train.z.T, test.z.T, strict=True)):
        feature = Feature(x)
        for k, ((y, size), (truth, _)) in enumerate(zip(train.factors, test.factors, strict=True)):
            out[j, k] = (Machines(feature, y, size).predict(held) == truth).mean()
    return out


def _lookup(train: Sample, test: Sample) -> np.ndarray:
    """(d, K) balanced test accuracy of a table on each latent, 0 by guessing."""
    bins = discretise(train.z, "robust")
    out = np.empty((bins.shape[1], len(train.sizes)))
    for j, column in enumerate(bins.T):
        cells = int(column.max()) + 1
        held = np.searchsorted(cut_points(train.z[:, j], column), test.z[:, j], side="right")
        for k, size in enumerate(train.sizes):
            names = by_appearance(train.y[:, k])  # so that ties do not depend on what values are called
            counts = np.bincount(column * size + names[train.y[:, k]], minlength=cells * size).reshape(cells, size)
            guess = (counts / counts.sum(0)).argmax(1)  # a rare value is worth as much as a frequent one
            truth = names[test.y[:, k]]
            seen = np.bincount(truth, minlength=size)
            hits = np.bincount(truth[guess[held] == truth], minlength=size)
            balanced = (hits[seen > 0] / seen[seen > 0]).mean()
            out[j, k] = (balanced - 1 / size) / (1 - 1 / size)
    return out
