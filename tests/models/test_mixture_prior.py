"""SVAE: exact inference in a mixture that follows its codes."""

import copy
import math

import pytest
import torch
from effects import measured, trained
from small import close, gradient, images, maker, same_noise, seen
from torch.distributions import kl_divergence

from rdu_bench import registry
from rdu_bench.api import Batch, Mixture, Spec, UnitGaussian, gaussian, one_hot, product, total_rate
from rdu_bench.training.stack import Single

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


def paid(made, r, q):
    """(B,) nats for q(k) = r (B, K) and q(z|k) = `q` over (B, K, d), written out."""
    (log_pi, m), v = made(), q.variance
    each = 0.5 * ((v + (q.mean - m.mean).square()) / m.variance - 1 - (v / m.variance).log()).sum(-1)
    return (r * (r.clamp(min=1e-300).log() - log_pi + each)).sum(-1)


def local_elbo(made, psi, r, mean, variance):
    """(B,) E_q[log π_k N(z; μ_k, S_k) + log ψ(z)] + H(q) of q(k) = r (B, K) and q(z|k) of moments (B, K or 1, d)."""
    log_pi, m = made()

    def expected(at, spread):
        return -0.5 * ((mean - at).square() + variance) / spread - 0.5 * (2 * math.pi * spread).log()

    prior, evidence = expected(m.mean, m.variance), expected(psi.mean[:, None], psi.variance[:, None])
    entropy = 0.5 * (2 * math.pi * math.e * variance).log()
    return (r * (log_pi + (prior + evidence + entropy).sum(-1) - r.log())).sum(-1)


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


@pytest.fixture
def precise():
    """A mixture of three and evidence that fits each to some degree, in double precision: (made, ψ)."""
    torch.manual_seed(0)
    count, mean, variance = torch.tensor([0.2, 0.5, 0.3]), torch.randn(3, 2), 0.2 + torch.rand(3, 2)
    made = mixture(count, mean, variance, strength=0.1).double()
    return made, gaussian(1.5 * torch.randn(6, 2).double(), 0.3 + torch.rand(6, 2).double())


def free(logits, mean, log_variance):
    """(r, means, variances) of numbers that may be anything."""
    return logits.softmax(-1), mean, log_variance.exp()


def test_the_posterior_is_where_the_local_elbo_is_highest(precise):
    """It is log ∫ Σ_k π_k N(z; μ_k, S_k) ψ(z) dz there, flat, and lower wherever r, m_k or v_k are others."""
    made, psi = precise
    (log_pi, m), (r, q) = made(), made.posterior(psi)
    met = [gaussian(m.mean[k], (m.variance[k] + psi.variance).sqrt()).log_prob(psi.mean) for k in range(3)]
    highest = (log_pi + torch.stack(met, -1)).logsumexp(-1)
    best = [t.detach().requires_grad_() for t in (r.mean.log(), q.mean, q.variance.log())]
    elbo = local_elbo(made, psi, *free(*best))
    close(elbo, highest, atol=1e-9)
    close(
        torch.cat([g.flatten() for g in torch.autograd.grad(elbo.sum(), best)]), torch.zeros(6 * 15).double(), atol=1e-9
    )
    for i in range(3):
        for size in (0.01, 0.3, 3.0):
            moved = [t.detach() + size * torch.randn(50, *t.shape).double() * (i == j) for j, t in enumerate(best)]
            lower = torch.stack([local_elbo(made, psi, *free(*each)) for each in zip(*moved, strict=True)])
            assert (lower < highest - 1e-9).all(), (i, size)


@pytest.mark.parametrize("seed", range(3))
def test_block_updates_lead_to_the_posterior_from_anywhere(precise, seed):
    """Those that the derivatives of the local ELBO call for: natural-gradient steps of size 1, then r ∝ exp(∂/∂r)."""
    made, psi = precise
    torch.manual_seed(seed)
    r, mean = torch.randn(6, 3).double().softmax(-1), 5 * torch.randn(6, 3, 2).double()
    point = [t.requires_grad_() for t in (r, mean, torch.randn(6, 3, 2).double().exp())]
    elbo = local_elbo(made, psi, *point)
    _, slope, curve = torch.autograd.grad(elbo.sum(), point)
    with torch.no_grad():
        variance = 1 / (1 / point[2] - 2 * curve / r[..., None])
        mean = mean + variance * slope / r[..., None]
        higher = local_elbo(made, psi, r, mean, variance)
    slope = torch.autograd.grad(local_elbo(made, psi, r, mean, variance).sum(), r)[0]
    found = (slope + r.log()).detach().softmax(-1), mean.detach(), variance.detach()
    assert (elbo < higher).all() and (higher < local_elbo(made, psi, *found)).all()
    k, q = made.posterior(psi)
    for ours, theirs in zip((k.mean, q.mean, q.variance), found, strict=True):
        close(ours, theirs, atol=1e-9)


