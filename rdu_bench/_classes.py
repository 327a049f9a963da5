"""Texts as names of classes: those that name none though they would be counted as one, and their order."""

from __future__ import annotations

import re
from collections.abc import Collection

MISSING = ("", "nan", "NaN", "<NA>", "NaT")  # as missing values are written where texts must stand
WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")  # a text that says a whole number


def doubtful_names(names: Collection[str]) -> str:
    """What is doubtful about different texts as names of classes, in words with what to do; "" for nothing."""
    if missing := [name for name in names if name.strip() in MISSING]:
        return (
            f"holds {missing[0]!r}, as a missing value is written; leave out examples without a class, or give that "
            "class another name"
        )
    bare: dict[str, str] = {}
    for name in sorted(names):
        if (twin := bare.setdefault(name.strip(), name)) != name:
            return f"holds {twin!r} and {name!r}, which differ in blanks alone; strip these, or give them other names"
    return ""


def are_whole(names: Collection[str]) -> bool:
    """Whether all texts say whole numbers."""
    return all(map(WHOLE.fullmatch, names))


def class_order(names: Collection[str]) -> list[str]:
    """Different texts sorted, as numbers where all of them are whole ones: 2 before 10."""
    return sorted(names, key=int if are_whole(names) else str)
