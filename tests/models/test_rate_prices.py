"""VAE and β-VAE: the price of rate, and the optimum it has in closed form."""

import math

import pytest
import torch
from small import close, gaussian_kl, images, labelled, maker, same_noise

from rdu_bench.api import Batch, Spec
from rdu_bench.training import Training, fit

SPEC = Spec((1, 4, 4), examples=500, hidden=(32,), latent=3)
new = maker(SPEC)


def test_a_vae_pays_for_a_gaussian_draw_and_what_the_decoder_makes_of_it_and_nothing_else():
    """D in nats of a Bernoulli, E[softplus(logit) − x logit] summed over pixels; R against N(0, I)."""
    model, given = new("vae"), labelled()
    torch.manual_seed(7)
    code = model.encode(given)
    logits = model.decoder.net(code["z"].sample).view(images().shape)
    terms = same_noise(model, given)
    close(terms.distortion, (torch.nn.functional.softplus(logits) - images() * logits).sum((1, 2, 3)))
    close(terms.rate, gaussian_kl(code["z"].q))
    assert terms.regularizer == 0 and terms.critic_loss == 0
    assert list(code) == ["z"] and torch.equal(code["z"].sample, code["z"].drawn)


def test_the_loss_is_distortion_and_beta_times_rate():
    for beta in (0.5, 1.0, 4.0):
        terms = same_noise(new("beta_vae", beta=beta), labelled())
        loss = terms.distortion.mean() + terms.rate.mean() + terms.regularizer
        assert loss.item() == pytest.approx((terms.distortion.mean() + beta * terms.rate.mean()).item(), rel=1e-5)
        assert (beta == 1) == (terms.regularizer.item() == 0)


def test_rate_falls_with_beta(corners):
    rates = []
    for beta in (0.3, 1.0, 4.0):
        model = new("beta_vae", corners.spec(hidden=(32,), latent=3), beta=beta)
        rates.append(fit(model, corners, None, Training(steps=300, batch=100)).control.R_train)
    assert rates[0] > 1.2 * rates[1] > 1.2 * rates[2]


def test_beta_is_the_slope_that_a_target_finds(corners):
    """At the rate that β-VAE takes by itself a target must price R at β: they are one model."""
    spec, beta = corners.spec(hidden=(32,), latent=3), 2.0
    free = fit(new("beta_vae", spec, beta=beta), corners, None, Training(steps=1200, batch=100)).control
    aimed = fit(new("vae", spec), corners, free.R_train, Training(steps=1200, batch=100)).control
    assert aimed.beta_end == pytest.approx(beta, rel=0.25)


def test_the_optimum_waterfills():
    """Linear decoder of fixed variance: R_j = max(0, ½ log(λ_j / β η²)), 2.30 nats in all; at β = 1 it were 4.24."""
    beta, noise = 4.0, 0.05
    values = torch.tensor([4.0, 1.0, 0.15])  # the third is below the water level βη² = 0.2
    closed = sum(max(0.0, 0.5 * math.log(v.item() / (beta * noise))) for v in values)
    spec = Spec((3,), examples=4000, likelihood="gaussian", noise=noise, hidden=(), latent=3)
    model = new("beta_vae", spec, beta=beta)
    optimizer = torch.optim.Adam(model.parameters(), 2e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1500)
    for _ in range(1500):
        x = torch.randn(256, 3) * values.sqrt()
        terms = model(Batch.unlabelled(x))
        optimizer.zero_grad()
        (terms.distortion.mean() + terms.rate.mean() + terms.regularizer).backward()
        optimizer.step()
        schedule.step()
    rate = model(Batch.unlabelled(torch.randn(20_000, 3) * values.sqrt())).rate.mean()
    assert rate.item() == pytest.approx(closed, rel=0.03)
