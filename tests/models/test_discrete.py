"""Codes of symbols: VQ-VAE, by gradient and by averages, its drawn relative, and JointVAE."""

import itertools
import math

import pytest
import torch
from effects import measured, trained
from small import close, images, maker, reaches, seen

from rdu_bench import registry
from rdu_bench.api import (
    Batch,
    Spec,
    gaussian,
    total_rate,
)
from rdu_bench.training import Training, fit
from rdu_bench.training.stack import Single

SPEC = Spec((1, 4, 4), examples=40, hidden=(16, 16), latent=3)
new = maker(SPEC, spread=0.3)


# ---- VQ-VAE ---------------------------------------------------------------------------------------------------------


def test_vq_sends_the_nearest_vector_at_every_position():
    model, batch = new("vq_vae", positions=5, codes=7, dim=3), Batch.unlabelled(images())
    block = model.encode(batch)["z"]
    nearest = torch.cdist(model.embed(batch.x), model.codebook.expand(64, -1, -1)).argmin(-1)
    assert torch.equal(block.drawn.argmax(-1), nearest) and len(nearest.unique()) > 3
    assert torch.equal(block.sample.view(64, 5, 3), model.codebook[nearest]) and block.discrete
    again = model.encode(batch)["z"]
    assert torch.equal(again.drawn, block.drawn)  # x decides it


def test_vq_copies_the_gradient_of_the_vector_to_the_encoder():
    model, x = new("vq_vae"), images(8)
    weight = torch.randn(8, 3 * 4)
    ours = list(model.encoder.parameters())
    copied = torch.autograd.grad((weight * model.embed(x).flatten(1)).sum(), ours)
    found = torch.autograd.grad((weight * model.encode(Batch.unlabelled(x))["z"].sample).sum(), ours)
    for a, b in zip(found, copied, strict=True):
        close(a, b)
        assert a.any()


def test_vq_codebook_follows_the_encoder_and_nothing_else():
    model, batch = new("vq_vae"), Batch.unlabelled(images())
    terms = model(batch)
    for term in (terms.distortion.mean(), terms.rate.mean()):
        (found,) = torch.autograd.grad(term, [model.codebook], retain_graph=True, allow_unused=True)
        assert found is None or not found.any()
    e = model.embed(batch.x)
    nearest = torch.cdist(e, model.codebook.expand(64, -1, -1)).argmin(-1)
    expected = torch.zeros_like(model.codebook)  # d/dc Σ ‖e − c‖² / B, symbol by symbol
    expected.index_add_(0, nearest.flatten(), (2 / 64 * (model.codebook[nearest] - e)).detach().flatten(0, 1))
    (found,) = torch.autograd.grad(terms.regularizer, [model.codebook], retain_graph=True)
    close(found, expected)


def test_vq_pays_what_the_prior_says_of_its_symbols():
    model, batch = new("vq_vae", positions=6, codes=8), Batch.unlabelled(images())
    block = model.encode(batch)["z"]
    close(block.rate, -model.prior(block.drawn).log_prob(block.drawn))
    torch.manual_seed(0)
    uniform = registry.model("vq_vae", SPEC, positions=6, codes=8).encode(batch)["z"]
    close(uniform.rate, torch.full((64,), 6 * math.log(8)), atol=1e-4)


def test_vq_encoder_pays_for_symbols_only_where_a_target_says_so():
    """R less what the regularizer takes off it reaches m alone; R reaches e as if k were a softmax of its distances."""
    model, batch = new("vq_vae", b=0.0), Batch.unlabelled(images())
    terms = model(batch)
    ours = list(model.encoder.parameters())
    plain = torch.autograd.grad(terms.rate.mean() + terms.regularizer, ours, retain_graph=True)
    assert all(g.abs().max() < 1e-6 for g in plain)
    assert reaches(terms.rate.mean() + terms.regularizer, model.prior)
    code = model.encode(batch)["z"]
    distance = model.distance(model.embed(batch.x))
    soft = (-distance / (distance.detach().amin(-1, keepdim=True) + 1e-4)).softmax(-1)
    relaxed = -(soft * code.p.base_dist.logits.detach()).sum((1, 2)).mean()
    for a, b in zip(torch.autograd.grad(terms.rate.mean(), ours), torch.autograd.grad(relaxed, ours), strict=True):
        close(a, b)
        assert a.any()


