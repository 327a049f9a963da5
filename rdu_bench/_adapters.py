"""Models of other libraries by name, as in `pythae:BetaTCVAE`: what is known of one without importing its library.

`adapters/LIBRARY.py` makes models of a library's, and `adapters/LIBRARY.toml` holds a row for each that has a name.
"""

from __future__ import annotations

import difflib
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from ._libraries import HOME, PACKAGE, TITLES, missing, version
from ._sources import PluginError

OWN = ("posterior", "subtracts", "unused")  # what a row says to its adapter alone


def is_adapted(name: str) -> bool:
    """Whether a model's name is that of one in a library, as `pythae:VAE` is, and not that of a file."""
    library, colon, _ = name.partition(":")
    return bool(colon) and library in TITLES


def library(name: str) -> str:
    """`pythae:VAE` → pythae."""
    return name.partition(":")[0]


def module(name: str) -> str:
    """`pythae:VAE` → rdu_bench.adapters.pythae."""
    return f"{PACKAGE}.{library(name)}"


def full_name(name: str) -> str:
    """`pythae:WAE-MMD` → `pythae:WAE_MMD`.

    Raises `LookupError` with the nearest name, `PluginError` for a model that cannot come or a missing library.
    """
    package, _, model = name.partition(":")
    model, rows = model.replace("-", "_"), _rows(package)
    if reason := rows.get("unfit", {}).get(model):
        raise PluginError(f"{package}:{model} cannot be measured here: {reason}.")
    named = [row for row in rows if row != "unfit"]
    if model not in named:
        lower = {row.lower(): row for row in named}
        close = difflib.get_close_matches(model.lower(), lower, n=1)
        hint = f" Did you mean '{package}:{lower[close[0]]}'?" if close else ""
        there = f"There are {', '.join(named)}" if named else f"{TITLES[package]} has no whole models with names"
        raise LookupError(f"there is no model {name!r:.80}.{hint} {there}; CONTRIBUTING.md says how others come.")
    if sentence := missing(package):
        raise PluginError(f"{package}:{model}: {sentence}")
    return f"{package}:{model}"


def card(name: str) -> dict[str, Any]:
    """The cells of the row of a model, its docstring and its adapter's file.  Raises as `full_name`."""
    name = full_name(name)
    package, _, model = name.partition(":")
    told = {field: value for field, value in _rows(package)[model].items() if field not in OWN}
    said = f"{TITLES[package]} {version(package)}, with the suite's networks."
    return {**told, "doc": " ".join(filter(None, (told.get("doc", ""), said))), "path": str(file(name))}


def file(name: str) -> Path:
    """The adapter that makes a model."""
    return HOME / f"{library(name)}.py"


@cache
def _rows(package: str) -> dict[str, dict[str, Any]]:
    path = HOME / f"{package}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
