"""Records in, a page and figures out.  Never a model."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .. import _files
from .._claims import Said
from ..analysis.leaderboard import to_markdown
from ..analysis.scores import wide
from . import answer, figures, page
from .context import Vectors, gather
from .figures import FORMATS
from .text import csv

__all__ = ["ANSWER", "FORMATS", "Drawn", "draw", "render"]

ANSWER = "answer.md"

FOLDERS = ("figures",)  # that a report makes inside its folder


def render(
    results: Any,
    out: str | Path,
    *,
    title: str | None = None,
    vectors: Vectors | None = None,
    formats: Sequence[str] = FORMATS,
    claims: Mapping[str, Said] | None = None,
) -> Path:
    """Write `index.html`, `figures/`, the answer in words, and the tables of boards, frontiers and scores into `out`.

    `results` are records, or whatever `rdu_bench.load_results` takes or gives.  `vectors(record)` returns the arrays of
    a record, of which the pictures are drawn; by default those beside the record's `path` where it has one, else those
    of the store at `out`, which is where a run draws its own report.  `formats` are those of the figures, `claims`
    what papers say of models, by name, as `registry.claims` gives them.

    Each file is replaced in one step and the page last, so that drawing again, also from a run that is still going,
    never breaks what is there; SIGTERM ends the drawing and leaves nothing half written.  A part that cannot be drawn
    is missing from the page, which says so.  Returns the page.  Raises `ValueError` when there is no record or no such
    format, `WriteError` where `out` cannot be written or its `figures` is a symbolic link.
    """
    folder = Path(out)
    wrong = [kind for kind in formats if kind not in FORMATS]
    if wrong or isinstance(formats, str):
        raise ValueError(f"figures are drawn as {', '.join(FORMATS)}; not as {', '.join(wrong) or formats!r}.")
    with _terminable():
        _prepare(folder)
        context = gather(results, folder, title, vectors)
        context.hold(claims or {})
        drawn, said = figures.draw(context, folder / "figures", formats), answer.answered(context)
        _files.write(folder / "leaderboard.md", to_markdown(context.board).encode("utf-8", "replace"))
        _files.write(folder / ANSWER, answer.to_markdown(said).encode("utf-8", "replace"))
        for name, frame in _tables(context).items():
            _files.write(folder / f"{name}.csv", csv(frame))
        html = page.build(context, drawn, tuple(formats), said)
        _files.write(folder / "index.html", html.encode("utf-8", "replace"))
    return folder / "index.html"


class Drawn(NamedTuple):
    """Figures, the answer in words, and the tables that were made for them."""

    figures: list[Path]
    answer: str  # Markdown
    tables: dict[str, Any]  # the board, both frontiers, structure and usefulness by factor, by name


def draw(results: Any, out: str | Path, formats: Sequence[str] = ("png",)) -> Drawn:
    """Write `figures/` alone into `out`; returns those files, the answer, and tables.  Raises as `render` does."""
    folder = Path(out)
    with _terminable():
        _prepare(folder)
        context = gather(results, folder, None, None)
        drawn = figures.draw(context, folder / "figures", formats)
        files = sorted(folder / "figures" / f"{stem}.{kind}" for kind in formats for stem in drawn.values())
        return Drawn(files, answer.to_markdown(answer.answered(context)), _measured(context))


def _measured(context: Any) -> dict[str, Any]:
    tables = {f"frontier-{name}": frame for name, frame in context.planes.items()} | {"leaderboard": context.board}
    tables |= context.structure
    if not context.useful.empty:
        tables["factors"] = context.useful
    return tables


def _tables(context: Any) -> dict[str, Any]:
    tables = _measured(context)
    if not context.tidy.empty:
        tables["scores"] = wide(context.tidy)
    if context.claims is not None and len(context.claims):
        tables["claims"] = context.claims
    if context.agreed is not None and context.agreed["udr_robust_mean"].notna().any():
        tables["udr"] = context.agreed
    return tables


def _prepare(folder: Path) -> None:
    """Makes the folder, refuses links inside it, and removes what killed writers left."""
    with _files.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name in FOLDERS:
        inside = folder / name
        if inside.is_symlink():
            raise _files.WriteError(
                f"{inside} is a symbolic link, which is not followed; remove it, or draw into another folder with --out"
            )
        _files.sweep(inside, f".*{_files.PART}")
    _files.sweep(folder, f".*{_files.PART}")


@contextmanager
def _terminable() -> Iterator[None]:
    """Inside, SIGTERM raises `SystemExit`, so that files that are being written are cleared away.

    Where the caller has a handler of its own, or in another thread than the main one, nothing is changed.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
