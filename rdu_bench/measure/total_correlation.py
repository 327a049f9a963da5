"""Total correlation of the aggregate posterior: TC = KL(q(z) ‖ ∏_j q(z_j)), nats, over single latents.

R_own = I + TC + Σ_j KL(q(z_j) ‖ m_j)        for an own marginal of independent latents
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..scores import Undefined
from .codes import Codes
from .found import Found, averaged
from .gaussians import Mixture
from .posteriors import Posteriors
from .study import Study

SHUFFLES = 8


def total_correlation(study: Study) -> Found:
    """TC where the population is known; raises `Undefined` elsewhere."""
    _of_one_example(study)
    population = study.aggregates.get("population")
    if population is None:
        raise Undefined("the population is not finite and known, or blocks depend on each other's draws")
    if not population.closed:
        raise Undefined("q(z|x) has no closed form latent by latent")
    return Found(averaged("TC", exact(study.codes.test, population)[None]))


def total_correlation_low(study: Study) -> Found:
    """A lower bound on TC; raises `Undefined` for codes that no Gaussian mixture was fitted to."""
    _of_one_example(study)
    test, mixture = study.codes.test, study.marginal.mixture
    if test.own or mixture is None or test.continuous.shape[-1] < 2:
        raise Undefined("it needs two continuous latents, no symbols, and codes enough for a mixture")
    together, apart = low(test, mixture, study.seeded("shuffled"))
    return Found(averaged("TC_low", together - apart))


def _of_one_example(study: Study) -> None:
    """Raises `Undefined` where latents of several frames are in the code."""
    if study.framed:
        raise Undefined("latents of the frames of one sequence depend on each other as its frames do")


def exact(test: Codes, population: Posteriors) -> Tensor:
    """(N,) log q(z) − Σ_j log q(z_j) at the first draw, whose mean is TC: every q is an average over the population."""
    first = population.aggregate(test)[0]
    return first - population.singles(test).sum(0)


def low(test: Codes, mixture: Mixture, seed: int) -> tuple[Tensor, float]:
    """Donsker–Varadhan: TC ≥ E_q T − log E_∏q exp T, with T what a mixture fitted on training codes says of TC.

    Returns T (S, N) at test draws and the second term, over draws whose latents were shuffled each on its own.  T is
    cut where the shuffled draws could not see it, at the logarithm of their number, so TC is seen up to there only.
    """
    z = test.continuous.flatten(0, 1)
    generator = torch.Generator().manual_seed(seed % 2**62)
    orders = [torch.stack([torch.randperm(len(z), generator=generator) for _ in z.T]) for _ in range(SHUFFLES)]
    cap = math.log(len(z) * SHUFFLES) - 1
    apart = mixture.dependence(z, orders).clamp(max=cap)
    together = mixture.dependence(z).clamp(max=cap)
    log_mean = float(apart.logsumexp(0) - math.log(len(apart)))
    return together.reshape(test.log_q.shape), log_mean
