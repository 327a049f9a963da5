"""Linear Gaussian state spaces: densities by filtering against those of one dense Gaussian."""

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from rdu_bench.api import StateSpace, gaussian

B, T, DIM, STATES, MODES = 3, 7, 2, 4, 3


def system(modes=MODES, dim=DIM, states=STATES):
    """With matrices far from where they start, in double precision."""
    torch.manual_seed(0)
    space = StateSpace(dim, states, modes, transition=0.3, emission=0.2, start=2.0).double()
    for matrices in (space.A, space.C):
        torch.nn.init.normal_(matrices, 0, 0.6)
    return space.requires_grad_(False)


def mixing(modes=MODES, frames=T):
    return torch.randn(B, frames, modes).double().softmax(-1)


def mixed(space, weights):
    """A_t and C_t of one sequence, (T, ·, ·) each, by a loop."""
    return tuple(
        torch.stack([sum(w * m for w, m in zip(row, each, strict=True)) for row in weights])
        for each in (space.A, space.C)
    )


def dense(space, weights):
    """Of one sequence: covariances of z, of a with z, and of a, frames and dimensions in one axis.

    z is a linear map of z_1 and of the noise of every later frame.
    """
    A, C = mixed(space, weights)
    frames, states = len(A), A.shape[-1]
    walk = torch.zeros(frames * states, frames * states).double()
    for t in range(frames):
        here = slice(t * states, (t + 1) * states)
        walk[here, here] = torch.eye(states)
        if t:
            before = slice((t - 1) * states, t * states)
            walk[here, : t * states] = A[t] @ walk[before, : t * states]
    variances = torch.full((frames, states), space.transition, dtype=torch.float64)
    variances[0] = space.start
    z = walk @ variances.flatten().diag() @ walk.T
    read = torch.block_diag(*C)
    return z, read @ z, read @ z @ read.T + space.emission * torch.eye(len(read), dtype=torch.float64)


def zero_mean(covariance):
    return MultivariateNormal(torch.zeros(len(covariance)).double(), covariance)


def test_the_density_is_that_of_one_dense_gaussian():
    space, weights, a = system(), mixing(), torch.randn(B, T, DIM).double()
    found = space(a, weights).log_prob(a)
    solved = torch.stack([zero_mean(dense(space, w)[2]).log_prob(x.flatten()) for w, x in zip(weights, a, strict=True)])
    assert found.shape == (B,)
    torch.testing.assert_close(found, solved, atol=1e-10, rtol=0)


def test_one_mode_is_a_plain_linear_system_whatever_its_weights():
    """The covariances are those of a recursion of Lyapunov and its lags."""
    space, a = system(modes=1), torch.randn(B, T, DIM).double()
    [A], [C] = space.A, space.C
    P = [space.start * torch.eye(STATES, dtype=torch.float64)]
    for _ in range(T - 1):
        P.append(A @ P[-1] @ A.T + space.transition * torch.eye(STATES, dtype=torch.float64))
    between = [[C @ torch.linalg.matrix_power(A, t - u) @ P[u] @ C.T for u in range(t + 1)] for t in range(T)]
    rows = [
        torch.cat([between[max(t, u)][min(t, u)].mT if u > t else between[t][u] for u in range(T)], 1) for t in range(T)
    ]
    covariance = torch.cat(rows) + space.emission * torch.eye(T * DIM, dtype=torch.float64)
    ones = torch.ones(B, T, 1).double()
    torch.testing.assert_close(
        space(a, ones).log_prob(a), zero_mean(covariance).log_prob(a.flatten(1)), atol=1e-10, rtol=0
    )


def test_states_are_summed_over():
    """log p(a, z) − log p(z|a) = log p(a) for any z, the first by the system's two equations, the second by Gauss."""
    space, weights, a = system(), mixing()[:1], torch.randn(1, T, DIM).double()
    A, C = mixed(space, weights[0])
    z_cov, a_z, a_cov = dense(space, weights[0])
    gain = torch.linalg.solve(a_cov, a_z).T
    posterior = MultivariateNormal(gain @ a[0].flatten(), z_cov - gain @ a_z)
    for _ in range(3):
        z = 2 * torch.randn(T, STATES).double()
        expected = torch.cat([torch.zeros_like(z[:1]), (A[1:] @ z[:-1, :, None]).squeeze(-1)])
        variance = torch.full((T, 1), space.transition, dtype=torch.float64)
        variance[0] = space.start
        joint = gaussian(expected[None], variance.sqrt().expand_as(z)[None]).log_prob(z[None])
        read = (C @ z[:, :, None]).squeeze(-1)
        joint = joint + gaussian(read[None], torch.full_like(read[None], space.emission**0.5)).log_prob(a)
        torch.testing.assert_close(
            joint - posterior.log_prob(z.flatten()), space(a, weights).log_prob(a), atol=1e-9, rtol=0
        )


