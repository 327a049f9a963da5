"""What is asked of a suite beyond what its file says."""

from __future__ import annotations

import fnmatch
import math
import re
from dataclasses import dataclass
from typing import Any

from .. import budget as budgets
from ..budget import Budget
from .sentences import shown
from .suite import HIGHEST, SEEDS, STRATEGIES, SuiteError

STRATEGY = {"cpu": "independent", "cuda": "batched"}  # of "auto"; see README, how the numbers are made


@dataclass(frozen=True)
class Selection:
    """Which curves of a suite, and how they are trained; the defaults ask for all of them, as the suite says.

    Raises `SuiteError` for a value that no suite can serve.
    """

    models: tuple[str, ...] = ()  # globs of model or row names; none: all
    datasets: tuple[str, ...] = ()  # globs of data set names or labels, or a file, as in hdf5:usps.h5; none: all
    sigmas: tuple[float, ...] = ()  # nats; none: the suite's
    seeds: int | None = None  # 0 to seeds − 1; None: the suite's
    budget: str | Budget | None = None  # None: the suite's
    strategy: str | None = None  # None: the suite's
    device: str = "cpu"
    threads: int = 1  # of one point
    shard: tuple[int, int] | None = None  # the i-th of n parts of the curves, i counting from 1; None: all of them

    def __post_init__(self) -> None:
        for field in ("models", "datasets"):
            given = getattr(self, field)
            listed = (given,) if isinstance(given, str) else tuple(given)
            for glob in listed:
                if not isinstance(glob, str) or not glob:
                    raise SuiteError(f"--{field[:-1]} {shown(glob)}: give a name, * and ? allowed")
            object.__setattr__(self, field, listed)
        object.__setattr__(self, "sigmas", _targets(self.sigmas))
        object.__setattr__(self, "budget", _budget(self.budget))
        if self.strategy not in (None, "auto", *STRATEGIES):
            raise SuiteError(f"--strategy {self.strategy}: choose {', '.join(STRATEGIES)}")
        if not isinstance(self.device, str) or not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", self.device):
            raise SuiteError(f"--device {self.device}: choose cpu, cuda or cuda:N")
        _whole("--seeds", self.seeds, SEEDS)
        _whole("threads", self.threads, 1024)
        _whole_shard(self.shard)


def matches(name: str, glob: str) -> bool:
    """Dashes may stand for underscores, but those of a range, such as [a-f], are its own."""
    plain = re.sub(r"\[[^]]*\]|-", lambda part: "_" if part[0] == "-" else part[0], glob)
    return fnmatch.fnmatchcase(name, plain) or fnmatch.fnmatchcase(name, glob)


def _targets(sigmas: Any) -> tuple[float, ...]:
    listed = (sigmas,) if isinstance(sigmas, int | float) else tuple(sigmas)
    for sigma in listed:
        number = isinstance(sigma, int | float) and not isinstance(sigma, bool)
        if not (number and 0 < sigma < HIGHEST and math.isfinite(sigma)):
            raise SuiteError(f"--sigma {shown(sigma)}: a rate target is a positive number of nats below {HIGHEST:g}")
    return tuple(dict.fromkeys(map(float, listed)))


def _budget(given: str | Budget | None) -> Budget | None:
    if given is None or isinstance(given, Budget):
        return given
    try:
        return budgets.find(given)
    except (ValueError, TypeError) as error:
        raise SuiteError(f"--budget {shown(given)}: {error}") from error


def _whole(option: str, value: Any, most: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise SuiteError(f"{option} {shown(value)}: give a whole number of at least 1 and at most {most}")


def _whole_shard(shard: Any) -> None:
    if shard is None:
        return
    whole = isinstance(shard, tuple | list) and len(shard) == 2 and all(type(part) is int for part in shard)
    if not whole or not 1 <= shard[0] <= shard[1]:
        said = "/".join(map(shown, shard)) if isinstance(shard, tuple | list) else shown(shard)
        raise SuiteError(f"--shard {said}: give i/n with 1 ≤ i ≤ n, such as 1/4")
