from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rdu_bench.api import STAND_IN, Card, DataError, FactorGrid, Original, replacing, shapes3d_file

FILE = "3dshapes{}.h5"
SHAPES = ("cube", "cylinder", "sphere", "capsule")
SIDE, FINE = 64, 2  # pixels of an image, rays a pixel and direction
STEPS = 48  # along a ray
ROOM, LIGHT = 6.0, np.array([0.35, 0.85, 0.4])  # half the width of the room, where the light comes from
STRIDES = (1, 2, 5)


class Shapes3DLike(FactorGrid):
    """A stand-in for 3D Shapes: its format, factors and sizes, with solids in a room that are drawn here.

    A cube, cylinder, sphere or capsule on the floor of a room, seen from 15 sides of −30° to 30°, in 8 sizes, with 10
    hues each of floor, wall and solid: 480,000 images of 64×64.  `stride` takes every such hue, size and view alone.
    80 % train, 10 % validate and 10 % test, by a fixed named seed; `limit` keeps that many examples at most of each
    split.

    x is the level of a pixel with uniform noise of one step added once, from 0 to 256, under a Gaussian: D is at least
    the nats that the stored bytes take, see `Dequantised`, and H(x) is that of those not learned from.
    """

    card = Card(
        title="3D-Shapes-like",
        source="drawn here in the format of 3D Shapes, Burgess & Kim (2018)",
        shape="3×64×64",
        task="shape, or those in `task`",
        provides=("labels", "factors", "image"),
        entropy="differential",
        files="what `rdu-bench data make shapes3d_like` writes, in minutes",
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
        self.fill(self.convert("shapes3d_like", partial(original, stride), data_dir), sizes(stride), task, limit)

    def missing(self, *, stride: int = 1, data_dir: str | None = None, **params: object) -> str:
        return self.lacking(partial(original, stride), data_dir)

    def make(self, folder: Path, *, stride: int = 1, **params: Any) -> Path:
        """Draw all images into `folder`/shapes3d_like/."""
        return write(folder / "shapes3d_like" / file_name(stride), stride)


def values(stride: int) -> dict[str, np.ndarray]:
    """The values of the factors, as in 3D Shapes.  Raises `DataError` for a stride that there is not."""
    if type(stride) is not int or stride not in STRIDES:
        raise DataError(f"shapes3d_like: stride is {stride!r}; it must be one of {', '.join(map(str, STRIDES))}.")
    hue = np.linspace(0, 0.9, 10)[::stride]
    return {
        "floor_hue": hue,
        "wall_hue": hue,
        "object_hue": hue,
        "scale": np.linspace(0.75, 1.25, 8)[::stride],
        "shape": np.arange(4.0),
        "orientation": np.linspace(-30, 30, 15)[::stride],
    }


def sizes(stride: int) -> dict[str, int]:
    """The factors."""
    return {name: len(known) for name, known in values(stride).items()}


def file_name(stride: int) -> str:
    """Of the whole set that of 3D Shapes."""
    return FILE.format("" if stride == 1 else f"-{stride}")


def original(stride: int, folder: Path) -> Original:
    """The file in the data folder."""
    counts = tuple(sizes(stride).values())
    path = folder / "shapes3d_like" / file_name(stride)
    if not path.exists():
        raise DataError(f"shapes3d_like: there is no {path}; `rdu-bench data make shapes3d_like` writes it.")
    return shapes3d_file(path, counts, stand_in=True)


def distance(shape: str, p: np.ndarray) -> np.ndarray:
    """(…,) from points (…, 3) to the solid of about unit size that stands on the floor."""
    x, y, z = p[..., 0], p[..., 1], p[..., 2]
    if shape == "sphere":
        return np.sqrt(x**2 + (y - 1) ** 2 + z**2) - 1
    if shape == "cube":
        return np.maximum(np.maximum(abs(x), abs(z)), abs(y - 0.85)) - 0.85
    if shape == "cylinder":
        return np.maximum(np.sqrt(x**2 + z**2) - 0.8, abs(y - 1) - 1)
    return np.sqrt(x**2 + (y - y.clip(0.65, 1.6)) ** 2 + z**2) - 0.65


def shades(shape: str, scale: float, degrees: float) -> np.ndarray:
    """(3, 64, 64): how much of the colour of floor, wall and solid each pixel has."""
    turn, n = np.deg2rad(degrees), SIDE * FINE
    at = (np.arange(n) + 0.5) / n * 2 - 1
    right, up = np.array([np.cos(turn), 0, -np.sin(turn)]), np.array([0.0, 1.0, 0.0])
    ahead = -np.array([np.sin(turn), 0.22, np.cos(turn)])
    eye = np.array([5.5 * np.sin(turn), 2.2, 5.5 * np.cos(turn)])
    ray = ahead + 0.55 * (at[None, :, None] * right - at[:, None, None] * up)
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    light = LIGHT / np.linalg.norm(LIGHT)
    far = np.full((n, n), np.inf)
    found = np.zeros((3, n, n))
    with np.errstate(divide="ignore"):
        for axis, side, part in ((1, -1, 0), (1, 1, 1), (0, -1, 1), (0, 1, 1), (2, -1, 1), (2, 1, 1)):
            wall = 0.0 if (axis, side) == (1, -1) else side * ROOM
            t = np.where(side * ray[..., axis] > 0, (wall - eye[axis]) / ray[..., axis], np.inf)
            nearer = t < far
            far[nearer] = t[nearer]
            found[:, nearer] = 0
            found[part, nearer] = 0.7 - 0.3 * side * light[axis]
    depth = np.zeros((n, n))
    for _ in range(STEPS):
        depth += scale * distance(shape, (eye + depth[..., None] * ray) / scale)
    hit = (scale * abs(distance(shape, (eye + depth[..., None] * ray) / scale)) < 0.02) & (depth < far)
    point = (eye + depth[..., None] * ray)[hit] / scale
    slope = np.stack([distance(shape, point + e) - distance(shape, point - e) for e in 1e-3 * np.eye(3)], -1)
    slope /= np.linalg.norm(slope, axis=-1, keepdims=True) + 1e-9
    found[:, hit] = 0
    found[2, hit] = 0.35 + 0.65 * (slope @ light).clip(0)
    return found.reshape(3, SIDE, FINE, SIDE, FINE).mean((2, 4))


def colour(hue: float) -> np.ndarray:
    """(3,) red, green and blue from 0 to 1 of a full hue from 0 to 1."""
    return (abs((6 * hue + np.array([0, 4, 2])) % 6 - 3) - 1).clip(0, 1)


def write(path: Path, stride: int) -> Path:
    """The file in the format of 3D Shapes, which is there whole or not at all."""
    floors, walls, solids, *geometry = known = list(values(stride).values())
    n = int(np.prod([len(of) for of in known]))
    shaded = np.stack([shades(SHAPES[int(s)], size, view) for size, s, view in product(*geometry)]).astype(np.float32)
    classes = np.indices(tuple(map(len, known))).reshape(len(known), -1)
    with replacing(path) as plain, h5py.File(plain, "w") as file:
        chunks = (min(64, n), SIDE, SIDE, 3)
        images = file.create_dataset("images", (n, SIDE, SIDE, 3), "u1", chunks=chunks, compression=1)
        for i, (floor, wall) in enumerate(product(floors, walls)):
            room = np.stack([colour(floor), colour(wall)]).astype(np.float32)
            behind = np.einsum("gkyx,kc->gyxc", shaded[:, :2], room)
            for j, solid in enumerate(solids):
                lit = shaded[:, 2, :, :, None] * colour(solid).astype(np.float32)
                start = (i * len(solids) + j) * len(shaded)
                images[start : start + len(shaded)] = np.rint(255 * (behind + lit)).astype(np.uint8)
        file["labels"] = np.stack([of[classes[k]] for k, of in enumerate(known)], 1)
        file.attrs[STAND_IN] = True
    return path
