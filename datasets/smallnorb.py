from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rdu_bench.api import Card, DataError, FactorGrid, NorbMatrix, Original

FOLDER = "small_norb"
PARTS = ("5x46789x9x18x6x2x96x96-training", "5x01235x9x18x6x2x96x96-testing")
SIZES = {"category": 5, "_instance": 10, "elevation": 9, "azimuth": 18, "lighting": 6}


class SmallNORB(FactorGrid):
    """SmallNORB: toys of 5 categories from 9 elevations and 18 sides in 6 lights, 48,600 images made 64×64.

    Of the two cameras the first is taken, and both parts of the original are one grid.  Factors and their order are
    those of disentanglement_lib: which of the 10 toys of a category it is, is none, and is drawn where factors are
    chosen.  The files are converted once, when they are first used.  80 % train, 10 % validate and 10 % test, by a
    fixed named seed; `limit` keeps that many examples at most of each split.

    x is the level of a pixel with uniform noise of one step added once, under a Gaussian: D is at least the nats that
    the stored levels take, see `Dequantised`, and H(x) is that of those not learned from.  Levels go a
    little below 0 and above 255, where the filter that makes images smaller overshoots.
    """

    card = Card(
        title="SmallNORB",
        source="LeCun, Huang & Bottou (2004)",
        shape="1×64×64",
        task="category, or those in `task`",
        provides=("labels", "factors", "image"),
        entropy="differential",
        files="the six original files, unpacked, as small_norb/smallnorb-*.mat",
    )

    def load(
        self, *, task: Sequence[str] = ("category",), limit: int | None = None, data_dir: str | None = None
    ) -> None:
        """`data_dir` is the data folder, by default the one that the command line or the environment names."""
        self.fill(self.convert("smallnorb", original, data_dir), SIZES, task, limit)

    def missing(self, *, data_dir: str | None = None, **params: object) -> str:
        return self.lacking(original, data_dir)


def original(folder: Path) -> Original:
    """The files in the data folder."""
    paths = [folder / FOLDER / f"smallnorb-{part}-{what}.mat" for part in PARTS for what in ("dat", "cat", "info")]
    read = [NorbMatrix(path) for path in paths]
    images, categories, infos = read[::3], read[1::3], read[2::3]
    for image, category, info in zip(images, categories, infos, strict=True):
        n = image.shape[0]
        for one, shape, kind in ((image, (n, 2, 96, 96), "u1"), (category, (n,), "i4"), (info, (n, 4), "i4")):
            if one.shape != shape or one.dtype != kind:
                found = f"{one.dtype} of {'×'.join(map(str, one.shape))}"
                wanted = f"{np.dtype(kind)} of {'×'.join(map(str, shape))}"
                raise DataError(f"{one.path} holds {found}; expected {wanted}; get the file again.")

    def pieces() -> Iterator[np.ndarray]:
        part, row = places(paths[2], np.concatenate([c.whole() for c in categories]), [i.whole() for i in infos])
        for at in np.array_split(np.arange(len(row)), -(-len(row) // 1000)):
            found = np.empty((len(at), 1, 64, 64), np.int16)
            for k, image in enumerate(images):
                mine = part[at] == k
                found[mine, 0] = [small(picture) for picture in image.take(row[at[mine]])[:, 0]] if mine.any() else []
            yield found

    return Original(tuple(paths), tuple(SIZES.values()), (1, 64, 64), np.dtype(np.int16), pieces)


def places(path: Path, category: np.ndarray, infos: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Part and row in it of each combination of factors, in the order of the grid."""
    instance, elevation, azimuth, lighting = np.concatenate(infos).T
    columns, sizes = [category, instance, elevation, azimuth // 2, lighting], tuple(SIZES.values())
    for column, (name, size) in zip(columns, SIZES.items(), strict=True):
        if len(column) and not 0 <= column.min() <= column.max() < size:
            raise DataError(
                f"{path}: {name.strip('_')} goes from {column.min()} to {column.max()}; get the file again."
            )
    flat = np.ravel_multi_index(tuple(columns), sizes)
    if not np.array_equal(np.sort(flat), np.arange(np.prod(sizes))):
        raise DataError(f"{path}: not every combination of factors is there once; get the files again.")
    part = np.repeat(np.arange(len(infos)), [len(info) for info in infos])
    row = np.concatenate([np.arange(len(info)) for info in infos])
    order = np.argsort(flat)
    return part[order], row[order]


def small(picture: np.ndarray) -> np.ndarray:
    """(96, 96) bytes made 64×64, whole numbers that may overshoot."""
    image = Image.fromarray(picture.astype(np.int32))
    return np.asarray(image.resize((64, 64), Image.Resampling.LANCZOS))
