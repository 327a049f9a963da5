"""Heads against scikit-learn, and against what no head may do."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression

from rdu_bench import registry
from rdu_bench.api import Factor, Target
from rdu_bench.measure.usefulness import whitening

BUDGET = {"head_epochs": 40}


def problem(n=1200, d=5, k=4, seed=0, draws=1):
    draw = np.random.default_rng(seed)
    z = draw.normal(size=(draws, n, d))
    logits = z[0] @ draw.normal(size=(d, k)) * 0.8
    y = (logits + draw.gumbel(size=logits.shape)).argmax(1)
    return torch.from_numpy(z).float(), torch.from_numpy(y)


def heads(name, z, targets, cut=800):
    probe = registry.load("probes", name)()
    made = [Target(f, y[:cut], y[cut:]) for f, y in targets]
    return probe.fit(z[:, :cut], z[:, cut:], made, seed=0, budget=BUDGET)


def loss(head, z, y):
    return -head.predict(z).log_prob(y).mean().item()


@pytest.mark.parametrize("k", [2, 4, 11])
def test_the_linear_head_is_scikit_learns(k):
    z, y = problem(k=k)
    [head] = heads("linear", z, [(Factor("y", k), y)])
    ridge = head.settings["ridge"]
    oracle = LogisticRegression(C=1 / (ridge * 800), tol=1e-8, max_iter=5000).fit(z[0, :800], y[:800])
    expected = -oracle.predict_log_proba(z[0])[np.arange(len(y)), y].mean()
    assert loss(head, z, y) == pytest.approx(expected, abs=0.002)


def test_affine_maps_of_the_code_change_no_linear_head():
    z, y = problem()
    moved = z @ torch.randn(5, 5, generator=torch.Generator().manual_seed(1)) * 3 + 10
    found = []
    for code in (z, moved):
        white = whitening(code)(code)
        [head] = heads("linear", white, [(Factor("y", 4), y)])
        found.append(loss(head, white, y))
    assert found[0] == pytest.approx(found[1], abs=1e-3)


def test_whitened_codes_have_unit_covariance_and_drop_what_is_empty():
    z = torch.randn(1, 500, 3) @ torch.tensor([[1.0, 2, 0], [0, 1, 0], [3, 0, 0]])
    white = whitening(z)(z)[0]
    assert white.shape[1] == 2
    torch.testing.assert_close(white.T @ white / 500, torch.eye(2), atol=1e-3, rtol=0)
    constant = torch.ones(1, 10, 3)
    assert whitening(constant)(constant).abs().max() == 0


def test_a_real_factor_is_least_squares_with_its_residual_covariance():
    draw = np.random.default_rng(0)
    z = draw.normal(size=(2000, 3))
    y = z @ draw.normal(size=(3, 2)) + draw.normal(size=(2000, 2)) @ np.array([[1, 0.5], [0, 0.7]])
    [head] = heads(
        "linear", torch.from_numpy(z)[None].float(), [(Factor("y", 2, "real"), torch.from_numpy(y).float())], 1500
    )
    oracle = LinearRegression().fit(z[:1500], y[:1500])
    predicted = head.predict(torch.from_numpy(z)[None])
    np.testing.assert_allclose(predicted.mean[0], oracle.predict(z), atol=0.01)
    residual = y[:1500] - oracle.predict(z[:1500])
    np.testing.assert_allclose(
        predicted.covariance_matrix[0, 0] if predicted.covariance_matrix.dim() > 2 else predicted.covariance_matrix,
        residual.T @ residual / 1500,
        atol=0.01,
    )


def test_the_mlp_head_sees_what_no_linear_head_can():
    draw = np.random.default_rng(0)
    z = draw.normal(size=(1, 3000, 2)).astype("f4")
    y = torch.from_numpy((z[0, :, 0] * z[0, :, 1] > 0).astype("i8"))
    z = torch.from_numpy(z)
    [linear] = heads("linear", z, [(Factor("xor", 2), y)], 2000)
    [mlp] = heads("mlp", z, [(Factor("xor", 2), y)], 2000)
    assert loss(linear, z[:, 2000:], y[2000:]) > 0.95 * math.log(2)
    assert loss(mlp, z[:, 2000:], y[2000:]) < 0.3 * math.log(2)


def test_every_factor_has_a_trunk_of_its_own():
    """Fitting beside another factor changes nothing: the same weights as in the same place alone."""
    z, y = problem(k=4)
    other = (y + 1) % 4
    alone = heads("mlp", z, [(Factor("a", 4), y), (Factor("b", 4), torch.zeros_like(y))])[0]
    beside = heads("mlp", z, [(Factor("a", 4), y), (Factor("b", 4), other)])[0]
    assert loss(alone, z, y) == pytest.approx(loss(beside, z, y), abs=1e-5)


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_a_head_learns_nothing_from_a_code_that_says_nothing(name):
    z, _ = problem(n=3000)
    y = torch.randint(3, (3000,), generator=torch.Generator().manual_seed(0))
    [head] = heads(name, z, [(Factor("y", 3), y)], 2000)
    assert loss(head, z[:, 2500:], y[2500:]) > math.log(3) - 0.03


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_fitting_again_gives_the_same_head(name):
    z, y = problem()
    [first] = heads(name, z, [(Factor("y", 4), y)])
    [second] = heads(name, z, [(Factor("y", 4), y)])
    assert torch.equal(first.predict(z).logits, second.predict(z).logits)


def test_factors_of_all_sizes_and_kinds_fit_together():
    z, y = problem()
    real = z[0, :, :2] + 0.1
    found = heads("mlp", z, [(Factor("a", 4), y), (Factor("b", 2), y % 2), (Factor("r", 2, "real"), real)])
    assert [h.predict(z).log_prob(t).shape for h, t in zip(found, (y, y % 2, real.double()), strict=True)] == [
        (1, 1200)
    ] * 3
