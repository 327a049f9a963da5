"""Whitening in torch and on arrays: one map, unit covariance, nothing of empty directions."""

import numpy as np
import pytest
import torch

from rdu_bench.nn.whitening import principal, whitening
from rdu_bench.scores._whitening import whitening as of_arrays


def codes(n=500, d=4, rank=4, offset=0.0, seed=0):
    draw = np.random.default_rng(seed)
    return draw.normal(size=(n, rank)) @ (draw.normal(size=(rank, d)) * 3.0 ** np.arange(rank)[:, None]) + offset


@pytest.mark.parametrize("shape", [{}, {"d": 7, "rank": 3}, {"offset": 50.0}, {"d": 1, "rank": 1}, {"n": 40, "d": 30}])
@pytest.mark.parametrize("most", [None, 2])
def test_torch_and_arrays_agree_up_to_the_order_and_sign_of_directions(shape, most):
    z = codes(**shape)
    ours, theirs = whitening(torch.from_numpy(z), most), of_arrays(z, most)
    np.testing.assert_allclose(ours.mean, theirs.mean, atol=1e-10)
    turned = ours.matrix.numpy()[:, ::-1]
    assert turned.shape == theirs.matrix.shape
    signs = np.sign((turned * theirs.matrix).sum(0))
    if most is None or most >= min(z.shape) // 4:  # else the directions of arrays are those of a sketch
        np.testing.assert_allclose(turned * signs, theirs.matrix, atol=1e-10 * np.abs(theirs.matrix).max())


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_whitened_codes_have_no_mean_and_unit_covariance(offset):
    z = torch.from_numpy(codes(offset=offset)).reshape(2, 250, 4)
    white = whitening(z)(z).reshape(-1, 4).double()
    assert white.mean(0).abs().max() < 1e-5
    torch.testing.assert_close(white.T @ white / 500, torch.eye(4, dtype=torch.float64), atol=1e-4, rtol=0)


def test_empty_directions_are_dropped_and_a_constant_is_one_column_of_zeros():
    z = torch.from_numpy(codes(d=6, rank=2)).float()
    assert whitening(z)(z).shape == (500, 2) and of_arrays(z.double().numpy())(z.numpy()).shape == (500, 2)
    constant = torch.full((2, 10, 3), 7.0)
    assert torch.equal(whitening(constant)(constant), torch.zeros(2, 10, 1))
    assert whitening(constant).matrix.shape == (3, 0)


def test_what_was_whitened_can_be_turned_back():
    z = torch.from_numpy(codes(offset=3.0))
    white = whitening(z)
    torch.testing.assert_close(white.mean + (z - white.mean) @ white.matrix @ white.back, z)


def test_principal_directions_are_turned_and_keep_their_variance():
    z = torch.from_numpy(codes(d=6, rank=6))
    leading = principal(z, 2)
    np.testing.assert_allclose(leading.turned(z).var(0, correction=0), leading.variances)
    assert leading.variances[0] < leading.variances[1] == principal(z).variances[-1]


def test_few_directions_of_many_are_found_by_a_sketch():
    draw = np.random.default_rng(0)
    z = draw.normal(size=(300, 200)) * np.r_[np.full(5, 30.0), np.full(195, 0.1)]
    x = of_arrays(z, 5)(z)
    np.testing.assert_allclose(x.T @ x / 300, np.eye(5), atol=0.02)
    assert of_arrays(z[:, :40])(z[:, :40]).shape == (300, 40)
