"""Convolutional pairs: maps of the decoder are those of the encoder in reverse, and every pixel is seen and drawn."""

import pytest
import torch

from rdu_bench.api import Batch, Decoder, Spec, Trunk, Untrunk
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
