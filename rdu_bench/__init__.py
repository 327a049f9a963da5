"""Rate, distortion and usefulness of autoencoders.

    import rdu_bench

    rdu_bench.run("quick")                            # train, freeze, measure, record, report
    frame = rdu_bench.load_results("results/runs/quick")
    rdu_bench.frontier(frame)                         # lower convex hulls in (R*, D); with "Dy" those in (R*, D_y)
    rdu_bench.Encoder("vae", sigma=8).fit_transform(X)

Everything is in nats.  Names are loaded when they are first used, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .analysis import frontier, leaderboard  # type: ignore[no-redef]
    from .encoder import Encoder
    from .engine.kept import load_model
    from .engine.run import run
    from .records.flatten import load_results

_HOME = {
    "Encoder": "encoder",
    "frontier": "analysis",
    "leaderboard": "analysis",
    "load_model": "engine.kept",
    "load_results": "records.flatten",
    "run": "engine.run",
}

__all__ = ["Encoder", "frontier", "leaderboard", "load_model", "load_results", "run"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
