"""`claims`: what papers say of their models, held to the points of runs."""

from __future__ import annotations

from .options import Beside, Csv, Plugins, Tables, folders
from .results import joined, to_stderr


def claims(
    given: Tables = None,
    csv: Csv = False,
    beside: Beside = None,
    plugins: Plugins = None,
) -> None:
    """Print what papers say of models, and whether it holds.

    At equal R*: the effect, its 95 % interval over seeds, held or not, and the paper.
    """
    from .. import _paths, analysis, registry

    _paths.add_plugins(*(plugins or ()))
    points, apart = joined(folders(given, tables=True), beside)
    found = analysis.claims(points, registry.claims())
    print(analysis.to_csv(found) if csv else analysis.claims_to_markdown(found), end="" if csv else "\n")
    to_stderr(apart)