def test_an_unobserved_frame_is_summed_over():
    """∫ p(a_1, …, a_t, …, a_T) da_t is the density of all other frames; the first frames have their own."""
    space, weights, frames = system(dim=1), mixing(frames=4)[:1], 4
    a = torch.randn(1, frames, 1).double()
    covariance = dense(space, weights[0])[2]
    grid = torch.linspace(-40, 40, 4001).double()
    for t in range(frames):
        others = [u for u in range(frames) if u != t]
        tried = a.repeat(len(grid), 1, 1)
        tried[:, t, 0] = grid
        p = space(tried, weights.expand(len(grid), -1, -1)).log_prob(tried).exp()
        expected = zero_mean(covariance[others][:, others]).log_prob(a[0, others, 0])
        torch.testing.assert_close(torch.trapezoid(p, grid).log(), expected, atol=1e-8, rtol=0)
    short = space(a[:, :2], weights[:, :2]).log_prob(a[:, :2])
    torch.testing.assert_close(short[0], zero_mean(covariance[:2, :2]).log_prob(a[0, :2, 0]), atol=1e-10, rtol=0)


def test_what_is_expected_of_a_frame_sees_no_present_and_no_future():
    space, weights = system(), mixing()[:1]
    a = torch.randn(1, T, DIM).double()
    mean = torch.autograd.functional.jacobian(lambda a: space.predicted(a, weights)[0][0], a)[:, :, 0]
    seen = mean.abs().sum((1, 3))  # (T, T)
    assert not seen.triu().any() and (seen.tril(-1).sum(1)[1:] > 0).all()
    covariance = space.predicted(a, weights)[1]
    torch.testing.assert_close(covariance, space.predicted(a + 1, weights)[1])  # of the matrices alone
    torch.testing.assert_close(covariance, covariance.mT)


def test_the_rate_of_a_diagonal_posterior_is_in_closed_form_frame_by_frame():
    """Of the draw that was sent; over draws it is E log q(a) − log p(a)."""
    space, weights = system(), mixing()[:1].expand(5_000, -1, -1)
    q = gaussian(torch.randn(T, DIM).double(), torch.rand(T, DIM).double() + 0.1)
    mean, scale = (part.expand(5_000, -1, -1) for part in (q.mean, q.stddev))
    q = gaussian(mean, scale)
    a = q.sample()
    p = space(a, weights)
    rate = kl_divergence(q, p)
    frames = [
        kl_divergence(MultivariateNormal(m, s.square().diag()), MultivariateNormal(pm, ps))
        for m, s, pm, ps in zip(mean[0], scale[0], p.base_dist.mean[0], p.base_dist.covariance_matrix[0], strict=True)
    ]
    torch.testing.assert_close(rate[0], sum(frames))
    ratio = q.log_prob(a) - p.log_prob(a)
    assert abs((rate - ratio).mean()) < 4 * (rate - ratio).std() / len(a) ** 0.5
    assert rate.std() < 0.8 * ratio.std()


def test_a_posterior_that_is_not_gaussian_has_no_closed_form():
    space, a = system(), torch.rand(B, T, DIM).double()
    uniform = torch.distributions.Independent(torch.distributions.Uniform(0 * a, 0 * a + 2), 2)
    with pytest.raises(NotImplementedError):
        kl_divergence(uniform, space(a, mixing()))


def test_systems_go_through_vmap():
    space, weights, a = system(), mixing(), torch.randn(B, T, DIM).double()
    several = {"A": torch.stack([space.A, -space.A]), "C": torch.stack([space.C, 2 * space.C])}

    def density(own):
        p = torch.func.functional_call(space, own, (a, weights))
        q = gaussian(a, torch.ones_like(a))
        return p.log_prob(a), kl_divergence(q, p)

    stacked = torch.vmap(density)(several)
    for i in range(2):
        for all_of, one in zip(stacked, density({name: own[i] for name, own in several.items()}), strict=True):
            torch.testing.assert_close(all_of[i], one)


def test_single_precision_is_enough():
    """Where the start is 600 times as wide as the noise, over 40 frames."""
    torch.manual_seed(0)
    space = StateSpace(2, 4, 3).requires_grad_(False)
    torch.nn.init.normal_(space.C)
    a, weights = torch.randn(B, 40, 2).cumsum(1), mixing(frames=40).float()
    single = space(a, weights).log_prob(a)
    space = space.double()
    torch.testing.assert_close(
        single.double(), space(a.double(), weights.double()).log_prob(a.double()), atol=0, rtol=1e-3
    )


def test_a_system_starts_as_a_random_walk():
    torch.manual_seed(0)
    space = StateSpace(20, 30, 4)
    assert (space.transition, space.emission, space.start) == (0.08, 0.03, 20.0)
    assert torch.equal(space.A, torch.eye(30).expand(4, -1, -1)) and space.C.shape == (4, 20, 30)
    assert float(space.C.detach().std()) == pytest.approx(0.5, rel=0.1)
    assert float(space.C.detach().std(0).mean()) > 0.3  # modes are unlike, else their weights would have no say
