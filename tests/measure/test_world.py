"""The pipeline against the truth: linear autoencoders where frontier, slope and usefulness have closed forms."""

import math

import numpy as np
import pytest
import torch
from worlds import spent

from rdu_bench import analytic, registry
from rdu_bench.measure import Study, measure
from rdu_bench.records.laws import SLACK
from rdu_bench.training import Training, fit, fit_stack

SIGMAS = [1.0, 2.0, 3.0, 4.5, 6.0, 7.5]
BUDGET = spent(codes=8000, draws_fit=2)


@pytest.fixture(scope="module")
def world():
    torch.set_num_threads(2)  # slow tests alone ask for it
    yield registry.dataset("linear_gaussian", n_train=100_000, n_test=20_000)
    torch.set_num_threads(1)


def linear(world):
    torch.manual_seed(0)
    return registry.model("vae", world.spec(hidden=(), latent=8))


@pytest.fixture(scope="module")
def trained(world):
    models = [linear(world) for _ in SIGMAS]
    found = fit_stack(models, world, SIGMAS, Training(steps=8_000, batch=512, lr=4e-3))
    return [(sigma, trained.model, trained.control) for sigma, trained in zip(SIGMAS, found, strict=True)]


@pytest.fixture(scope="module")
def measured(world, trained):
    spec = world.spec(hidden=(), latent=8)
    budget = spent(codes=8000, draws_fit=2, test=20_000)
    return [(s, c, measure(Study(m.requires_grad_(False), world, budget, ("linear",), spec))) for s, m, c in trained]


@pytest.mark.slow
def test_every_rate_asked_for_is_reached_within_one_percent(trained):
    assert [abs(c.R_train / s - 1) < 0.01 for s, _, c in trained] == [True] * len(SIGMAS)


@pytest.mark.slow
def test_the_measured_frontier_is_the_analytic_one(world, measured):
    w = world.world
    for sigma, _, found in measured:
        v, own = found.values, found.vectors
        slope = float(analytic.slope(w.spectrum, w.noise, v["R_star"]))
        truth = float(analytic.frontier(w.spectrum, w.noise, v["R_star"]))
        both = own["D_own_i"].astype(float) + slope * own["R_star_i"].astype(float)
        se = both.std() / math.sqrt(len(both))
        assert -SLACK * se <= v["D_own"] - truth <= 0.05 + SLACK * se, (sigma, v["D_own"] - truth, se)


@pytest.mark.slow
def test_all_three_rates_agree(measured):
    for _, _, found in measured:
        v = found.values
        assert abs(v["R_own"] - v["R_own_mc"]) <= 4 * math.hypot(v["R_own_se"], v["R_own_mc_se"])
        assert abs(v["R_star"] - v["R_own"]) <= 0.05 + SLACK * v["R_star_se"]


@pytest.mark.slow
def test_usefulness_is_that_of_the_closed_form(world, measured):
    w = world.world
    for sigma, _, found in measured:
        y = found.factors["y"]
        truth = float(analytic.usefulness(w.spectrum, w.readout, w.readout_noise, found.values["R_star"]))
        gain = found.vectors["Dy_i/y"].astype(float)
        assert abs(y["Dy_linear"] - truth) <= 0.01 + SLACK * gain.std() / math.sqrt(len(gain)), (
            sigma,
            y["Dy_linear"],
            truth,
        )


@pytest.mark.slow
def test_the_multiplier_ends_at_the_slope_of_the_frontier(world, trained):
    w = world.world
    for sigma, _, control in trained:
        assert control.beta_end == pytest.approx(float(analytic.slope(w.spectrum, w.noise, sigma)), rel=0.15)
        assert control.literal_ok == (control.beta_end <= 1)


@pytest.mark.slow
def test_with_w_one_no_rate_below_the_elbos_can_be_reached(world):
    w = world.world
    elbo = float(analytic.rate(w.spectrum, w.noise))  # water level η², which is β = 1
    for sigma in (1.0, 3.0):
        literal = fit(linear(world), world, sigma, Training(steps=3000, batch=512, lr=4e-3, w=1.0)).control
        assert literal.R_train == pytest.approx(elbo, rel=0.03)
        assert literal.status == "unreachable"
    exact = fit(linear(world), world, 3.0, Training(steps=3000, batch=512, lr=4e-3, w=100.0)).control
    assert exact.R_train == pytest.approx(3.0, rel=0.01)


def test_one_rate_of_the_analytic_world_in_seconds():
    """The same within 0.3 nats, in a fraction of the steps."""
    data = registry.dataset("linear_gaussian", n_train=20_000)
    model = linear(data)
    control = fit(model, data, 3.0, Training(steps=1500, batch=256, lr=1e-2)).control
    assert control.status == "ok"
    found = measure(Study(model.requires_grad_(False), data, BUDGET, ("linear",), data.spec(hidden=(), latent=8)))
    truth = float(analytic.frontier(data.world.spectrum, data.world.noise, found.values["R_star"]))
    assert -3 * found.values["D_own_se"] <= found.values["D_own"] - truth <= 0.3
    assert found.values["gap_RD"] >= -3 * found.values["gap_RD_se"]
    assert np.isfinite(found.values["Dy"])
