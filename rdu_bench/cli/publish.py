"""`publish`: what others are shown of a run, in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import folders, path
from .results import known, to_stderr


def publish(
    run: Annotated[Path, typer.Argument(parser=path, metavar="RUN", help="Folder of a run.")],
    out: Annotated[
        Path, typer.Option(parser=path, metavar="DIR", help="Folder for tables, points, archive and manifest.")
    ],
    vectors: Annotated[bool, typer.Option("--vectors", help="Also the vectors beside the records.")] = False,
) -> None:
    """Write what is published of a run.  Tables, figures, points as Parquet, one archive, a manifest with hashes."""
    from .. import _files, analysis, registry
    from ..analysis.scores import wide
    from ..analysis.sensitivity import has_panels
    from ..records.archive import manifest
    from ..records.archive import publish as write_all
    from ..records.flatten import table
    from ..records.schema import INVALID
    from ..report import ANSWER, draw

    [run] = folders([run])
    found = table(run)
    _publishable(run, out, vectors)
    _files.check_folder(out, make=True)
    before = manifest(out).get("files")
    drawn = draw(run, out)
    claims = analysis.claims(found, registry.claims())
    frames = {**drawn.tables, "scores": wide(analysis.scores(found)), "claims": claims}
    if has_panels(found):
        frames |= {"sensitivity": analysis.sensitivity(found), "comparisons": analysis.comparisons(found)}
    tables = {f"{name}.csv": analysis.to_csv(frame) for name, frame in frames.items()}
    tables["leaderboard.md"] = analysis.to_markdown(frames["leaderboard"])
    tables["claims.md"] = analysis.claims_to_markdown(claims)
    tables[ANSWER] = drawn.answer
    print(f"published: {write_all(run, found, tables, out, vectors=vectors, figures=drawn.figures)}")
    told = []
    if invalid := int((found["status"] == INVALID).sum()):
        are = "point is" if invalid == 1 else "points are"
        told.append(f"{invalid} {are} invalid, which `rdu-bench verify {out}` explains")
    told += [f"not a whole record, and not published: {sentence}" for sentence in found.attrs["ignored"]]
    told += known(found)
    if gone := sorted(name for name in {*(before or ())} - {*manifest(out)["files"]} if (out / name).is_file()):
        told.append(f"{', '.join(gone)} in {out}: of what was published there before; remove what is not needed")
    to_stderr(told)


def _publishable(run: Path, out: Path, vectors: bool) -> None:
    """Refuses what would lose vectors: an archive in its own place without them, and vectors that are damaged.

    Raises `typer.BadParameter` and `VectorsError`.
    """
    from ..records.packs import archived
    from ..records.store import Store

    store = Store(run)
    inside = archived(store.root)
    own = inside if inside is not None and inside[0].resolve().parent == out.resolve() else None
    if own and not vectors and not store.without_vectors:
        raise typer.BadParameter(
            f"--out {out}: its {own[0].name} is what would be published, and holds vectors;"
            " add --vectors, or name another"
        )
    for record in store.records() if vectors else ():
        store.vectors(record)
