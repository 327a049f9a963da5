"""The linear-Gaussian world: what is drawn is what is declared."""

import numpy as np
import pytest
import torch
from small_data import small_gaussian

from rdu_bench import registry
from rdu_bench.analytic import World
from rdu_bench.data import DataError


def test_the_samples_have_the_declared_covariance():
    data = small_gaussian(n_train=40000)
    x, y = data.splits["train"].take().double(), data.splits["train"].factors["y"].double()
    components = x @ data.basis
    lam, n = torch.tensor(data.world.spectrum), len(x)
    assert torch.allclose(data.basis.T @ data.basis, torch.eye(8).double(), atol=1e-12)
    assert (components.mean(0).abs() < 4.5 * (lam / n).sqrt()).all()
    covariance = components.T @ components / n
    spread = ((lam[:, None] * lam).sqrt() * (1 + torch.eye(8)).sqrt()) / n**0.5
    assert ((covariance - torch.diag(lam)).abs() < 4.5 * spread).all()
    noise = y - components @ torch.tensor(data.world.readout).double().T
    assert noise.var(0).numpy() == pytest.approx(data.world.readout_noise, rel=0.05)


def test_the_entropies_are_those_of_the_gaussians():
    data = small_gaussian()
    world = World().check()
    assert data.entropy == (
        pytest.approx(0.5 * sum(np.log(2 * np.pi * np.e * v) for v in world.spectrum)),
        "differential",
    )
    c = np.array(world.readout)
    covariance = c @ np.diag(world.spectrum) @ c.T + np.diag(world.readout_noise)
    assert data.factor("y").entropy == pytest.approx(0.5 * np.log(np.linalg.det(2 * np.pi * np.e * covariance)))
    assert data.noise == 0.05 and data.label is None and data.provides == frozenset()


def test_the_default_world_is_what_it_was():
    # in numbers, not by hash: the last bit of a cosine is the machine's
    test = registry.dataset("linear_gaussian").splits["test"]
    assert test.take()[0, :3].numpy() == pytest.approx([0.8811057, 2.0316892, 2.5675757], abs=1e-5)
    assert test.factors["y"][0].numpy() == pytest.approx([1.2670552, 0.9004651], abs=1e-5)


def test_a_world_can_be_chosen():
    data = small_gaussian(spectrum=[3, 1], readout=[[1, 1]], readout_noise=[0.5], learned_noise=True)
    assert data.shape == (2,) and data.noise is None and data.factor("y").size == 1 and data.verify() == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"spectrum": [1.0, 2.0]}, "linear_gaussian: spectrum is .* from the largest to the smallest"),
        ({"spectrum": [2.0, 1.0]}, "linear_gaussian: readout has shape .*; give rows of 2"),
        ({"noise": 0}, "linear_gaussian: noise"),
        ({"n_val": 0}, "linear_gaussian: n_val is 0"),
    ],
)
def test_bad_parameters_of_a_world_are_named(params, message):
    with pytest.raises(DataError, match=message):
        small_gaussian(**params)
