"""I_low: a lower bound on I(x; z) that is never above the logarithm of the number of examples it contrasts."""

from __future__ import annotations

import math

from torch import Tensor

from ..scores import Undefined
from .codes import Codes
from .found import Found, mean_and_error
from .posteriors import Posteriors
from .study import Study

REFERENCES = 2000  # test points that I_low is contrasted with
REPLAYED = 128  # the same, where every pair needs the encoder


def information(study: Study) -> Found:
    """I_low in nats, log N, and whether I_low is so near log N that it says nothing of I.

    Raises `Undefined` for a model whose code cannot be sent again under other examples.
    """
    test, view = study.codes.test, study.view("test")
    with study.drawing:
        flat = Posteriors(study.model, view.rows(slice(2)), study.device).flat
        references = Posteriors(study.model, view.rows(slice(REFERENCES if flat else REPLAYED)), study.device)
        try:
            each, log_n = contrasted(test, references)
        except (ValueError, StopIteration, RuntimeError) as error:
            raise Undefined(str(error) or "the model's code cannot be replayed") from error
    low, low_se = mean_and_error(each)
    return Found({"I_low": low, "I_low_se": low_se, "log_N": log_n, "saturated": low > log_n - 1})


def contrasted(test: Codes, posteriors: Posteriors) -> tuple[Tensor, float]:
    """(N,) nats whose mean is I_low ≤ min(I, log N), and log N, with the test points of `posteriors` as references."""
    n = len(posteriors)
    pairs = posteriors.log_density(tuple(part[0, :n] for part in test.drawn)).double()
    return pairs.diagonal() - pairs.logsumexp(1) + math.log(n), math.log(n)
