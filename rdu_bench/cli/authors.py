"""For who writes a plug-in or a suite: `check` and `new`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from .options import Plugins, path

KINDS = {"model": "models", "probe": "probes", "dataset": "datasets", "suite": "."}  # and the folder of each


def check(
    file: Annotated[
        Path,
        typer.Argument(parser=path, metavar="FILE|LIBRARY:MODEL", help="A .py or .toml, or such as pythae:FactorVAE."),
    ],
    plugins: Plugins = None,
) -> None:
    """Say in words what is wrong with a file.  That of a model, probe, data set or suite; or a model of a library."""
    from .. import _paths
    from ..conformance import check as findings

    _paths.add_plugins(*(plugins or ()))
    wrong = 0
    for finding in findings(file):
        wrong += not finding.ok
        print(f"{'ok   ' if finding.ok else 'WRONG'} {finding.law}" + (f": {finding.words}" if finding.words else ""))
    print("nothing is wrong" if not wrong else f"{wrong} of these must be mended")
    if wrong:
        raise typer.Exit(1)


def new(kind: str) -> Callable[..., None]:
    """The verb that writes a file of a kind."""
    home = Path(KINDS[kind])

    def write(
        name: Annotated[
            str, typer.Argument(metavar="NAME", help="What it is to be called: small letters, digits and _.")
        ],
        folder: Annotated[Path, typer.Option("--dir", parser=path, metavar="DIR", help="Where to.")] = home,
    ) -> None:
        from ..conformance.scaffold import new

        written = new(kind, name, folder)
        print(f"wrote {written}\nnext: rdu-bench check {written}")
        _then(kind, written)

    write.__doc__ = f"Write {'' if kind == 'suite' else KINDS[kind] + '/'}NAME.{'toml' if kind == 'suite' else 'py'}."
    return write


def _then(kind: str, written: Path) -> None:
    """Say what a file is for once it is right."""
    from .. import registry

    if kind == "suite":
        print(f"then: rdu-bench run --suite {written}")
        return
    known = written.stem in registry.files(KINDS[kind])
    root = written.parent.parent if written.parent.name == KINDS[kind] else f"FOLDER, with it in FOLDER/{KINDS[kind]}/,"
    plugins = "" if known else f" --plugins {root}"
    if kind == "model":
        print(f"then: rdu-bench run --suite smoke --model {written.stem}{plugins}")
    else:
        print(f"then: name it in a suite (rdu-bench new suite NAME), and rdu-bench run --suite NAME.toml{plugins}")
