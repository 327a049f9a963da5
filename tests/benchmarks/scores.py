"""Scores against the same estimators written plainly with scikit-learn: `python tests/benchmarks/scores.py`.

10 000 examples of 10 latents, five that mix the factors of dSprites and five of noise.  Prints seconds, their ratio
and both results.  Boosted trees take ten minutes; `--without-trees` leaves them out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import balanced_accuracy_score, mutual_info_score
from sklearn.preprocessing import KBinsDiscretizer
from sklearn.svm import LinearSVC

from rdu_bench import scores
from rdu_bench.scores.dci import disentanglement

SIZES = (3, 6, 40, 32, 32)


def problem(n: int = 10_000) -> tuple[np.ndarray, np.ndarray]:
    """z (n, 10) and factors (n, 5)."""
    draw = np.random.default_rng(0)
    y = np.stack([draw.integers(size, size=n) for size in SIZES], 1)
    clean = np.concatenate([(y - y.mean(0)) / y.std(0), draw.normal(size=(n, 5))], 1)
    turn = np.linalg.qr(np.eye(10) + 0.2 * draw.normal(size=(10, 10)))[0]
    return clean @ turn + 0.05 * draw.normal(size=clean.shape), y


def gap(found: Any, scale: Any = 1.0) -> float:
    """Mean over factors of the difference of the two largest entries."""
    ordered = np.sort(np.asarray(found), axis=0)
    return float(((ordered[-1] - ordered[-2]) / scale).mean())


def plain_mig(z: np.ndarray, y: np.ndarray, robust: bool) -> float:
    """MIG by a loop over pairs."""
    found = np.empty((z.shape[1], y.shape[1]))
    for j in range(z.shape[1]):
        for k in range(y.shape[1]):
            if robust:
                cut = KBinsDiscretizer(64, encode="ordinal", quantile_method="averaged_inverted_cdf")
                bins = cut.fit_transform(z[:, [j]])[:, 0].astype(int)
                pairs = len(np.unique(np.stack([bins, y[:, k]]), axis=1).T)
                seen = len(np.unique(bins)) + len(np.unique(y[:, k])) - pairs - 1
                found[j, k] = mutual_info_score(bins, y[:, k]) + seen / (2 * len(z))
            else:
                bins = np.digitize(z[:, j], np.histogram(z[:, j], 20)[1][:-1])
                found[j, k] = mutual_info_score(bins, y[:, k])
    return gap(found, [mutual_info_score(column, column) for column in y.T])


def plain_sap(z: np.ndarray, y: np.ndarray, robust: bool) -> float:
    """SAP by a loop over pairs, half of the examples held out."""
    order = np.random.default_rng(0).permutation(len(z))
    fit, held = np.split(order, 2)
    found = np.empty((z.shape[1], y.shape[1]))
    for j in range(z.shape[1]):
        for k in range(y.shape[1]):
            x, truth = z[:, [j]], y[:, k]
            if robust:
                cut = KBinsDiscretizer(64, encode="ordinal", quantile_method="averaged_inverted_cdf").fit(x[fit])
                bins = cut.transform(x)[:, 0].astype(int)
                share = np.array(
                    [
                        np.bincount(bins[fit][truth[fit] == c], minlength=64) / (truth[fit] == c).sum()
                        for c in range(SIZES[k])
                    ]
                )
                balanced = balanced_accuracy_score(truth[held], share.argmax(0)[bins[held]])
                found[j, k] = (balanced - 1 / SIZES[k]) / (1 - 1 / SIZES[k])
            else:
                machine = LinearSVC(C=0.01, class_weight="balanced").fit(x[fit], truth[fit])
                found[j, k] = machine.score(x[held], truth[held])
    return gap(found)


def boosted(z: np.ndarray, y: np.ndarray) -> float:
    """DCI's disentanglement with boosted trees, half of the examples held out."""
    order = np.random.default_rng(0).permutation(len(z))
    fit, held = np.split(order, 2)
    columns = []
    for column in y.T:
        model = GradientBoostingClassifier(random_state=0).fit(z[fit], column[fit])
        model.score(z[held], column[held])
        columns.append(model.feature_importances_)
    return disentanglement(np.stack(columns, 1))


def compare(name: str, ours: Callable[[], float], plain: Callable[[], float], times: int = 3) -> None:
    """Print a line: the best time of each, in turn."""
    best = {ours: np.inf, plain: np.inf}
    result = {}
    for _ in range(times):
        for call in best:
            began = time.perf_counter()
            result[call] = call()
            best[call] = min(best[call], time.perf_counter() - began)
    ratio = best[plain] / best[ours]
    print(f"{name:12} {best[ours]:8.3f} s {best[plain]:8.2f} s {ratio:7.1f}×   {result[ours]:.4f} {result[plain]:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without-trees", action="store_true")
    given = parser.parse_args()
    z, y = problem()
    print(f"{'':12} {'ours':>10} {'plain':>10} {'ratio':>8}   results")
    compare("MIG dlib", lambda: scores.mig(z, y, "dlib"), lambda: plain_mig(z, y, False))
    compare("MIG robust", lambda: scores.mig(z, y), lambda: plain_mig(z, y, True))
    compare("SAP dlib", lambda: scores.sap(z, y, "dlib"), lambda: plain_sap(z, y, False))
    compare("SAP robust", lambda: scores.sap(z, y), lambda: plain_sap(z, y, True))
    if not given.without_trees:
        compare("DCI robust", lambda: scores.dci(z, y).disentanglement, lambda: boosted(z, y), times=1)


if __name__ == "__main__":
    main()
