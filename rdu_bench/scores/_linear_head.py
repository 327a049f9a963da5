"""Linear heads on arrays: softmax regression under several Gaussian priors, weighted by sequential prediction."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize

PRIORS = (1.0, 10.0, 100.0, 1000.0)  # precisions of a weight, in units of the whitened code
MARGIN = 30.0  # nats by which a prior may predict the labels worse than the best before it is dropped
TOLERANCE = 1e-7  # of the loss, relative, at which the solver stops


def with_bias(x: np.ndarray) -> np.ndarray:
    """(n, f + 1): a column of ones added, whose weights are biases."""
    return np.concatenate([x, np.ones((len(x), 1))], 1)


class Learner:
    """Heads under every prior, of the first labels of x (n, f), y (n,), weighted by how well each predicted them."""

    def __init__(self, x: np.ndarray, y: np.ndarray, classes: int):
        self.x, self.y, self.classes = x, y, classes
        self.known = 0
        self.heads: dict[float, np.ndarray | None] = dict.fromkeys(PRIORS)
        self.lengths = dict.fromkeys(PRIORS, 0.0)  # nats of the labels so far, under each prior alone

    def learn(self, n: int) -> None:
        """Charge for the labels from those known to n, then fit heads on the first n."""
        self.predict(n)
        bar = min(self.lengths.values()) + MARGIN
        self.heads = {
            prior: fit(self.x[:n], self.y[:n], self.classes, start=head, prior=prior)
            for prior, head in self.heads.items()
            if self.lengths[prior] < bar
        }

    def predict(self, n: int) -> None:
        """Charge the labels from those known to n, log C each where none is known yet."""
        new = slice(self.known, n)
        for prior in PRIORS:
            head = self.heads.get(prior)
            if head is not None:
                self.lengths[prior] += float(log_loss(head, self.x[new], self.y[new]).sum())
            else:
                self.lengths[prior] += math.inf if self.known else n * math.log(self.classes)
        self.known = n

    @property
    def nats(self) -> float:
        """Codelength of the labels so far, under all priors together."""
        return float(math.log(len(PRIORS)) - np.logaddexp.reduce([-length for length in self.lengths.values()]))

    def log_loss(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(n,) nats of other labels under the average of all heads."""
        weight = {prior: -self.lengths[prior] for prior in self.heads}
        joint = [weight[prior] - log_loss(head, x, y) for prior, head in self.heads.items() if head is not None]
        return np.logaddexp.reduce([*weight.values()]) - np.logaddexp.reduce(joint)


def fit(
    x: np.ndarray, y: np.ndarray, classes: int, *, start: np.ndarray | None = None, prior: float = PRIORS[0]
) -> np.ndarray:
    """(f, C) of highest posterior given x (n, f), y (n,), where the last column of x is 1.

    min_W  Σ −log softmax(xᵀW)_y + ½ prior ‖weights‖² + ½ ‖biases‖²
    """
    n, features = x.shape
    rows = np.arange(n)
    hot = np.zeros((n, classes))
    hot[rows, y] = 1
    penalty = np.full((features, 1), prior / n)
    penalty[-1] = 1 / n

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(features, classes)
        logits = x @ w
        logits -= logits.max(1, keepdims=True)
        odds = np.exp(logits)
        total = odds.sum(1, keepdims=True)
        loss = (np.log(total).sum() - logits[rows, y].sum()) / n + 0.5 * (penalty * w**2).sum()
        return loss, (x.T @ (odds / total - hot) / n + penalty * w).ravel()

    begin = np.zeros(features * classes) if start is None else start.ravel()
    options = {"ftol": TOLERANCE, "gtol": 1e-6, "maxiter": 1000}
    found = minimize(objective, begin, jac=True, method="L-BFGS-B", options=options)
    return found.x.reshape(features, classes)


def log_loss(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n,) nats, −log softmax(xᵀW)_y."""
    logits = x @ weights
    logits -= logits.max(1, keepdims=True)
    return np.log(np.exp(logits).sum(1)) - logits[np.arange(len(y)), y]
