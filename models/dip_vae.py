import torch
from torch import Tensor

from rdu_bench.api import Autoencoder, Batch, Code, Row, Spec, covariance


class DIPVAE(Autoencoder):
    """DIP-VAE: the codes of all data together have the covariance of the prior, that is none and unit variances.

        L = D + R + λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii − 1)²
        C = Cov[μ(x)]  in variant I        C = Cov_q(z)[z] = Cov[μ(x)] + E[diag s²(x)]  in variant II

    Kumar, Sattigeri & Balakrishnan 2018 (arXiv:1711.00848).  C is that of a batch.

    λ_d is 10 λ_od in I and λ_od in II, as in disentanglement_lib, and λ_od = 1 the smallest of its grid, 1 to 50.  The
    noise of C in batches of n costs about λ (d² + d)/n nats, from which II flees into posteriors that say nothing: on
    `digits` D hardly falls beyond 4 nats at λ_od = 10.  I asks at least d/2 nats of any code, KL(N(μ, s²) ‖ N(0, 1)) ≥
    ½μ², and a target below that must outbid it, at a slope of up to 4 λ_d.
    """

    row = Row(
        paper="1711.00848",
        title="DIP-VAE",
        objective="D + R + λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii − 1)²",
        R2="‖Cov[z] − I‖²",
    )

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,
        variant: str = "I",
        lambda_od: float = 1.0,
        lambda_d: float | None = None,
    ):
        super().__init__(data, latent=latent)
        if variant not in ("I", "II"):
            raise ValueError(f"variant = {variant!r}: DIP-VAE has 'I' and 'II'")
        self.variant, self.lambda_od = variant, lambda_od
        self.lambda_d = (10 if variant == "I" else 1) * lambda_od if lambda_d is None else lambda_d

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        q = code["z"].q
        C = covariance(q.mean)
        if self.variant == "II":
            C = C + torch.diag_embed(q.variance.mean(0))
        away = (C - torch.eye(self.latent, device=C.device)).square()
        variances = away.diagonal().sum()
        return self.lambda_od * (away.sum() - variances) + self.lambda_d * variances
