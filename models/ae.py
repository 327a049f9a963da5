from rdu_bench.api import Autoencoder, Row, Spec


class AE(Autoencoder):
    """Autoencoder: a code from which x can be rebuilt, and nothing else asked of it.

        L = D = −log p(x|z)        z = f(x)

    What the other models start from, in the survey of Tschannen, Bachem & Lucic 2018 (arXiv:1812.05069), where it is
    the loss without regularisers; deep ones are of Hinton & Salakhutdinov 2006 (Science 313).  Departures: −log p(x|z)
    is that of the data set, not a squared distance; no layer is trained before the others.

    Without noise the rate of z has no bound; `noise` says where it enters.  By default it does so afterwards, for f is
    the autoencoder's only while no price on R has a part in it.
    """

    row = Row(paper="1812.05069", title="AE", objective="D", base="AE", rate="noise channel")

    def __init__(self, data: Spec, *, latent: int | None = None, noise: str = "posthoc-learned"):
        super().__init__(data, latent=latent, noise=noise)
