from rdu_bench.api import Autoencoder, AutoregressiveFlow, Row, Spec, WindowedDecoder


class VLAELossy(Autoencoder):
    """Variational lossy autoencoder: what a few neighbouring pixels can tell is left out of the code.

        L = D + R        D = −E Σ_i log p(x_i | z, x_W(i))        R = E[ log q(z|x) − log m(z) ]

    W(i) is a small window of the pixels before i; z need only carry what the window cannot see, the global.  m is
    an autoregressive flow, which is the same as N(0, I) with an inverse autoregressive flow after q.  The code, and
    what the probes are given, is z ~ q(z|x) on the decoder's side of the flow, Gaussian given x.
    Chen et al. 2017 (arXiv:1611.02731).  Not to be confused with the variational *ladder* nor with the *Laplace*
    autoencoder, both also called VLAE.  Departures: no free bits, whose place the rate target takes.
    """

    row = Row(
        paper="1611.02731",
        title="VLAE (lossy)",
        objective="D + R, windowed p(x|z)",
        decoder="A",
        prior="L",
        rate="Monte Carlo log q − log m",
        needs=("image",),
        claim="D, lower than vae, on digits",
    )

    def __init__(self, data: Spec, *, latent: int | None = None, window: int = 2):
        latent = latent or data.latent
        decoder = WindowedDecoder(data, latent, window)
        super().__init__(data, latent=latent, decoder=decoder, prior=AutoregressiveFlow(latent))
