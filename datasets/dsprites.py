from collections.abc import Sequence
from pathlib import Path

from rdu_bench.api import Card, FactorGrid, Original, dsprites_npz

FILE = "dsprites/dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
SIZES = {"shape": 3, "scale": 6, "orientation": 40, "position_x": 32, "position_y": 32}

# SHA-256 of the pixels of dsprites_like
STAND_INS = frozenset({"0352deb130e3520d26a661198cf93d3733636e3dd2218aa35c44edb1940c65aa"})


class DSprites(FactorGrid):
    """dSprites: a square, ellipse or heart in 6 scales, 40 orientations and 32×32 places, 737,280 images of 64×64.

    Factors and their order are those of disentanglement_lib: its colour has one value and is left out.  The file is
    converted once, when it is first used.  80 % train, 10 % validate and 10 % test, by a fixed named seed; `limit`
    keeps that many examples at most of each split.  H(x) is counted over what is not learned from.
    """

    card = Card(
        title="dSprites",
        source="Matthey et al. (2017), github.com/google-deepmind/dsprites-dataset",
        shape="1×64×64, binary",
        task="shape, or those in `task`",
        provides=("labels", "factors", "image", "binary"),
        entropy="exact",
        files="the original file as dsprites/dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz",
    )

    def load(self, *, task: Sequence[str] = ("shape",), limit: int | None = None, data_dir: str | None = None) -> None:
        """`data_dir` is the data folder, by default the one that the command line or the environment names."""
        self.fill(self.convert("dsprites", original, data_dir), SIZES, task, limit)

    def missing(self, *, data_dir: str | None = None, **params: object) -> str:
        return self.lacking(original, data_dir)


def original(folder: Path) -> Original:
    """The file in the data folder."""
    return dsprites_npz(folder / FILE, (1, *SIZES.values()))._replace(unlike=STAND_INS)
