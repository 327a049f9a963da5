"""What every data set needs in the data folder, and whether it is there."""

from __future__ import annotations

from typing import NamedTuple

from .. import registry


class DataFiles(NamedTuple):
    """What a data set needs, and whether it is there."""

    name: str
    needs: str  # in words; "" where it brings or makes its own
    missing: str  # the sentence that says what is not there or why it cannot be used; "" when all is


def data_files() -> list[DataFiles]:
    """Every data set by name, with what it needs; one that cannot be used is listed with its trouble."""
    found = []
    for name in registry.files("datasets"):
        needs = ""
        try:
            needs = registry.card("datasets", name).get("files", "")
            lacks = registry.missing_files(name)
        except Exception as error:  # of somebody's file
            lacks = str(error).strip().splitlines()[0]
        found.append(DataFiles(name, needs, lacks))
    broken = registry.scan("datasets").trouble
    return found + [DataFiles(name, "", sentence) for name, sentence in sorted(broken.items())]
