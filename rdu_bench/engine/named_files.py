"""Data sets that are files: what those say of themselves, and files that are asked for beside those of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import registry
from .._text import called
from .selection import matches
from .suite import DataEntry, Suite

if TYPE_CHECKING:
    from ..data import About


def with_files(suite: Suite, globs: Sequence[str]) -> tuple[Suite, tuple[str, ...]]:
    """The suite with the files that are asked for as `hdf5:usps.h5`, and the globs with their labels for these.

    A file is given the networks, targets and budget of the suite's first data set.
    """
    labels = {entry.label or called(entry.name.replace("-", "_"), entry.params): entry for entry in suite.datasets}
    new: dict[str, DataEntry] = {}
    asked = []
    for glob in globs:
        name, params = registry.named(glob, {})
        if not params or any(matches(label, glob) for label in labels):
            asked.append(glob)
            continue
        stem = registry.find("datasets", name).stem
        label, n = called(stem, params), 1
        while label in labels or label in new:
            n += 1
            label = f"{called(stem, params)}-{n}"
        update = {"name": stem, "params": params, "label": label}
        new[label] = suite.datasets[0].model_copy(update=update)
        asked.append(label)
    return suite.model_copy(update={"datasets": (*suite.datasets, *new.values())}), tuple(asked)


def as_found(entries: Sequence[DataEntry]) -> tuple[list[DataEntry], dict[str, About]]:
    """Entries with labels and parameters as their files say, and what is known of those, by label.

    Raises `DataError` for a file that is there and cannot be used; one that is not there is left as it is.
    """
    made: list[DataEntry] = []
    known: dict[str, About] = {}
    for entry in entries:
        if not registry.of_file(entry.name):
            made.append(entry)
            continue
        told = registry.about(entry.name, entry.params)
        label = entry.label or called(entry.name, entry.params)
        known[label] = told
        made.append(entry.model_copy(update={"params": told.params, "label": label}))
    return made, known
