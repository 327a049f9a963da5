"""The one exception of data: a sentence that names the thing, its value and the fix."""

from __future__ import annotations


class DataError(ValueError):
    """A data file or a parameter of a data set is not what it must be; the message says which and what to do."""
