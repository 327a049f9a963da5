import numpy as np

from rdu_bench.api import Card, FactorGrid, Redrawn, dataset, missing_files, named_seed, uniforms


class NoisyDSprites(FactorGrid):
    """Noisy-dSprites: dSprites on a background of noise.

        x = 255 min(s + n, 1) + u        s the sprite, n ~ U(0, 1) of each pixel and channel

    As in disentanglement_lib, where it is drawn anew at each look; here it is drawn once by a fixed named seed, and
    rounded to a byte.  u is the noise of one step that makes bytes real, see `Dequantised`.
    """

    card = Card(
        title="Noisy-dSprites",
        source="Locatello et al. (2019), arXiv:1811.12359, from dSprites",
        shape="3×64×64",
        task="shape, or those in `task`",
        provides=("labels", "factors", "image"),
        files="that of dsprites",
    )

    def load(self, **params: object) -> None:
        """`params` are those of dsprites."""
        self.redraw(dataset("dsprites", **params), Noisy)

    def missing(self, **params: object) -> str:
        return missing_files("dsprites", **params)


class Noisy(Redrawn):
    """Sprites, white on noise."""

    rule = "noisy 1"

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        noise = uniforms(named_seed("noisy_dsprites"), rows, int(np.prod(self.shape[1:])))
        noise *= 255
        return np.maximum(np.rint(noise).astype(np.uint8).reshape(len(rows), *self.shape[1:]), 255 * self.levels[rows])
