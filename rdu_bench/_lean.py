"""What of torch imports its compiler, 1 to 3 s of CPU, when it is first used, without that: optimizers above all."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim import SGD, Adam, AdamW, Optimizer

COMPILER = "torch._dynamo"
METHODS = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
_lock = threading.Lock()
_inside = 0  # how many blocks are within
_whole: dict[tuple[type, str], Any] = {}  # what was replaced

Method = Callable[..., Any]


@contextmanager
def lean() -> Iterator[None]:
    """Inside, optimizers do not import the compiler of torch; what they compute is the same.

    Methods of `torch.optim.Optimizer`, and `step`, are wrapped so that a function that is being compiled breaks off
    before them; the wrappers import the compiler although nothing is compiled.  In their place are put ones that do
    so only once somebody else has imported it, for without it nothing can be compiled.  Where torch has no such
    wrappers nothing is replaced; afterwards all is as it was.
    """
    global _inside
    with _lock:
        if not _inside and not compiling():
            _replace()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _restore()


def of(method: Any) -> Any:
    """`method` as it is without the wrapper that imports the compiler, for as long as nobody else has; or as it is."""
    return _either(method, method.__wrapped__) if _asks(method) else method


def _replace() -> None:
    for name in METHODS:
        method = vars(Optimizer).get(name)
        if _asks(method):
            _put(Optimizer, name, of(method))
    for owner in (Adam, AdamW, SGD):
        step: Any = (
            owner.step
        )  # to which the first optimizer of its class adds hooks: none has been made, or it is here
        _put(owner, "step", _either(step, _with_its_grad_mode(step.__wrapped__)) if _asks(step) else step)


def _put(owner: type, name: str, method: Method) -> None:
    _whole[owner, name] = vars(owner).get(name)
    setattr(owner, name, method)


def _restore() -> None:
    for (owner, name), method in _whole.items():
        if method is None:  # it was inherited
            delattr(owner, name)
        else:
            setattr(owner, name, method)
    _whole.clear()


def compiling() -> bool:
    """Whether somebody has imported the compiler; before that, nothing is compiled."""
    return COMPILER in sys.modules


def _asks(method: Any) -> bool:
    """Whether it is a wrapper of torch that imports the compiler when it is called, around a method that does not."""
    code, inner = getattr(method, "__code__", None), getattr(method, "__wrapped__", None)
    return code is not None and COMPILER in code.co_names and COMPILER not in getattr(inner, "__code__", code).co_names


def _either(whole: Method, bare: Method) -> Method:
    @functools.wraps(bare)
    def method(*args: Any, **kwargs: Any) -> Any:
        return (whole if compiling() else bare)(*args, **kwargs)

    return method


def _with_its_grad_mode(step: Method) -> Method:
    """What the wrapper of `step` does beside the compiler."""

    @functools.wraps(step)
    def method(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return step(self, *args, **kwargs)

    return method
