"""The closed forms of the linear-Gaussian world, each against something that does not use it."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from rdu_bench import analytic

WORLD = analytic.World().check()
LAM = np.array(WORLD.spectrum)
RATES = np.array([0.0, 0.3, 1.0, 2.5, 5.0, 8.0, 12.0])
SMALL = np.array([2.0, 0.8, 0.3, 0.1])


def least(function, size, starts=4, seed=0):
    """The least value found by L-BFGS from random starts; `function` maps a float64 tensor (size,) to a scalar."""
    rng = np.random.default_rng(seed)

    def value(theta):
        t = torch.from_numpy(theta).requires_grad_()
        out = function(t)
        (gradient,) = torch.autograd.grad(out, t)
        return out.item(), gradient.numpy()

    options = {"maxiter": 5000, "maxfun": 20000, "ftol": 1e-15, "gtol": 1e-10}
    first = 0.4 * rng.standard_normal((starts, size))
    runs = [minimize(value, x, jac=True, method="L-BFGS-B", options=options) for x in first]
    return min(run.fun for run in runs)


def linear_vae(theta, d, k):
    """A (k, d), W (d, k) and s² (k,) from one vector of parameters."""
    a, w, log_s2 = theta.split([k * d, d * k, k])
    return a.view(k, d), w.view(d, k), log_s2.exp()


def vae_terms(theta, lam, k, noise):
    """D and R of a linear VAE on x ~ N(0, diag λ); `noise` None takes the best variance."""
    d, covariance = len(lam), torch.diag(torch.from_numpy(lam))
    a, w, s2 = linear_vae(theta, d, k)
    miss = torch.eye(d, dtype=torch.float64) - w @ a
    squares = torch.trace(miss @ covariance @ miss.T) + (w**2).sum(0) @ s2
    rate = 0.5 * (torch.trace(a @ covariance @ a.T) + s2.sum() - k - s2.log().sum())
    if noise is None:
        return d / 2 * (2 * np.pi * np.e * squares / d).log(), rate
    return d / 2 * np.log(2 * np.pi * noise) + squares / (2 * noise), rate


@pytest.mark.parametrize("latent", [None, 5])
def test_rate_and_water_level_are_inverse(latent):
    theta = analytic.water_level(LAM, RATES, latent)
    assert analytic.rate(LAM, theta, latent) == pytest.approx(RATES, abs=1e-12)
    assert theta[0] == LAM[0] and (np.diff(theta) < 0).all()


def test_equal_components_share_the_water():
    assert analytic.water_level([2.0, 2.0, 2.0], 3.0) == pytest.approx(2 * np.exp(-2))


@pytest.mark.parametrize(("beta", "latent"), [(0.5, 4), (1.0, 4), (3.0, 4), (1.0, 2), (40.0, 3)])
def test_optimal_vae_is_the_minimum_over_all_linear_models(beta, latent):
    noise, d = 0.1, len(SMALL)
    best = analytic.optimal_vae(SMALL, noise, beta, latent)
    closed = best.distortion(np.diag(SMALL)) + beta * best.rate(np.diag(SMALL))

    def loss(theta):
        distortion, rate = vae_terms(theta, SMALL, latent, noise)
        return distortion + beta * rate

    assert closed == pytest.approx(least(loss, 2 * d * latent + latent), abs=1e-5)


@pytest.mark.parametrize("beta", [0.3, 1.0, 4.0, 100.0])
def test_optimal_vae_lies_on_the_frontier_in_any_basis(beta):
    noise, basis = 0.1, np.linalg.qr(np.random.default_rng(0).standard_normal((8, 8)))[0]
    covariance = basis * LAM @ basis.T
    vae = analytic.optimal_vae(LAM, noise, beta, basis=basis)
    rate = vae.rate(covariance)
    assert rate == pytest.approx(float(analytic.rate(LAM, beta * noise)), abs=1e-10)
    assert vae.distortion(covariance) == pytest.approx(float(analytic.frontier(LAM, noise, rate)), abs=1e-9)
    aggregate = vae.A @ covariance @ vae.A.T + np.diag(vae.variance)
    assert aggregate == pytest.approx(np.eye(8), abs=1e-10)


@pytest.mark.parametrize(("rate", "latent"), [(0.5, 4), (2.0, 4), (3.5, 4), (1.0, 2)])
def test_frontier_of_a_learned_variance_is_the_minimum_at_its_slope(rate, latent):
    slope = float(analytic.slope(SMALL, None, rate, latent))

    def loss(theta):
        distortion, paid = vae_terms(theta, SMALL, latent, None)
        return distortion + slope * paid + 50 * (paid - rate) ** 2

    closed = float(analytic.frontier(SMALL, None, rate, latent)) + slope * rate
    assert closed == pytest.approx(least(loss, 2 * 4 * latent + latent), abs=1e-4)


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.5, None])
@pytest.mark.parametrize("latent", [None, 3])
def test_slope_is_the_derivative_of_the_frontier(noise, latent):
    rates, h = np.array([0.4, 1.7, 3.3, 6.0, 9.5]), 1e-5
    up, down = (analytic.frontier(LAM, noise, rates + step, latent) for step in (h, -h))
    assert analytic.slope(LAM, noise, rates, latent) == pytest.approx((down - up) / (2 * h), rel=1e-5)


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.5, None])
@pytest.mark.parametrize("latent", [None, 3])
def test_nothing_is_below_the_line_of_shannon(noise, latent):
    dense = np.linspace(0, 20, 200)
    assert (analytic.frontier(LAM, noise, dense, latent) >= analytic.shannon(LAM, dense) - 1e-9).all()


def test_the_tight_toys_touch_the_line_of_shannon():
    at_one = float(analytic.rate(LAM, 0.05))
    assert analytic.frontier(LAM, 0.05, at_one) == pytest.approx(float(analytic.shannon(LAM, at_one)), abs=1e-12)
    all_active = np.array([9.0, 15.0])
    assert analytic.frontier(LAM, None, all_active) == pytest.approx(analytic.shannon(LAM, all_active), abs=1e-12)


def test_decoding_the_mean_breaks_the_line_by_half_the_sum_of_one_less_theta_over_lambda():
    vae, covariance = analytic.optimal_vae(LAM, 0.05, 1.0), np.diag(LAM)
    clean = vae._replace(variance=np.full(8, 1e-300)).distortion(covariance)
    gain = vae.rate(covariance) + clean - analytic.entropy(LAM)
    assert gain == pytest.approx(-0.5 * (1 - 0.05 / LAM).sum(), abs=1e-9)


def test_exact_rate_and_distortion_equal_monte_carlo():
    rng, n = np.random.default_rng(1), 200_000
    vae = analytic.LinearVAE(
        0.5 * rng.standard_normal((3, 4)), 0.5 * rng.standard_normal((4, 3)), np.array([0.3, 0.7, 1.2]), 0.2
    )
    x = rng.standard_normal((n, 4)) * np.sqrt(SMALL)
    mean = x @ vae.A.T
    z = mean + rng.standard_normal((n, 3)) * np.sqrt(vae.variance)
    rate = 0.5 * (z**2 - (z - mean) ** 2 / vae.variance - np.log(vae.variance)).sum(1)
    distortion = 2 * np.log(2 * np.pi * vae.noise) + ((x - z @ vae.W.T) ** 2).sum(1) / (2 * vae.noise)
    for sampled, exact in [(rate, vae.rate(np.diag(SMALL))), (distortion, vae.distortion(np.diag(SMALL)))]:
        assert abs(sampled.mean() - exact) < 4 * sampled.std() / np.sqrt(n)


@pytest.mark.parametrize("rate", [0.5, 3.0, 7.0])
def test_usefulness_is_what_a_regression_on_sampled_codes_attains(rate):
    rng, n = np.random.default_rng(2), 200_000
    vae = analytic.optimal_vae(LAM, 1.0, float(analytic.water_level(LAM, rate)))
    x = rng.standard_normal((n, 8)) * np.sqrt(LAM)
    y = x @ np.transpose(WORLD.readout) + rng.standard_normal((n, 2)) * np.sqrt(WORLD.readout_noise)
    z = x @ vae.A.T + rng.standard_normal((n, 8)) * np.sqrt(vae.variance)
    residual = y - z @ np.linalg.lstsq(z, y, rcond=None)[0]
    attained = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * residual.T @ residual / n)[1]
    closed = analytic.usefulness(LAM, WORLD.readout, WORLD.readout_noise, rate)
    # −log p(y|z) of a Gaussian of two dimensions has variance 1, whatever its covariance
    assert attained == pytest.approx(float(closed), abs=4 / np.sqrt(n))


@pytest.mark.parametrize("beta", [1.3, 2.0, 6.0, 40.0])
def test_bottleneck_is_the_minimum_over_all_linear_encoders(beta):
    d = len(SMALL)
    readout, noise = np.array([[0.5, 0, 1, 0], [0, 1, 0, 3.0]]), np.array([0.2, 0.1])
    lam, c = torch.diag(torch.from_numpy(SMALL)), torch.from_numpy(readout)
    covariance_y = c @ lam @ c.T + torch.diag(torch.from_numpy(noise))

    def loss(theta):
        a = theta.view(d, d)  # z = Ax + N(0, I)
        covariance_z = a @ lam @ a.T + torch.eye(d, dtype=torch.float64)
        cross = a @ lam @ c.T
        given_y = covariance_z - cross @ torch.linalg.solve(covariance_y, cross.T)
        i_x = 0.5 * torch.logdet(covariance_z)
        return i_x - beta * (i_x - 0.5 * torch.logdet(given_y))

    dense = np.linspace(0, 12, 24001)
    rho2 = analytic.canonical_correlations(SMALL, readout, noise)
    closed = (dense - beta * analytic.bottleneck(rho2, dense)).min()
    assert closed == pytest.approx(least(loss, d * d, starts=6), abs=1e-5)


def test_no_code_is_more_useful_than_the_limit():
    unsupervised = analytic.usefulness(LAM, WORLD.readout, WORLD.readout_noise, RATES)
    limit = analytic.usefulness_limit(LAM, WORLD.readout, WORLD.readout_noise, RATES)
    assert (limit <= unsupervised + 1e-12).all() and (limit >= WORLD.entropy_y - RATES - 1e-12).all()
    assert limit[0] == pytest.approx(WORLD.entropy_y) and unsupervised[0] == pytest.approx(WORLD.entropy_y)
    given_x = 0.5 * np.log(2 * np.pi * np.e * np.array(WORLD.readout_noise)).sum()
    assert analytic.usefulness_limit(LAM, WORLD.readout, WORLD.readout_noise, 60.0) == pytest.approx(given_x, abs=1e-9)
    assert (unsupervised - limit)[3] > 1  # the default world makes the price of not knowing y plain


def test_when_y_is_x_the_two_limits_agree():
    # every component read with the same signal-to-noise ratio λ/n: the order of water-filling is that of usefulness
    same = analytic.usefulness([1.0] * 3, np.eye(3), [0.3] * 3, RATES)
    assert analytic.usefulness_limit([1.0] * 3, np.eye(3), [0.3] * 3, RATES) == pytest.approx(same, abs=1e-12)


def test_nothing_read_is_nothing_useful():
    rates = np.array([0.0, 3.0])
    assert analytic.usefulness_limit([1.0, 0.5], [[0, 0]], [1.0], rates) == pytest.approx(
        np.full(2, 0.5 * np.log(2 * np.pi * np.e))
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spectrum": [1.0, 2.0]}, r"spectrum is \[1.0, 2.0\]; list the variances from the largest"),
        ({"spectrum": [1.0, 0.0]}, "variances must be a list of positive numbers"),
        ({"spectrum": []}, "at least one"),
        ({"spectrum": ["a"]}, "give numbers"),
        ({"readout": [[1.0, 2.0]]}, r"readout has shape \(1, 2\); give rows of 8"),
        ({"readout": [[1.0], [1.0, 2.0]]}, "rows of equal length"),
        ({"readout_noise": [1.0]}, "readout_noise has 1 numbers; give 2"),
        ({"noise": -1.0}, "positive"),
        ({"noise": float("nan")}, "finite"),
    ],
)
def test_a_bad_world_is_named_with_its_value(change, message):
    with pytest.raises(ValueError, match=message):
        analytic.World()._replace(**change).check()


def test_a_negative_rate_is_refused():
    with pytest.raises(ValueError, match="at least 0"):
        analytic.frontier(LAM, 0.1, [-1.0])
