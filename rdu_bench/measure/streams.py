"""Random draws that do not disturb each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def devices(device: str) -> list[torch.device]:
    """Those beside the processor whose generators a measurement on `device` may use."""
    return [torch.device(device)] if device.startswith("cuda") else []


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """Inside, torch draws from `seed`; afterwards its generators are as they were."""
    with torch.random.fork_rng(devices=devices(device)):
        torch.manual_seed(seed)
        yield


class Stream:
    """One run of random numbers that several measurements draw from, one after the other.

    A block `with stream:` goes on where the one before ended, whatever was drawn in between; a block inside another
    of the same stream simply goes on.
    """

    def __init__(self, seed: int, device: str):
        self._device = device
        self._depth = 0
        with seeded(seed, device):
            self._state = self._now()

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth == 1:
            self._fork = torch.random.fork_rng(devices=devices(self._device))
            self._fork.__enter__()
            self._set(self._state)

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._state = self._now()
            self._fork.__exit__(None, None, None)

    def _now(self) -> list[Tensor]:
        return [torch.get_rng_state(), *(torch.cuda.get_rng_state(d) for d in devices(self._device))]

    def _set(self, state: list[Tensor]) -> None:
        torch.set_rng_state(state[0])
        for device, there in zip(devices(self._device), state[1:], strict=True):
            torch.cuda.set_rng_state(there, device)
