"""For who brings results to a board, and for who checks them: `submit` and `reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .._text import megabytes, one_line, say
from .options import DataDir, Plugins, folders, path, whole


def submit(
    run: Annotated[Path, typer.Argument(parser=path, metavar="RUN", help="Folder of a run.")],
    out: Annotated[
        Path | None, typer.Option(parser=path, metavar="FILE.zip", help="Where to [RUN.zip in this folder].")
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Pack a run into one file that others can check.  Records, vectors, plug-in files and a manifest of hashes.

    Plug-ins of your own are examined as by `check` first, and nothing is packed while anything is wrong with them.
    """
    from .. import _paths
    from ..conformance import of_records
    from ..engine import submission
    from ..records.store import Store
    from ..records.unmade import shortfall

    _paths.add_plugins(*(plugins or ()))
    [place] = folders([run])
    out = out or Path(f"{place.resolve().stem}.zip")
    if out.suffix != ".zip":
        raise typer.BadParameter(f"--out {out}: the name of a submission ends in .zip")
    try:
        packed = submission.submit(place, out, of_records.faults)
    except submission.SubmissionError as error:
        for line in str(error).splitlines():
            print(one_line(line))
        raise typer.Exit(1) from None
    points = f"{packed.records} point{'s' * (packed.records != 1)}, {packed.vectors} with vectors"
    print(f"packed: {packed.path}, {megabytes(packed.path.stat().st_size)}: {points}")
    for name in packed.files:
        print(f"  {one_line(name)}")
    if packed.older:
        print(f"left out: {packed.older} points of recipes that the last runs did not ask for")
    if lost := shortfall(Store(place).root.parent, Store(packed.path).keys()):
        print(one_line(lost))
    print(f"check it: rdu-bench verify {packed.path}")
    print(f"compare:  rdu-bench leaderboard {packed.path} --beside published")
    print(f"repeat:   rdu-bench reproduce {packed.path} --sample 1")


def reproduce(
    place: Annotated[Path, typer.Argument(parser=path, metavar="PLACE", help="Folder or archive that holds records.")],
    sample: Annotated[int, typer.Option(parser=whole, metavar="N", help="Points that are drawn.")] = 5,
    seed: Annotated[int, typer.Option(parser=whole, metavar="N", help="Decides which ones.")] = 0,
    jobs: Annotated[
        int | None, typer.Option("-j", "--jobs", parser=whole, metavar="N", help="Worker processes, as in `run`.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(parser=path, metavar="DIR", help="Where to [results/runs/reproduced-NAME].")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Train and measure a sample of points again, and compare.  From their specs; R*, D and D_y with the records'.

    Plug-ins that do not come with the package are examined as by `check`, too.
    """
    from ..conformance import of_records
    from ..engine import reproduce as again
    from ..records.store import Store

    if sample < 1:
        raise typer.BadParameter(f"--sample {sample}: give a number from 1 on")
    [found] = folders([place])
    planned = again.plan(again.Draw(found, sample, seed, out), data_dir)
    for sentence in again.outline(planned):
        say(one_line(sentence))
    wrong = 0
    for plugin in of_records.examined(record["spec"] for record in Store(found).records()):
        wrong += len(plugin.wrong)
        for words in plugin.wrong or ["nothing is wrong"]:
            say(one_line(f"check: {plugin.where}: {words}"))
    points = again.reproduce(planned, jobs)
    for point in points:
        say(one_line(f"{point.outcome}: {point.where}: {point.words}"))
    say(f"{sum(point.outcome == 'same' for point in points)} of {len(points)} are the same; records: {planned.folder}")
    if wrong or any(point.outcome != "same" for point in points):
        raise typer.Exit(1)