@pytest.mark.parametrize("sigma", [0.5, 2.0, 9.0, 30.0])
def test_vq_is_as_large_as_its_target_needs(sigma):
    spec = SPEC._replace(latent=10)
    torch.manual_seed(0)
    made = registry.model("vq_vae", spec, b=0.5, dim=3).for_rate(sigma)
    positions, codes = made.size["positions"], made.size["codes"]
    assert made.shape == (positions, 3) and made.codebook.shape == (codes, 3) and made.b == 0.5
    assert positions <= 10 and 2 <= codes <= 32
    assert positions * math.log(codes) >= min(1.3 * sigma, 10 * math.log(32)) - 1e-9
    assert (positions - 1) * math.log(32) < 1.3 * sigma  # one position less could not say it


def test_vq_of_a_given_size_and_without_a_target_stays_as_it_is():
    for model, sigma in ((new("vq_vae"), None), (new("vq_vae", codes=5), 4.0), (new("vq_vae", positions=2), 4.0)):
        assert model.for_rate(sigma) is model and model.size == {}


def test_vq_of_the_size_of_its_target_is_what_was_asked_for():
    made = new("vq_vae", codebook="ema", b=0.5).for_rate(4.0)
    assert made.size and made.ema and made.b == 0.5 and not hasattr(made, "codebook")


@pytest.mark.parametrize("name", ["vq_vae", "gumbel_vq"])
def test_a_codebook_starts_as_wide_as_is_said(name):
    """A spread of .7, whose square is where the temperature of drawn ones starts."""
    torch.manual_seed(0)
    model = registry.model(name, SPEC, codes=1000)
    assert model.codebook.std().item() == pytest.approx(0.7, rel=0.05)
    if name == "gumbel_vq":
        assert (10 * model.log_T).exp().item() == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["vq_vae", "gumbel_vq"])
def test_a_string_has_as_many_symbols_as_the_suite_has_dimensions(name):
    for latent in (2, 5):
        block = new(name, SPEC._replace(latent=latent)).encode(seen())["z"]
        assert block.drawn.shape == (64, latent, 32) and block.sample.shape == (64, latent * 4)


@pytest.mark.effect
@pytest.mark.parametrize("codebook", ["gradient", "ema"])
def test_vq_meets_rates_and_uses_its_codebook(codebook):
    data = registry.dataset("digits")
    lost = []
    for sigma in (4.0, 9.0, 18.0):
        model, control = trained("vq_vae", data, sigma, codebook=codebook)
        assert control.R_train == pytest.approx(sigma, rel=0.03)
        batch = Batch.unlabelled(data.splits["test"].take())
        with torch.no_grad():
            code = model.encode(batch)
            lost.append(float(model.distortion(batch, code).mean()))
        used = [len(k.unique()) for k in code["z"].drawn.argmax(-1).T]
        assert min(used) >= model.size["codes"] / 4
    assert lost[0] < 23 and lost[1] < 20 and lost[2] < 19.5  # without any code 26.9


# ---- Gumbel VQ -------------------------------------------------------------------------------------------------------


def heated(model, T):
    """The model at this temperature."""
    with torch.no_grad():
        model.log_T.fill_(math.log(T) / 10)
    return model


def test_gumbel_vq_sends_vectors_of_the_codebook_and_no_others():
    model = heated(new("gumbel_vq", positions=5, codes=7, dim=3), 1)
    block = model.encode(Batch.unlabelled(images()))["z"]
    sent, symbols = block.sample.view(64, 5, 3), block.drawn.argmax(-1)
    close(sent, model.codebook[symbols], atol=1e-6)
    assert torch.equal(block.drawn.detach().sum(-1), torch.ones(64, 5)) and block.discrete
    assert len(symbols.unique()) > 3


