"""How a run tells what it is doing: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._text import one_line, say
from .engine.left import Targets
from .engine.spec import Curve
from .records.schema import BAD

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

NARROW = 72  # columns of a terminal below which the table leaves out what names alone can tell


class Progress:
    """Counts points and shows what runs; `update` is given the messages of `run_curve`.

    `left` are the targets of every curve that were left to do when it began.
    """

    def __init__(self, curves: list[Curve], left: list[Targets], *, quiet: bool):
        every, lost = (
            {curve.key(sigma) for curve, targets in zip(curves, each, strict=True) for sigma in targets}
            for each in ([curve.sigmas for curve in curves], left)
        )
        self.left, self.total, self.quiet = left, len(every), quiet
        self.kept = self.done = len(every) - len(lost)
        self.failed = 0
        self.began = time.monotonic()
        self.running: dict[tuple[int, float | None], tuple[Curve, dict[str, Any]]] = {}  # by curve and σ
        self.live: Live | None = None

    def update(self, curve: Curve, message: dict[str, Any]) -> None:
        """Take note of what a curve says."""
        if message["phase"] == "done":
            self.done += 1
            self.failed += message["status"] in BAD
            for sigma in (message["sigma"], None):  # None is also what all points of a curve are trained as
                self.running.pop((id(curve), sigma), None)
            self._line(curve, message)
        else:
            self.running[id(curve), message["sigma"]] = curve, message
        if self.live:
            self.live.update(self.table(self.live.console.width))

    def eta(self) -> float | None:
        """Seconds left, from the pace so far."""
        new = self.done - self.kept
        return (time.monotonic() - self.began) / new * (self.total - self.done) if new else None

    def _line(self, curve: Curve, message: dict[str, Any]) -> None:
        if self.quiet:
            return
        where = f"{curve.data_label} {curve.row} seed {curve.seed} {target(message['sigma'])}"
        text = f"[{self.done}/{self.total}] {where}: {message['status']}"
        if message.get("reason"):
            text += f"  {one_line(message['reason'])}"
        if not self.live:
            say(text)
        elif message["status"] != "ok":
            self.live.console.print(text, markup=False, highlight=False)

    def table(self, width: int = 100) -> Table:
        """Counts and what runs now, in at most `width` columns."""
        from rich.table import Table
        from rich.text import Text

        left = self.eta()
        title = f"{self.done} of {self.total} points, {self.failed} failed" + (f", {clock(left)} left" if left else "")
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        names = ("model", "σ", "phase") if width < NARROW else ("data set", "model", "seed", "σ", "phase")
        for name in names:
            table.add_column(name, no_wrap=True, overflow="ellipsis")
        for curve, message in list(self.running.values()):
            steps = f" {message['step']}/{message['steps']}" if message["phase"] == "train" else ""
            cells = {
                "data set": curve.data_label,
                "model": curve.row,
                "seed": str(curve.seed),
                "σ": target(message["sigma"]),
                "phase": message["phase"] + steps,
            }
            table.add_row(*(Text(one_line(cells[name])) for name in names))
        return table


def target(sigma: float | None) -> str:
    """A rate target in words."""
    return "ELBO" if sigma is None else f"σ={sigma:g}"


def where(spec: Mapping[str, Any]) -> str:
    """Which point a spec is of, in words."""
    row = "-".join(filter(None, (spec["model"], spec["variant"])))
    return f"{spec['dataset_label']} {row} seed {spec['seed']} {target(spec['sigma'])}"


def clock(seconds: float) -> str:
    """90 → 1:30."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextmanager
def watch(curves: list[Curve], left: list[Targets], *, quiet: bool = False) -> Iterator[Progress]:
    """A `Progress` that shows itself while the block runs."""
    progress = Progress(curves, left, quiet=quiet)
    console = None if quiet else terminal()
    if console is None:
        if not quiet and progress.kept:
            say(f"{progress.kept} of {progress.total} points are already there")
        yield progress
        return
    from rich.live import Live

    with Live(progress.table(console.width), console=console, refresh_per_second=4) as live:
        progress.live = live
        yield progress


def terminal() -> Console | None:
    """The terminal that a live table can be drawn on, in colour unless NO_COLOR is set; None where there is none."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    from rich.console import Console

    console = Console()
    return None if console.is_dumb_terminal or console.width < 20 else console
