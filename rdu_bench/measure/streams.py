"""Random draws that do not disturb each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def devices(device: str) -> list[torch.device]:
    """Those beside the processor whose generators a measurement on `device` may use."""
    return [torch.device(device)] if device.startswith("cuda") else []


def seed_all(seed: int) -> None:
    """As `torch.manual_seed`, which takes a millisecond to remember the call for a GPU that is not in use."""
    if torch.cuda.is_initialized():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """Inside, torch draws from `seed`; afterwards its generators are as they were."""
    with torch.random.fork_rng(devices=devices(device)):
        seed_all(seed)
        yield


def random_state(device: str) -> list[Tensor]:
    """Where torch's generators are."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(d) for d in devices(device))]


def set_random_state(device: str, state: list[Tensor]) -> None:
    """Put them there again."""
    torch.set_rng_state(state[0])
    for there, part in zip(devices(device), state[1:], strict=True):
        torch.cuda.set_rng_state(part, there)


class Stream:
    """One run of random numbers that several measurements draw from, one after the other.

    A block `with stream:` goes on where the one before ended, whatever was drawn in between; a block inside another
    of the same stream simply goes on.
    """

    def __init__(self, seed: int, device: str):
        self._device = device
        self._depth = 0
        with seeded(seed, device):
            self._state = random_state(self._device)

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth == 1:
            self._fork = torch.random.fork_rng(devices=devices(self._device))
            self._fork.__enter__()
            set_random_state(self._device, self._state)

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._state = random_state(self._device)
            self._fork.__exit__(None, None, None)
