from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from rdu_bench.api import (
    Card,
    DataError,
    FactorGrid,
    Redrawn,
    Source,
    data_folder,
    dataset,
    missing_files,
    named_seed,
    uniforms,
)

FILE = "scream/scream.jpg"
LARGEST = (350, 274)  # what the picture is made to fit into
MOST = 10**8  # pixels of a picture that is still opened


class ScreamDSprites(FactorGrid):
    """Scream-dSprites: dSprites before patches of Munch's Scream, whose colours are inverted where the sprite is.

        b = (patch + c) / 2        x = 255 (b (1 − s) + (1 − b) s) + u        s the sprite, c ~ U(0, 1)³ of the image

    The picture is made to fit into 350×274 pixels and a patch of 64×64 is drawn from it for each image.  As in
    disentanglement_lib, where it is drawn anew at each look; here it is drawn once by a fixed named seed, and rounded
    to a byte.  u is the noise of one step that makes bytes real, see `Dequantised`.
    """

    card = Card(
        title="Scream-dSprites",
        source="Locatello et al. (2019), arXiv:1811.12359, from dSprites and Munch's Scream",
        shape="3×64×64",
        task="shape, or those in `task`",
        provides=("labels", "factors", "image"),
        files="that of dsprites, and the picture as scream/scream.jpg",
    )

    def load(self, *, data_dir: str | None = None, **params: object) -> None:
        """`params` are those of dsprites."""
        picture = read(data_folder(data_dir, "scream_dsprites", self.card.files) / FILE)
        self.redraw(dataset("dsprites", data_dir=data_dir, **params), partial(Screaming, picture=picture))

    def missing(self, *, data_dir: str | None = None, **params: object) -> str:
        if lost := missing_files("dsprites", data_dir=data_dir, **params):
            return lost
        try:
            read(data_folder(data_dir, "scream_dsprites", self.card.files) / FILE)
        except DataError as error:
            return str(error)
        return ""


def read(path: Path) -> np.ndarray:
    """The picture (H, W, 3), from 0 to 1, at the size that patches are taken from."""
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MOST:
                raise DataError(f"{path} has {picture.width}×{picture.height} pixels; take a smaller one.")
            picture.thumbnail(LARGEST)
            if min(picture.size) <= 64 or picture.mode != "RGB":
                raise DataError(f"{path} is {picture.size} {picture.mode}; it must be RGB and larger than 64×64.")
            return np.asarray(picture) / 255
    except FileNotFoundError as error:
        raise DataError(f"scream_dsprites: there is no {path}; put the picture there.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as a picture; get it again.") from error


class Screaming(Redrawn):
    """Sprites before patches of a picture."""

    def __init__(self, levels: Source, picture: np.ndarray):
        super().__init__(levels)
        self.picture = picture
        self.rule = f"screaming 1 {named_seed(picture.shape, picture.tobytes())}"

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        drawn = uniforms(named_seed("scream_dsprites"), rows, 5)
        high, wide = (n - 64 for n in self.picture.shape[:2])
        x = self.levels[rows]
        found = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for i, (down, right, *colour) in enumerate(drawn):
            top, left = int(down * high), int(right * wide)
            patch = (self.picture[top : top + 64, left : left + 64] + np.array(colour)) / 2
            patch = np.where(x[i, 0, :, :, None] == 1, 1 - patch, patch)
            found[i] = np.rint(255 * patch).transpose(2, 0, 1)
        return found