def test_gumbel_vq_is_the_arg_min_where_it_is_cold():
    model, batch = heated(new("gumbel_vq"), 1e-7), Batch.unlabelled(images())
    block = model.encode(batch)["z"]
    nearest = torch.cdist(model.embed(batch.x), model.codebook.expand(64, -1, -1)).argmin(-1)
    assert torch.equal(block.drawn.argmax(-1), nearest)
    price = -model.prior(block.drawn).log_prob(block.drawn)  # of a symbol that x decides
    close(block.rate, price, atol=1e-3)


def test_gumbel_vq_posterior_is_a_softmax_of_distances():
    model, batch = heated(new("gumbel_vq"), 0.8), Batch.unlabelled(images())
    e = model.embed(batch.x)
    weight = torch.stack([(-(e - c).square().sum(-1) / 0.8).exp() for c in model.codebook], -1)
    close(model.encode(batch)["z"].q.mean, weight / weight.sum(-1, keepdim=True))


def test_gumbel_vq_gradient_passes_the_draw_as_if_it_were_relaxed():
    """dz/de is that of the vectors averaged with the weights softmax(logits + Gumbel), whatever was drawn."""
    model, x = heated(new("gumbel_vq", positions=2, codes=5, dim=2), 3), images(8)
    weight = torch.randn(8, 4)
    ours = list(model.encoder.parameters())
    torch.manual_seed(3)
    block = model.encode(Batch.unlabelled(x))["z"]
    straight = torch.autograd.grad((weight * block.sample).sum(), ours)
    torch.manual_seed(3)
    logits = model.encode(Batch.unlabelled(x))["z"].q.base_dist.logits
    torch.manual_seed(3)
    gumbel = -torch.log(-torch.log(torch.rand_like(logits).clamp(1e-7, 1 - 1e-7)))
    soft = ((logits + gumbel).softmax(-1) @ model.codebook).flatten(1)
    for a, b in zip(straight, torch.autograd.grad((weight * soft).sum(), ours), strict=True):
        close(a, b)
        assert a.any()


def test_gumbel_vq_codebook_follows_the_encoder_and_nothing_else():
    model, batch = new("gumbel_vq"), Batch.unlabelled(images())
    terms = model(batch)
    for term in (terms.distortion.mean(), terms.rate.mean()):
        (found,) = torch.autograd.grad(term, [model.codebook], retain_graph=True, allow_unused=True)
        assert found is None or not found.any()
    e = model.embed(batch.x)
    nearest = torch.cdist(e, model.codebook.expand(64, -1, -1)).argmin(-1)
    expected = torch.zeros_like(model.codebook)  # d/dc Σ ‖e − c‖² / B, symbol by symbol
    expected.index_add_(0, nearest.flatten(), (2 / 64 * (model.codebook[nearest] - e)).detach().flatten(0, 1))
    (found,) = torch.autograd.grad(terms.regularizer, [model.codebook], retain_graph=True)
    close(found, expected)
    pull = torch.autograd.grad(terms.regularizer, list(model.encoder.parameters()))
    commit = model.b * (e - model.codebook[nearest].detach()).square().sum((1, 2)).mean()
    for a, b in zip(pull, torch.autograd.grad(commit, list(model.encoder.parameters())), strict=True):
        close(a, b)


def test_gumbel_vq_rate_of_a_uniform_prior_is_p_log_k_less_the_entropy():
    """So never above P log K, and P log K exactly where x decides every symbol."""
    torch.manual_seed(0)
    model, batch = registry.model("gumbel_vq", SPEC, positions=6, codes=8), Batch.unlabelled(images())
    block = model.encode(batch)["z"]
    close(block.rate, 6 * math.log(8) - block.q.entropy(), atol=1e-4)
    assert block.rate.max() <= 6 * math.log(8)
    close(heated(model, 1e-8).encode(batch)["z"].rate, torch.full((64,), 6 * math.log(8)), atol=1e-2)


