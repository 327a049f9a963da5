"""Figures for a paper: frontiers, scores against R* and the map of all models, as PNG, SVG and PDF."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ... import _files
from ...analysis.scores import by_target
from ..context import Context
from .chart import chart
from .planes import plane
from .prediction import prediction
from .scores import scores, shown_scores
from .sheet import STYLE

__all__ = ["FORMATS", "draw"]

FORMATS = ("png", "svg", "pdf")
DPI = 150  # of a PNG, for screens; the other two have no pixels


def draw(context: Context, folder: Path, formats: Sequence[str]) -> dict[tuple[str, str], str]:
    """Write every figure; returns its stem for each (data set, "D", "Dy", "prediction", "scores" or "map").

    A figure that fails costs itself: a sentence in `context.troubles`.  Raises `WriteError` where `folder` cannot be
    written.
    """
    found: dict[tuple[str, str], str] = {}
    for dataset, name, stem, make in _wanted(context):
        figure = context.attempt(dataset, f"figure {name}", partial(_drawn, make, formats))
        for kind, content in (figure or {}).items():
            _files.write(folder / f"{stem}.{kind}", content)
        if figure:
            found[dataset, name] = stem
    return found


Make = Callable[[], Figure | None]


def _wanted(context: Context) -> Iterator[tuple[str, str, str, Make]]:
    means = by_target(shown_scores(context.tidy))
    for dataset in context.datasets:
        stem = context.files[dataset]
        yield dataset, "map", f"map-{stem}", partial(chart, context, dataset)
        for name in context.planes:
            yield dataset, name, f"{stem}-R-{name}", partial(plane, context, dataset, name)
        yield dataset, "prediction", f"{stem}-prediction", partial(prediction, context, dataset)
        yield dataset, "scores", f"{stem}-scores", partial(scores, context, dataset, means[means["dataset"] == dataset])


def _drawn(make: Make, formats: Sequence[str]) -> dict[str, bytes] | None:
    """One figure in all formats, drawn without pyplot, whatever backend the session has chosen."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # of a script that the font lacks: a box stands for it
        figure = make()
        if figure is None:
            return None
        FigureCanvasAgg(figure)
        out = {}
        for kind in formats:
            file = io.BytesIO()
            stamp = {"CreationDate": None} if kind == "pdf" else {"Date": None} if kind == "svg" else {}
            figure.savefig(file, format=kind, dpi=DPI, metadata=stamp)
            out[kind] = of_few_colours(file) if kind == "png" else file.getvalue()
        return out


def of_few_colours(file: io.BytesIO) -> bytes:
    """The same PNG with a palette of 128 colours, in a third of the bytes."""
    small = io.BytesIO()
    image = Image.open(file).convert("RGB")
    few = image.quantize(128, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    few.save(small, "png", optimize=True)
    return small.getvalue()
