import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rdu_bench.api import STAND_IN, Card, DataError, FactorGrid, Original, dsprites_npz, replacing

SHAPES = ("square", "ellipse", "heart")
SIDE, PLACES, RADIUS = 64, 32, 15.0  # pixels of an image, places in a row, radius of the largest shape
FINE = 8  # sample points a pixel and direction
STRIDES = (1, 2, 4, 8)


class DSpritesLike(FactorGrid):
    """A stand-in for dSprites: its format, factors and sizes, with shapes that are drawn here.

    A square, ellipse or heart of radius 15 pixels times a scale from ½ to 1, in 40 orientations of which the last is
    the first, and in 32×32 places one pixel apart; a pixel is 1 where half of its 8×8 sample points or more are inside.
    `stride` takes every such scale, orientation and place alone.  80 % train, 10 % validate and 10 % test, by a fixed
    named seed; `limit` keeps that many examples at most of each split.  H(x) is counted over what is not learned from.
    """

    card = Card(
        title="dSprites-like",
        source="drawn here in the format of dSprites, Matthey et al. (2017)",
        shape="1×64×64, binary",
        task="shape, or those in `task`",
        provides=("labels", "factors", "image", "binary"),
        entropy="exact",
        files="what `rdu-bench data make dsprites_like` writes, in a minute",
    )

    def load(
        self,
        *,
        stride: int = 1,
        task: Sequence[str] = ("shape",),
        limit: int | None = None,
        data_dir: str | None = None,
    ) -> None:
        """`data_dir` is the data folder, by default the one that the command line or the environment names."""
        self.fill(self.convert("dsprites_like", partial(original, stride), data_dir), sizes(stride), task, limit)

    def missing(self, *, stride: int = 1, data_dir: str | None = None, **params: object) -> str:
        return self.lacking(partial(original, stride), data_dir)

    def make(self, folder: Path, *, stride: int = 1, **params: Any) -> Path:
        """Draw all images into `folder`/dsprites_like/."""
        return write(folder / "dsprites_like" / file_name(stride), stride)


def sizes(stride: int) -> dict[str, int]:
    """The factors.  Raises `DataError` for a stride that there is not."""
    if type(stride) is not int or stride not in STRIDES:
        raise DataError(f"dsprites_like: stride is {stride!r}; it must be one of {', '.join(map(str, STRIDES))}.")
    counts = {"shape": 3 * stride, "scale": 6, "orientation": 40, "position_x": PLACES, "position_y": PLACES}
    return {name: -(-n // stride) for name, n in counts.items()}


def values(stride: int) -> list[np.ndarray]:
    """The values of the factors, colour first, as in dSprites."""
    place = np.linspace(0, 1, PLACES)[::stride]
    turn, scale = np.linspace(0, 2 * np.pi, 40)[::stride], np.linspace(0.5, 1, 6)[::stride]
    return [np.ones(1), np.arange(1.0, 4.0), scale, turn, place, place]


def file_name(stride: int) -> str:
    """The name says the sizes, as that of dSprites does."""
    _, scales, turns, high, wide = sizes(stride).values()
    return f"dsprites_ndarray_co1sh3sc{scales}or{turns}x{high}y{wide}_64x64.npz"


def original(stride: int, folder: Path) -> Original:
    """The file in the data folder."""
    counts = (1, *sizes(stride).values())
    path = folder / "dsprites_like" / file_name(stride)
    if not path.exists():
        raise DataError(f"dsprites_like: there is no {path}; `rdu-bench data make dsprites_like` writes it.")
    return dsprites_npz(path, counts, stand_in=True)


def outline(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Negative inside the shape of unit radius, positive outside; v points up."""
    if shape == "square":
        return np.maximum(np.abs(u), np.abs(v)) - 0.7
    if shape == "ellipse":
        return u**2 + (v / 0.55) ** 2 - 1
    p, q = 1.25 * u, 1.25 * v + 0.12  # (p² + q² − 1)³ = p²q³ is the heart, about 1.25 in radius
    return (p**2 + q**2 - 1) ** 3 - p**2 * q**3


def draw(stride: int) -> Iterator[np.ndarray]:
    """(places, 64, 64) uint8 for each shape, scale and orientation, in the order of the file."""
    wide = SIDE + PLACES - 1  # of a canvas whose windows are the images, the shape in its middle
    at = (np.arange(wide * FINE) + 0.5) / FINE - wide / 2
    _, _, scales, turns, _, _ = values(stride)
    for shape, scale, turn in product(SHAPES, scales, turns):
        cos, sin = np.cos(turn) / (RADIUS * scale), np.sin(turn) / (RADIUS * scale)
        x, y = at[None, :], at[:, None]
        inside = outline(shape, cos * x + sin * y, sin * x - cos * y) < 0
        canvas = 2 * inside.reshape(wide, FINE, wide, FINE).sum((1, 3)) >= FINE**2
        windows = sliding_window_view(canvas.astype(np.uint8), (SIDE, SIDE))[::-1, ::-1]  # (y place, x place, …)
        yield windows[::stride, ::stride].transpose(1, 0, 2, 3).reshape(-1, SIDE, SIDE)


def write(path: Path, stride: int) -> Path:
    """The file in the format of dSprites, which is there whole or not at all."""
    counts, known = (1, *sizes(stride).values()), values(stride)
    classes = np.ascontiguousarray(np.indices(counts).reshape(len(counts), -1).T)
    names = ("color", "shape", "scale", "orientation", "posX", "posY")
    about = {
        "title": f"dSprites-like {STAND_IN}",
        "description": f"A {STAND_IN} in the format of dSprites, drawn by rule.",
        "latents_names": names,
        "latents_sizes": np.array(counts),
        "latents_possible_values": dict(zip(names, known, strict=True)),
    }
    small = {
        "metadata": np.array(about, dtype=object),
        "latents_classes": classes,
        "latents_values": np.stack([of[classes[:, k]] for k, of in enumerate(known)], 1),
    }
    with replacing(path) as plain, zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for key, array in small.items():
            with file.open(f"{key}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=True)
        with file.open("imgs.npy", "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": (len(classes), SIDE, SIDE)}
            np.lib.format.write_array_header_1_0(member, header)
            for images in draw(stride):
                member.write(images.tobytes())
    return path
