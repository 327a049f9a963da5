from torch import Tensor

from rdu_bench.api import Autoencoder, Batch, Code, Row, Spec


class BetaVAE(Autoencoder):
    """β-VAE: pay β for every nat of rate.

        L = D + β R = D + R + (β − 1) R        R = KL(q(z|x) ‖ N(0, I))

    Higgins et al. 2017 (openreview Sy2fzU9gl), eq. 4.  β is the slope −dD/dR, so a rate target leaves it nothing to
    decide: at equal σ this model *is* the VAE.  It is itself where σ is not set, with β swept.

    The form of Burgess et al. 2018 (arXiv:1804.03599), D + γ |R − C|, is not offered.  C is a rate target in other
    words, and a worse one: below C, R is paid for, and q(z) leaves the prior.  On `digits` with γ = 3, R comes to C
    and D rises with it, from 23.6 nats at C = 4 to 26.5 at C = 13.
    """

    row = Row(
        paper="Sy2fzU9gl",
        title="β-VAE",
        objective="D + β R",
        R1="KL(q(z|x) ‖ p(z))",
        claim="BetaVAE score, higher than vae, on sprites",
    )

    def __init__(self, data: Spec, *, latent: int | None = None, beta: float = 4.0):
        super().__init__(data, latent=latent)
        self.beta = beta

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        return (self.beta - 1) * code["z"].rate.mean()
