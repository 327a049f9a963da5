"""SVAE: exact inference in a mixture that follows its codes."""

import math

import pytest
import torch
from effects import measured, trained
from small import (
    close,
    images,
    maker,
)
from torch.distributions import kl_divergence

from rdu_bench import registry
from rdu_bench.api import Batch, Mixture, Spec, UnitGaussian, gaussian, one_hot, product, total_rate

SPEC = Spec((1, 4, 4), examples=40, hidden=(16, 16), latent=2)
new = maker(SPEC, spread=0.3)


def natural(count, mean, variance):
    """What components have seen if `count` (K,) examples an example had the given moments (K, d)."""
    n = count[:, None]
    return torch.cat([n, n * mean, n * (mean.square() + variance)], -1)


def mixture(count, mean, variance, *, strength=1e-6, rate=0.05):
    """A mixture that stands where it is told, to within its prior."""
    made = Mixture(mean.shape[1], len(mean), strength=strength, rate=rate)
    with torch.no_grad():
        made.seen.value.copy_(natural(count, mean, variance))
    return made


def step(made, evidence):
    """One step as the trainer takes it."""
    sgd = torch.optim.SGD(made.parameters(), lr=made.seen.rate)
    made.loss(evidence).backward()
    sgd.step()


# ---- mixture --------------------------------------------------------------------------------------------------------


@pytest.fixture
def plane():
    """Three components, evidence that fits each to some degree, and a grid that holds both: (made, ψ, z, dz)."""
    torch.manual_seed(0)
    mean, variance = torch.randn(3, 2), 0.2 + torch.rand(3, 2)
    made = mixture(torch.tensor([100.0, 250.0, 150.0]), mean, variance)
    psi = gaussian(1.5 * torch.randn(5, 2), 0.3 + torch.rand(5, 2))
    line = torch.linspace(-7, 7, 561)
    return made, psi, torch.cartesian_prod(line, line), float(line[1] - line[0]) ** 2


def test_messages_are_the_posterior_on_a_grid(plane):
    """r, means and variances of q(k, z) ∝ π_k N(z; μ_k, S_k) ψ(z), by a sum over a grid."""
    made, psi, z, dz = plane
    log_pi, m = made()
    r, q = made.posterior(psi)
    for i in range(5):
        evidence = gaussian(psi.mean[i], psi.stddev[i]).log_prob(z)
        prior = torch.stack([gaussian(m.mean[k], m.stddev[k]).log_prob(z) for k in range(3)])
        joint = (log_pi[:, None] + prior + evidence).double().exp() * dz  # (K, points)
        mass = joint.sum(-1)
        close(r.mean[i], (mass / mass.sum()).float())
        mean = joint @ z.double() / mass[:, None]
        close(q.mean[i], mean.float(), atol=1e-4)
        close(q.variance[i], (joint @ z.double().square() / mass[:, None] - mean.square()).float(), atol=1e-4)
    assert r.mean.min(-1).values.max() > 0.05 and (r.mean.argmax(-1) != r.mean.argmax(-1)[0]).any()


def test_naming_the_component_costs_nothing(plane):
    """KL(r ‖ π) + Σ_k r_k KL(q_k ‖ p_k) is KL(q(z|x) ‖ Σ_k π_k N_k) on the grid: the rate of z alone."""
    made, psi, z, dz = plane
    log_pi, m = made()
    r, q = made.posterior(psi)
    each = torch.stack(
        [kl_divergence(gaussian(q.mean[:, k], q.stddev[:, k]), gaussian(m.mean[k], m.stddev[k])) for k in range(3)], 1
    )
    paid = kl_divergence(r, one_hot(log_pi.expand_as(r.mean))) + (r.mean * each).sum(-1)
    log_m = torch.stack([log_pi[k] + gaussian(m.mean[k], m.stddev[k]).log_prob(z) for k in range(3)]).logsumexp(0)
    for i in range(5):
        log_q = gaussian(psi.mean[i], psi.stddev[i]).log_prob(z) + log_m
        log_q = log_q - (log_q.logsumexp(0) + math.log(dz))
        close(paid[i], (log_q.exp() * (log_q - log_m)).double().sum().float() * dz, atol=1e-4, rtol=1e-3)


