import torch
from torch import Tensor
from torch.distributions import Distribution

from rdu_bench.api import (
    Batch,
    Code,
    Decoder,
    Gaussian,
    Message,
    Mixture,
    Model,
    Row,
    Spec,
    Trunk,
    one_hot,
    select_component,
    transmit,
)


class SVAE(Model):
    """Structured VAE: the prior is a graphical model, here a mixture, and inference in it is exact, given evidence ψ.

        L = D + R        R = KL(q(k|x) ‖ π) + Σ_k q(k|x) KL(q(z|x, k) ‖ N(μ_k, S_k)) = KL(q(z|x) ‖ Σ_k π_k N(μ_k, S_k))
        q(k, z|x) ∝ π_k N(z; μ_k, S_k) ψ(z; x)        ψ(z; x) = N(z; m(x), diag v(x))

    The encoder says what it saw, ψ, and not what to conclude.  x is decoded from z alone; k is sent along for
    nothing, since q(k|z, x) = p(k|z).  π, μ and S follow by natural gradients, always to a lower R.
    Johnson, Duvenaud, Wiltschko, Datta & Adams 2016 (arXiv:1603.06277).  Not to be confused with the
    hyperspherical VAE, which others call SVAE too.
    The form for sequences, a linear dynamical system in place of the mixture, is not offered: no data set has any.
    Departures: q(k, z|x) is not factorised, hence needs no fixed point of block updates; a point of the posterior of
    π, μ, S stands for it, so KL(q(θ) ‖ p(θ)), which is no rate, is left out; S_k is diagonal; gradients pass the draw
    of k by straight-through Gumbel; K is 10, not 15.  With a weaker prior on π and S, 0.1 in place of 1, fewer
    components lived on `digits`.
    """

    row = Row(paper="1603.06277", title="SVAE", objective="D + R, p(z) a graphical model", prior="M")

    def __init__(
        self,
        data: Spec,
        *,
        latent: int | None = None,
        components: int = 10,
        strength: float = 1.0,
        factorised: bool = False,
    ):
        super().__init__()
        latent = latent or data.latent
        trunk = Trunk(data, 2 * latent)
        *_, last, _ = trunk.parameters()
        with torch.no_grad():
            last[:latent] *= 10  # m(x) tells components apart at once, or they meet at one Gaussian
        self.encoder = Gaussian(trunk)
        self.mixture = Mixture(latent, components, strength=strength, factorised=factorised)
        self.decoder = Decoder(data, latent)

    def encode(self, batch: Batch) -> Code:
        log_pi, p = self.mixture()
        r, q = self.mixture.posterior(self.encoder(batch.x))
        k = transmit(r, one_hot(log_pi.expand_as(r.mean)))
        z = transmit(select_component(k.drawn, q), select_component(k.drawn, p))
        return {"k": k, "z": z._replace(rate=(r.mean * self.mixture.divergence(q)).sum(-1))}

    def decode(self, code: Message) -> Distribution:
        return self.decoder(code["z"].sample)

    def critic_loss(self, batch: Batch, code: Code) -> Tensor:
        return self.mixture.loss(self.encoder(batch.x))