def test_gumbel_vq_rate_is_the_joint_log_ratio_on_average():
    """Conditional KLs at one draw against log q(k|x) − log m(k) of whole strings."""
    model, N = heated(new("gumbel_vq", positions=3, codes=4), 10), 20_000
    with torch.no_grad():
        block = model.encode(Batch.unlabelled(images(1).expand(N, -1, -1, -1)))["z"]
        difference = block.rate - block.log_ratio
        assert abs(difference.mean()) < 4 * difference.std() / N**0.5
        q, k = block.q.mean[0], torch.eye(4)[list(itertools.product(range(4), repeat=3))]
        log_q = (k * q.log()).sum((1, 2))
        exact = (log_q.exp() * (log_q - model.prior(k).log_prob(k))).sum()
        assert abs(block.rate.mean() - exact) < 4 * block.rate.std() / N**0.5
    assert block.rate.std() > 0.01  # it depends on what was sent before


@pytest.mark.effect
def test_gumbel_vq_meets_rates_on_both_sides_of_the_elbo():
    data = registry.dataset("digits")
    lost = []
    for sigma in (4.0, 9.0):
        torch.manual_seed(0)
        model = registry.model("gumbel_vq", data.spec(hidden=(128, 128), latent=10))
        control = fit(model, data, sigma, Training(steps=800)).control
        assert control.R_train == pytest.approx(sigma, rel=0.1)
        batch = Batch.unlabelled(data.splits["test"].take())
        with torch.no_grad():
            lost.append(model.distortion(batch, model.encode(batch)).mean().item())
    assert lost[1] < lost[0] - 1.5 and lost[1] < 19.5


# ---- VQ-VAE whose codebook is an average ----------------------------------------------------------------------------


def averaged(**params):
    return new("vq_vae", spread=0.0, codebook="ema", positions=5, codes=6, dim=2, **params)


def step(model, batch):
    """One step of the averages, as the trainer takes it."""
    _, follow = Single(model).optimizers(1e-3)
    follow.zero_grad()
    model.critic_loss(batch, {}).backward()
    follow.step()


def test_one_step_of_the_codebook_is_an_exponential_moving_average():
    model, batch = averaged(), seen()
    e = model.embed(batch.x).detach().flatten(0, 1)
    c = model.vectors().clone()
    nearest = torch.cdist(e, c).argmin(-1)
    used, total = model.used().clone(), model.total().clone()
    step(model, batch)
    for k in range(6):
        n, sent = (nearest == k).sum() / 64, e[nearest == k].sum(0) / 64  # an example
        close(model.used()[k, 0], 0.99 * used[k, 0] + 0.01 * n)
        close(model.total()[k], 0.99 * total[k] + 0.01 * sent)
    smoothed = (model.used() + 1e-5) / (model.used().sum() + 6e-5) * model.used().sum()
    close(model.vectors(), model.total() / smoothed)
    assert len(nearest.unique()) > 1 and not torch.allclose(model.vectors(), c, atol=1e-4)


def test_an_averaged_codebook_starts_where_it_was_drawn():
    torch.manual_seed(0)
    model = registry.model("vq_vae", SPEC, codebook="ema", codes=6, dim=2)
    torch.manual_seed(0)
    close(model.vectors(), registry.model("vq_vae", SPEC, codes=6, dim=2).codebook)


def test_an_averaged_codebook_comes_to_rest_in_the_middle_of_what_it_stands_for(monkeypatch):
    """With e at rest: the mean of each cell, once all of where it began, 1 away, is forgotten but .99⁷⁰⁰ < 10⁻³."""
    model = averaged()
    c = 10 * torch.arange(12.0).view(6, 2)
    with torch.no_grad():
        model.total.value.copy_(c * model.used.value)
    cell = torch.randint(0, 6, (64, 5))
    e = c[cell] + 1 + 0.3 * torch.randn(64, 5, 2)
    monkeypatch.setattr(model, "embed", lambda x: e)
    for _ in range(700):
        step(model, seen())
    for k in range(6):
        close(model.vectors()[k], e[cell == k].mean(0), atol=2e-3)


