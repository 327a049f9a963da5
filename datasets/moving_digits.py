from typing import ClassVar

import numpy as np

from rdu_bench.api import Card, DataError, SequenceDraws, Sequences, dataset

SIDE, SPEEDS = 8, (-2, -1, 1, 2)  # pixels of a digit along each axis; pixels a frame along each axis


class MovingDigits(SequenceDraws):
    """Moving digits: two of the digits of 8×8 fly through each other in a box and turn back at its walls.

    A pixel is the larger of what both digits have there.  Digits, their places at the first frame and their speeds of
    1 or 2 pixels a frame along each axis are drawn anew for every sequence, uniformly.  Digits are divided as in
    `digits` before sequences are made of them, so that none is in two splits.  Which of the two comes first has no
    meaning: `low` is the smaller label and `high` the larger; of two alike, low is the one further left at the first
    frame.  They are not independent.  The upper left corner of each is known at every frame, (x, y) in pixels.  H(x)
    is unknown.
    """

    card = Card(
        title="Moving digits",
        source="drawn here from `digits`, after Srivastava et al. (2015), arXiv:1502.04681, section 3.1",
        shape="8×1×16×16, binary: frames, channels, rows, columns",
        task="low, high",
        provides=("labels", "sequence", "binary"),
    )
    defaults: ClassVar = {"frames": 8, "size": 16, "n_train": 4000, "n_val": 500, "n_test": 1000}

    def load(
        self, *, frames: int = 8, size: int = 16, n_train: int = 4000, n_val: int = 500, n_test: int = 1000
    ) -> None:
        """Frames and their side, and how many examples are drawn."""
        counts = {"n_train": n_train, "n_val": n_val, "n_test": n_test}
        self.fill(("low", "high"), {"low": 10, "high": 10}, frames=frames, size=size, **counts)

    def shape_of(self, *, frames: int, size: int) -> tuple[int, ...]:
        if size < SIDE + max(SPEEDS):
            raise DataError(f"moving_digits: size is {size}; digits of {SIDE} need {SIDE + max(SPEEDS)} to move in.")
        return frames, 1, size, size

    def draw(self, part: str, n: int, draws: np.random.Generator, *, frames: int, size: int) -> Sequences:
        digits = dataset("digits").splits[part]
        which = draws.integers(len(digits), size=(n, 2))
        start = draws.integers(size - SIDE + 1, size=(n, 2, 2))
        speed = draws.choice(SPEEDS, size=(n, 2, 2))
        label = digits.factors["digit"].numpy()[which]
        swap = np.where(label[:, 0] == label[:, 1], start[:, 0, 0] > start[:, 1, 0], label[:, 0] > label[:, 1])
        order = np.stack([swap, ~swap], 1).astype(np.int64)
        which, label = (np.take_along_axis(of, order, 1) for of in (which, label))
        start, speed = (np.take_along_axis(of, order[..., None], 1) for of in (start, speed))
        at = bounced(start, speed, frames, size - SIDE)
        ink = digits.stored()[:, 0]
        x = np.zeros((n, frames, 1, size, size), np.uint8)
        for i, k, t in np.ndindex(n, 2, frames):
            column, row = at[i, k, t]
            x[i, t, 0, row : row + SIDE, column : column + SIDE] |= ink[which[i, k]]
        places = {"low_position": at[:, 0], "high_position": at[:, 1]}
        return Sequences(
            x,
            {"low": label[:, 0].astype(np.int64), "high": label[:, 1].astype(np.int64)},
            {name: of.astype(np.float32) for name, of in places.items()},
        )


def bounced(start: np.ndarray, speed: np.ndarray, frames: int, last: int) -> np.ndarray:
    """(N, 2, T, 2) places on 0 … last of what starts at (N, 2, 2) and turns back at both ends."""
    at = (start[:, :, None] + speed[:, :, None] * np.arange(frames)[:, None]) % (2 * last)
    return np.minimum(at, 2 * last - at)
