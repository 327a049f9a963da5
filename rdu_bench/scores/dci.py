"""DCI: which latents a good reader of a factor relies on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ._inputs import Protocol, Sample, Undefined, by_appearance, check_protocol, column_order, pair

TREES, LEAF, MOST = 24, 3, 6000  # of the robust forest: size, examples in a leaf, examples it is grown on
CHANCE = 2.0  # standard errors above nothing from which an importance counts
LEAST = 0.05  # informativeness below which importances are those of noise


class DCI(NamedTuple):
    """Disentanglement, completeness and informativeness, each in [0, 1], higher is better."""

    disentanglement: float
    completeness: float
    informativeness: float


def dci(
    z: Any, factors: Any, protocol: Protocol = "robust", *, z_test: Any = None, factors_test: Any = None, seed: int = 0
) -> DCI:
    """Disentanglement, completeness and informativeness from the importance P_jk of latent j for reading factor k.

        D = Σ_j ρ_j (1 − H_K(P_j·)),   C = Σ_k γ_k (1 − H_d(P_·k)),   I = accuracy of the readers

    with rows and columns of P as distributions, entropies to the base of their length, and weights ρ, γ by total
    importance.  `dlib`: gradient-boosted trees with impurity importance, I their test accuracy.  `robust`: a small
    forest for each factor and permutation importance on the test set, the probability that the true value loses
    when a latent is shuffled; entries within 2 standard errors of nothing are 0, I is accuracy rescaled so that the
    most frequent value gets 0, and a code with I < 0.05 is `Undefined`.
    z (n, d), factors (n, K) and their test set; without one, half of the examples are held out.
    Eastwood and Williams (2018), openreview By-7dz-AZ.  Raises as `pair`, and `Undefined` for one latent or factor.
    """
    check_protocol(protocol)
    train, test = pair(z, factors, z_test, factors_test)
    if train.z.shape[1] < 2 or len(train.sizes) < 2:
        raise Undefined("DCI compares latents and factors, and needs two of each")
    read = _boosted if protocol == "dlib" else _forests
    importance, informativeness = read(train, test, seed)
    if protocol == "robust" and (informativeness < LEAST or not importance.any()):
        raise Undefined(f"informativeness is {informativeness:.3f}, and importances below 0.05 are those of noise")
    return DCI(disentanglement(importance), completeness(importance), informativeness)


def disentanglement(importance: np.ndarray) -> float:
    """Σ_j ρ_j (1 − H_K(P_j·)) of importances (d, K) ≥ 0; rows without any importance weigh nothing."""
    rows = importance.sum(1)
    weights = rows if rows.any() else np.ones_like(rows)
    return float(np.average(1 - _entropies(importance), weights=weights))


def completeness(importance: np.ndarray) -> float:
    """Σ_k γ_k (1 − H_d(P_·k)) of importances (d, K) ≥ 0."""
    return disentanglement(importance.T)


def _entropies(rows: np.ndarray) -> np.ndarray:
    """Entropy of each row as a distribution, to the base of its length; as the reference, 1e-11 is added."""
    p = rows + 1e-11
    p = p / p.sum(1, keepdims=True)
    return -(p * np.log(p)).sum(1) / np.log(rows.shape[1])


def _boosted(train: Sample, test: Sample, seed: int) -> tuple[np.ndarray, float]:
    from sklearn.ensemble import GradientBoostingClassifier

    state, columns, right = np.random.RandomState(seed), [], []
    for (y, _), (truth, _) in zip(train.factors, test.factors, strict=True):
        model = GradientBoostingClassifier(random_state=state).fit(train.z, y)
        columns.append(np.abs(model.feature_importances_))
        right.append((model.predict(test.z) == truth).mean())
    return np.stack(columns, 1), float(np.mean(right))


def _forests(train: Sample, test: Sample, seed: int) -> tuple[np.ndarray, float]:
    from sklearn.ensemble import ExtraTreesClassifier

    order = column_order(train.z)  # trees draw at random: neither the order of latents nor names of values may matter
    fit, held = train.z[:, order], test.z[:, order]
    draw = np.random.default_rng(seed)
    rows = draw.permutation(len(fit))[:MOST]
    n, d = held.shape
    shuffled = np.tile(held.astype(np.float32), (d + 1, 1, 1))  # (d + 1, n, d): the last as it is
    shuffled[np.arange(d), :, np.arange(d)] = held[draw.permutation(n)].T
    everything = shuffled.reshape(-1, d)
    near = np.lexsort(everything.T)  # neighbours fall through a tree alike, which takes half the time
    place = np.empty_like(near)
    place[near] = np.arange(len(near))
    everything = everything[near]
    columns, gains = [], []
    for (seen, _), (wanted, size) in zip(train.factors, test.factors, strict=True):
        names = by_appearance(seen)
        y, truth = names[seen], names[wanted]
        forest = ExtraTreesClassifier(TREES, min_samples_leaf=LEAF, max_features=None, random_state=seed)
        forest.fit(fit[rows], y[rows])
        wanted_near = np.tile(truth, d + 1)[near]
        found, known = np.zeros(len(near)), np.zeros((n, size))
        for tree in forest.estimators_:
            p = np.zeros((tree.tree_.node_count, size))
            p[:, forest.classes_] = tree.tree_.value[:, 0]
            leaf = tree.tree_.apply(everything)
            found += p.ravel().take(leaf * size + wanted_near)
            known += p[leaf[place[-n:]]]
        of_truth = (found / TREES)[place].reshape(d + 1, n)
        loss = of_truth[-1] - of_truth[:-1]
        error = loss.std(1) / np.sqrt(n)
        columns.append(np.where(loss.mean(1) > CHANCE * error, loss.mean(1), 0.0))
        most = np.bincount(truth).max() / n
        right = (known.argmax(1) == truth).mean()
        gains.append((right - most) / (1 - most))
    importance = np.empty((d, len(columns)))
    importance[order] = np.stack(columns, 1)
    return importance, float(np.mean(gains))
