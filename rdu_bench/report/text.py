"""Names and numbers as they may stand in a page, a figure, a table or the name of a file."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Iterable
from typing import Any

import pandas as pd

from ..analysis import to_csv

LONGEST = 48  # characters of a name in a figure
STEM = 60  # bytes of a name in the name of a file


def plain(text: Any, longest: int | None = None) -> str:
    """Text on one line without what cannot be printed; the middle of what is longer than `longest` is left out."""
    kept = (" " if c.isspace() else c for c in str(text) if c.isspace() or unicodedata.category(c) not in ("Cc", "Cs"))
    said = " ".join("".join(kept).split())
    if longest is None or len(said) <= longest:
        return said
    head = (longest - 1) * 2 // 3
    return f"{said[:head]}…{said[len(said) - (longest - 1 - head) :]}"


def drawn(text: Any, longest: int = LONGEST) -> str:
    """The same for matplotlib, which would take what stands between two dollars for mathematics."""
    return plain(text, longest).replace("$", r"\$")


def slug(text: str) -> str:
    """`text` as part of a file name; what is too long ends with a hash of the whole."""
    safe = "".join(c if c.isalnum() or c in "._-" else "-" for c in text).strip("-.")
    if safe and len(safe.encode("utf-8", "replace")) <= STEM:
        return safe
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=4).hexdigest()
    head = safe.encode("utf-8", "replace")[: STEM - 9].decode("utf-8", "ignore").strip("-.")
    return f"{head}-{digest}" if head else digest


def slugs(names: Iterable[str]) -> dict[str, str]:
    """A part of file names for each name, no two the same, not even where case does not count."""
    return _apart({name: slug(name) for name in names})


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """The same as names of places on the page, of letters, digits, `-` and `_` alone."""
    return _apart({n: "".join(c if c.isalnum() or c in "-_" else "-" for c in s) for n, s in slugs(names).items()})


def _apart(made: dict[str, str]) -> dict[str, str]:
    """The values, with numbers at the ends of those that are there before."""
    out: dict[str, str] = {}
    taken: set[str] = set()
    for name, text in made.items():
        n, said = 1, text
        while said.casefold() in taken:
            n += 1
            said = f"{text}-{n}"
        taken.add(said.casefold())
        out[name] = said
    return out


def csv(frame: pd.DataFrame) -> bytes:
    """A table as CSV in UTF-8; text that a spreadsheet would take for a formula has an apostrophe before it."""
    return to_csv(frame).encode("utf-8", "replace")


def short(value: Any, digits: int = 5) -> float | None:
    """A number that JSON can say, to so many significant digits; None for NaN and infinities."""
    if value is None or pd.isna(value) or not math.isfinite(float(value)):
        return None
    return float(f"{float(value):.{digits}g}")


def counted(n: int, one: str, many: str | None = None) -> str:
    """`1 point`, `2 points`, `1,448 points`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def listed(words: Iterable[str], most: int = 12) -> str:
    """`a, b and c`; where there are many, the first ones and how many more."""
    items = list(words)
    if len(items) > most:
        items = [*items[: most - 1], f"{len(items) - most + 1} more"]
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""
