"""Divergences of q(z) that models share: closed forms, without bias, and over groups of dimensions."""

import itertools
import math

import pytest
import torch
from closed_forms import TC, correlated, gaussian_mmd, lack, multiquadric_mmd, plain_mmd
from small import close, gaussian_block
from torch.distributions import Categorical, MixtureSameFamily, Normal

from rdu_bench.api import (
    covariance,
    gaussian_kernel,
    gram,
    hsic,
    log_aggregates,
    mmd,
    mmd_between,
    multiquadric,
    one_hot,
    permute_dims,
    total_correlation,
    transmit,
)

# ---- MMD², permuting, total correlation -----------------------------------------------------------------------------


KERNELS = {
    "gaussian": (lambda d: gaussian_kernel(d**0.5), lambda shift, d: gaussian_mmd(shift, d, d**0.5)),
    "multiquadric": (multiquadric, multiquadric_mmd),
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_mmd_is_its_closed_form_without_bias(kernel, shift):
    make, closed = KERNELS[kernel]
    n, d, repeats = 24, 4, 600
    move = torch.zeros(d)
    move[0] = shift
    found = torch.stack([mmd(torch.randn(n, d), torch.randn(n, d) + move, make(d)) for _ in range(repeats)]).double()
    error = found.std().item() / math.sqrt(repeats)
    assert found.mean().item() == pytest.approx(closed(shift, d), abs=4 * error)
    if shift == 0:
        assert closed(shift, d) == 0 and (found < 0).any()  # unbiased, so below zero at times


def test_distances_are_those_between_points_wherever_they_lie():
    a, b = torch.randn(7, 3) + 1000, torch.randn(5, 3) + 1000
    moved = a.clone().requires_grad_()
    found = gram(moved, b, lambda squared: squared)
    close(found, (a[:, None] - b).double().square().sum(-1).float(), atol=1e-4)
    found.sum().backward()
    close(moved.grad, 2 * (a[:, None] - b).sum(1), atol=1e-3)


def test_a_biased_mmd_would_be_seen():
    """The V-statistic of equal distributions, which pairs a draw with itself, is above 0 by ten standard errors."""
    n, d = 24, 4
    draws = [(torch.randn(n, d), torch.randn(n, d)) for _ in range(600)]
    biased = torch.stack([plain_mmd(p, q, multiquadric(d)) for p, q in draws])
    assert biased.mean() > 10 * biased.std() / math.sqrt(600)
    assert (biased - torch.stack([mmd(p, q, multiquadric(d)) for p, q in draws]) > 0).all()


def test_multiquadric_is_the_default_and_reaches_further():
    p, q = torch.randn(50, 3), torch.randn(50, 3)
    assert torch.equal(mmd(p, q), mmd(p, q, multiquadric(3)))
    far = torch.tensor(400.0)
    assert multiquadric(3)(far) > 100 * gaussian_kernel(3**0.5)(far)
    assert multiquadric(3)(torch.tensor(6.0)) == pytest.approx(0.5)  # at the mean distance of two draws of the prior


def test_permuting_keeps_each_column_and_breaks_their_tie():
    z = correlated(4000)
    shuffled = permute_dims(z)
    for column in range(2):
        assert torch.equal(z[:, column].sort().values, shuffled[:, column].sort().values)
    assert abs(float(torch.corrcoef(shuffled.T)[0, 1])) < 4 / math.sqrt(4000)


def test_the_estimate_from_densities_finds_a_known_total_correlation():
    """z = μ + s ε with Cov[μ] = Σ − s² I, so that q(z) = N(0, Σ)."""
    s2, rho, found = 0.15, 0.8, []
    chol = torch.linalg.cholesky(torch.tensor([[1.0, rho], [rho, 1.0]]) - s2 * torch.eye(2))
    for _ in range(20):
        mean = torch.randn(512, 2) @ chol.T
        found.append(total_correlation(gaussian_block(mean, torch.full_like(mean, s2**0.5)), examples=100_000))
    assert float(torch.stack(found).mean()) == pytest.approx(TC, abs=0.06)


def test_codes_that_never_meet_are_tied_by_all_but_one_of_their_dimensions():
    """Each z sees its own x alone, in every dimension: log q(z) = log q(z|x) − log N, and so for every q(z_j)."""
    B, d, N = 16, 3, 5000
    mean = torch.randperm(B * d).float().view(B, d) * 100
    read = total_correlation(gaussian_block(mean, torch.full_like(mean, 0.1)), examples=N)
    assert read.item() == pytest.approx((d - 1) * math.log(N), rel=1e-4)


# ---- log q(z) of groups of dimensions -------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [[4], [1, 3], [2, 2], [1, 1, 1, 1]])
def test_log_aggregates_are_leave_one_out_sums(lengths):
    B, N = 6, 50
    given = gaussian_block(torch.randn(B, 4), torch.rand(B, 4) + 0.2)
    [found] = log_aggregates(given, N, lengths)
    mean, scale = given.q.mean, given.q.stddev
    ends = list(itertools.accumulate(lengths, initial=0))
    for i, (g, (low, high)) in itertools.product(range(B), enumerate(itertools.pairwise(ends))):
        each = [
            Normal(mean[k, low:high], scale[k, low:high]).log_prob(given.sample[i, low:high]).sum().exp()
            for k in range(B)
        ]
        others = sum(each) - each[i]
        close(found[i, g], (each[i] / N + (N - 1) / (N * (B - 1)) * others).log())


def test_log_aggregates_of_all_examples_are_the_mixture():
    N, d = 40, 3
    given = gaussian_block(torch.randn(N, d), 0.5)
    joint, single = log_aggregates(given, N, [d], [1] * d)
    even = Categorical(torch.full((N,), 1 / N))
    close(joint[:, 0], MixtureSameFamily(even, given.q).log_prob(given.sample))
    for j in range(d):
        one = MixtureSameFamily(even, Normal(given.q.mean[:, j], given.q.stddev[:, j]))
        close(single[:, j], one.log_prob(given.sample[:, j]))


def test_a_batch_says_of_total_correlation_what_all_examples_say():
    """The log of a mean of 64 is low: of the joint by E log(1 + others/itself) = log N − I at most."""
    N, B, d, s = 1000, 64, 10, 0.3
    mean = (1 - s**2) ** 0.5 * torch.randn(N, d)
    given = gaussian_block(mean, s)
    whole = total_correlation(given, N)
    information = (given.q.log_prob(given.sample) - log_aggregates(given, N, [d])[0][:, 0]).mean()
    batches = [gaussian_block(mean[torch.randperm(N)[:B]], s) for _ in range(40)]
    found = torch.stack([total_correlation(each, N) for each in batches])
    error = found.std() / math.sqrt(len(found))
    low, high = math.log(N) - information, d * lack(torch.eye(1), s, B)
    assert -low - 4 * error < found.mean() - whole < high + 4 * error
    even = torch.stack([total_correlation(each, B) for each in batches]) + (d - 1) * math.log(N)  # weights 1/NB for all
    assert even.mean() - whole > 10 * (low + high)  # as in β-TCVAE's paper, and its (d − 1) log N


def symbol(logits):
    """A block of one symbol with these logits (B, K), sent against the uniform."""
    return transmit(one_hot(logits), one_hot(torch.zeros_like(logits)))


@pytest.mark.parametrize("lengths", [[5], [4, 1], [1, 3, 1], [2, 3]])
def test_a_symbol_is_one_dimension_more_and_averaged_over(lengths):
    """Of a run with the symbol in it, Σ_c q(c|x_i) log q(z_i, c), one c after the other."""
    B, K, N = 6, 3, 50
    given, logits = gaussian_block(torch.randn(B, 4), torch.rand(B, 4) + 0.2), torch.randn(B, K)
    [found] = log_aggregates(given, N, lengths, symbol=symbol(logits))
    c, each = logits.softmax(-1), Normal(given.q.mean, given.q.stddev).log_prob(given.sample[:, None])
    weight = torch.full((B, B), (N - 1) / (N * (B - 1))).fill_diagonal_(1 / N)
    *others, (start, _) = itertools.pairwise(itertools.accumulate(lengths, initial=0))
    for g, (low, high) in enumerate(others):
        close(found[:, g], (weight * each[..., low:high].sum(-1).exp()).sum(1).log())
    own = weight * each[..., start:].sum(-1).exp()
    close(found[:, -1], sum(c[:, k] * (own * c[:, k]).sum(1).log() for k in range(K)))


def test_what_is_said_of_a_symbol_is_the_mean_over_draws_of_it():
    """The log of q(z_i, c) at a draw c of each example, 4000 times."""
    B, K, N = 5, 3, 40
    given, c = gaussian_block(torch.randn(B, 2)), symbol(2 * torch.randn(B, K))
    [found] = log_aggregates(given, N, [3], symbol=c)
    pair = given.q.log_prob(given.sample[:, None])
    weight = torch.full((B, B), math.log((N - 1) / (N * (B - 1)))).fill_diagonal_(-math.log(N))
    drawn = torch.stack([c.q.rsample() for _ in range(4000)])[:, :, None]
    logs = (weight + pair + c.q.log_prob(drawn)).logsumexp(2)
    assert ((logs.mean(0) - found[:, 0]).abs() < 4.5 * logs.std(0) / 4000**0.5 + 1e-5).all()


def test_the_gradient_in_a_symbol_is_that_of_its_mean_and_finite_where_it_is_certain():
    """Negative entropy of q(c) of all examples, Σ_c q(c) log q(c), whose slope in a chance is log q(c) + 1."""
    N, K = 7, 3
    logits, given = torch.randn(N, K, requires_grad=True), gaussian_block(torch.randn(N, 2))
    [found] = log_aggregates(given, N, [2, 1], symbol=symbol(logits))
    mean = logits.softmax(-1).mean(0)
    close(found[:, 1].mean(), (mean * mean.log()).sum())
    ours, closed = (torch.autograd.grad(each, logits)[0] for each in (found[:, 1].mean(), (mean * mean.log()).sum()))
    close(ours, closed, atol=1e-7)
    certain = (500 * torch.eye(K)[[0, 1, 1, 0]]).requires_grad_()
    found = log_aggregates(gaussian_block(torch.randn(4, 2)), 4, [3], symbol=symbol(certain))[0].sum()
    assert found.isfinite() and torch.autograd.grad(found, certain)[0].isfinite().all()


# ---- covariance, MMD² between groups, HSIC --------------------------------------------------------------------------


def test_covariance_is_divided_by_n():
    z = torch.randn(30, 4) + 3
    close(covariance(z), torch.cov(z.T, correction=0))


def test_noise_of_a_batchs_covariance_costs_d_squared_plus_d_over_n():
    """E ‖Ĉ − I‖² of n draws of N(0, I), in closed form."""
    n, d, repeats = 40, 5, 2000
    off = torch.stack([(covariance(torch.randn(n, d)) - torch.eye(d)).square().sum() for _ in range(repeats)])
    closed = (n - 1) * (d**2 + d) / n**2 + d / n**2
    assert off.mean().item() == pytest.approx(closed, abs=4 * off.std().item() / math.sqrt(repeats))


def test_mmd_between_is_mmd_of_each_group_and_the_first():
    s = torch.tensor([0, 1, 2]).repeat(8)
    z = torch.randn(24, 3) + s[:, None]
    k = gaussian_kernel(1.0)
    close(mmd_between(z, s, 3, k), sum(mmd(z[s == ell], z[s == 0], k) for ell in (1, 2)))
    unknown = torch.cat([s, torch.full((5,), -1)])
    close(mmd_between(torch.cat([z, torch.randn(5, 3)]), unknown, 3, k), mmd_between(z, s, 3, k))


def test_mmd_between_groups_of_other_sizes_is_unbiased():
    """Of groups that do not differ its mean is 0, whatever their sizes; one example is no group."""
    s = torch.tensor([0] * 5 + [1] * 20)
    found = torch.stack([mmd_between(torch.randn(25, 2), s, 2) for _ in range(500)])
    assert abs(found.mean()) < 4 * found.std() / math.sqrt(500)
    assert mmd_between(torch.randn(6, 2), torch.tensor([0, 0, 0, 0, 0, 1]), 2) == 0


def test_hsic_is_the_trace_of_centred_gram_matrices():
    n = 20
    a, b, k = torch.randn(n, 2), torch.randn(n, 3), gaussian_kernel(1.0)
    K, L, H = gram(a, a, k), gram(b, b, k), torch.eye(n) - 1 / n
    close(hsic(K, L), (K @ H @ L @ H).trace() / n**2)
    known = torch.arange(n) % 3 > 0
    close(hsic(K, L, known), hsic(K[known][:, known], L[known][:, known]))
    assert hsic(K, L, torch.zeros(n, dtype=torch.bool)) == 0


@pytest.mark.parametrize("ones", [5, 20, 32])
def test_hsic_with_two_labels_is_a_multiple_of_mmd(ones):
    """2 π₀² π₁² MMD², exactly."""
    s = (torch.arange(40) < ones).long()
    z, k = torch.randn(40, 3) + s[:, None], gaussian_kernel(1.0)
    share = ones / 40
    closed = 2 * share**2 * (1 - share) ** 2 * plain_mmd(z[s == 0], z[s == 1], k)
    close(hsic(gram(z, z, k), (s[:, None] == s).float()), closed)
