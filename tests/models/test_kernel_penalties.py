"""InfoVAE, WAE and HSIC-VAE: what kernels of q(z) charge, and the channels of a WAE."""

import math

import effects
import pytest
import torch
from closed_forms import gaussian_mmd, multiquadric_mmd, plain_mmd
from small import close, gaussian_block, labelled, maker, penalty, reaches, same_noise, sent
from worlds import whole

from rdu_bench import registry
from rdu_bench.api import (
    Batch,
    Spec,
    flatten,
    gaussian_kernel,
    gram,
    hsic,
    mmd,
)
from rdu_bench.model import replay
from rdu_bench.training import Training, fit, mean_rate
from rdu_bench.training.posthoc import Whitened

SPEC = Spec((1, 4, 4), examples=500, groups=2, hidden=(32,), latent=3)
new = maker(SPEC)


# ---- InfoVAE --------------------------------------------------------------------------------------------------------


def test_alpha_zero_and_lambda_one_is_the_vae():
    given = labelled()
    info, plain = (same_noise(new(n, **p), given) for n, p in (("info_vae", {"strength": 1.0}), ("vae", {})))
    assert torch.equal(info.distortion, plain.distortion) and info.regularizer.item() == 0


@pytest.mark.parametrize(("alpha", "strength"), [(0.0, 10.0), (0.5, 3.0), (1.0, 5.0), (-0.5, 5.0)])
def test_the_loss_is_the_papers(alpha, strength):
    model, given = new("info_vae", alpha=alpha, strength=strength), labelled()
    torch.manual_seed(7)
    code = model.encode(given)
    state = torch.get_rng_state()
    reg = model.regularizer(given, code)
    torch.set_rng_state(state)
    z = code["z"].sample
    mismatch = mmd(z, torch.randn_like(z), gaussian_kernel(math.sqrt(3)))
    rate = code["z"].rate.mean()
    expected = (1 - alpha) * rate + (alpha + strength - 1) * mismatch
    assert (rate + reg).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_rate_of_a_gaussian_code_is_its_information_and_the_mismatch_of_the_crowd():
    """q(z|x) = N(a x, s²), x ~ N(0, 1): the mean of what blocks charge is I + KL(q(z) ‖ p), each in closed form."""
    a, s, n = 1.3, 0.4, 200_000
    v = a**2 + s**2
    information, mismatch = 0.5 * math.log(v / s**2), 0.5 * (v - 1 - math.log(v))
    rate = gaussian_block(a * torch.randn(n, 1), s).rate
    assert rate.mean().item() == pytest.approx(information + mismatch, abs=4 * rate.std().item() / n**0.5)


def test_the_mismatch_vanishes_when_codes_are_the_priors():
    model = new("info_vae", strength=101.0)
    read = []
    for shift in (0.0, 1.0):
        found = []
        for _ in range(40):
            z = torch.randn(128, 3) + shift
            found.append(model.regularizer(labelled(), {"z": sent(z)}) / 100)
        read.append(float(torch.stack(found).mean()))
    assert abs(read[0]) < 0.004
    assert read[1] == pytest.approx(gaussian_mmd(math.sqrt(3), 3, math.sqrt(3)), rel=0.1)


def test_lambda_brings_the_codes_to_the_prior_at_equal_rate(corners):
    spec, off = corners.spec(hidden=(32,), latent=3), {}
    for strength in (1.0, 30.0):
        model = new("info_vae", spec, strength=strength)
        control = fit(model, corners, 4.0, Training(steps=600, batch=200)).control
        assert control.R_train == pytest.approx(4, rel=0.1)
        z = torch.cat(
            [model.encode(Batch.unlabelled(corners.splits["train"].take()))["z"].sample for _ in range(2)]
        ).detach()
        off[strength] = float(mmd(z, torch.randn_like(z)))
    assert off[30.0] < 0.5 * off[1.0]


def test_without_a_price_the_rate_grows(corners):
    spec = corners.spec(hidden=(32,), latent=3)
    priced, free = (
        fit(new("info_vae", spec, alpha=a), corners, None, Training(steps=400, batch=100)).control.R_train
        for a in (0.0, 1.0)
    )
    assert free > priced + 2


@pytest.mark.parametrize(
    ("name", "params"), [("info_vae", {}), ("hsic_vae", {}), ("hsic_vae", {"against": "s"}), ("wae", {})]
)
def test_kernels_compare_what_was_drawn_and_teach_the_encoder(name, params):
    model, given = new(name, **params), labelled(s=(0, 1))
    code = model.encode(given)
    plain = code["z"]
    here, moved, drawn = (
        same_noise(model.regularizer, given, {**code, "z": block})
        for block in (
            plain,
            plain._replace(q=gaussian_block(plain.q.mean + 1).q),
            plain._replace(sample=2 * plain.sample),
        )
    )
    assert torch.equal(here, moved) and not torch.equal(here, drawn)
    assert reaches(
        same_noise(model.regularizer, given, {**code, "z": plain._replace(rate=plain.rate.detach())}), model.encoder
    )


# ---- WAE ------------------------------------------------------------------------------------------------------------