def test_evidence_of_nothing_leaves_the_prior_and_of_everything_only_itself(precise):
    made, psi = precise
    log_pi, m = made()
    r, q = made.posterior(gaussian(psi.mean, torch.full_like(psi.mean, 1e6)))
    close(r.mean, log_pi.exp().expand(6, 3), atol=1e-9)
    close(q.mean, m.mean.expand(6, 3, 2), atol=1e-9)
    close(q.variance, m.variance.expand(6, 3, 2), atol=1e-9)
    close(paid(made, r.mean, q), torch.zeros(6).double(), atol=1e-9)
    r, q = made.posterior(gaussian(psi.mean, torch.full_like(psi.mean, 1e-6)))
    close(q.mean, psi.mean[:, None].expand(6, 3, 2), atol=1e-9)
    log_joint = torch.stack([log_pi[k] + gaussian(m.mean[k], m.stddev[k]).log_prob(psi.mean) for k in range(3)], -1)
    close(r.mean, log_joint.softmax(-1), atol=1e-9)


def test_one_component_and_evidence_are_the_product_of_two_gaussians():
    mu, S, mean, v = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 3.0]]), torch.randn(4, 2), 0.1 + torch.rand(4, 2)
    made = mixture(torch.tensor([1e3]), mu, S)
    r, q = made.posterior(gaussian(mean, v.sqrt()))
    close(r.mean, torch.ones(4, 1))
    close(q.mean[:, 0], (S * mean + v * mu) / (S + v))
    close(q.variance[:, 0], S * v / (S + v))


def test_divergence_is_from_each_component(precise):
    made, psi = precise
    r, q = made.posterior(psi)
    close(paid(made, r.mean, q), (r.mean * (r.mean.log() - made()[0] + made.divergence(q))).sum(-1), atol=1e-12)
    alike = gaussian(*(t[:, None].expand(6, 3, 2) for t in (psi.mean, psi.stddev)))
    close(made.divergence(psi), made.divergence(alike), atol=1e-12)


# ---- mixture, factorised --------------------------------------------------------------------------------------------


def test_each_block_update_raises_the_local_elbo_as_far_as_it_can(precise):
    """Of q(z) given q(k), then of q(k) given q(z): no gradient is left in what was updated, and the ELBO only rises."""
    made, psi = precise
    logits, mean, log_v = (
        2 * torch.randn(6, 3).double(),
        3 * torch.randn(6, 1, 2).double(),
        torch.randn(6, 1, 2).double(),
    )
    elbo = local_elbo(made, psi, *free(logits, mean, log_v))
    start = elbo
    for _ in range(5):
        k, z = made.update(one_hot(logits), psi)
        mean, log_v = z.mean[:, None].detach().requires_grad_(), z.variance[:, None].log().detach().requires_grad_()
        updated = local_elbo(made, psi, *free(logits.detach(), mean, log_v))
        assert (updated > elbo - 1e-12).all()
        for left in torch.autograd.grad(updated.sum(), [mean, log_v]):
            close(left, torch.zeros_like(left), atol=1e-9)
        logits = k.mean.log().detach().requires_grad_()
        elbo = local_elbo(made, psi, *free(logits, mean.detach(), log_v.detach()))
        assert (elbo > updated - 1e-12).all()
        close(torch.autograd.grad(elbo.sum(), logits)[0], torch.zeros_like(logits), atol=1e-9)
    assert (elbo > start + 0.1).all()


def test_a_factorised_posterior_is_at_rest_below_the_exact_one(precise):
    """No update adds 1e-3 nats; what it lacks of the exact local ELBO is KL(q(k) q(z) ‖ q(k, z)), above 0."""
    made, psi = precise
    r, q = made.posterior(psi)
    made.factorised = True
    k, z = made.posterior(psi)
    for ours in (z.mean, z.variance):
        assert (ours == ours[:, :1]).all()
    again, same = made.update(k, psi)
    reached = local_elbo(made, psi, k.mean, z.mean, z.variance)
    close(local_elbo(made, psi, again.mean, same.mean[:, None], same.variance[:, None]), reached, atol=1e-3, rtol=0)
    lacks = local_elbo(made, psi, r.mean, q.mean, q.variance) - reached
    ratio, off = z.variance / q.variance, (z.mean - q.mean).square() / q.variance
    apart = (k.mean * (k.mean.log() - r.mean.log() + 0.5 * (ratio + off - 1 - ratio.log()).sum(-1))).sum(-1)
    close(lacks, apart, atol=1e-9)
    assert apart.min() > 0 and apart.max() > 0.05


