import numpy as np

from rdu_bench.api import Card, FactorGrid, Redrawn, dataset, missing_files, named_seed, uniforms


class ColorDSprites(FactorGrid):
    """Color-dSprites: dSprites whose sprite has a colour drawn for each image, from ½ to 1 in each channel, on black.

        x = 255 s c + u        s the sprite, c ~ U(½, 1)³ of the image

    As in disentanglement_lib, where it is drawn anew at each look; here it is drawn once by a fixed named seed, and
    rounded to a byte.  u is the noise of one step that makes bytes real, see `Dequantised`.
    """

    card = Card(
        title="Color-dSprites",
        source="Locatello et al. (2019), arXiv:1811.12359, from dSprites",
        shape="3×64×64",
        task="shape, or those in `task`",
        provides=("labels", "factors", "image"),
        files="that of dsprites",
    )

    def load(self, **params: object) -> None:
        """`params` are those of dsprites."""
        self.redraw(dataset("dsprites", **params), Coloured)

    def missing(self, **params: object) -> str:
        return missing_files("dsprites", **params)


class Coloured(Redrawn):
    """Sprites in their colours."""

    rule = "coloured 1"

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        colour = 0.5 + 0.5 * uniforms(named_seed("color_dsprites"), rows, 3)
        return self.levels[rows] * np.rint(255 * colour).astype(np.uint8)[:, :, None, None]
