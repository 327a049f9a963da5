from rdu_bench.api import Autoencoder, Row


class VAE(Autoencoder):
    """Variational autoencoder.

        L = D + R        R = KL(q(z|x) ‖ N(0, I))

    Kingma & Welling 2014 (arXiv:1312.6114), eq. 10.
    """

    row = Row(paper="1312.6114", title="VAE", objective="D + R", claim="D, lower than ae, on digits")