def test_a_factorised_code_pays_for_naming_its_component(plane):
    """KL(q(k) ‖ π) + Σ_k q(k) KL(q(z) ‖ N_k) is KL(q(z) ‖ Σ_k π_k N_k), on a grid, and E KL(q(k) ‖ p(k|z)) more."""
    made, psi, z, dz = plane
    made.factorised = True
    (log_pi, m), (r, q) = made(), made.posterior(psi)
    charged = paid(made, r.mean, q)
    joint = torch.stack([log_pi[k] + gaussian(m.mean[k], m.stddev[k]).log_prob(z) for k in range(3)], -1)
    more = []
    for i in range(5):
        log_q = gaussian(q.mean[i, 0], q.stddev[i, 0]).log_prob(z)
        weight = (log_q.exp() * dz).double()
        alone = (weight * (log_q - joint.logsumexp(-1))).sum()
        more.append((weight * (r.mean[i] * (r.mean[i].log() - joint.log_softmax(-1))).sum(-1)).sum())
        close(charged[i].double(), alone + more[-1], atol=1e-4, rtol=1e-3)
    assert max(more) > 0.05


# ---- mixture, natural gradients -------------------------------------------------------------------------------------


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


def price(made, point, sent, prior=1.0):
    """() nats: what codes `sent` cost at π, μ, S, and what pseudo-examples of the prior do: those at 0 and of S."""
    (log_pi, mean, log_S), (r, q) = point, sent
    log_pi, S = log_pi.log_softmax(-1), log_S.exp()
    each = 0.5 * ((q.variance + (q.mean - mean).square()) / S + log_S - 1 - q.variance.log()).sum(-1)
    cost = (r.mean * (r.mean.log() - log_pi + each)).sum(-1).mean()
    sizes = made.strength * (0.5 * (made.variance / S + log_S).sum(-1) - log_pi)
    return cost + prior * (sizes + 0.5e-3 * (mean.square() / S).sum(-1)).sum()


def at(made):
    """log π, μ and log S as free numbers."""
    log_pi, m = made()
    return [t.detach().clone().requires_grad_() for t in (log_pi, m.mean, m.variance.log())]


def slopes(made, sent):
    """The gradient of `price` in all of them."""
    point = at(made)
    return torch.cat([g.flatten() for g in torch.autograd.grad(price(made, point, sent), point)])


@pytest.mark.parametrize("strength", [1e-6, 0.3, 1.0])
def test_one_whole_step_leads_to_the_best_mixture_there_is_for_what_was_sent(precise, strength):
    """Neither π nor μ nor S has a gradient left, in what codes and the pseudo-examples of the prior cost."""
    made, psi = precise
    made.strength, made.seen.rate = strength, 1.0
    sent = made.posterior(psi)
    assert slopes(made, sent).abs().max() > 0.05
    step(made, psi)
    close(slopes(made, sent), torch.zeros(15).double(), atol=1e-9)


@pytest.mark.parametrize("strength", [1e-6, 1.0])
@pytest.mark.parametrize("factorised", [False, True])
def test_a_small_step_lowers_what_was_sent(precise, strength, factorised):
    """With what the prior charges; without a prior the rate alone."""
    made, psi = precise
    made.strength, made.seen.rate, made.factorised = strength, 0.01, factorised
    for _ in range(20):
        sent = made.posterior(psi)
        before = price(made, at(made), sent), price(made, at(made), sent, prior=0.0)
        step(made, psi)
        made.zero_grad()
        assert price(made, at(made), sent) < before[0]
        assert strength == 1.0 or price(made, at(made), sent, prior=0.0) < before[1] + 1e-9


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


