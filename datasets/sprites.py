import hashlib
from collections.abc import Sequence
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rdu_bench.api import (
    Card,
    DataError,
    Examples,
    Factor,
    GroundTruth,
    HDF5Source,
    Source,
    check_counts,
    digest,
    made_folders,
    named_seed,
    population_entropy,
    write_file,
)

NAMES = ("shape", "scale", "orientation", "x", "y")
SHAPES = ("square", "ellipse", "heart")
DRAWING = 1  # raise it when the same grid would be drawn differently
FINE = 4  # sample points a pixel and direction


class Sprites(GroundTruth):
    """Sprites: a square, ellipse or heart in every scale, orientation and place of a grid, as in dSprites.

    `size` pixels a side, `scales` from 0.6 to 1 of a radius of size/4, `orientations` over the whole turn (the end not
    counted twice), `positions` along x and along y.  The file has dSprites' layout: `imgs` (N, H, W) uint8,
    `latents/classes` (N, 5) int64, `latents/values` (N, 5) float64, one row for each combination of factors.

    Examples are drawn from all combinations, equally likely and independently for train, val and test.  A turned
    square is often the same picture, so H(x) is counted over distinct pictures and is below log N.
    """

    card = Card(
        title="Sprites",
        source="drawn here after dSprites, Matthey et al. (2017), github.com/google-deepmind/dsprites-dataset",
        shape="1×16×16, binary, or as large as `size` says",
        task="shape, or those in `task`",
        sensitive="none, or the one in `sensitive`",
        provides=("labels", "factors", "image", "binary"),
        entropy="exact",
    )

    def load(
        self,
        *,
        size: int = 16,
        scales: int = 3,
        orientations: int = 8,
        positions: int = 8,
        task: Sequence[str] = ("shape",),
        sensitive: str | None = None,
        n_train: int = 8000,
        n_val: int = 1000,
        n_test: int = 2000,
    ) -> None:
        """The grid, which factors are y and s, and how many examples are drawn."""
        grid = check_grid(size=size, scales=scales, orientations=orientations, positions=positions)
        check_counts("sprites", n_train=n_train, n_val=n_val, n_test=n_test)
        check_names(task, sensitive)
        images, classes = read(ensure(grid), grid)
        columns = {name: classes[:, k] for k, name in enumerate(NAMES)}
        self.shape, self.likelihood = (1, size, size), "bernoulli"
        sizes = dict(zip(NAMES, factor_sizes(grid), strict=True))
        self.factors = tuple(Factor(k, n, independent=True, entropy=float(np.log(n))) for k, n in sizes.items())
        self.task, self.sensitive = tuple(task), sensitive
        self.population = self.pool = Examples(images, columns)
        self.entropy = population_entropy(self.population)
        for part, n in {"train": n_train, "val": n_val, "test": n_test}.items():
            rows = np.random.default_rng(named_seed("sprites", part)).integers(len(classes), size=n)
            self.splits[part] = self.pool.subset(rows)

    def make(self, folder: Path, **params: Any) -> Path:
        """Draw the grid of `params` (size, scales, orientations, positions) into `folder`/sprites/."""
        grid = check_grid(**{"size": 16, "scales": 3, "orientations": 8, "positions": 8, **params})
        return write(folder / "sprites" / file_name(grid), grid)


def check_grid(**grid: int) -> dict[str, int]:
    """The grid, if it can be drawn and held in memory.  Raises `DataError`."""
    known = ("size", "scales", "orientations", "positions")
    for key in grid:
        if key not in known:
            raise DataError(f"sprites: there is no parameter {key}; the grid has {', '.join(known)}.")
    check_counts("sprites", **grid)
    if grid["size"] < 8:
        raise DataError(f"sprites: size is {grid['size']}; a shape needs at least 8 pixels.")
    numbers = int(np.prod(factor_sizes(grid))) * grid["size"] ** 2
    if numbers > 2**28:
        raise DataError(f"sprites: this grid has {numbers:,} pixels; at most {2**28:,} are held. Make it smaller.")
    return grid


def check_names(task: Sequence[str], sensitive: str | None) -> None:
    """Raises `DataError` unless `task` and `sensitive` name different factors."""
    if isinstance(task, str) or not task:
        raise DataError(f"sprites: task is {task!r}; it must be a list of factors, such as ['shape'].")
    for name in [*task, *([sensitive] if sensitive else [])]:
        if name not in NAMES:
            raise DataError(f"sprites: there is no factor {name!r}; task and sensitive take {', '.join(NAMES)}.")
    if sensitive in task:
        raise DataError(f"sprites: {sensitive} is both in task and sensitive; choose one of the two for it.")


def factor_sizes(grid: dict[str, int]) -> tuple[int, ...]:
    """Number of values of each factor."""
    return (len(SHAPES), grid["scales"], grid["orientations"], grid["positions"], grid["positions"])


def factor_values(grid: dict[str, int]) -> list[np.ndarray]:
    """The values of each factor: shape from 1, scale, radians, and x and y from 0 to 1, as in dSprites."""
    scale = np.linspace(1.0, 0.6, grid["scales"])[::-1]
    turn = np.arange(grid["orientations"]) * (2 * np.pi / grid["orientations"])
    place = np.linspace(0.0, 1.0, grid["positions"]) if grid["positions"] > 1 else np.array([0.5])
    return [np.arange(1.0, len(SHAPES) + 1), scale, turn, place, place]


