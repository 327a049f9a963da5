"""How fast this machine is: CPU seconds of a fixed piece of work that is made of what training is made of."""

from __future__ import annotations

import time
from functools import cache
from itertools import pairwise

import numpy as np
from threadpoolctl import threadpool_limits

STEPS, ROUNDS = 60, 5
BATCH, WIDTHS = 128, (64, 128, 128, 64)


@cache
def speed() -> float:
    """CPU seconds of the work, the least of a few rounds; about 0.2 s are spent to know it."""
    with threadpool_limits(1):
        return min(_round() for _ in range(ROUNDS))


def _round() -> float:
    """CPU seconds of a few steps of Adam of a small autoencoder, on one thread: small products, and Python between."""
    generator = np.random.default_rng(0)
    weights = [generator.normal(size=(m, n)).astype(np.float32) / np.float32(m**0.5) for m, n in pairwise(WIDTHS)]
    means, squares = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    x = generator.normal(size=(BATCH, WIDTHS[0])).astype(np.float32)
    began = time.process_time()
    for _ in range(STEPS):
        layers = [x]
        for w in weights:
            layers.append(np.maximum(layers[-1] @ w, 0))
        slope = (layers[-1] - x) / BATCH
        for i in reversed(range(len(weights))):
            slope = slope * (layers[i + 1] > 0)
            grad = layers[i].T @ slope
            slope = slope @ weights[i].T
            means[i] += 0.1 * (grad - means[i])
            squares[i] += 0.001 * (grad * grad - squares[i])
            weights[i] -= 0.002 * means[i] / (np.sqrt(squares[i]) + 1e-8)
    return time.process_time() - began
