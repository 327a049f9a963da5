"""Scores of codes: plain functions of arrays, usable without the rest of the suite."""

from ._inputs import Undefined

__all__ = ["Undefined"]
