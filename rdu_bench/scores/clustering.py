"""Whether classes are clusters of a code: clusters found without labels, compared with labels after."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.mixture import GaussianMixture

from ._given import labels
from ._inputs import Undefined, codes

Method = Literal["k-means", "mixture"]
METHODS: tuple[Method, ...] = ("k-means", "mixture")
RESTARTS = 10
REGULARISER = 1e-4  # of the mean variance, added to every covariance


class Agreement(NamedTuple):
    """Of a clustering with classes; all are 1 when they are the same but for names."""

    ari: float  # adjusted Rand index: 0 for chance, may be below
    ami: float  # adjusted mutual information, arithmetic mean of entropies: 0 for chance
    nmi: float  # the same without adjustment: grows with the number of clusters
    acc: float  # of the best matching of clusters to classes; what is left over counts as wrong


class Clusters(NamedTuple):
    """Clusters as they were fitted."""

    assign: Callable[[np.ndarray], np.ndarray]  # z (n, d) → (n,) int64 from 0 to k − 1
    log_likelihood: Callable[[np.ndarray], float]  # mean nats an example, under the mixture that the clusters stand for


def clustering(labels_pred: Any, labels_true: Any) -> Agreement:
    """Compare clusters (n,) with classes (n,); names of either mean nothing, and their numbers may differ.

    −1 is a cluster as others are, also where it stands for noise, and no class.  Raises `Undefined` when there is one
    class only: every clustering then scores 0 or 1 for no reason; `ValueError` for two of different length, and for
    classes that are −1, which stands for unknown, as it does elsewhere.
    """
    guess, truth = (_labels(v, name) for v, name in ((labels_pred, "labels_pred"), (labels_true, "labels_true")))
    if len(guess) != len(truth):
        raise ValueError(
            f"labels_pred has {len(guess)} entries and labels_true {len(truth)}; they must be the same examples"
        )
    if len(np.unique(truth)) < 2:
        raise Undefined("labels_true has one class only, so there is nothing that clusters could find")
    counts = contingency_matrix(truth, guess)
    matched = counts[linear_sum_assignment(-counts)].sum()
    return Agreement(
        ari=float(adjusted_rand_score(truth, guess)),
        ami=float(adjusted_mutual_info_score(truth, guess)),
        nmi=float(normalized_mutual_info_score(truth, guess)),
        acc=float(matched / len(truth)),
    )


def cluster(z_train: Any, z_test: Any, k: int, *, method: Method = "k-means", seed: int = 0) -> np.ndarray:
    """(m,) int64: the clusters of z_test (m, d), of k that were fitted to z_train (n, d); see `fit_clusters`.

    Raises as that does, and `ValueError` for codes of two sizes.
    """
    test = codes(z_test, "z_test")
    train = codes(z_train, "z_train")
    if train.shape[1] != test.shape[1]:
        raise ValueError(f"z_train has {train.shape[1]} latents and z_test {test.shape[1]}; they must be one code's")
    return fit_clusters(train, k, method=method, seed=seed).assign(test)


def fit_clusters(z: Any, k: int, *, method: Method = "k-means", seed: int = 0) -> Clusters:
    """k clusters of z (n, d) in its own coordinates, which whitening would fill with noise.

    k-means of 10 restarts, which stands for k equally likely balls of one size; or a mixture of k Gaussians with full
    covariances, started from k-means.  Raises `Undefined` when z has fewer than k distinct rows, `ValueError` for k < 2
    and for another method.
    """
    return fit_each(z, k, (method,), seed=seed)[method]


def fit_each(z: Any, k: int, methods: Sequence[Method] = METHODS, *, seed: int = 0) -> dict[Method, Clusters]:
    """`fit_clusters` by several methods, which share k-means.  Raises as that does."""
    for method in methods:
        if method not in METHODS:
            raise ValueError(f"method is {method!r}; it must be 'k-means' or 'mixture'")
    checked = codes(z, "z_train")
    if k < 2:
        raise ValueError(f"k is {k}; ask for at least 2 clusters")
    if len(np.unique(checked, axis=0)) < k:
        raise Undefined(f"z_train has fewer than {k} distinct codes, so they cannot fall into {k} clusters")
    middle, scale = checked.mean(0), np.sqrt(checked.var(0).mean())
    state = seed % 2**32

    def scaled(z: np.ndarray) -> np.ndarray:
        return (z - middle) / scale

    x = scaled(checked)
    means = KMeans(k, n_init=RESTARTS, random_state=state).fit(x)
    d = x.shape[1]
    shift = d * np.log(scale)

    def balls() -> Clusters:
        variance = max(means.inertia_ / x.size, REGULARISER)

        def log_likelihood(z: np.ndarray) -> float:
            nearness = -0.5 * means.transform(scaled(z)) ** 2 / variance
            top = nearness.max(1, keepdims=True)
            each = top[:, 0] + np.log(np.exp(nearness - top).sum(1))
            return float(each.mean() - np.log(k) - 0.5 * d * np.log(2 * np.pi * variance) - shift)

        return Clusters(lambda z: means.predict(scaled(z)).astype(np.int64), log_likelihood)

    def gaussians() -> Clusters:
        mixture = GaussianMixture(
            k, reg_covar=REGULARISER, means_init=means.cluster_centers_, init_params="k-means++", random_state=state
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 100 steps are near enough for clusters
            mixture.fit(x)
        return Clusters(
            lambda z: mixture.predict(scaled(z)).astype(np.int64), lambda z: float(mixture.score(scaled(z)) - shift)
        )

    return {method: balls() if method == "k-means" else gaussians() for method in methods}


def _labels(given: Any, name: str) -> np.ndarray:
    """(n,) int64: labels of any kind as numbers, in the order of their values."""
    found = labels(given, name)
    if not len(found):
        raise ValueError(f"{name} has shape {found.shape}; it must be (n,), a label for each example")
    if name == "labels_true" and found.dtype.kind == "i" and found.min() == -1:
        raise ValueError(
            f"{name} is -1 for {int((found == -1).sum())} of {len(found)} examples, which stands for unknown; leave "
            "these out, or number the classes from 0"
        )
    return np.unique(found, return_inverse=True)[1]