def test_a_mixture_starts_apart_with_the_spread_of_a_unit_gaussian():
    torch.manual_seed(0)
    log_pi, m = Mixture(6, 5)()
    close(log_pi.exp(), torch.full((5,), 0.2))
    close(m.mean.norm(dim=-1), torch.full((5,), (6 * 0.8) ** 0.5), rtol=0.01)
    assert torch.pdist(m.mean).min() > 2 * m.stddev.max()
    close((m.mean.square() + m.variance).mean(), torch.ones(()), atol=0.02)


def test_a_step_is_a_stochastic_variational_update():
    """η ← (1 − ρ) η + ρ (prior + N · expected statistics of the batch), with N = 1 as statistics are an example's."""
    torch.manual_seed(0)
    made = mixture(torch.tensor([0.3, 0.7]), torch.randn(2, 2), torch.rand(2, 2) + 0.1, strength=0.5, rate=0.2)
    psi = gaussian(torch.randn(7, 2), 0.5 * torch.ones(7, 2))
    before = made.seen.value.detach().clone()
    r, q = made.posterior(psi)
    expected = torch.zeros(2, 5)
    for i in range(7):
        for k in range(2):
            share, mean = r.mean[i, k] / 7, q.mean[i, k]
            expected[k] += share * torch.cat([torch.ones(1), mean, mean**2 + q.variance[i, k]])
    step(made, psi)
    prior = torch.randn(2, 5)  # the same on both sides, whatever it is
    close(prior + made.seen.value, 0.8 * (prior + before) + 0.2 * (prior + expected))


def test_one_whole_step_leads_to_the_conjugate_posterior():
    """Codes known exactly, of components that cannot be confused: Dirichlet and normal-inverse-χ² by their formulas."""
    torch.manual_seed(0)
    at = torch.tensor([[-8.0, 0.0], [8.0, 4.0]])
    made = mixture(torch.tensor([0.5, 0.5]), at, torch.ones(2, 2), strength=0.3, rate=1.0)
    k = torch.tensor([0] * 30 + [1] * 10)
    z = at[k] + torch.randn(40, 2)
    step(made, gaussian(z, torch.full_like(z, 1e-3)))
    log_pi, m = made()
    N, few = 40, 1e-3 * 40  # pseudo-examples of the prior: 0.3 N for π and S, few for μ
    total = 0.6 * N + N
    for j, n in enumerate((30, 10)):
        own = z[k == j]
        close(log_pi[j].exp(), torch.tensor((0.3 * N + n) / total))
        close(m.mean[j], own.sum(0) / (n + few), rtol=1e-3)
        shrunk = few * n / (few + n) * own.mean(0).square()
        scatter = (own - own.mean(0)).square().sum(0) + shrunk
        close(m.variance[j], (0.3 * N * 0.2 + scatter) / (0.3 * N + n), rtol=1e-2)


def test_a_natural_step_lowers_the_rate_of_what_was_sent_and_explains_the_evidence_better():
    """Full steps are EM: the code held fixed gets cheaper, and E log ∫ m ψ rises."""
    torch.manual_seed(0)
    psi = gaussian(2 * torch.randn(200, 2) + torch.tensor([3.0, 0.0]), 0.3 * torch.ones(200, 2))
    made = mixture(torch.tensor([0.5, 0.5]), torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.ones(2, 2), rate=1.0)

    def price(sent):
        (log_pi, m), (r, q) = made(), sent
        z = gaussian(q.mean.flatten(0, 1), q.stddev.flatten(0, 1))
        p = gaussian(m.mean.expand_as(q.mean).flatten(0, 1), m.stddev.expand_as(q.mean).flatten(0, 1))
        parts = kl_divergence(z, p).view(-1, 2)
        return float((kl_divergence(r, one_hot(log_pi.expand_as(r.mean))) + (r.mean * parts).sum(-1)).mean())

    def explained():
        log_pi, m = made()
        met = [gaussian(m.mean[k], (m.variance[k] + psi.variance).sqrt()).log_prob(psi.mean) for k in range(2)]
        return float((log_pi + torch.stack(met, -1)).logsumexp(-1).mean())

    with torch.no_grad():
        for _ in range(3):
            sent, known = made.posterior(psi), explained()
            before = price(sent)
            with torch.enable_grad():
                step(made, psi)
            made.zero_grad()
            assert price(sent) < before - 1e-3 and explained() > known + 1e-3


