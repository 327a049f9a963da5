"""Text as lines that any terminal can show, also text of others, from records, files and exceptions."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

PAGES = {"arXiv": "https://arxiv.org/abs/", "OpenReview": "https://openreview.net/forum?id=", "doi": "https://doi.org/"}
MOST = 30  # characters of a file's name in that of its data set


def one_line(text: object, most: int = 500) -> str:
    """`text` without line breaks, control characters and halves of characters, its middle left out beyond `most`."""
    words = " ".join(str(text).split())
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)
    return shown if len(shown) <= most else f"{shown[: most // 2]} … {shown[-(most // 2) :]}"


def say(text: str, file: TextIO | None = None) -> None:
    """Print a line, with escapes for what the stream's encoding has no character for."""
    stream = file or sys.stdout
    if stream is None:  # a program without a console
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def library(paper: str) -> str:
    """Where a paper of this id is: arXiv, OpenReview, or behind its DOI."""
    return "doi" if paper.startswith("10.") else "arXiv" if paper[:4].isdigit() else "OpenReview"


def cited(paper: str) -> str:
    """An id with where it is from; alone, 1706.00400 is read as a number, without its last digits."""
    return paper and f"{library(paper)}:{paper}"


def page_of(paper: str) -> str:
    """The address of a paper of this id."""
    return f"{PAGES[library(paper)]}{paper}"


def called(name: str, params: Mapping[str, Any]) -> str:
    """Name in results of a data set with these parameters: of one that is a file, with the name of that."""
    file = params.get("file")
    if not isinstance(file, str) or not file:
        return name
    stem = re.split(r"[/\\]", file)[-1]
    stem = stem.rpartition(".")[0] or stem
    return f"{name}:" + ("".join(c if c.isalnum() or c in "._-" else "_" for c in stem)[:MOST] or "_")


def megabytes(size: float) -> str:
    """Bytes as people say them: 4.5 kB, 31 MB, 1.2 GB."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}" if size < 10 * unit else f"{size / unit:.0f} {name}"
    return f"{size:.0f} bytes"


def lasting(seconds: float) -> str:
    """A time that nobody will hold to the second: 40 s, 12 min, 3 h 20 min, 2 days 4 h."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 36:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} day{'s' * (days > 1)} {hours} h" if hours else f"{days} day{'s' * (days > 1)}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip() for row in rows]
