from collections.abc import Sequence
from pathlib import Path

from rdu_bench.api import Card, FactorGrid, Original, shapes3d_file

FOLDER = "3dshapes"
FILES = ("3dshapes.h5", "look-at-object-room_floor-hueXwall-hueXobj-hueXobj-sizeXobj-shapeXview-azi.npz")
SIZES = {"floor_hue": 10, "wall_hue": 10, "object_hue": 10, "scale": 8, "shape": 4, "orientation": 15}

# SHA-256 of the pixels of shapes3d_like
STAND_INS = frozenset({"566fdc0657fabc5cdde07fc13d8b05416ccb572280b90ffba6fd125cce69818c"})


class Shapes3D(FactorGrid):
    """3D Shapes: a solid in a room, in all combinations of 10×10×10 hues, 8 scales, 4 shapes and 15 views.

    480,000 images of 64×64; factors and their order are those of disentanglement_lib.  The file, 3dshapes.h5 or the
    .npz file that disentanglement_lib reads, is converted once, when it is first used.  80 % train, 10 % validate and
    10 % test, by a fixed named seed; `limit` keeps that many examples at most of each split.

    x is the level of a pixel with uniform noise of one step added once, from 0 to 256, under a Gaussian: D is at least
    the nats that the stored bytes take, see `Dequantised`, and H(x) is that of those not learned from.
    """

    card = Card(
        title="3D Shapes",
        source="Burgess & Kim (2018), github.com/google-deepmind/3d-shapes",
        shape="3×64×64",
        task="shape, or those in `task`",
        provides=("labels", "factors", "image"),
        entropy="differential",
        files="the original file as 3dshapes/3dshapes.h5",
    )

    def load(self, *, task: Sequence[str] = ("shape",), limit: int | None = None, data_dir: str | None = None) -> None:
        """`data_dir` is the data folder, by default the one that the command line or the environment names."""
        self.fill(self.convert("shapes3d", original, data_dir), SIZES, task, limit)

    def missing(self, *, data_dir: str | None = None, **params: object) -> str:
        return self.lacking(original, data_dir)


def original(folder: Path) -> Original:
    """The file in the data folder, under either name."""
    paths = [folder / FOLDER / name for name in FILES]
    path = next((path for path in paths if path.is_file()), paths[0])
    return shapes3d_file(path, tuple(SIZES.values()))._replace(unlike=STAND_INS)
