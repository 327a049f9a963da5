"""What makes β-TCVAE, HFVAE, DIP-VAE and HSIC-VAE themselves, and the divergences of q(z) that they share."""

import itertools
import math

import effects
import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, Normal

from rdu_bench import registry
from rdu_bench.api import (
    Batch,
    Spec,
    UnitGaussian,
    covariance,
    flatten,
    gaussian,
    gaussian_kernel,
    gram,
    hsic,
    log_aggregates,
    mmd,
    mmd_between,
    total_correlation,
    transmit,
)
from rdu_bench.model import replay

SPEC = Spec((1, 4, 4), examples=500, classes=3, groups=2, hidden=(16,), latent=4)


@pytest.fixture(autouse=True)
def _seeded():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def new(name, spec=SPEC, **params):
    torch.manual_seed(0)
    return registry.model(name, spec, **params)


def batch(n=64, groups=2):
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(n, *SPEC.shape, generator=generator).round()
    s = torch.randint(0, groups, (n,), generator=generator)
    return Batch(x, torch.full((n,), -1), s, torch.ones(()))


def same_noise(model, given):
    torch.manual_seed(7)
    return model(given)


def block(mean, scale):
    """A Gaussian block of the given posteriors, against the prior N(0, I)."""
    return transmit(gaussian(mean, torch.as_tensor(scale).expand_as(mean)), UnitGaussian(mean.shape[1])())


def penalty(model, mean, scale=1.0, s=None):
    """The regularizer of codes with these posteriors; at a scale of 1e-6 it is that of the sample `mean`."""
    unknown = torch.full((len(mean),), -1)
    return model.regularizer(
        Batch(mean, unknown, unknown if s is None else s, torch.ones(())), {"z": block(mean, scale)}
    )


def close(a, b, **tolerance):
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), **({"atol": 1e-5, "rtol": 1e-4} | tolerance))


def exact(n, C):
    """(n, d) numbers with mean 0 and covariance C, up to rounding."""
    z = torch.randn(n, len(C), dtype=torch.float64)
    z = z - z.mean(0)
    white = z @ torch.linalg.inv(torch.linalg.cholesky(z.T @ z / n)).T
    return (white @ torch.linalg.cholesky(C.double()).T).float()


def total(C):
    """TC of N(0, C): −½ log det of the correlations."""
    scale = C.diagonal().sqrt()
    return -0.5 * torch.logdet(C / scale / scale[:, None])


# ---- log q(z) of groups of dimensions ------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [[4], [1, 3], [2, 2], [1, 1, 1, 1]])
def test_log_aggregates_are_leave_one_out_sums(lengths):
    B, N = 6, 50
    given = block(torch.randn(B, 4), torch.rand(B, 4) + 0.2)
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
    given = block(torch.randn(N, d), 0.5)
    joint, single = log_aggregates(given, N, [d], [1] * d)
    even = Categorical(torch.full((N,), 1 / N))
    close(joint[:, 0], MixtureSameFamily(even, given.q).log_prob(given.sample))
    for j in range(d):
        one = MixtureSameFamily(even, Normal(given.q.mean[:, j], given.q.stddev[:, j]))
        close(single[:, j], one.log_prob(given.sample[:, j]))


def lack(C, s, B):
    """What the estimate of log q(z) = log N(0, C), posteriors of width s, lacks in batches of B, to order 1/B."""
    return float(torch.det(C) / s ** (2 * len(C)) - 1) / (2 * B)


def test_a_batch_says_of_total_correlation_what_all_examples_say():
    """The log of a mean of 64 is low: of the joint by E log(1 + others/itself) = log N − I at most."""
    N, B, d, s = 1000, 64, 10, 0.3
    mean = (1 - s**2) ** 0.5 * torch.randn(N, d)
    given = block(mean, s)
    whole = total_correlation(given, N)
    information = (given.q.log_prob(given.sample) - log_aggregates(given, N, [d])[0][:, 0]).mean()
    batches = [block(mean[torch.randperm(N)[:B]], s) for _ in range(40)]
    found = torch.stack([total_correlation(each, N) for each in batches])
    error = found.std() / math.sqrt(len(found))
    low, high = math.log(N) - information, d * lack(torch.eye(1), s, B)
    assert -low - 4 * error < found.mean() - whole < high + 4 * error
    even = torch.stack([total_correlation(each, B) for each in batches]) + (d - 1) * math.log(N)  # weights 1/NB for all
    assert even.mean() - whole > 10 * (low + high)  # as in β-TCVAE's paper, and its (d − 1) log N