def test_a_vector_that_falls_out_of_use_fades_and_never_blows_up():
    model = averaged()
    with torch.no_grad():
        far = torch.tensor([50.0, -50.0])
        model.total.value[0] = far * model.used.value[0]
    close(model.vectors()[0], far, rtol=1e-3)
    for steps in (100, 5000):
        for _ in range(steps):
            with torch.no_grad():  # what `step` does to the share of a vector that nothing is near to
                model.used.value[0] *= 0.99
                model.total.value[0] *= 0.99
        assert model.vectors().isfinite().all() and (model.vectors()[0].abs() <= 50.1).all()
    assert model.vectors()[0].abs().max() < 1  # the smoothing wins in the end


def test_an_averaged_codebook_is_moved_by_no_gradient_of_the_loss():
    model, batch = averaged(), seen()
    terms = model(batch)
    ours = terms.distortion.sum() + terms.rate.sum() + terms.regularizer
    e = model.embed(batch.x)
    nearest = torch.cdist(e, model.vectors().expand(64, -1, -1)).argmin(-1)
    close(terms.regularizer, model.b * (e - model.vectors()[nearest]).square().sum((1, 2)).mean(), atol=1e-5)
    for average in (model.used, model.total):
        assert not reaches(ours, average) and reaches(terms.critic_loss, average)
    assert not reaches(terms.critic_loss, model.encoder)
    assert model.row.R1 == "b ‖e − sg[c]‖²" and not hasattr(model, "codebook")


def test_a_codebook_there_is_not_is_refused():
    with pytest.raises(ValueError, match="'ema'"):
        new("vq_vae", codebook="kmeans")


# ---- JointVAE -------------------------------------------------------------------------------------------------------


def test_the_rate_of_a_symbol_is_between_none_and_all_of_it():
    model, x = new("joint_vae", symbols=5), images()
    *_, weight, bias = model.encoder.parameters()
    with torch.no_grad():
        weight[-5:] *= 0.1
    paid = model.encode(Batch.unlabelled(x))["c"].rate
    assert (paid > 0).all() and (paid < math.log(5)).all() and paid.std() > 0.01
    for scale, rate in ((0, 0.0), (1e4, math.log(5))):
        with torch.no_grad():
            weight[-5:], bias[-5:] = 0, scale * torch.arange(5.0)
        close(model.encode(Batch.unlabelled(x))["c"].rate, torch.full((64,), rate))


def test_symbol_and_code_are_independent_given_x_so_their_rates_add():
    """The closed forms against log q(c, z|x) − log p(c, z) of draws, which are one-hot."""
    model, N = new("joint_vae", symbols=5), 20_000
    with torch.no_grad():
        code = model.encode(Batch.unlabelled(images(1).expand(N, -1, -1, -1)))
        c, z = code["c"], code["z"]
        out = model.encoder(images(1))[0]
        q = gaussian(out[:3], torch.nn.functional.softplus(out[3:6]) + 1e-4)
        log_q = out[6:].log_softmax(-1)[c.sample.argmax(-1)] + q.log_prob(z.sample)
        log_p = -math.log(5) - 0.5 * (z.sample.square() + math.log(2 * math.pi)).sum(-1)
        difference = total_rate(code) - (log_q - log_p)
    assert ((c.sample == 0) | (c.sample == 1)).all() and (c.sample.sum(-1) == 1).all()
    assert abs(difference.mean()) < 4 * difference.std() / N**0.5


def test_joint_vae_without_a_symbol_pays_for_every_nat_off_a_capacity_that_grows():
    joint = new("joint_vae", symbols=1, gamma=7.0, capacity=4.0, warmup=0.4)
    x = images()
    code = joint.encode(Batch.unlabelled(x))
    assert code["c"].rate.abs().max() == 0
    rate = code["z"].rate.mean()
    for progress, grown in ((0.0, 0.0), (0.1, 1.0), (0.3, 3.0), (0.5, 4.0)):
        batch = Batch.unlabelled(x)._replace(progress=torch.tensor(progress))
        close(joint.regularizer(batch, code), 7 * (rate - grown).abs() - rate)
        assert joint.priced(batch, code) == 0


