"""How a run tells what it is doing: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .engine.spec import Curve
from .records.schema import FAILED
from .records.store import Store

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table


class Progress:
    """Counts points and shows what runs; `tell` is given the messages of `run_curve`."""

    def __init__(self, curves: list[Curve], store: Store, *, quiet: bool):
        wanted = {curve.key(sigma) for curve in curves for sigma in curve.sigmas}
        self.total, self.quiet = len(wanted), quiet
        self.kept = self.done = len(wanted & store.keys())
        self.failed = 0
        self.began = time.monotonic()
        self.running: dict[int, tuple[Curve, dict[str, Any]]] = {}  # two curves of a sweep have one row
        self.live: Live | None = None

    def tell(self, curve: Curve, message: dict[str, Any]) -> None:
        """Take note of what a curve says."""
        if message["phase"] == "done":
            self.done += 1
            self.failed += message["status"] in FAILED
            self.running.pop(id(curve), None)
            self._line(curve, message)
        else:
            self.running[id(curve)] = curve, message
        if self.live:
            self.live.update(self.table())

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
            text += f"  {message['reason']}"
        if self.live:
            if message["status"] != "ok":
                self.live.console.print(text, markup=False, highlight=False)
        else:
            print(text, flush=True)

    def table(self) -> Table:
        """Counts and what runs now."""
        from rich.table import Table

        left = self.eta()
        title = f"{self.done} of {self.total} points, {self.failed} failed" + (f", {clock(left)} left" if left else "")
        table = Table("data set", "model", "seed", "σ", "phase", title=title, title_justify="left", box=None)
        for curve, message in list(self.running.values()):
            steps = f" {message['step']}/{message['steps']}" if message["phase"] == "train" else ""
            at = (curve.data_label, curve.row, str(curve.seed), target(message["sigma"]))
            table.add_row(*at, message["phase"] + steps)
        return table


def target(sigma: float | None) -> str:
    """A rate target in words."""
    return "ELBO" if sigma is None else f"σ={sigma:g}"


def clock(seconds: float) -> str:
    """90 → 1:30."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextmanager
def watch(curves: list[Curve], store: Store, *, quiet: bool = False) -> Iterator[Progress]:
    """A `Progress` that shows itself while the block runs."""
    progress = Progress(curves, store, quiet=quiet)
    if quiet or not sys.stdout.isatty():
        if not quiet and progress.kept:
            print(f"{progress.kept} of {progress.total} points are already there", flush=True)
        yield progress
        return
    from rich.live import Live

    with Live(progress.table(), refresh_per_second=4) as live:
        progress.live = live
        yield progress
