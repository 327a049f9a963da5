"""What this machine lends a run: cores, memory, and how many workers these are enough for."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

WORKER_MB = 1300  # MiB that a worker may hold; on the digits of suite `all` 1,258 at most (`peak_mb` of records)
PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")


class Workers(NamedTuple):
    """How many workers a run starts that is not told, and why these are fewer than cores, if they are."""

    number: int
    why: str | None = None


def workers(shares: int) -> Workers:
    """One a core, but no more than there are shares of the work, nor than memory allows."""
    most = max(1, min(cores(), shares))
    free = memory_mb()
    number = most if free is None else max(1, min(most, int(free // WORKER_MB)))
    if number == most:
        return Workers(most)
    why = f"{free:,.0f} MiB of memory are left, and a worker may hold {WORKER_MB:,}; -j N overrides"
    return Workers(number, f"{number} of {most} workers: {why}")


def cores() -> int:
    """Cores that this process may use: those it is bound to, and no more than its control group is given time for."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.floor(min([bound, *_quotas()])))


def memory_mb() -> float | None:
    """MiB that can still be taken, of the machine and of its control group; None where nothing says so."""
    return min(_left(), default=None)


def _quotas() -> Iterator[float]:
    """Cores' worth of time of each control group above this process."""
    for folder in _groups("cpu"):
        quota = _words(folder / "cpu.max") or [
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
        ]
        if len(quota) == 2 and all(map(_digits, quota)) and int(quota[1]):
            yield int(quota[0]) / int(quota[1])


def _left() -> Iterator[float]:
    for line in _lines(PROC / "meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) / 1024
    for folder in _groups("memory"):
        for limit, used, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            both = [*_words(folder / limit), *_words(folder / used)]
            if len(both) == 2 and all(map(_digits, both)):
                given_up = (line.split()[1] for line in _lines(folder / "memory.stat") if line.split()[0] == cache)
                yield (int(both[0]) - int(both[1]) + int(next(given_up, 0))) / 2**20


def _groups(controller: str) -> Iterator[Path]:
    """The folder of this process's control group and those above it, of either version; none where there are none."""
    for line in _lines(PROC / "self" / "cgroup"):
        number, names, place = line.split(":", 2)
        if number == "0" or controller in names.split(","):
            home = GROUPS if number == "0" else GROUPS / controller
            group = home / place.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder == home or home in folder.parents)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
