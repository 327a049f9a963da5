from torch import Tensor

from rdu_bench.api import Autoencoder, Batch, Code, Row, Spec


class BetaVAE(Autoencoder):
    """β-VAE: pay β for every nat of rate; or, in mode `capacity`, pay γ for every nat off a rate C that grows.

        L = D + β R = D + R + (β − 1) R                     R = KL(q(z|x) ‖ N(0, I))
        L = D + γ |R − C(t)| = D + R + γ |R − C(t)| − R     C(t) rises from 0 to C in the first `warmup` of training

    Higgins et al. 2017 (openreview Sy2fzU9gl), eq. 4; Burgess et al. 2018 (arXiv:1804.03599), eq. 8.  R is the mean
    over the batch inside the |·|.  C in a third of training is 100 000 of disentanglement_lib's 300 000 steps; their
    γ = 1000 is not ours: from 10 up, in 600 steps on `digits`, R comes to C by moving q(z) off the prior, and D stays.

    β is the slope −dD/dR and C is a rate, so a rate target leaves either nothing to decide: at equal σ this model
    *is* the VAE, and a σ above the rate it takes by itself cannot be reached by a price on R.  It is itself where σ
    is not set, with β or C swept.
    """

    row = Row(
        paper="Sy2fzU9gl",
        title="β-VAE",
        objective="D + β R, or D + γ |R − C|",
        R1="KL(q(z|x) ‖ p(z))",
    )

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,
        mode: str = "beta",
        beta: float = 4.0,
        gamma: float = 3.0,
        capacity: float = 5.0,
        warmup: float = 1 / 3,
    ):
        super().__init__(data, latent=latent)
        if mode not in ("beta", "capacity"):
            raise ValueError(f"mode = {mode!r}: β-VAE has 'beta' and 'capacity'")
        self.mode, self.beta, self.gamma, self.capacity, self.warmup = mode, beta, gamma, capacity, warmup

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        rate = code["z"].rate.mean()
        if self.mode == "beta":
            return (self.beta - 1) * rate
        grown = self.capacity * (batch.progress / self.warmup).clamp(max=1)
        return self.gamma * (rate - grown).abs() - rate
