from typing import ClassVar

import numpy as np

from rdu_bench.api import Card, SequenceGrid, Sequences

COLOURS, SIDE, SIZES = 3, 3, (0.5, 0.75)  # channels, cells of the board along a side, radii in cells
TILT, WIDE, HALF = np.deg2rad(40), 4.6, 0.8  # from above, cells across a picture, half side of a box of radius 1
NAMES = ("ball_colour", "ball_cell", "ball_size", "box_colour", "box_cell", "box_size")


class Scenes(SequenceGrid):
    """Scenes: a ball and a box on a board of 3×3 cells, seen from `views` azimuths at equal steps, in order.

    Rays are parallel and come from 40° above.  A pixel is 1 in the channel of the body that its ray meets first; two
    bodies may be in one cell.  Colour, cell and size of each are crossed, all combinations equally likely.  A body may
    be hidden from all views, so H(x) is counted over distinct scenes, and is below log N.
    """

    card = Card(
        title="Scenes",
        source="rendered here after the rooms of Eslami et al. (2018), doi:10.1126/science.aar6170",
        shape="6×3×16×16, binary: views, channels, rows, columns",
        task="ball_colour",
        provides=("labels", "factors", "sequence", "binary"),
        entropy="exact",
    )
    defaults: ClassVar = {"views": 6, "size": 16}

    def load(
        self, *, views: int = 6, size: int = 16, n_train: int = 4000, n_val: int = 500, n_test: int = 1000
    ) -> None:
        """Azimuths, pixels a side, and how many examples are drawn."""
        counts = {"n_train": n_train, "n_val": n_val, "n_test": n_test}
        self.fill(("ball_colour",), counts, views=views, size=size)

    def sizes(self, *, views: int, size: int) -> dict[str, int]:
        return dict(zip(NAMES, (COLOURS, SIDE**2, len(SIZES)) * 2, strict=True))

    def shape_of(self, *, views: int, size: int) -> tuple[int, ...]:
        return views, COLOURS, size, size

    def draw(self, grid: np.ndarray, *, views: int, size: int) -> Sequences:
        x = np.stack([rendered(grid, 2 * np.pi * v / views, size) for v in range(views)], 1)
        return Sequences(x, dict(zip(NAMES, grid.T.astype(np.int64), strict=True)), {})


def rendered(grid: np.ndarray, azimuth: float, size: int) -> np.ndarray:
    """(N, 3, size, size) uint8 of scenes (N, 6), by rays towards (cos, sin) of the azimuth and down."""
    cos, sin = np.round([np.cos(azimuth), np.sin(azimuth)], 12)  # a quarter turn changes signs alone
    depth = []
    for solid, (cells, sizes) in ((ball, grid[:, 1:3].T), (box, grid[:, 4:6].T)):
        places, place = np.unique(SIDE**2 * sizes + cells, return_inverse=True)
        each = [solid(rays(p % SIDE**2, cos, sin, size), (cos, sin), SIZES[p // SIDE**2]) for p in places]
        depth.append(np.stack(each)[place])  # (N, size, size), infinite where a ray meets nothing
    first = depth[0] <= depth[1]
    x = np.zeros((len(grid), COLOURS, size, size), np.uint8)
    scene = np.arange(len(grid))
    x[scene, grid[:, 0]] |= np.isfinite(depth[0]) & first
    x[scene, grid[:, 3]] |= np.isfinite(depth[1]) & ~first
    return x


def rays(cell: int, cos: float, sin: float, size: int) -> np.ndarray:
    """(3, size, size) where the ray of each pixel starts, far off, as seen from the middle of a cell."""
    u = ((np.arange(size) + 0.5) / size - 0.5) * WIDE
    across, up = u[None, :], -u[:, None]
    flat, high = np.cos(TILT), np.sin(TILT)
    ahead = up * high - 10 * flat  # along the azimuth, on the ground
    return np.stack(
        [
            ahead * cos - across * sin - (cell // SIDE - 1),
            ahead * sin + across * cos - (cell % SIDE - 1),
            np.broadcast_to(up * flat + 10 * high, (size, size)),
        ]
    )


def ball(start: np.ndarray, azimuth: tuple[float, float], radius: float) -> np.ndarray:
    """(size, size) how far rays go until they meet a ball at the origin; infinite where they do not."""
    along = sum(o * a for o, a in zip(start, ahead_of(azimuth), strict=True))
    inside = along**2 - ((start**2).sum(0) - radius**2)
    return np.where(inside > 1e-9, -along - np.sqrt(np.maximum(inside, 0)), np.inf)


def box(start: np.ndarray, azimuth: tuple[float, float], radius: float) -> np.ndarray:
    """(size, size) how far rays go until they meet a box at the origin; infinite where they do not."""
    near, far = np.full(start.shape[1:], -np.inf), np.full(start.shape[1:], np.inf)
    for o, a in zip(start, ahead_of(azimuth), strict=True):
        if a == 0:
            outside = abs(o) >= HALF * radius
            near, far = np.where(outside, np.inf, near), far
            continue
        one, two = (-HALF * radius - o) / a, (HALF * radius - o) / a
        near, far = np.maximum(near, np.minimum(one, two)), np.minimum(far, np.maximum(one, two))
    return np.where(near < far - 1e-9, near, np.inf)


def ahead_of(azimuth: tuple[float, float]) -> tuple[float, float, float]:
    """The direction of rays, of length one."""
    return azimuth[0] * np.cos(TILT), azimuth[1] * np.cos(TILT), -np.sin(TILT)
