"""Networks over frames: every frame by itself, pasts that see no future, and trunks of both families."""

import pytest
import torch
from torch import nn

from rdu_bench.api import Batch, Each, Past, Spec, Trunk, Untrunk, standard_normal
from rdu_bench.registry import model
from rdu_bench.training.stack import Stack

FAMILIES = {"mlp": (16, 16), "conv": (4, 8, 16)}


def spec(family, **changes):
    return Spec((5, 2, 8, 8), examples=100, family=family, hidden=FAMILIES[family], latent=3, **changes)


def test_a_spec_of_sequences_knows_its_frames():
    data = spec("mlp")
    assert data.sequence and data.frames == 5 and data.frame.shape == (2, 8, 8) and data.frame.hidden == data.hidden
    assert not data.frame.sequence and data.frame.frames == 1 and data.frame.frame == data.frame


def test_each_is_a_loop_over_frames():
    net = Trunk(spec("conv").frame, 4, given=3)
    x, each, whole = torch.rand(6, 5, 2, 8, 8), torch.rand(6, 5, 2), torch.rand(6, 1)
    out = Each(net)(x, each, whole)
    assert out.shape == (6, 5, 4)
    for t in range(5):
        torch.testing.assert_close(out[:, t], net(x[:, t], torch.cat([each[:, t], whole], 1)))


@pytest.mark.parametrize("now", [False, True])
def test_a_past_is_the_gru_of_torch(now):
    past, gru = Past(3, 7), nn.GRU(3, 7, batch_first=True)
    names = {"weight_ih_l0": "seen.weight", "weight_hh_l0": "state.weight"}
    names |= {"bias_ih_l0": "seen.bias", "bias_hh_l0": "state.bias"}
    past.load_state_dict({ours: gru.state_dict()[theirs] for theirs, ours in names.items()})
    z = torch.randn(4, 6, 3)
    before = z if now else torch.cat([torch.zeros(4, 1, 3), z[:, :-1]], 1)
    torch.testing.assert_close(past(z, now=now), gru(before)[0])


def test_a_past_sees_no_present_and_no_future():
    past = Past(2, 5, given=1)
    z, given = torch.randn(1, 4, 2), torch.randn(1, 1)
    seen = torch.autograd.functional.jacobian(lambda z: past(z, given)[0], z)[:, :, 0].abs().sum((1, 3))  # (T, T)
    assert (seen.triu() == 0).all() and (seen.tril(-1).sum(1)[1:] > 0).all()
    now = torch.autograd.functional.jacobian(lambda z: past(z, given, now=True)[0], z)[:, :, 0].abs().sum((1, 3))
    assert (now.triu(1) == 0).all() and (now.diagonal() > 0).all()
    assert not torch.equal(past(z, given), past(z, given + 1))


def test_a_standard_normal_over_frames_is_one_event_an_example():
    z = torch.randn(3, 4, 2)
    q = standard_normal(z)
    assert q.log_prob(z).shape == (3,)
    flat = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum((1, 2))
    torch.testing.assert_close(q.log_prob(z), flat)


@pytest.mark.parametrize("family", FAMILIES)
def test_trunks_and_untrunks_take_sequences(family):
    data = spec(family)
    x = torch.rand(3, *data.shape)
    assert Trunk(data, 6)(x).shape == (3, 6)
    assert Untrunk(data, 6)(torch.rand(3, 6)).shape == x.shape
    assert Untrunk(data, 6, channels=7)(torch.rand(3, 6)).shape == (3, 5, 7, 8, 8)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_vae_runs_on_sequences_alone_and_stacked(family):
    data = spec(family)
    vae = model("vae", data)
    batch = Batch.unlabelled((torch.rand(4, *data.shape) < 0.5).float())
    torch.manual_seed(0)
    one = vae(batch)
    torch.manual_seed(0)
    both = Stack(vae, 2)(batch)
    assert one.distortion.shape == (4,)
    torch.testing.assert_close(both.distortion[1], one.distortion)