# ---- covariance, MMD² between groups, HSIC -------------------------------------------------------------------------


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


def plain_mmd(p, q, kernel):
    """The V-statistic of MMD², pairs of a draw with itself included."""
    return gram(p, p, kernel).mean() + gram(q, q, kernel).mean() - 2 * gram(p, q, kernel).mean()


@pytest.mark.parametrize("ones", [5, 20, 32])
def test_hsic_with_two_labels_is_a_multiple_of_mmd(ones):
    """2 π₀² π₁² MMD², exactly."""
    s = (torch.arange(40) < ones).long()
    z, k = torch.randn(40, 3) + s[:, None], gaussian_kernel(1.0)
    share = ones / 40
    closed = 2 * share**2 * (1 - share) ** 2 * plain_mmd(z[s == 0], z[s == 1], k)
    close(hsic(gram(z, z, k), (s[:, None] == s).float()), closed)


# ---- β-TCVAE -------------------------------------------------------------------------------------------------------


def tied(n, C, s=0.4):
    """Means of posteriors of width s that make q(z) = N(0, C)."""
    return torch.randn(n, len(C)) @ torch.linalg.cholesky(C - s**2 * torch.eye(len(C))).T


RHO = torch.tensor([[1.0, 0.8], [0.8, 1.0]])


def test_beta_tcvae_charges_a_known_total_correlation():
    """0.511 nats of a Gaussian with ρ = 0.8, once β is taken off by the 1 that R charges."""
    model = new("beta_tcvae", SPEC._replace(latent=2, examples=100_000), beta=3.0)
    found = torch.stack([penalty(model, tied(512, RHO), 0.4) for _ in range(20)]) / 2
    error = found.std() / math.sqrt(20)
    assert total(RHO).item() == pytest.approx(0.511, abs=5e-4)
    assert abs(found.mean() - total(RHO)) < lack(RHO, 0.4, 512) + 4 * error


@pytest.mark.parametrize(("name", "one"), [("beta_tcvae", {"beta": 1.0}), ("hfvae", {"between": 1.0})])
def test_at_weights_of_one_it_is_the_vae(name, one):
    found, plain = (same_noise(new(*given[:1], **given[1]), batch()) for given in ((name, one), ("vae", {})))
    assert torch.equal(found.distortion, plain.distortion) and torch.equal(found.rate, plain.rate)
    assert found.regularizer == 0
    assert same_noise(new(name), batch()).regularizer != 0


def test_beta_tcvae_of_all_examples_charges_the_mixtures_total_correlation():
    model = new("beta_tcvae", SPEC._replace(examples=64), beta=4.0)
    given = batch()
    torch.manual_seed(3)
    code = model.encode(given)
    q, z = code["z"].q, code["z"].sample
    even = Categorical(torch.full((64,), 1 / 64))
    log_q = MixtureSameFamily(even, q).log_prob(z)
    each = [MixtureSameFamily(even, Normal(q.mean[:, j], q.stddev[:, j])).log_prob(z[:, j]) for j in range(4)]
    close(model.regularizer(given, code), 3 * (log_q - sum(each)).mean())


# ---- HFVAE ---------------------------------------------------------------------------------------------------------

BLOCKS = torch.tensor([[1.0, 0.5, 0.2, 0.0], [0.5, 1.0, 0.1, 0.1], [0.2, 0.1, 1.0, -0.4], [0.0, 0.1, -0.4, 1.0]])


