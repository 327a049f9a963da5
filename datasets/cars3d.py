from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import loadmat, whosmat

from rdu_bench.api import Card, DataError, FactorGrid, Original

FOLDER = "cars"
SIZES = {"elevation": 4, "azimuth": 24, "object": 183}


class Cars3D(FactorGrid):
    """Cars3D: 183 models of cars from 4 elevations and 24 sides, 17,568 images made to fit into 64×64.

    Factors and their order are those of disentanglement_lib; its objects are numbered by the order in which its folder
    is listed, here by the names of the files.  They are converted once, when they are first used.  80 % train, 10 %
    validate and 10 % test, by a fixed named seed; `limit` keeps that many examples at most of each split.

    x is the level of a pixel with uniform noise of one step added once, from 0 to 256, under a Gaussian: D is at least
    the nats that the stored bytes take, see `Dequantised`, and H(x) is that of those not learned from.
    """

    card = Card(
        title="Cars3D",
        source="Reed et al. (2015), Deep Visual Analogy-Making",
        shape="3×64×64",
        task="object, or those in `task`",
        provides=("labels", "factors", "image"),
        entropy="differential",
        files="the 183 original files as cars/*.mat",
    )

    def load(self, *, task: Sequence[str] = ("object",), limit: int | None = None, data_dir: str | None = None) -> None:
        """`data_dir` is the data folder, by default the one that the command line or the environment names."""
        self.fill(self.convert("cars3d", original, data_dir), SIZES, task, limit)

    def missing(self, *, data_dir: str | None = None, **params: object) -> str:
        return self.lacking(original, data_dir)


def original(folder: Path) -> Original:
    """The files in the data folder."""
    objects = SIZES["object"]
    paths = sorted((folder / FOLDER).glob("*.mat"))
    if len(paths) != objects:
        raise DataError(
            f"cars3d: there are {len(paths)} files {folder / FOLDER}/*.mat; expected {objects}; get them again."
        )

    def pieces() -> Iterator[np.ndarray]:
        cars = np.stack([read(path) for path in paths], 2)  # (elevation, azimuth, object, 3, 64, 64), 216 MB
        yield from (block.reshape(-1, 3, 64, 64) for block in cars.reshape(-1, objects, 3, 64, 64))

    return Original(tuple(paths), tuple(SIZES.values()), (3, 64, 64), np.dtype(np.uint8), pieces)


def read(path: Path) -> np.ndarray:
    """The pictures of a car, (elevation, azimuth, 3, 64, 64) uint8; `im` is (height, width, 3, azimuth, elevation)."""
    elevations, azimuths, _ = SIZES.values()
    try:
        about = {name: shape for name, shape, _ in whosmat(path)}
        if "im" not in about:
            raise DataError(f"{path} has no array im; it has {', '.join(about) or 'nothing'}; get the file again.")
        high, wide, *rest = about["im"]
        if rest != [3, azimuths, elevations] or high != wide or not 64 <= high <= 1024:
            said = "×".join(map(str, about["im"]))
            raise DataError(f"{path}: im is {said}; expected 128×128×3×{azimuths}×{elevations}; get the file again.")
        im = loadmat(path, variable_names=["im"])["im"]
    except DataError:
        raise
    except Exception as error:  # scipy raises whatever its parser stumbles over
        raise DataError(f"{path} cannot be read as a file of MATLAB; is it whole? Get it again.") from error
    if im.dtype != np.uint8:
        raise DataError(f"{path}: im holds {im.dtype}; expected uint8; get the file again.")
    return np.stack([[small(im[..., a, e]) for a in range(azimuths)] for e in range(elevations)])


def small(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) made to fit into 64×64, (3, 64, 64)."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    image.thumbnail((64, 64), Image.Resampling.LANCZOS)
    return np.asarray(image).transpose(2, 0, 1)