@pytest.mark.parametrize("factorised", [False, True])
def test_svae_pays_the_closed_form_whatever_it_draws(factorised):
    """KL(q(k) ‖ π) + Σ_k q(k) KL(q(z|k) ‖ N(μ_k, S_k)), and its mean over draws is that of log q − log p of both."""
    model, N = new("svae", components=3, factorised=factorised), 20_000
    with torch.no_grad():
        *_, bias = model.encoder.parameters()
        bias[2:] = 2  # wide evidence, which fits more than one component
        code = model.encode(Batch.unlabelled(images(1).expand(N, -1, -1, -1)))
        r, q = model.mixture.posterior(model.encoder(images(1)))
        close(total_rate(code), paid(model.mixture, r.mean, q).expand(N), atol=1e-4)
        assert code["k"].drawn.mean(0).sort().values[1] > 0.05  # two components count
        for block in code.values():
            gap = block.log_ratio - block.rate
            assert abs(gap.mean()) < 4 * gap.std() / N**0.5 and gap.std() > 0.1
        drawn = code["k"].drawn.argmax(-1)
        assert (code["z"].q.mean - q.mean[0, drawn]).abs().max() < 1e-5
        close(code["z"].p.mean, model.mixture()[1].mean[drawn])


@pytest.mark.parametrize("factorised", [False, True])
def test_gradients_reach_the_evidence_exactly(factorised):
    """Of R by finite differences; of D at given noise, too, where k is certain or z does not depend on its draw."""
    model, batch = new("svae", components=3, factorised=factorised).double(), Batch.unlabelled(images(16).double())
    with torch.no_grad():
        *_, weight, bias = model.encoder.parameters()
        bias[2:] = 1

    def terms():
        code = model.encode(batch)
        return total_rate(code).mean(), model.distortion(batch, code).mean()

    def agree(i, direction=None, h=1e-5):
        direction = torch.randn(weight.shape).double() if direction is None else direction
        slope = (gradient(same_noise(terms)[i], [weight])[0] * direction).sum()
        with torch.no_grad():
            weight.add_(h * direction)
            above = same_noise(terms)[i]
            weight.sub_(2 * h * direction)
            below = same_noise(terms)[i]
            weight.add_(h * direction)
        assert slope.abs() > 1e-3
        close(slope, (above - below) / (2 * h), rtol=1e-5, atol=1e-7)

    r = model.mixture.posterior(model.encoder(batch.x))[0].mean
    assert r.max(-1).values.median() < 0.95  # k is uncertain
    agree(0)
    if not factorised:
        with torch.no_grad():
            model.mixture.seen.value[1:, 0] = 0  # what no example has seen, strength aside, is far from all
            model.mixture.strength = 1e-30
    agree(1)


def test_gradients_pass_the_draw_of_k_straight_through():
    """∂z/∂k is what the other components' means and widths would have made of z."""
    model = new("svae", components=3)
    code = model.encode(seen())
    k, z = code["k"], code["z"]
    _, q = model.mixture.posterior(model.encoder(seen().x))
    noise = (z.sample - z.q.mean) / z.q.stddev
    slopes = (q.mean + (noise / (2 * z.q.stddev))[:, None] * q.variance).sum(-1)
    close(torch.autograd.grad(z.sample.sum(), k.drawn, retain_graph=True)[0], slopes, atol=1e-4)
    assert torch.autograd.grad(z.sample.sum(), k.q.base_dist.logits)[0].abs().max() > 1e-3


@pytest.mark.parametrize("factorised", [False, True])
def test_the_mixture_follows_codes_and_nothing_else(factorised):
    """Neither D nor R has a gradient in it, and its own loss has none elsewhere."""
    model = new("svae", components=3, factorised=factorised)
    terms = model(seen())
    own = {name for name, _ in model.named_parameters() if name.startswith("mixture.")}
    weights = dict(model.named_parameters())

    def moves(term):
        return {name for name, g in zip(weights, gradient(term, weights.values()), strict=True) if g.any()}

    assert moves(terms.critic_loss) == own == {"mixture.seen.value"}
    assert moves(terms.distortion.mean() + terms.rate.mean()) == set(weights) - own


def test_the_mixture_goes_a_twentieth_of_its_way_each_step():
    model, given = new("svae"), seen()
    before, mixture = model.mixture.seen().clone(), copy.deepcopy(model.mixture)
    _, follow = Single(model).optimizers(1e-3)
    model.critic_loss(given, {}).backward()
    follow.step()
    mixture.seen.rate = 1.0
    whole = torch.optim.SGD(mixture.parameters(), lr=1.0)
    mixture.loss(model.encoder(given.x)).backward()
    whole.step()
    close(model.mixture.seen(), 0.95 * before + 0.05 * mixture.seen())


def test_evidence_tells_components_apart_before_training():
    """I(x; k) in nats; with a plain encoder it is .001."""
    model = new("svae", spread=0.0)
    r = model.mixture.posterior(model.encoder(images(512)))[0].mean
    assert torch.special.entr(r.mean(0)).sum() - torch.special.entr(r).sum(-1).mean() > 0.04


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
