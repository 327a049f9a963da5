"""Convolutional pairs, whose decoder is the encoder in reverse, and the units in which networks see x and write it."""

import math

import pytest
import torch
from small import close
from torch import nn

from rdu_bench.api import Batch, Channel, Decoder, Gaussian, Observation, Spec, Trunk, Untrunk
from rdu_bench.engine.suite import read
from rdu_bench.registry import model

SIZES = {  # sides -> hidden and the maps of its layers
    "28": ((28, 28), (32, 64, 256), [(14, 14), (7, 7)]),
    "28, three layers": ((28, 28), (4, 8, 8, 16), [(14, 14), (7, 7), (3, 3)]),
    "8": ((8, 8), (4, 8, 16), [(4, 4), (2, 2)]),
    "64": ((64, 64), (4, 4, 4, 4, 16), [(32, 32), (16, 16), (8, 8), (4, 4)]),
    "odd and oblong": ((7, 13), (4, 8, 16), [(3, 6), (1, 3)]),
}


def spec(name, **changes):
    shape, hidden, _ = SIZES[name]
    return Spec((1, *shape), examples=100, classes=10, family="conv", hidden=hidden, latent=6, **changes)


def maps(net, *given):
    """Sides of what each convolution of `net` gives."""
    seen = []
    for part in net.modules():
        if isinstance(part, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            part.register_forward_hook(lambda part, x, out: seen.append(tuple(out.shape[2:])))
    net(*given)
    return seen


@pytest.mark.parametrize("name", SIZES)
def test_a_decoder_is_its_encoder_turned_around(name):
    data, expected = spec(name), SIZES[name][2]
    assert maps(Trunk(data, 5), torch.rand(3, *data.shape)) == expected
    assert maps(Untrunk(data, 6), torch.rand(3, 6)) == [*expected[-2::-1], SIZES[name][0]]  # nothing is cut off


@pytest.mark.parametrize("name", SIZES)
def test_every_pixel_is_drawn_from_the_code(name):
    z = torch.randn(2, 6, requires_grad=True)
    net = Untrunk(spec(name), 6)
    assert net(z).shape == (2, *spec(name).shape)
    with torch.no_grad():
        moved = (net(z) - net(z + 1)).abs().amax(0)
    assert (moved > 1e-6).float().mean() > 0.95


def test_every_pixel_of_28_by_28_is_seen():
    x = torch.rand(4, 1, 28, 28, requires_grad=True)
    Trunk(spec("28"), 5)(x).square().sum().backward()
    assert (x.grad.abs().amax(0) > 0).all()


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_a_decoder_of_28_by_28_has_the_likelihood_of_the_data(likelihood):
    p = Decoder(spec("28", likelihood=likelihood, centre=70.0, scale=90.0), 6)(torch.randn(3, 6))
    assert p.mean.shape == (3, 1, 28, 28) and p.log_prob(torch.ones(3, 1, 28, 28)).shape == (3,)


def test_the_pair_of_the_suite_is_the_one_tested_here():
    assert [data.hidden for data in read("fashion").datasets if data.family == "conv"] == [SIZES["28"][1]]


@pytest.mark.parametrize("name", ["vae", "beta_tcvae", "wae", "vq_vae", "vib", "m2"])
def test_models_of_28_by_28_take_the_convolutional_pair(name):
    made = model(name, spec("28")._replace(hidden=(4, 8, 16)))
    x = torch.rand(4, 1, 28, 28).round()
    terms = made(Batch(x, torch.arange(4), torch.full((4,), -1), torch.tensor(0.5)))
    loss = (terms.distortion + terms.rate + terms.regularizer).mean()
    loss.backward()
    convolutions = [p.grad for part in made.modules() if isinstance(part, torch.nn.Conv2d) for p in part.parameters()]
    assert loss.isfinite() and convolutions and all(g is not None and g.abs().sum() > 0 for g in convolutions)


# ---- units ----------------------------------------------------------------------------------------------------------

REAL = Spec((1, 2, 2), examples=100, likelihood="gaussian", hidden=(8,), latent=2, centre=3.0, scale=2.0)


@pytest.mark.parametrize(("noise", "variance"), [(None, 4.0), (0.25, 0.25)])
def test_a_mean_is_written_in_units_of_the_data_and_a_given_noise_is_a_variance(noise, variance):
    """A variance that is learned starts at that of the data, and its logarithm moves by 20 for 1."""
    observed, out = Observation(REAL._replace(noise=noise)), torch.randn(5, 1, 2, 2)
    p = observed(out)
    close(p.mean, 3 + 2 * out)
    close(p.variance, torch.full((5, 1, 2, 2), variance))
    off = (torch.ones(5, 1, 2, 2) - p.mean).square() / variance
    close(p.log_prob(torch.ones(5, 1, 2, 2)), -0.5 * (off + math.log(2 * math.pi * variance)).flatten(1).sum(1))
    assert sum(w.numel() for w in observed.parameters()) == (noise is None)
    if noise is None:
        with torch.no_grad():
            observed.log_scale.fill_(0.05)
        close(observed(out).variance, torch.full((5, 1, 2, 2), 4 * math.e))


@pytest.mark.parametrize("family", ["mlp", "conv"])
def test_networks_see_x_in_units_of_the_data(family):
    hidden = (8,) if family == "mlp" else (4, 8)
    plain, real = (torch.manual_seed(0) and Trunk(data, 3) for data in _both(family, hidden))
    x = torch.randn(5, 1, 4, 4)
    close(real(3 + 2 * x), plain(x))


def _both(family, hidden):
    """A data set whose pixels have no units, and one whose pixels have."""
    data = REAL._replace(shape=(1, 4, 4), family=family, hidden=hidden)
    return data._replace(centre=0.0, scale=1.0), data


def test_posteriors_have_a_mean_as_it_is_and_a_deviation_above_nothing():
    out = torch.tensor([[1.0, -2.0, 0.0, -200.0]])
    q = Gaussian(nn.Identity())(out)
    close(q.mean, out[:, :2])
    close(q.stddev, torch.tensor([[math.log(2) + 1e-4, 1e-4]]))


def test_trained_noise_starts_at_three_tenths():
    close(Channel(nn.Identity(), 2)(torch.zeros(5, 2)).stddev, torch.full((5, 2), math.exp(-1.2)))
