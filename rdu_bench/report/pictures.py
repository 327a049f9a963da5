"""Pictures inside the page: sheets of small images as PNG, as few bytes of them as were allowed."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

Vectors = Callable[[Mapping[str, Any]], Mapping[str, np.ndarray]]

BUDGET = 4_500_000  # characters of pictures on a page
NAMES = ("originals", "reconstructions", "prior", "interpolations", "traversals")
SWAPS = "swaps/"  # and the name of a block


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
    """uint8 (rows, columns, C, H, W) side by side, as PNG; one channel is grey, two are red and green.

    Raises `ValueError` for more channels and for other numbers.
    """
    rows, columns, channels, height, width = pictures.shape
    if channels not in (1, 2, 3) or pictures.dtype != np.uint8:
        raise ValueError(
            f"pictures have {channels} channels of {pictures.dtype}; the page shows 1 to 3 channels of uint8"
        )
    whole = pictures.transpose(0, 3, 1, 4, 2).reshape(rows * height, columns * width, channels)
    if channels == 2:  # red and green
        whole = np.pad(whole, ((0, 0), (0, 0), (0, 1)))
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(whole[..., 0] if channels == 1 else whole)).save(file, "PNG", compress_level=9)
    return file.getvalue()


def page(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, str]] | None:
    """The sheets of a point, by name, and each as a data URI by its hash; None where it has no pictures."""
    about, sheets, images = record["pictures"], {}, {}
    swaps = sorted(key.removeprefix("pictures/") for key in arrays if key.startswith(f"pictures/{SWAPS}"))
    for name in (*NAMES, *swaps):
        array = arrays.get(f"pictures/{name}")
        if array is None or not array.size:
            continue
        grid = array if array.ndim == 5 else array[None] if name != "prior" else _rows(array)  # a row a sequence
        uri = "data:image/png;base64," + base64.b64encode(sheet(grid)).decode()
        key = hashlib.blake2b(uri.encode(), digest_size=6).hexdigest()
        images[key] = uri  # originals are often the same for all models, and are kept once
        sheets[name] = {"image": key, "rows": len(grid), "columns": grid.shape[1], "size": list(grid.shape[-2:])}
    if not sheets:
        return None
    said = {part: list(about.get(part) or []) for part in ("latents", "at")}
    return {**sheets, **said, "marginal": str(about.get("prior") or "")}, images


def _rows(pictures: np.ndarray) -> np.ndarray:
    """(n, C, H, W) as rows of eight where they come out even."""
    n = len(pictures)
    columns = 8 if n % 8 == 0 else n
    return pictures.reshape(n // columns, columns, *pictures.shape[1:])


def album(points: Sequence[Point], vectors: Vectors, budget: int = BUDGET) -> Album:
    """Pages of as many points as fit the budget: all, else three targets a model, else one, else the first ones.

    Vectors are read of points that may be kept alone: the size of a few tells how many that can be.
    """
    made: dict[int, tuple[dict[str, Any], dict[str, str]] | None] = {}

    def find(i: int) -> tuple[dict[str, Any], dict[str, str]] | None:
        if i not in made:
            try:
                made[i] = page(points[i].record, vectors(points[i].record))
            except (
                ValueError,
                TypeError,
                AttributeError,
                LookupError,
            ):  # of pictures that are none, which must not cost the others theirs
                made[i] = None
        return made[i]

    everyone = list(range(len(points)))
    kept: list[int] = []
    images: dict[str, str] = {}
    note = ""
    for plan, said in _plans(points, everyone):
        note = said
        if _estimate([find(i) for i in plan[:: max(1, len(plan) // 8)]], len(plan)) > 2 * budget:
            continue  # not even nearly
        kept, images = plan, {key: uri for i in plan for key, uri in _images(find(i))}
        if sum(map(len, images.values())) <= budget:
            break
    else:
        kept, images, note = _first(everyone, find, budget)
    there = [i for i in kept if find(i)]
    unread = len(kept) - len(there)
    lost = f" Pictures of {unread} of {len(kept)} points are damaged or not beside their records." if unread else ""
    pages: list[dict[str, Any] | None] = [None] * len(points)
    for i in there:
        found = made[i]
        pages[i] = found[0] if found else None
    return Album(pages, images, (note + lost).strip())


def _images(found: tuple[dict[str, Any], dict[str, str]] | None) -> Iterable[tuple[str, str]]:
    return found[1].items() if found else ()


def _estimate(sample: Sequence[tuple[dict[str, Any], dict[str, str]] | None], n: int) -> float:
    """Characters of n points, from a few of them; what all share counts once."""
    images = {key: len(uri) for found in sample for key, uri in _images(found)}
    return sum(images.values()) / max(len(sample), 1) * n


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


def _first(
    there: list[int], find: Callable[[int], tuple[dict[str, Any], dict[str, str]] | None], budget: int
) -> tuple[list[int], dict[str, str], str]:
    """The first points that fit; the first that does not ends the search."""
    kept: list[int] = []
    images: dict[str, str] = {}
    for i in there:
        more = images | dict(_images(find(i)))
        if sum(map(len, more.values())) > budget:
            break
        kept, images = [*kept, i], more
    return kept, images, f"To keep the page small, it has pictures of {len(kept)} points of {len(there)}."
