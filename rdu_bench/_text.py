"""Text as lines that any terminal can show, also text of others, from records, files and exceptions."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO


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


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip() for row in rows]
