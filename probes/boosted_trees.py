from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeAlias

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from torch import Tensor
from torch.distributions import Categorical, Distribution, MultivariateNormal

from rdu_bench.api import Budget, Head, Probe, ProbeCard, Target

Trees: TypeAlias = HistGradientBoostingClassifier | HistGradientBoostingRegressor
ROUNDS, STRIDE, PATIENCE = 150, 5, 2  # at most; between looks at validation; looks without gain before the end
PRIOR = 1e-4  # share of the class frequencies in every prediction


class BoostedTrees(Probe):
    """Trees of 8 leaves, a tree a class and round, each fitted to what those before left unexplained.

        p(y|z) = (1 − ε) softmax(Σ_r η f_r(z))_y + ε π_y        rounds on validation, ε = 10⁻⁴, η = 0.1

    For reals a sum of trees a component, in a Gaussian with the covariance of its errors on validation.  Every draw
    of a code is an example.
    """

    card = ProbeCard(
        title="boosted trees",
        family="softmax(Σ trees(z)), N(Σ trees(z), Σ)",
        source="Friedman 2001",
    )

    def fit(self, fit: Tensor, val: Tensor, targets: list[Target], *, seed: int, budget: Budget) -> list[Head]:
        return [(_classes if t.factor.kind == "class" else _reals)(fit, val, t, seed % 2**32) for t in targets]


def _trees(kind: type[Trees], seed: int) -> Trees:
    """Without rounds yet; scikit-learn's own early stopping would score a part of fit."""
    return kind(
        learning_rate=0.1,
        max_leaf_nodes=8,
        l2_regularization=1.0,
        early_stopping=False,
        warm_start=True,
        random_state=seed,
    )


def _points(z: Tensor) -> np.ndarray:
    return z.flatten(0, 1).float().numpy()


def _at(stages: Iterable[np.ndarray], rounds: int) -> Tensor:
    return torch.from_numpy(next(islice(stages, rounds - 1, None))).double()


def _grow(model: Trees, z: Tensor, y: Tensor, loss: Callable[[], float]) -> int:
    """Fit `model` round by round; how many rounds of it are best by `loss`."""
    points, answers = _points(z), y.repeat(len(z)).numpy()
    best, chosen = np.inf, STRIDE
    for rounds in range(STRIDE, ROUNDS + 1, STRIDE):
        model.set_params(max_iter=rounds).fit(points, answers)
        now = loss()
        if now < best:
            best, chosen = now, rounds
        elif rounds >= chosen + PATIENCE * STRIDE:
            break
    return chosen


def _classes(fit: Tensor, val: Tensor, target: Target, seed: int) -> Head:
    counts = torch.bincount(target.fit, minlength=target.factor.size)
    prior = (counts.double() + 0.5) / (counts.double() + 0.5).sum()
    present = counts.nonzero()[:, 0]
    if len(present) == 1:
        return Head(lambda z: Categorical(probs=prior.expand(*z.shape[:-1], -1)), {"rounds": 0})
    model = _trees(HistGradientBoostingClassifier, seed)

    def spread(found: Tensor, z: Tensor) -> Categorical:
        probs = PRIOR * prior.repeat(len(found), 1)
        probs[:, present] += (1 - PRIOR) * found  # a class that fit lacks has no column
        return Categorical(probs=probs.reshape(*z.shape[:-1], -1))

    def loss() -> float:
        now = spread(torch.from_numpy(model.predict_proba(_points(val))).double(), val)
        return -float(now.log_prob(target.val).mean())

    rounds = _grow(model, fit, target.fit, loss)

    def predict(z: Tensor) -> Distribution:
        return spread(_at(model.staged_predict_proba(_points(z)), rounds), z)

    return Head(predict, {"rounds": rounds})


def _reals(fit: Tensor, val: Tensor, target: Target, seed: int) -> Head:
    grown = []
    for component in range(target.factor.size):
        model = _trees(HistGradientBoostingRegressor, seed)
        truth = target.val[:, component].repeat(len(val)).numpy()

        def loss(model: Trees = model, truth: np.ndarray = truth) -> float:
            return float(np.square(model.predict(_points(val)) - truth).mean())

        grown.append((model, _grow(model, fit, target.fit[:, component], loss)))

    def mean(z: Tensor) -> Tensor:
        parts = [_at(model.staged_predict(_points(z)), rounds) for model, rounds in grown]
        return torch.stack(parts, -1).reshape(*z.shape[:-1], -1)

    residual = (target.val.double() - mean(val)).flatten(0, 1)
    covariance = residual.T @ residual / len(residual)
    covariance.diagonal().add_(1e-10 * covariance.diagonal().mean() + 1e-12)
    return Head(lambda z: MultivariateNormal(mean(z), covariance), {"rounds": sum(r for _, r in grown) / len(grown)})
