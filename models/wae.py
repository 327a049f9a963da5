import torch
from torch import Tensor

from rdu_bench.api import Autoencoder, Batch, Block, Channel, Code, Row, Spec, Trunk, gaussian, mmd


class WAE(Autoencoder):
    """Wasserstein autoencoder: a deterministic encoder z = f(x) whose codes, as a crowd, look like the prior.

        L = D + λ MMD²(q(z), N(0, I))

    Tolstikhin et al. 2018 (arXiv:1711.01558), algorithm 2, with the kernel and λ = 10 of section 4.  Departure:
    the cost of transport is −log p(x|z), not a squared distance.

    Not one of the loss's terms rewards noise, and without noise the rate has no bound; `noise` says where it enters.
    `trained`: z = f(x) + s ⊙ ε with learned s, trained with the rest, so that L has its R = KL(N(f, s²) ‖ N(0, I)).
    `posthoc-iso` and `posthoc-learned`: f and the decoder are trained as above, paying no rate, and a channel of
    equal or learned capacities is put on the frozen, whitened f afterwards; only behind it is there a rate.
    """

    row = Row(
        paper="1711.01558",
        title="WAE",
        objective="D + λ MMD²(q(z), p(z))",
        base="AE",
        R2="MMD²(q(z), p(z))",
        rate="noise channel",
    )

    def __init__(self, data: Spec, *, latent: int | None = None, strength: float = 10.0, noise: str = "trained"):
        dim = latent or data.latent
        if noise not in ("trained", "posthoc-iso", "posthoc-learned"):
            raise ValueError(f"noise = {noise!r}: WAE has 'trained', 'posthoc-iso' and 'posthoc-learned'")
        f = Trunk(data, dim)
        super().__init__(data, latent=dim, encoder=Channel(f, dim) if noise == "trained" else f)
        self.strength = strength
        self.channel = "trained-noise" if noise == "trained" else noise

    def encode(self, batch: Batch) -> Code:
        if self.channel == "trained-noise":
            return super().encode(batch)
        f = self.encoder(batch.x)
        silent = gaussian(f, torch.ones_like(f))  # KL(q ‖ q) = 0: nothing is paid before there is a channel
        return {"z": Block(f, f.new_zeros(len(f)), silent, silent, f)}

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        z = code["z"].sample
        return self.strength * mmd(z, torch.randn_like(z))
