"""What plug-ins leave as it is, since points of other models are made in the same process, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any, NamedTuple

from ._sources import PluginError

WATCHED = ("rdu_bench.", "torch.distributions.")  # modules whose functions nobody replaces
PLUGINS = ("rdu_bench.models.", "rdu_bench.datasets.", "rdu_bench.probes.", "rdu_bench.adapters.")
CODE = (FunctionType, type, classmethod, staticmethod, property)


class Setting(NamedTuple):
    """Something that holds for a whole process."""

    words: str
    get: Callable[[], Any]
    put: Callable[[Any], Any]


def _settings() -> tuple[Setting, ...]:
    import torch
    from torch.distributions import Distribution

    return (
        Setting("the default precision of torch", torch.get_default_dtype, torch.set_default_dtype),
        Setting("the number of threads", torch.get_num_threads, torch.set_num_threads),
        Setting("whether there are gradients", torch.is_grad_enabled, torch.set_grad_enabled),
        Setting(
            "whether algorithms are deterministic",
            torch.are_deterministic_algorithms_enabled,
            torch.use_deterministic_algorithms,
        ),
        Setting("whether torch looks for anomalies", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
        Setting(
            "the precision of products of matrices",
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
        ),
        Setting(
            "whether distributions check their numbers",
            lambda: Distribution._validate_args,
            Distribution.set_default_validate_args,
        ),
    )


class Untouched:
    """How the process is now, to which `put_back` returns it."""

    def __init__(self) -> None:
        from torch.distributions import kl

        self.settings = [(setting, setting.get()) for setting in _settings()]
        self.modules = set(sys.modules)
        self.held = [(owner, dict(vars(owner))) for owner in _owners()]
        self.divergences = dict(kl._KL_REGISTRY)

    def put_back(self) -> list[str]:
        """What has changed since, in words; afterwards nothing has.  What is new is no change."""
        found = []
        for setting, value in self.settings:
            if setting.get() != value:
                found.append(f"{setting.words} ({value} before)")
                setting.put(value)
        for owner, held in self.held:
            now = dict(vars(owner))
            if [*map(id, now.values())] == [*map(id, held.values())]:
                continue  # as nearly always; to look at each name takes ten times as long
            for name, code in held.items():
                if isinstance(code, CODE) and now.get(name, code) is not code:
                    found.append(f"{_name(owner)}.{name}")
                    setattr(owner, name, code)
        return [*found, *self._divergences()]

    def _divergences(self) -> list[str]:
        """Pairs of densities that were there before and have another divergence now, or one of somebody else's."""
        from torch.distributions import kl

        found = []
        for pair, rule in list(kl._KL_REGISTRY.items()):
            known = self.divergences.get(pair)
            own = any(one.__module__ not in self.modules or not _watched(one.__module__) for one in pair)
            if rule is known or (known is None and own):
                continue
            found.append(f"the divergence of {pair[0].__name__} from {pair[1].__name__}")
            if known is None:
                del kl._KL_REGISTRY[pair]
            else:
                kl._KL_REGISTRY[pair] = known
            kl._KL_MEMOIZE.clear()
        return found


@contextmanager
def untouched(what: str) -> Iterator[None]:
    """Inside a plug-in is at work.  Raises `PluginError` when it has changed what is not its own; that is put back."""
    before = Untouched()
    try:
        yield
    finally:
        changed = before.put_back()
    if changed:
        raise PluginError(f"{what} changes {', '.join(changed)}: {LEAVE}")


LEAVE = "points of other models are made in the same process, so leave it as it is"


def _watched(module: str) -> bool:
    return f"{module}.".startswith(WATCHED) and not f"{module}.".startswith(PLUGINS)


def _owners() -> Iterator[Any]:
    """The modules that are watched, and the classes that they define."""
    for place, module in list(sys.modules.items()):
        if module is not None and _watched(place):
            yield module
            yield from (v for v in list(vars(module).values()) if isinstance(v, type) and v.__module__ == place)


def _name(owner: Any) -> str:
    return f"{owner.__module__}.{owner.__name__}" if isinstance(owner, type) else str(owner.__name__)