# ---- SVAE -----------------------------------------------------------------------------------------------------------


def test_svae_of_one_unit_component_is_a_vae():
    """K = 1 at N(0, I): q is ψ times N(0, I), and the rate that of a VAE with this q."""
    model, batch = new("svae", components=1, strength=1e-6), Batch.unlabelled(images())
    with torch.no_grad():
        model.mixture.seen.value.copy_(natural(1e3 * torch.ones(1), torch.zeros(1, 2), torch.ones(1, 2)))
    code = model.encode(batch)
    q = product(model.encoder(batch.x), UnitGaussian(2)())
    assert code["k"].rate.abs().max() < 1e-6
    close(code["z"].q.mean, q.mean)
    mean, v = q.mean, q.variance
    close(total_rate(code), 0.5 * (mean**2 + v - 1 - v.log()).sum(-1))


def test_svae_pays_what_its_draws_cost_under_the_mixture():
    """E log q(z|x) − log m(z), of draws whose k is forgotten, is the rate of both blocks."""
    model, N = new("svae", components=3), 20_000
    batch = Batch.unlabelled(images(1).expand(N, -1, -1, -1))
    with torch.no_grad():
        *_, bias = model.encoder.parameters()
        bias[2:] = 2  # wide evidence, which fits more than one component
    with torch.no_grad():
        code = model.encode(batch)
        (log_pi, m), (r, q) = model.mixture(), model.mixture.posterior(model.encoder(batch.x[:1]))
        z = code["z"].drawn

        def log_density(log_weights, parts):
            each = [gaussian(parts.mean[k], parts.stddev[k]).log_prob(z) for k in range(3)]
            return (log_weights + torch.stack(each, -1)).logsumexp(-1)

        log_q = log_density(r.mean[0].log(), gaussian(q.mean[0], q.stddev[0]))
        difference = total_rate(code) - (log_q - log_density(log_pi, m))
    assert r.mean[0].sort().values[1] > 0.05  # two components count
    assert abs(difference.mean()) < 4 * difference.std() / N**0.5


def test_svae_evidence_of_nothing_costs_nothing():
    model = new("svae", components=3)
    with torch.no_grad():
        *_, bias = model.encoder.parameters()
        bias[2:] = 1e3
    code = model.encode(Batch.unlabelled(images()))
    assert total_rate(code).abs().max() < 1e-3
    close(code["k"].q.mean, model.mixture()[0].exp().expand(64, 3), atol=1e-3)


def test_svae_decodes_z_alone():
    model = new("svae")
    code = model.encode(Batch.unlabelled(images()))
    blind = {**code, "k": code["k"]._replace(sample=torch.nan * code["k"].sample)}
    close(model.decode(blind).mean, model.decode(code).mean)


@pytest.mark.effect
def test_components_know_classes_better_than_k_means_of_a_vae_does():
    data = registry.dataset("digits")
    found = {}
    for name in ("svae", "vae"):
        model, control = trained(name, data, 6.0)
        assert control.R_train == pytest.approx(6.0, rel=0.02)
        found[name] = measured(model, data).structure["clusters"]
    own, plain = found["svae"]["own classes"], found["vae"]["k-means"]
    assert own["ari"] > plain["ari"] + 0.05, (own, plain)
