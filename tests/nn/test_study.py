"""The networks of the disentanglement_lib study: their layers, as its table has them, for both likelihoods."""

import pytest
import torch
from small import maker
from torch import nn

from rdu_bench import registry
from rdu_bench.api import Batch, Decoder, Gaussian, Spec, Trunk, Untrunk
from rdu_bench.engine.expand import curves
from rdu_bench.engine.suite import read
from rdu_bench.nn import study

SPEC = Spec((1, 64, 64), examples=64, family="study", hidden=study.HIDDEN, latent=10)
COLOUR = SPEC._replace(shape=(3, 64, 64), likelihood="gaussian")
new = maker(SPEC)
ENCODER = [  # of table 1: channels in and out, kernel, stride, padding that keeps half of a side
    (nn.Conv2d, 32, 4, 2, 1), (nn.Conv2d, 32, 4, 2, 1), (nn.Conv2d, 64, 2, 2, 0), (nn.Conv2d, 64, 2, 2, 0),
    (nn.Linear, 256), (nn.Linear, 20),
]  # fmt: skip
DECODER = [
    (nn.Linear, 256), (nn.Linear, 1024), *((nn.ConvTranspose2d, n, 4, 2, 1) for n in (64, 32, 32)),
]  # fmt: skip


def layers(net):
    found = []
    for part in net.modules():
        if isinstance(part, nn.Linear):
            found.append((nn.Linear, part.out_features))
        elif isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            [kernel], [stride], [padding] = ({*pair} for pair in (part.kernel_size, part.stride, part.padding))
            found.append((type(part), part.out_channels, kernel, stride, padding))
    return found


def relus(net):
    return sum(isinstance(part, nn.ReLU) for part in net.modules())


def count(net):
    return sum(weight.numel() for weight in net.parameters())


@pytest.mark.parametrize(("spec", "numbers"), [(SPEC, (309204, 381313)), (COLOUR, (310228, 382339))])
def test_the_layers_are_those_of_the_table(spec, numbers):
    trunk, untrunk = Trunk(spec, 20), Untrunk(spec, 10)
    assert layers(trunk) == ENCODER and relus(trunk) == 5
    assert layers(untrunk) == [*DECODER, (nn.ConvTranspose2d, spec.shape[0], 4, 2, 1)] and relus(untrunk) == 5
    assert (count(trunk), count(untrunk)) == numbers


@pytest.mark.parametrize("spec", [SPEC, COLOUR])
def test_shapes_go_through(spec):
    x = torch.rand(3, *spec.shape)
    q = Gaussian(Trunk(spec, 20))(x)
    assert q.mean.shape == (3, 10) and Trunk(spec, 7, given=4)(x, torch.rand(3, 4)).shape == (3, 7)
    p = Decoder(spec, 10)(q.mean)
    assert p.mean.shape == x.shape and p.log_prob(x.round()).shape == (3,)


def test_between_layers_there_is_something_that_is_not_linear():
    net = Untrunk(SPEC, 10)
    a, b = torch.rand(2, 1, 10)
    assert not torch.allclose(net(a) + net(b), net(a + b) + net(torch.zeros(1, 10)), atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 32, 32), (1, 64, 65), (1, 128, 128)])
@pytest.mark.parametrize("part", [lambda spec: Trunk(spec, 20), lambda spec: Untrunk(spec, 10)])
def test_other_images_are_refused(shape, part):
    with pytest.raises(ValueError, match=f"images of 64×64, .* here x is {'×'.join(map(str, shape))}"):
        part(SPEC._replace(shape=shape))
    with pytest.raises(ValueError, match=r"hidden = \[32, 64, 256\]: take 'conv' or 'mlp'"):
        part(SPEC._replace(hidden=(32, 64, 256)))


@pytest.mark.parametrize("name", ["vae", "factor_vae", "beta_tcvae", "dip_vae", "mr_vae", "vlae_ladder"])
def test_models_are_built_of_them(name):
    model = new(name)
    x = torch.rand(4, 1, 64, 64).round()
    assert torch.isfinite(model(Batch.unlabelled(x)).distortion).all()


def test_a_suite_chooses_them(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('models = ["vae"]\n[[datasets]]\nname = "dsprites"\nfamily = "study"\nsigmas = [8]', "utf-8")
    [curve] = {str(curve.network): curve for curve in curves(read(path))}.values()
    assert curve.network == {"family": "study", "hidden": list(study.HIDDEN), "latent": 10}


@pytest.mark.parametrize("name", ["dsprites", "shapes3d", "cars3d", "smallnorb", "mpi3d", "scream_dsprites"])
def test_cards_of_their_data_sets_say_64(name):
    assert "64×64" in registry.card("datasets", name)["shape"]