def test_both_capacities_are_paid_for_and_the_symbols_is_no_more_than_log_k():
    joint, x = new("joint_vae", symbols=3, gamma=7.0, capacity=4.0), images()
    batch = Batch.unlabelled(x)._replace(progress=torch.ones(()))
    code = joint.encode(batch)
    c, z = (code[name].rate.mean() for name in ("c", "z"))
    close(joint.regularizer(batch, code), 7 * ((c - math.log(3)).abs() + (z - 4.0).abs()) - c - z)


@pytest.mark.parametrize("share", [0.05, 0.9])
def test_a_symbols_capacity_grows_to_its_share_of_the_rate_and_no_further_than_log_k(share):
    model = new("joint_vae", symbols=3, share=share, gamma=2.0, warmup=0.5)
    batch = Batch.unlabelled(images())
    code = model.encode(batch)
    c, R = code["c"].rate.mean().item(), total_rate(code).mean().item()
    full = min(math.log(3), share * R)
    assert (full == math.log(3)) == (share == 0.9)
    for progress, capacity in ((0.0, 0.0), (0.25, full / 2), (0.5, full), (1.0, full)):
        given = batch._replace(progress=torch.tensor(progress))
        assert model.priced(given, code).item() == pytest.approx(2.0 * abs(c - capacity), rel=1e-4)
        assert model.regularizer(given, code) == 0  # γ is in units of β


@pytest.mark.parametrize("capacity", [None, 4.0])
def test_capacities_that_have_nothing_to_grow_over_are_whole_from_the_start(capacity):
    found = []
    for warmup, progress in ((0.0, 0.0), (0.0, 1.0), (0.5, 1.0)):
        model = new("joint_vae", symbols=3, capacity=capacity, warmup=warmup)
        batch = Batch.unlabelled(images())._replace(progress=torch.tensor(progress))
        torch.manual_seed(7)
        code = model.encode(batch)
        found.append((model.priced(batch, code) + model.regularizer(batch, code)).item())
    assert found[0] == found[1] == found[2] != 0


def test_the_capacity_term_moves_the_symbol_and_nothing_else():
    """A rate target sets R; this term must not pull at the continuous part of it, nor at the decoder."""
    model, batch = new("joint_vae"), Batch.unlabelled(images())
    model.priced(batch, model.encode(batch)).backward()
    *_, weight, _ = model.encoder.parameters()
    assert weight.grad[-10:].any() and not weight.grad[:-10].any()
    assert all(w.grad is None for w in model.decoder.parameters())


def test_the_symbol_of_a_new_joint_vae_says_something_of_x_already():
    """I(x;c) in nats, at most log 10 = 2.3; with an encoder that starts as any other it is below 0.01."""
    torch.manual_seed(0)
    model = registry.model("joint_vae", SPEC)
    q = model.encode(Batch.unlabelled(images(512)))["c"].q.mean
    assert torch.special.entr(q.mean(0)).sum() - torch.special.entr(q).sum(-1).mean() > 0.1


@pytest.mark.effect
def test_a_capacity_of_its_own_makes_the_symbol_know_classes():
    """And its rate follow that capacity, log 10 (2.03 to 2.10 nats, and 1.03 to 1.26 without)."""
    data = registry.dataset("digits")
    found, paid = {}, {}
    for gamma in (0.0, 2.0):
        model, control = trained("joint_vae", data, 6.0, gamma=gamma)
        assert control.R_train == pytest.approx(6.0, rel=0.04)
        found[gamma] = measured(model, data).structure["clusters"]["own classes"]["ari"]
        with torch.no_grad():
            paid[gamma] = model.encode(data.view("test", model.row).batch())["c"].rate.mean().item()
    assert found[2.0] > found[0.0] + 0.04, found
    assert paid[0.0] < 1.7 < paid[2.0] < math.log(10), paid
