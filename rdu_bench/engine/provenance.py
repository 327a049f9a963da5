"""Where a number comes from: versions, machine, git state, time and memory."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .. import __version__, _paths

PACKAGES = {"torch": "torch", "numpy": "numpy", "sklearn": "scikit-learn"}


@cache
def versions() -> dict[str, str | None]:
    """Versions of this package, Python and the packages that make numbers."""
    found: dict[str, str | None] = {"version": __version__, "python": platform.python_version()}
    for name, package in PACKAGES.items():
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            found[name] = None
    return found


@cache
def git() -> dict[str, Any]:
    """Commit of the checkout and whether it was changed since; nulls when installed from a wheel."""
    root = _paths.checkout()
    if root is None:
        return {"git": None, "git_dirty": None}
    try:
        commit = _run(root, "rev-parse", "HEAD")
        changed = _run(root, "status", "--porcelain", "--", "rdu_bench", "models", "probes", "datasets")
    except (OSError, subprocess.SubprocessError):
        return {"git": None, "git_dirty": None}
    return {"git": commit, "git_dirty": bool(changed)}


def _run(root: Any, *command: str) -> str:
    done = subprocess.run(["git", *command], cwd=root, check=True, capture_output=True, text=True, timeout=10)
    return done.stdout.strip()


def peak_mb() -> float | None:
    """Most memory this process has held, in MiB."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if sys.platform != "darwin" else 1024**2), 1)


def of_run(*, device: str, threads: int, started: float) -> dict[str, Any]:
    """The provenance of a record; `started` in seconds since 1970."""
    return {
        **versions(),
        **git(),
        "platform": platform.platform(terse=True),
        "device": device_name(device),
        "threads": threads,
        "peak_mb": peak_mb(),
        "started": round(started, 3),
        "finished": round(time.time(), 3),
    }


@cache
def device_name(device: str) -> str:
    """What `cpu` or `cuda` is on this machine."""
    if device.startswith("cuda"):
        import torch

        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({platform.machine()})"
