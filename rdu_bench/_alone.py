"""One at a time: what draws from the random state of torch, of which a process has one, whatever threads ask for it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
_lock = threading.RLock()


def alone(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which waits until no other thread is inside one of its kind; they may call one another."""

    @functools.wraps(function)
    def one(*args: P.args, **kwargs: P.kwargs) -> R:
        with _lock:
            return function(*args, **kwargs)

    return one
