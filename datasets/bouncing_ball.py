from typing import ClassVar

import numpy as np

from rdu_bench.api import Card, SequenceGrid, Sequences

RADIUS, SPEED, FINE = 2.4, 1.3, 3  # pixels, pixels a frame, sample points a pixel and direction


class BouncingBall(SequenceGrid):
    """Bouncing ball: a disc that flies straight in a box and is reflected at its walls.

    `places` places along x and along y and `directions` at the first frame, each combination equally likely, decide
    all `frames` frames of 1×16×16.  Place and velocity are known at every frame, as real numbers in pixels.
    """

    card = Card(
        title="Bouncing ball",
        source="drawn here after Fraccaro et al. (2017), arXiv:1710.05741, section 5.1",
        shape="10×1×16×16, binary: frames, channels, rows, columns",
        task="direction",
        provides=("labels", "factors", "sequence", "binary"),
        entropy="exact",
    )
    defaults: ClassVar = {"frames": 10, "size": 16, "places": 12, "directions": 12}

    def load(
        self,
        *,
        frames: int = 10,
        size: int = 16,
        places: int = 12,
        directions: int = 12,
        n_train: int = 4000,
        n_val: int = 500,
        n_test: int = 1000,
    ) -> None:
        """Frames, the grid of starts, and how many examples are drawn."""
        counts = {"n_train": n_train, "n_val": n_val, "n_test": n_test}
        self.fill(("direction",), counts, frames=frames, size=size, places=places, directions=directions)

    def sizes(self, *, frames: int, size: int, places: int, directions: int) -> dict[str, int]:
        return {"x0": places, "y0": places, "direction": directions}

    def shape_of(self, *, frames: int, size: int, places: int, directions: int) -> tuple[int, ...]:
        return frames, 1, size, size

    def draw(self, grid: np.ndarray, *, frames: int, size: int, places: int, directions: int) -> Sequences:
        low, high = RADIUS, size - RADIUS
        start = low + (high - low) * (grid[:, :2] + 0.5) / places
        turn = 2 * np.pi * (grid[:, 2] + 0.5) / directions
        speed = SPEED * np.stack([np.cos(turn), np.sin(turn)], 1)
        at, back = reflected(start[:, None] + speed[:, None] * np.arange(frames)[:, None], low, high)
        pixel = (np.arange(size * FINE) + 0.5) / FINE
        dx, dy = ((pixel - at[..., [k]]) ** 2 for k in (0, 1))  # (N, T, size · FINE)
        x = np.empty((len(grid), frames, 1, size, size), np.uint8)
        for i in range(0, len(grid), 256):
            inside = dy[i : i + 256, :, :, None] + dx[i : i + 256, :, None, :] < RADIUS**2
            count = inside.reshape(*inside.shape[:2], size, FINE, size, FINE).sum((3, 5))
            x[i : i + 256, :, 0] = 2 * count >= FINE**2
        static = dict(zip(("x0", "y0", "direction"), grid.T.astype(np.int64), strict=True))
        velocity = np.where(back, -1.0, 1.0) * speed[:, None]
        return Sequences(x, static, {"position": at.astype(np.float32), "velocity": velocity.astype(np.float32)})


def reflected(unfolded: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Places between two walls of what would be at `unfolded` without them, and whether it flies back just then."""
    u = (unfolded - low) % (2 * (high - low))
    return low + np.minimum(u, 2 * (high - low) - u), u >= high - low