def test_total_correlation_is_that_between_groups_and_that_within():
    """Of a Gaussian in closed form, and of the three weights of the model at one draw."""
    model = new("hfvae", SPEC._replace(examples=100_000), groups=[2, 2], between=2.0, within=1.0)
    inside = total(BLOCKS[:2, :2]) + total(BLOCKS[2:, 2:])
    across = total(BLOCKS) - inside
    found = {"between": [], "within": [], "both": []}
    for seed in range(20):
        mean = tied(512, BLOCKS, 0.6)
        for name, weights in {"between": (2.0, 1.0), "within": (1.0, 2.0), "both": (2.0, 2.0)}.items():
            model.between, model.within = weights
            torch.manual_seed(seed)
            found[name].append(penalty(model, mean, 0.6))
    read = {name: torch.stack(values) for name, values in found.items()}
    close(read["both"], read["between"] + read["within"])
    for name, closed in {"between": across, "within": inside}.items():
        error = read[name].std() / math.sqrt(20)
        assert abs(read[name].mean() - closed) < lack(BLOCKS, 0.6, 512) + 4 * error


def test_hfvae_with_dimensions_tied_within_groups_alone_pays_nothing():
    """Where β-TCVAE pays 1.02 nats for the ties."""
    C = torch.block_diag(RHO, RHO)
    spec = SPEC._replace(examples=100_000)
    apart, all_apart = new("hfvae", spec, between=2.0), new("beta_tcvae", spec, beta=2.0)
    means = [tied(512, C) for _ in range(20)]
    free, paid = (torch.stack([penalty(m, mean, 0.4) for mean in means]).mean() for m in (apart, all_apart))
    assert abs(free) < 0.25 * paid and paid == pytest.approx(2 * total(RHO).item(), abs=lack(C, 0.4, 512))


@pytest.mark.parametrize(
    "params",
    [
        {"groups": [1, 1, 1, 1], "between": 5.0},
        {"groups": [4], "within": 5.0, "between": 2.0},
        {"groups": [1, 3], "between": 5.0, "within": 5.0},
    ],
)
def test_hfvae_is_beta_tcvae_of_groups_of_one_of_one_group_and_of_equal_weights(params):
    found, plain = same_noise(new("hfvae", **params), batch()), same_noise(new("beta_tcvae", beta=5.0), batch())
    close(found.regularizer, plain.regularizer)
    assert torch.equal(found.distortion, plain.distortion)


def test_hfvae_weighs_how_far_each_dimension_is_from_its_prior():
    """q(z_j) = N(m, v), independent of the others: ½(m² + v − 1 − log v) nats each."""
    m, v = 0.5, 1.5
    model = new("hfvae", SPEC._replace(examples=100_000), between=1.0, marginals=3.0)
    found = torch.stack([penalty(model, m + (v - 0.16) ** 0.5 * torch.randn(512, 4), 0.4) for _ in range(40)]) / 2
    closed = 4 * 0.5 * (m**2 + v - 1 - math.log(v))
    assert found.mean().item() == pytest.approx(
        closed, abs=4 * lack(v * torch.eye(1), 0.4, 512) + 4 * found.std().item() / math.sqrt(40)
    )


def test_hfvae_parts_and_the_information_are_the_rate_at_every_draw():
    """log q(z|x)/p(z) = information + between + within + marginals, whatever the estimate of q(z)."""
    model, given = new("hfvae", between=2.0, within=2.0, marginals=2.0), batch()
    code = model.encode(given)
    [joint] = log_aggregates(code["z"], SPEC.examples, [4])
    information = (code["z"].q.log_prob(code["z"].sample) - joint[:, 0]).mean()
    close(information + model.regularizer(given, code), code["z"].log_ratio.mean())


def test_groups_that_are_not_all_of_z_are_refused():
    with pytest.raises(ValueError, match="4"):
        new("hfvae", groups=[2, 1])
    assert new("hfvae", SPEC._replace(latent=5)).groups == [2, 2, 1]


# ---- DIP-VAE -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["I", "II"])
def test_dip_vae_charges_a_known_covariance(variant):
    mean = exact(50, BLOCKS) * torch.tensor([1.0, 1.2, 0.5, 0.8])
    C = torch.cov(mean.T, correction=0) + (0.09 * torch.eye(4) if variant == "II" else 0)
    away = (C - torch.eye(4)).square()
    closed = 3 * (away.sum() - away.diagonal().sum()) + 7 * away.diagonal().sum()
    close(penalty(new("dip_vae", variant=variant, lambda_od=3.0, lambda_d=7.0), mean, 0.3), closed)
    assert closed > 1


