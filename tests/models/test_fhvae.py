"""FHVAE: what a sequence shares, what its segments pay for being near it, and how well they tell which one it is."""

import math

import effects
import pytest
import torch
from small import close, equal_on_average, gaussian_kl, images, maker, randomise, reaches, seen
from torch.distributions import Normal, kl_divergence

from rdu_bench import registry
from rdu_bench.api import Batch, Spec, gaussian

N = 4
SPEC = Spec((N, 1, 4, 4), examples=40, hidden=(16, 16), latent=3)
CONV = SPEC._replace(shape=(N, 1, 8, 8), family="conv", hidden=(4, 8, 16))
plain = maker(SPEC)


def new(spec=SPEC, **params):
    return randomise(plain("fhvae", spec, **params), 0.5)


def film(n=16, spec=SPEC):
    return seen(n, spec.shape)


def encoded(model, batch, seed=5):
    torch.manual_seed(seed)
    return model.encode(batch)


@pytest.mark.parametrize("s", [0.5, 0.9])
def test_what_is_shared_is_the_posterior_of_the_means_of_its_segments(s):
    """The mean is the argmax of log p(μ) + Σ_n log p(z2_n|μ), and the precision is its curvature."""
    model = new(s=s)
    z2 = model.z2(film().x)
    q = model.shared(z2)

    def log_joint(mu):
        return Normal(0, 1).log_prob(mu).sum() + model.near(mu, z2.mean).log_prob(z2.mean).sum()

    mu = q.mean.detach().requires_grad_()
    [slope] = torch.autograd.grad(log_joint(mu), mu)
    close(slope, torch.zeros_like(slope), atol=1e-3)
    curved = torch.autograd.functional.hessian(log_joint, mu[:2].detach().repeat(8, 1)).reshape(48, 48)
    close(curved, -torch.diag(1 / q.variance.flatten()), rtol=1e-4, atol=1e-3)


def test_of_all_that_could_be_shared_it_is_the_cheapest():
    """R of μ and z2 together, over draws of μ, in closed form."""
    model = new()
    z2 = model.z2(film().x)
    q = model.shared(z2)

    def paid(mean, variance):
        """KL(q(μ) ‖ N(0, I)) + E Σ_n KL(q(z2_n) ‖ N(μ, s² I))."""
        shared = gaussian(mean, variance.sqrt())
        off = (z2.mean - mean.unsqueeze(1)).square() + z2.variance + variance.unsqueeze(1)
        return gaussian_kl(shared) + 0.5 * (off / 0.25 - 1 - (z2.variance / 0.25).log()).sum((1, 2))

    least = paid(q.mean, q.variance)
    for step in (0.1, -0.1):
        assert (paid(q.mean + step, q.variance) > least).all()
        assert (paid(q.mean, q.variance * (1 + step)) > least).all()


@pytest.mark.parametrize("s", [0.5, 0.9])
def test_no_code_costs_less_than_not_knowing_which_mean_was_drawn(s):
    """½ dim log(1 + N/s²), which q(z2|x) = N(0, s² I) costs; over draws of μ, in closed form."""
    model = new(s=s)

    def least(z2):
        off = (z2.mean - model.shared(z2).mean.unsqueeze(1)).square() + z2.variance + model.shared(z2).variance[:, None]
        return gaussian_kl(model.shared(z2)) + 0.5 * (off / s**2 - 1 - (z2.variance / s**2).log()).sum((1, 2))

    floor = 1.5 * math.log(1 + N / s**2)
    silent = gaussian(torch.zeros(1, N, 3), torch.full((1, N, 3), s))
    assert least(silent).item() == pytest.approx(floor, rel=1e-5)
    assert (least(model.z2(film().x)) > floor).all()


def test_blocks_are_named_as_in_the_paper_and_pay_one_by_one():
    """μ against N(0, I); z2, of the sequence, against N(μ, s² I) at the μ sent; z1, of the segment, against N(0, I)."""
    model, batch = new(), film()
    code = encoded(model, batch)
    assert {name: tuple(block.drawn.shape) for name, block in code.items()} == {
        "mu": (16, 3),
        "z2": (16, N, 3),
        "z1": (16, N, 3),
    }
    close(code["mu"].rate, gaussian_kl(code["mu"].q))
    near = Normal(code["mu"].sample[:, None], torch.tensor(0.5))
    close(code["z2"].rate, kl_divergence(code["z2"].q.base_dist, near).sum((1, 2)), rtol=1e-3)
    close(code["z1"].rate, gaussian_kl(code["z1"].q).sum(1), rtol=1e-3)
    close(code["z1"].q.mean, model.z1(batch.x, code["z2"].drawn).mean)  # told the draw, no mean
    again = model.encode(batch)["z1"].q.mean
    assert (again != code["z1"].q.mean).any(-1).all()
    for block in code.values():
        equal_on_average(block.rate, block.log_ratio)


