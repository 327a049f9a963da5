from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rdu_bench.api import Card, DataError, Dataset, Entropy, Examples, Factor, World, check_counts, named_seed

DEFAULT = World()


class LinearGaussian(Dataset):
    """Linear-Gaussian world: x ~ N(0, UΛUᵀ), y = C Uᵀx + noise, where every frontier is known in closed form.

    `spectrum` is Λ from the largest, `readout` C has a row for each component of y, `readout_noise` its variances and
    `noise` the declared variance of p(x|z), by default the smallest of Λ, where D + R = h(x) can be reached;
    `learned_noise` lets decoders learn it instead.  U is the orthonormal cosine basis, so no pixel is a component.
    Train, val and test are independent draws.  The closed forms are in rdu_bench/analytic.py.
    """

    card = Card(
        title="Linear-Gaussian",
        source="closed forms: Cover & Thomas (2006), 10.3.3; Lucas et al. (2019), 1911.02469; Chechik et al. (2005)",
        shape="8 reals, or as many as `spectrum` has",
        task="y, a real vector",
        entropy="differential",
    )

    world: World
    basis: Tensor  # (d, d) U, a principal component a column

    def load(
        self,
        *,
        spectrum: Sequence[float] = DEFAULT.spectrum,
        readout: Sequence[Sequence[float]] = DEFAULT.readout,
        readout_noise: Sequence[float] = DEFAULT.readout_noise,
        noise: float | None = DEFAULT.noise,
        learned_noise: bool = False,
        n_train: int = 20000,
        n_val: int = 2000,
        n_test: int = 4000,
    ) -> None:
        """Variances, readout and sizes as in the class's docstring."""
        check_counts("linear_gaussian", n_train=n_train, n_val=n_val, n_test=n_test)
        try:
            self.world = World(spectrum, readout, readout_noise, None if learned_noise else noise).check()
        except ValueError as error:
            raise DataError(f"linear_gaussian: {error}.") from error
        d, m = len(self.world.spectrum), len(self.world.readout_noise)
        basis = cosines(d)
        self.basis = torch.from_numpy(basis)
        self.shape, self.likelihood, self.noise = (d,), "gaussian", self.world.noise
        self.entropy = Entropy(self.world.entropy_x, "differential")
        self.factors = (Factor("y", m, kind="real", entropy=self.world.entropy_y),)
        self.task = ("y",)
        scale, readout_scale = np.sqrt(self.world.spectrum), np.sqrt(self.world.readout_noise)
        for part, n in {"train": n_train, "val": n_val, "test": n_test}.items():
            rng = np.random.default_rng(named_seed("linear_gaussian", part))
            components = rng.standard_normal((n, d)) * scale
            y = components @ np.transpose(self.world.readout) + rng.standard_normal((n, m)) * readout_scale
            x = components @ basis.T
            self.splits[part] = Examples(x.astype(np.float32), {"y": y.astype(np.float32)})


def cosines(d: int) -> np.ndarray:
    """(d, d) orthonormal DCT-II basis, a vector a column."""
    i = np.arange(d)
    basis = np.sqrt(2 / d) * np.cos(np.pi * (i[:, None] + 0.5) * i / d)
    basis[:, 0] /= np.sqrt(2)
    return basis
