"""Pictures inside the page: sheets of small images as PNG, as few bytes of them as were allowed."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

Vectors = Callable[[Mapping[str, Any]], Mapping[str, np.ndarray]]

BUDGET = 6_000_000  # characters of pictures on a page
NAMES = ("originals", "reconstructions", "traversals")


class Point(NamedTuple):
    """A point whose pictures may be kept."""

    model: int
    sigma: float  # infinite for points without a target
    record: Mapping[str, Any]


class Album(NamedTuple):
    """What was kept: for each point its sheets by name, the sheets as data URIs, and what was left out."""

    pages: list[dict[str, Any] | None]
    images: dict[str, str]
    note: str


def sheet(pictures: np.ndarray) -> bytes:
    """uint8 (rows, columns, C, H, W) side by side, as PNG; one channel is grey, two are red and green."""
    rows, columns, channels, height, width = pictures.shape
    if channels not in (1, 2, 3) or pictures.dtype != np.uint8:
        raise ValueError(
            f"pictures have {channels} channels of {pictures.dtype}; the page shows 1 to 3 channels of uint8"
        )
    whole = pictures.transpose(0, 3, 1, 4, 2).reshape(rows * height, columns * width, channels)
    if channels == 2:  # red and green
        whole = np.pad(whole, ((0, 0), (0, 0), (0, 1)))
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(whole[..., 0] if channels == 1 else whole)).save(file, "PNG", optimize=True)
    return file.getvalue()


def page(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, str]] | None:
    """The sheets of a point, by name, and each as a data URI by its hash; None where it has no pictures."""
    about, sheets, images = record["pictures"], {}, {}
    for name in NAMES:
        array = arrays.get(f"pictures/{name}")
        if array is None or not array.size:
            continue
        grid = array if array.ndim == 5 else array[None]
        uri = "data:image/png;base64," + base64.b64encode(sheet(grid)).decode()
        key = hashlib.blake2b(uri.encode(), digest_size=6).hexdigest()
        images[key] = uri  # originals are often the same for all models, and are kept once
        sheets[name] = {"image": key, "rows": len(grid), "columns": grid.shape[1], "size": list(grid.shape[-2:])}
    if not sheets:
        return None
    return {**sheets, "latents": list(about.get("latents") or []), "at": list(about.get("at") or [])}, images


def album(points: Sequence[Point], vectors: Vectors, budget: int = BUDGET) -> Album:
    """Pages of as many points as fit the budget: all, else three targets a model, else one, else the first ones."""
    made: list[tuple[dict[str, Any], dict[str, str]] | None] = []
    for point in points:
        try:
            made.append(page(point.record, vectors(point.record)))
        except ValueError:  # of pictures that are none, which must not cost the others theirs
            made.append(None)
    there = [i for i, found in enumerate(made) if found]
    kept, images, note = _fitting(points, there, made, budget)
    pages = [found[0] if found and i in kept else None for i, found in enumerate(made)]
    unread = len(made) - len(there)
    lost = f" Pictures of {unread} of {len(made)} points are damaged or not beside their records." if unread else ""
    return Album(pages, images, (note + lost).strip())


def _plans(points: Sequence[Point], there: list[int]) -> list[tuple[list[int], str]]:
    """Which points to keep, most first, and what to say of it."""
    grid = sorted({points[i].sigma for i in there if np.isfinite(points[i].sigma)})
    if not grid:
        return [(there, "")]
    low, middle, high = grid[0], grid[len(grid) // 2], grid[-1]
    small = "To keep the page small, it has pictures only at each model's {}."
    return [
        (there, ""),
        (_nearest(points, there, (low, middle, high)), small.format("lowest, middle and highest σ")),
        (_nearest(points, there, (middle,)), small.format("middle σ")),
    ]


def _nearest(points: Sequence[Point], there: list[int], wanted: tuple[float, ...]) -> list[int]:
    kept = set()
    for model in {points[i].model for i in there}:
        mine = [i for i in there if points[i].model == model]
        aimed = [i for i in mine if np.isfinite(points[i].sigma)] or mine[:1]
        kept |= {min(aimed, key=lambda i: abs(points[i].sigma - target)) for target in wanted}
    return sorted(kept)


def _fitting(
    points: Sequence[Point], there: list[int], made: Sequence[Any], budget: int
) -> tuple[list[int], dict[str, str], str]:
    for plan, note in _plans(points, there):
        images = {key: uri for i in plan for key, uri in made[i][1].items()}
        if sum(map(len, images.values())) <= budget:
            return plan, images, note
    kept: list[int] = []
    images = {}
    for i in there:
        more = images | made[i][1]
        if sum(map(len, more.values())) <= budget:
            kept, images = [*kept, i], more
    return kept, images, f"To keep the page small, it has pictures of {len(kept)} points of {len(there)}."