@pytest.mark.parametrize("spec", [SPEC, CONV], ids=["mlp", "conv"])
def test_a_segment_is_coded_by_itself_and_decoded_from_its_own_codes(spec):
    model, batch = new(spec), film(2, spec)
    code, one = encoded(model, batch), torch.eye(N, dtype=torch.bool)
    plain = model.receive(code).mean
    for n in range(N):
        changed = batch.x.clone()
        changed[:, n] = 1 - changed[:, n]
        other = encoded(model, Batch.unlabelled(changed))
        for name in ("z2", "z1"):
            assert torch.equal((other[name].q.mean != code[name].q.mean).any(-1), one[n].expand(2, -1))
            sample = code[name].drawn.clone()
            sample[:, n] += 1
            moved = model.receive({**code, name: code[name]._replace(sample=sample.flatten(1))}).mean != plain
            assert torch.equal(moved.flatten(2).any(-1), one[n].expand(2, -1))
        assert (other["mu"].q.mean != code["mu"].q.mean).any(-1).all()
    unknown = code["mu"]._replace(sample=torch.nan * code["mu"].sample)
    assert torch.equal(model.receive({**code, "mu": unknown}).mean, plain)


def test_the_order_of_segments_does_not_matter():
    model, batch, order = new(), film(), [2, 0, 3, 1]
    code, other = encoded(model, batch), encoded(model, batch._replace(x=batch.x[:, order]))
    close(other["mu"].q.mean, code["mu"].q.mean)
    close(other["z2"].q.mean, code["z2"].q.mean[:, order])


def test_the_regularizer_tells_which_sequence_of_the_batch_a_segment_is_of():
    """−α Σ_n log p(i|z̄2_n), by loops and by Bayes' rule with equal odds, averaged over sequences."""
    model, batch = new(alpha=3.0), film(5)
    code = encoded(model, batch)
    z2, mu = code["z2"].q.mean.detach(), code["mu"].q.mean.detach()
    lost = 0.0
    for i in range(5):
        for n in range(N):
            likely = [float(Normal(mu[j], 0.5).log_prob(z2[i, n]).sum()) for j in range(5)]
            lost -= likely[i] - math.log(sum(math.exp(v) for v in likely))
    found = model.regularizer(batch, code)
    close(found, torch.tensor(3.0 * lost / 5), rtol=1e-3)
    assert reaches(found, model.z2) and not reaches(found, model.z1)
    assert torch.equal(model.regularizer(batch, {**code, "z1": code["z2"]}), found)
    again = model.regularizer(batch, encoded(model, batch, seed=6))
    close(again, found)  # of means, which no draw moves
    assert float(new(alpha=0.0)(batch).regularizer) == 0
    one = film(1)
    assert float(model.regularizer(one, model.encode(one))) == 0  # of one sequence there is nothing to tell


def test_one_segment_is_a_ladder_of_two_levels_and_a_code_beside_them():
    model = new(SPEC._replace(shape=(1, 1, 4, 4)))
    x = images(6, (1, 1, 4, 4))
    code = model.encode(Batch.unlabelled(x))
    close(code["mu"].q.mean, code["z2"].q.mean[:, 0] / 1.25)
    close(code["mu"].q.variance, torch.full((6, 3), 0.25 / 1.25))
    p = model.decoder.net(code["z1"].drawn[:, 0], code["z2"].drawn[:, 0]).sigmoid()
    close(model.receive(code).mean[:, 0], p)


# ---- what it is for -------------------------------------------------------------------------------------------------


@torch.no_grad()
def told_apart(model, data, n=64):
    """Share of segments whose z̄2 is nearest to the μ̄ of their own of n sequences."""
    batch = data.view("test", model.row).batch().rows(slice(n))
    code = model.encode(batch)
    nearest = (code["z2"].q.mean.unsqueeze(2) - code["mu"].q.mean).square().sum(-1).argmin(-1)
    return (nearest == torch.arange(n)[:, None]).float().mean().item()


@pytest.mark.effect
def test_a_segment_tells_which_sequence_it_is_of_where_that_is_asked():
    """Of four frames among 64 sequences, at 8 nats: .38 are told with α = 10 and .21 without, by chance .02."""
    data = registry.dataset("moving_sprites", frames=4, positions=4, scales=1, n_train=1500, n_val=200, n_test=400)
    found = {}
    for alpha in (10.0, 0.0):
        torch.manual_seed(0)
        model = registry.model("fhvae", data.spec(hidden=(64, 64), latent=3), alpha=alpha)
        model, control = effects.fitted(model, data, 8.0, steps=600, batch=64, lr=3e-3, w=300.0)
        assert control.R_train == pytest.approx(8, rel=0.05)
        found[alpha] = told_apart(model, data)
    assert found[10.0] > found[0.0] + 0.08