@pytest.mark.parametrize("variant", ["I", "II"])
def test_dip_vae_and_its_gradient_vanish_at_the_priors_covariance(variant):
    model = new("dip_vae", variant=variant)
    s = torch.tensor([0.1, 0.3, 0.6, 0.9]) if variant == "II" else torch.ones(4)
    C = torch.diag(1 - s**2) if variant == "II" else torch.eye(4)
    mean, s = exact(50, C).requires_grad_(), s.requires_grad_()
    loss = penalty(model, mean, s)
    assert loss.item() < 1e-9
    for slope in torch.autograd.grad(loss, [mean, s], allow_unused=True):
        assert slope is None or slope.abs().max() < 1e-5
    off = exact(50, 2 * C).requires_grad_()
    assert torch.autograd.grad(penalty(model, off, s), off)[0].abs().max() > 1e-3


def test_dip_vaes_differ_by_the_mean_variance_on_the_diagonal():
    """II of N(μ, s²) is I of means whose covariance has E s² added to its diagonal and nothing elsewhere."""
    one, two = (new("dip_vae", variant=v, lambda_od=2.0, lambda_d=5.0) for v in ("I", "II"))
    mean, s = exact(50, BLOCKS), torch.rand(50, 4)
    close(penalty(two, mean, s), penalty(one, exact(50, BLOCKS + torch.diag(s.square().mean(0)))))
    assert penalty(one, mean, s) == penalty(one, mean, 2 * s) != penalty(two, mean, s)


def test_dip_vae_without_weights_is_the_vae():
    found, plain = same_noise(new("dip_vae", lambda_od=0.0), batch()), same_noise(new("vae"), batch())
    assert torch.equal(found.distortion, plain.distortion) and found.regularizer == 0
    with pytest.raises(ValueError, match="'II'"):
        new("dip_vae", variant="2")


# ---- HSIC-VAE ------------------------------------------------------------------------------------------------------


def halves(n=300):
    """z_1 (n, 2), and z_2 (n, 2) that is its square, standardised: dependent, yet not correlated."""
    a = torch.randn(n, 2)
    return a, (a.square() - 1) / math.sqrt(2)


def test_hsic_vae_sees_a_quadratic_tie_where_there_is_no_correlation():
    model = new("hsic_vae", strength=1.0)
    a, b = halves()
    assert torch.corrcoef(torch.cat([a, b], 1).T)[:2, 2:].abs().max() < 4 * math.sqrt(5 / 300)
    null = torch.stack([penalty(model, torch.cat([a, b[torch.randperm(300)]], 1), 1e-6) for _ in range(100)])
    assert penalty(model, torch.cat([a, b], 1), 1e-6) > null.mean() + 10 * null.std()
    apart = penalty(model, torch.randn(300, 4), 1e-6)  # of order 1/n, as where one of the two was permuted
    assert 0 < apart < null.mean() + 6 * null.std()


def test_hsic_vae_takes_the_first_dimensions_against_the_rest():
    a, b = halves()
    z = torch.stack([a[:, 0], b[:, 0], a[:, 1], b[:, 1]], 1)  # every tie is inside a half
    inside, across = (penalty(new("hsic_vae", strength=1.0, first=n), z, 1e-6) for n in (2, 1))
    assert across > 5 * inside
    k = gaussian_kernel
    close(across, hsic(gram(z[:, :1], z[:, :1], k(1.0)), gram(z[:, 1:], z[:, 1:], k(3**0.5))), rtol=1e-3)


def test_hsic_vae_against_two_labels_is_a_multiple_of_mmd_over_those_known():
    s = torch.tensor([0] * 10 + [1] * 20 + [-1] * 10)
    z = torch.randn(40, 4) + s[:, None]
    share, k = 1 / 3, gaussian_kernel(2.0)
    closed = 2 * share**2 * (1 - share) ** 2 * plain_mmd(z[:10], z[10:30], k)
    model = new("hsic_vae", against="s", strength=50.0)
    close(penalty(model, z, 1e-6, s), 50 * closed, rtol=1e-3)
    close(penalty(model, z, 1e-6, torch.where(s < 0, s, 1 - s)), 50 * closed, rtol=1e-3)  # names do not matter
    assert penalty(model, z, 1e-6) == 0


