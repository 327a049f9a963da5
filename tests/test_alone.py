"""Threads of one process do not draw from each other's random numbers: torch has one random state a process."""

import copy
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from rdu_bench import registry
from rdu_bench.encoder import Encoder
from rdu_bench.training import Training, train_at

SEEDS = (0, 1, 2, 3)


@pytest.fixture(autouse=True)
def taking_turns():
    """Threads take turns as often as they can, so that one that did not wait would be seen."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def both(work):
    """`work` of each seed in turn, and of all of them at once."""
    with ThreadPoolExecutor(len(SEEDS)) as pool:
        return [work(seed) for seed in SEEDS], list(pool.map(work, SEEDS))


def test_trainings_at_once_give_the_weights_of_their_seeds():
    data = registry.dataset("digits")
    new = registry.model("vae", data.spec(hidden=(8,), latent=2))

    def trained(seed):
        found = train_at(copy.deepcopy(new), data, 3.0, Training(steps=40, batch=16, seed=seed))
        return torch.nn.utils.parameters_to_vector(found.model.parameters())

    for one, other in zip(*both(lambda seed: trained(seed).detach()), strict=True):
        assert torch.equal(one, other)


@pytest.mark.filterwarnings("ignore:.*")
def test_encoders_that_are_fitted_at_once_give_the_codes_of_their_seeds():
    X = np.random.default_rng(0).random((64, 8, 8)) < 0.4

    def codes(seed):
        encoder = Encoder(sigma=2.0, steps=40, batch=16, hidden=(8,), latent=2, random_state=seed).fit(X)
        return encoder.transform(X), encoder.sample(3)

    for one, other in zip(*both(codes), strict=True):
        assert all(map(np.array_equal, one, other))