def outline(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Negative inside the shape of unit radius, positive outside; v points up."""
    if shape == "square":
        return np.maximum(np.abs(u), np.abs(v)) - 0.7
    if shape == "ellipse":
        return u**2 + (v / 0.55) ** 2 - 1
    # (p² + q² − 1)³ = p²q³ is the heart, about 1.25 in radius
    p, q = 1.22 * u, 1.22 * v + 0.12
    return (p**2 + q**2 - 1) ** 3 - p**2 * q**3


def draw(grid: dict[str, int]) -> np.ndarray:
    """(N, size, size) uint8: 1 where half or more of a pixel's `FINE`² points lie inside; N in row-major order."""
    size, (_, scales, turns, places, _) = grid["size"], factor_values(grid)
    radius = size / 4
    at = (np.arange(size * FINE) + 0.5) / FINE
    offset = at - (radius + places[:, None] * (size - 2 * radius))  # (P, size·FINE) from each centre
    dx, dy = offset[:, None, None, :], offset[None, :, :, None]  # (x place, y place, row, column)
    pictures = []
    for shape, scale, turn in product(SHAPES, scales, turns):
        cos, sin = np.cos(turn) / (radius * scale), np.sin(turn) / (radius * scale)
        inside = outline(shape, cos * dx + sin * dy, sin * dx - cos * dy) < 0
        count = inside.reshape(*inside.shape[:2], size, FINE, size, FINE).sum((3, 5))
        pictures.append(2 * count >= FINE**2)
    return np.stack(pictures).reshape(-1, size, size).astype(np.uint8)


def file_name(grid: dict[str, int]) -> str:
    """The name of the file of a grid."""
    return f"sprites-{digest({**grid, 'drawing': DRAWING}, 8)}.h5"


def ensure(grid: dict[str, int]) -> Path:
    """The file of a grid in the data folder, else in the user's cache, where it is drawn when it is not there."""
    places = [folder / file_name(grid) for folder in made_folders("sprites")]
    return next((path for path in places if path.is_file()), None) or write(places[-1], grid)


def write(path: Path, grid: dict[str, int]) -> Path:
    """Draw a grid into an HDF5 file, which is there whole or not at all."""
    images, values = draw(grid), factor_values(grid)
    classes = np.stack(np.meshgrid(*map(np.arange, factor_sizes(grid)), indexing="ij"), -1).reshape(-1, len(NAMES))
    content = BytesIO()
    with h5py.File(content, "w") as file:
        chunks = (min(256, len(images)), *images.shape[1:])
        file.create_dataset("imgs", data=images, chunks=chunks, compression="gzip")
        file["latents/classes"] = classes.astype(np.int64)
        file["latents/values"] = np.stack([values[k][classes[:, k]] for k in range(len(NAMES))], 1)
        file.attrs.update({**grid, "latents_names": NAMES, "drawing": DRAWING, "sha256": pixel_hash(images)})
    try:
        write_file(path, content.getvalue())
    except OSError as error:
        raise DataError(f"sprites: cannot write {path} ({error.strerror}); set XDG_CACHE_HOME to a folder.") from error
    return path


def pixel_hash(images: Source | np.ndarray) -> str:
    """SHA-256 of the pixels, a piece at a time."""
    h, n = hashlib.sha256(), images.shape[0]
    for i in range(0, n, 4096):
        h.update(np.ascontiguousarray(images[np.arange(i, min(i + 4096, n))]).data)
    return h.hexdigest()


def read(path: Path, grid: dict[str, int]) -> tuple[Source | np.ndarray, np.ndarray]:
    """Pictures (N, 1, size, size) uint8, in memory if there are few, and classes (N, 5) int64.

    Raises `DataError` for a file that is not of `grid`.
    """
    again = "delete it, and it is drawn again"
    sizes = factor_sizes(grid)
    n = int(np.prod(sizes))
    expected: dict[str, tuple[tuple[int, ...], type]] = {
        "imgs": ((n, grid["size"], grid["size"]), np.uint8),
        "latents/classes": ((n, len(NAMES)), np.int64),
        "latents/values": ((n, len(NAMES)), np.float64),
    }
    found = {}
    try:
        with h5py.File(path, "r") as file:
            attributes = dict(file.attrs)
            for key, (shape, kind) in expected.items():
                if not isinstance(file.get(key), h5py.Dataset):
                    raise DataError(f"{path} has no data set {key}; {again}.")
                if file[key].shape != shape or file[key].dtype != kind:
                    raise DataError(
                        f"{path}: {key} is {file[key].dtype} of shape {file[key].shape}, "
                        f"expected {np.dtype(kind)} of {shape}; {again}."
                    )
                if key != "imgs":
                    found[key] = file[key][()]
    except (OSError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read as HDF5, is it truncated? {again.capitalize()}.") from error
    classes, values = found["latents/classes"], found["latents/values"]
    declared = {**grid, "drawing": DRAWING}
    if not all(np.array_equal(attributes.get(key, -1), value) for key, value in declared.items()):
        raise DataError(f"{path} was drawn with other parameters than {declared}; {again}.")
    if not np.isfinite(values).all():
        raise DataError(f"{path}: latents/values holds NaN or infinity; {again}.")
    if not np.array_equal(classes, np.indices(sizes).reshape(len(sizes), -1).T):
        raise DataError(f"{path}: latents/classes is not the grid of {'×'.join(map(str, sizes))} in order; {again}.")
    images = HDF5Source(path, "imgs", shape=(1, grid["size"], grid["size"])).held()
    wanted, seen = str(attributes.get("sha256")), pixel_hash(images)
    if wanted != seen:
        raise DataError(f"{path}: the SHA-256 of imgs is {seen[:8]}…, not {wanted[:8]}…; {again}.")
    return images, classes
