"""What a probe is: a head p(y|z) on frozen codes, for all factors of a data set together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.distributions import Distribution

from .budget import Budget
from .data import Factor


class ProbeCard(NamedTuple):
    """A probe's line in `rdu-bench probes`.  Literals only."""

    title: str  # what the field calls it
    family: str  # the functions of z it can be
    source: str = ""


class Target(NamedTuple):
    """One factor on the examples of fit and val: class (N,) int64 counting from 0, real (N, size) float32."""

    factor: Factor
    fit: Tensor
    val: Tensor


class Head(NamedTuple):
    """What a probe learned of one factor."""

    predict: Callable[[Tensor], Distribution]  # z (S, N, d) → p(y|z): Categorical (S, N), or Gaussian over (S, N, size)
    settings: dict[str, float]  # what was chosen on val, such as the ridge weight


class Probe(ABC):
    """Base of the one class in each file of probes/.

    z comes whitened, with S draws for every example: `fit` (S, N, d) and `val` (S, M, d).  A head must never see
    averages over draws: they carry more than the code did.
    """

    card: ProbeCard

    @abstractmethod
    def fit(self, fit: Tensor, val: Tensor, targets: list[Target], *, seed: int, budget: Budget) -> list[Head]:
        """One head a target, fitted on `fit` with settings chosen on `val`, for all targets together."""

    def fit_many(
        self, fit: Tensor, val: Tensor, targets: list[Target], *, seed: int, budget: Budget
    ) -> list[list[Head]]:
        """The heads of P codes of the same examples, `fit` (P, S, N, d) and `val` (P, S, M, d), code by code.

        Rates, levels or representations of one data set; narrower codes are filled up with columns of zeros, which
        no head may feel.  A probe that can fit many at once overrides this; no head may depend on the codes beside.
        """
        return [self.fit(z, v, targets, seed=seed, budget=budget) for z, v in zip(fit, val, strict=True)]
