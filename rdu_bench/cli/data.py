"""The files of data sets: `data make`, `data verify` and `data ls`."""

from __future__ import annotations

from pathlib import Path

import typer

from .. import _paths
from .._text import aligned, one_line
from .options import DataDir, Plugins


def make(name: str, data_dir: DataDir = None, plugins: Plugins = None) -> None:
    """Write the files of a generated data set into the data folder."""
    from .. import registry
    from ..engine.run import prepare

    prepare(data_dir, plugins or ())
    print(registry.empty_dataset(name).make(_folder()))


def _folder() -> Path:
    """The data folder that is named, into which files are put."""
    named = _paths.data_folder()
    if named is None:
        raise typer.BadParameter(f"where to? Give --data-dir FOLDER, or set {' or '.join(_paths.DATA)}")
    return Path(named[1])


def verify(name: str, data_dir: DataDir = None, plugins: Plugins = None) -> None:
    """Load a data set, say what it is, and what is wrong with it."""
    from .. import registry
    from ..engine.run import prepare

    prepare(data_dir, plugins or ())
    made = registry.dataset(name)
    print(f"{made.name}: hash {made.hash}, shape {made.shape}, {made.likelihood}")
    for part, split in made.splits.items():
        print(f"  {part:6} {len(split)}")
    for factor in made.factors:
        print(f"  {factor.name}: {factor.kind} of {factor.size}")
    for sentence in made.notes:
        print(f"  note: {one_line(sentence)}")
    faults = made.verify()
    print("\n".join(f"wrong: {sentence}" for sentence in faults) or "nothing is wrong")
    if faults:
        raise typer.Exit(1)


def ls(data_dir: DataDir = None, plugins: Plugins = None) -> None:
    """List the data sets, the files that they need, and whether those are there."""
    from ..conformance.data_files import data_files
    from ..engine.run import prepare

    prepare(data_dir, plugins or ())
    rows = [("name", "there", "needs")]
    told = []
    for name, needs, missing in data_files():
        rows.append((name, "no" if missing else "yes", one_line(needs) or "nothing"))
        if missing:
            told.append(f"{name}: {one_line(missing)}")
    print("\n".join([*aligned(rows), *told]))
