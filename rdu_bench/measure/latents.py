"""Posterior means of the first test points, and what each latent tells of x: for comparing seeds."""

from __future__ import annotations

from .found import Found
from .study import Study

COMPARED = 500  # test points whose latents are stored


def latents(study: Study) -> Found:
    """The vectors `latents/mean` and `latents/rate`, in nats; none for codes with symbols."""
    train, test, at = study.codes.train, study.codes.test, study.scored
    z = train.continuous.double()
    if test.own or len(z) < 2 or not z.shape[-1]:
        return Found()
    z = z[..., at]
    within, total = z.var(0).mean(0), z.flatten(0, 1).var(0)
    rate = 0.5 * (total / within.clamp(min=1e-12 * total.clamp(min=1e-12))).clamp(min=1).log()
    return Found(
        vectors={
            "latents/mean": test.centre[:COMPARED, at].half().numpy(),
            "latents/rate": rate.float().numpy(),
        }
    )