def test_the_rate_of_trained_noise_is_its_closed_form():
    model, given = new("wae"), labelled()
    with torch.no_grad():
        model.encoder.log_width.copy_(torch.tensor([-0.1, 0.0, 0.05]))
    f = model.encoder.net(given.x)
    s2 = torch.tensor([math.exp(-2.0), 1.0, math.exp(1.0)])
    expected = 0.5 * (f.square() + s2 - 1 - s2.log()).sum(-1)
    torch.testing.assert_close(model(given).rate, expected)
    assert model.channel == "trained-noise"
    gradient = torch.autograd.grad(model(given).rate.mean(), model.encoder.log_width)[0]
    torch.testing.assert_close(gradient, 10 * (s2 - 1))


@pytest.mark.parametrize("noise", ["posthoc-iso", "posthoc-learned"])
def test_before_its_channel_the_encoder_is_a_function_and_pays_nothing(noise):
    model, given = new("wae", noise=noise), labelled()
    first, second = model.encode(given)["z"], model.encode(given)["z"]
    assert torch.equal(first.sample, second.sample)
    assert not first.rate.any() and not first.log_ratio.any()
    assert model.channel == noise


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_wae_charges_ten_times_the_mmd_of_codes_and_the_prior(shift):
    """Under the multiquadric kernel, in closed form."""
    model, move = new("wae"), shift * torch.eye(3)[0]
    found = [model.regularizer(labelled(), {"z": sent(torch.randn(128, 3) + move)}) for _ in range(100)]
    read = torch.stack(found).double()
    error = read.std().item() / 10
    assert read.mean().item() == pytest.approx(10 * multiquadric_mmd(shift, 3), abs=4 * error)
    assert error < 0.02


@pytest.mark.parametrize("noise", ["trained", "posthoc-iso"])
def test_without_strength_it_is_the_plain_autoencoder(noise):
    terms = same_noise(new("wae", strength=0.0, noise=noise), labelled())
    assert terms.regularizer.item() == 0
    assert same_noise(new("wae", noise=noise), labelled()).regularizer.item() != 0


def test_the_penalty_reaches_the_encoder_and_not_the_decoder():
    model, given = new("wae", noise="posthoc-iso"), labelled()
    model.regularizer(given, model.encode(given)).backward()
    assert all(w.grad is not None and w.grad.any() for n, w in model.encoder.named_parameters() if "weight" in n)
    assert all(w.grad is None for w in model.decoder.parameters())


def test_the_crowd_of_codes_comes_to_look_like_the_prior(corners):
    off = {}
    for strength in (0.0, 10.0):
        model = new("wae", corners.spec(hidden=(32,), latent=3), strength=strength, noise="posthoc-iso")
        fit(model, corners, None, Training(steps=500, batch=200))
        z = model.encode(whole(corners))["z"].sample.detach()
        off[strength] = float(mmd(z, torch.randn_like(z)))
    assert off[10.0] < 0.2 * off[0.0]


@pytest.mark.parametrize("noise", ["trained", "posthoc-iso", "posthoc-learned"])
def test_every_channel_carries_the_rate_asked_for(corners, noise):
    model = new("wae", corners.spec(hidden=(32,), latent=3), noise=noise)
    if noise == "trained":
        fit(model, corners, 2.0, Training(steps=500, batch=100))
        measured = model
    else:
        fit(model, corners, None, Training(steps=200, batch=100))
        measured = Whitened(model, corners.view("train", model.row).batch(), 2.0)
        fit(measured, corners, 2.0, Training(steps=100, batch=100))
    assert mean_rate(measured, corners.view("train", model.row).batch()) == pytest.approx(2, rel=0.05)
    assert measured.decode(measured.encode(whole(corners))).log_prob(whole(corners).x).isfinite().all()


def test_noise_there_is_not_is_refused():
    with pytest.raises(ValueError, match="'posthoc-iso'"):
        new("wae", noise="none")


# ---- HSIC-VAE -------------------------------------------------------------------------------------------------------


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
    given, model = labelled(s=(0, 1)), new("hsic_vae", against="s")
    code = model.encode(given)
    assert list(code) == ["s", "z"] and torch.equal(flatten(code), code["z"].sample)
    close(code["s"].rate, torch.full((64,), math.log(2)))
    with replay([1 - code["s"].drawn, code["z"].drawn]):
        other = model.encode(given._replace(s=1 - given.s))
    assert torch.equal(other["z"].q.mean, code["z"].q.mean)  # the sender has only x
    assert not torch.allclose(model.distortion(given, other), model.distortion(given, code))
    assert model.row.side == "s" and model.row.labels == "required" and model.row.needs == ("groups",)


def test_hsic_vae_without_strength_is_the_vae_and_needs_no_label():
    model = new("hsic_vae", strength=0.0)
    found, plain = same_noise(model, labelled(s=(0, 1))), same_noise(new("vae"), labelled(s=(0, 1)))
    assert torch.equal(found.distortion, plain.distortion) and found.regularizer == 0
    assert (model.row.labels, model.row.side, model.row.needs) == ("", "", ())
    with pytest.raises(ValueError, match="'s'"):
        new("hsic_vae", against="y")
    with pytest.raises(ValueError, match="not all"):
        new("hsic_vae", first=4)


@pytest.mark.effect
def test_leakage_about_s_falls_at_equal_rate():
    data, told = registry.dataset("coloured", correlation=0.5), {}
    for strength in (100.0, 0.0):
        model, control = effects.trained("hsic_vae", data, 9.0, against="s", strength=strength)
        assert control.R_train == pytest.approx(9, rel=0.02)
        told[strength] = effects.measured(model, data).structure["leakage"]["IV"]
    assert told[100.0] < 0.5 * told[0.0]
