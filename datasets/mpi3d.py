import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from rdu_bench.api import Card, DataError, FactorGrid, NpzArray, Original

VERSIONS = ("toy", "realistic", "real")
SIZES = {
    "object_colour": 6,
    "object_shape": 6,
    "object_size": 2,
    "camera_height": 3,
    "background_colour": 3,
    "horizontal_axis": 40,
    "vertical_axis": 40,
}
FEW = 4  # colours and shapes of the files of 460,800 images


class MPI3D(FactorGrid):
    """MPI3D: a robot arm holds an object before a camera, drawn simply (`toy`), drawn well (`realistic`) or `real`.

    1,036,800 images of 64×64 of 6 colours, 6 shapes, 2 sizes, 3 heights of the camera, 3 backgrounds and 40×40 poses,
    or 460,800 of 4 colours and 4 shapes, whichever the file holds; factors and their order are those of
    disentanglement_lib, which takes toy and realistic for the smaller kind.  The file is converted once, when it is
    first used.  80 % train, 10 % validate and 10 % test, by a fixed named seed; `limit` keeps that many examples at
    most of each split.

    x is the level of a pixel with uniform noise of one step added once, from 0 to 256, under a Gaussian: D is at least
    the nats that the stored bytes take, see `Dequantised`, and H(x) is that of those not learned from.
    """

    card = Card(
        title="MPI3D",
        source="Gondal et al. (2019), arXiv:1906.03292",
        shape="3×64×64",
        task="object_shape, or those in `task`",
        provides=("labels", "factors", "image"),
        entropy="differential",
        files="the original file as mpi3d_toy/mpi3d_toy.npz, and so for realistic and real",
    )

    def load(
        self,
        *,
        version: str = "toy",
        task: Sequence[str] = ("object_shape",),
        limit: int | None = None,
        data_dir: str | None = None,
    ) -> None:
        """`data_dir` is the data folder, by default the one that the command line or the environment names."""
        found = self.convert(f"mpi3d_{version}", partial(original, version), data_dir)
        self.fill(found, sizes(found.source.shape[0]), task, limit)

    def missing(self, *, version: str = "toy", data_dir: str | None = None, **params: object) -> str:
        return self.lacking(partial(original, version), data_dir)


def sizes(n: int) -> dict[str, int]:
    """The factors of a file of n images."""
    few = {**SIZES, "object_colour": FEW, "object_shape": FEW}
    return few if n == math.prod(few.values()) else SIZES


def original(version: str, folder: Path) -> Original:
    """The file of a version in the data folder."""
    if version not in VERSIONS:
        raise DataError(f"mpi3d: version is {version!r}; it must be one of {', '.join(VERSIONS)}.")
    path = folder / f"mpi3d_{version}" / f"mpi3d_{version}.npz"
    images = NpzArray(path, "images", tail=3)
    known = tuple(sizes(images.shape[0]).values())
    if images.shape != (math.prod(known), 64, 64, 3) or images.dtype != np.uint8:
        found = f"{images.dtype} of {'×'.join(map(str, images.shape))}"
        raise DataError(f"{path}: images is {found}; expected uint8 of {math.prod(known)}×64×64×3; get the file again.")

    def pieces() -> Iterator[np.ndarray]:
        return (piece.transpose(0, 3, 1, 2) for piece in images.pieces())

    return Original((path,), known, (3, 64, 64), np.dtype(np.uint8), pieces)
