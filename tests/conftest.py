"""What holds for every test: one thread, one seed."""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch, and for what tests start

import pytest


@pytest.fixture(autouse=True)
def _one_seed():
    """Each test draws what it would draw alone; a test of what needs no torch does not import it for this."""
    if "torch" in sys.modules:
        import torch

        torch.manual_seed(0)


@pytest.fixture(scope="session")
def corners():
    """Four equally likely patterns with noise, named by their label."""
    from worlds import Corners

    made = Corners()
    made.load()
    return made
