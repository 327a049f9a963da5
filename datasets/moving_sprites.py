from typing import ClassVar

import numpy as np

from rdu_bench.api import Card, DataError, SequenceGrid, Sequences, dataset

STATIC, START = ("shape", "scale", "colour"), ("x0", "y0", "vx", "vy")
COLOURS, SPEEDS = 3, (-1, 0, 1)  # channels; grid steps a frame


class MovingSprites(SequenceGrid):
    """Moving sprites: a sprite of one shape, size and colour that moves along both axes and turns back at the walls.

    Shape, scale and colour, which is the channel it is drawn in, belong to the sequence; place belongs to the frame.
    The start (x0, y0) and the velocity there (vx, vy) decide all places.  Every combination is equally likely.  At a
    wall a sprite comes back whichever way it went, so H(x) is counted over distinct sequences, and is below log N.
    """

    card = Card(
        title="Moving sprites",
        source="drawn here from `sprites`, after the sprites of Li & Mandt (2018), arXiv:1803.02991, section 4",
        shape="8×3×16×16, binary: frames, channels, rows, columns",
        task="shape",
        provides=("labels", "factors", "sequence", "binary"),
        entropy="exact",
    )
    defaults: ClassVar = {"frames": 8, "positions": 8, "scales": 3}

    def load(
        self,
        *,
        frames: int = 8,
        positions: int = 8,
        scales: int = 3,
        n_train: int = 4000,
        n_val: int = 500,
        n_test: int = 1000,
    ) -> None:
        """Frames, the grid of starts, and how many examples are drawn."""
        counts = {"n_train": n_train, "n_val": n_val, "n_test": n_test}
        self.fill(("shape",), counts, frames=frames, positions=positions, scales=scales)

    def sizes(self, *, frames: int, positions: int, scales: int) -> dict[str, int]:
        if positions < 2:
            raise DataError(f"moving_sprites: positions is {positions}; what moves needs 2 places at least.")
        each = (3, scales, COLOURS, positions, positions, len(SPEEDS), len(SPEEDS))
        return dict(zip((*STATIC, *START), each, strict=True))

    def shape_of(self, *, frames: int, positions: int, scales: int) -> tuple[int, ...]:
        return frames, COLOURS, 16, 16

    def draw(self, grid: np.ndarray, *, frames: int, positions: int, scales: int) -> Sequences:
        still = dataset("sprites", scales=scales, orientations=1, positions=positions, n_train=1, n_val=1, n_test=1)
        pictures = still.population.stored().reshape(3, scales, positions, positions, 16, 16)
        speeds = np.array(SPEEDS)
        x, y = (bounced(grid[:, 3 + k], speeds[grid[:, 5 + k]], frames, positions) for k in (0, 1))
        ink = pictures[grid[:, [0]], grid[:, [1]], x, y]  # (N, T, 16, 16)
        images = np.zeros((len(grid), frames, COLOURS, 16, 16), np.uint8)
        images[np.arange(len(grid)), :, grid[:, 2]] = ink
        static = dict(zip((*STATIC, *START), grid.T.astype(np.int64), strict=True))
        return Sequences(images, static, {"x": x.astype(np.int64), "y": y.astype(np.int64)})


def bounced(start: np.ndarray, speed: np.ndarray, frames: int, positions: int) -> np.ndarray:
    """(N, T) places on 0 … positions − 1 of what starts at (N,) and turns back at both ends."""
    period = 2 * (positions - 1)
    at = (start[:, None] + speed[:, None] * np.arange(frames)) % period
    return np.minimum(at, period - at)
