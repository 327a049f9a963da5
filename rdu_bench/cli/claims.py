"""`claims`: what papers say of their models, held to the points of runs."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Beside, Folders, Plugins, folders
from .results import joined, say


def claims(
    given: Folders = None,
    csv: Annotated[bool, typer.Option("--csv")] = False,
    beside: Beside = None,
    plugins: Plugins = None,
) -> None:
    """Print the claim of every model at equal R*: its effect, 95 % interval over seeds, held or not, and the paper."""
    from .. import _paths, analysis, registry

    _paths.add_plugins(*(plugins or ()))
    points, apart = joined(folders(given, tables=True), beside)
    found = analysis.claims(points, registry.claims())
    print(analysis.to_csv(found) if csv else analysis.claims_to_markdown(found), end="" if csv else "\n")
    say(apart)