def test_hsic_vae_against_s_pulls_groups_together():
    """Along the difference of their means, and every example of a group in the same direction."""
    s = torch.arange(100) % 2
    z = (0.5 * torch.randn(100, 4) + torch.tensor([2.0, 0, 0, 0]) * s[:, None]).requires_grad_()
    (slope,) = torch.autograd.grad(penalty(new("hsic_vae", against="s"), z, 1e-6, s), z)
    assert slope[s == 1, 0].mean() > 0 > slope[s == 0, 0].mean()
    assert slope[:, 0].abs().mean() > 3 * slope[:, 1:].abs().mean()


def test_hsic_vae_tells_the_receiver_s_and_pays_for_it():
    given, model = batch(), new("hsic_vae", against="s")
    code = model.encode(given)
    assert list(code) == ["s", "z"] and torch.equal(flatten(code), code["z"].sample)
    close(code["s"].rate, torch.full((64,), math.log(2)))
    with replay([code["s"].drawn, code["z"].drawn]):
        other = model.encode(given._replace(s=1 - given.s))
    assert torch.equal(other["z"].q.mean, code["z"].q.mean)  # the sender has only x
    assert not torch.allclose(model.distortion(given, other), model.distortion(given, code))
    assert model.row.side == "s" and model.row.labels == "required" and model.row.needs == ("groups",)


def test_hsic_vae_without_strength_is_the_vae_and_needs_no_label():
    model = new("hsic_vae", strength=0.0)
    found, plain = same_noise(model, batch()), same_noise(new("vae"), batch())
    assert torch.equal(found.distortion, plain.distortion) and found.regularizer == 0
    assert (model.row.labels, model.row.side, model.row.needs) == ("", "", ())
    with pytest.raises(ValueError, match="'s'"):
        new("hsic_vae", against="y")
    with pytest.raises(ValueError, match="not all"):
        new("hsic_vae", first=4)


# ---- at equal rate -------------------------------------------------------------------------------------------------


def posteriors(name, sigma, **params):
    """The block z of all training examples of `digits`: q(z) is then exact."""
    data = registry.dataset("digits")
    model, control = effects.trained(name, data, sigma, **params)
    assert control.R_train == pytest.approx(sigma, rel=0.02)
    with torch.no_grad():
        return model.encode(data.seen("train", model.row))["z"]


def between(given, lengths):
    """KL(q(z) ‖ ∏_g q(z_g)) of all examples."""
    joint, groups = log_aggregates(given, len(given.sample), [sum(lengths)], lengths)
    return float((joint[:, 0] - groups.sum(-1)).mean())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "off", "lengths"),
    [
        ("beta_tcvae", {"beta": 1.0}, [1] * 10),
        ("hfvae", {"between": 1.0}, [2] * 5),
    ],
)
def test_total_correlation_falls_at_equal_rate(name, off, lengths):
    with_it, without = posteriors(name, 6.0), posteriors(name, 6.0, **off)
    assert between(with_it, lengths) < 0.85 * between(without, lengths)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["I", "II"])
def test_covariance_nears_the_priors_at_equal_rate(variant):
    away = {}
    for strength in (1.0, 0.0):
        q = posteriors("dip_vae", 13.0 if variant == "I" else 6.0, variant=variant, lambda_od=strength).q
        C = covariance(q.mean) + (torch.diag(q.variance.mean(0)) if variant == "II" else 0)
        away[strength] = float((C - torch.eye(10)).square().sum())
    assert away[1.0] < 0.5 * away[0.0]


@pytest.mark.slow
def test_leakage_about_s_falls_at_equal_rate():
    data, told = registry.dataset("coloured", correlation=0.5), {}
    for strength in (100.0, 0.0):
        model, control = effects.trained("hsic_vae", data, 9.0, against="s", strength=strength)
        assert control.R_train == pytest.approx(9, rel=0.02)
        told[strength] = effects.measured(model, data).structure["leakage"]["IV"]
    assert told[100.0] < 0.5 * told[0.0]
