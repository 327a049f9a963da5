"""Laws of networks that stand at every place of an image and see one patch of it."""

import pytest
import torch
from small import close, randomise

from rdu_bench.api import PatchTrunk, Spec, Trunk
from rdu_bench.nn.patches import PatchUntrunk, Places

SPEC = Spec((1, 6, 6), hidden=(16, 16))


@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 5, 8), (2, 7, 9)])
@pytest.mark.parametrize("side", [1, 2, 3])
def test_joined_patches_are_the_image(shape, side):
    x, places = torch.rand(4, *shape), Places(SPEC._replace(shape=shape), side)
    patches = places.cut(x)
    assert patches.shape[0] == 4 * side**2 and tuple(patches.shape[1:]) == places.patch.shape
    assert torch.equal(places.join(patches), x)


def test_patches_come_in_reading_order_image_by_image():
    x = torch.arange(32.0).view(2, 1, 4, 4)
    corners = Places(SPEC._replace(shape=(1, 4, 4)), 2).cut(x)[:, 0, 0, 0]
    assert corners.tolist() == [0, 2, 8, 10, 16, 18, 24, 26]


def quarters(shape=(6, 6)):
    """(H, W) the place of every pixel."""
    row, column = torch.arange(shape[0]) >= shape[0] // 2, torch.arange(shape[1]) >= shape[1] // 2
    return 2 * row[:, None].long() + column.long()


def test_a_place_is_read_off_its_own_patch():
    net = randomise(PatchTrunk(SPEC, 8, 2))
    slope = torch.func.jacrev(lambda x: net(x).sum(-1)[0])(torch.rand(5, 1, 6, 6))  # (places, B, 1, H, W)
    for place in range(4):
        assert torch.equal(slope[place, 0, 0] != 0, quarters() == place)
    assert not slope[:, 1:].any()


def test_numbers_of_a_place_are_drawn_in_its_own_patch():
    net = randomise(PatchUntrunk(SPEC, 3, 2, 2))
    slope = torch.func.jacrev(lambda z: net(z[None])[0].sum(0))(torch.randn(12))  # (H, W, 12)
    for place in range(4):
        assert torch.equal((slope[..., 3 * place : 3 * place + 3] != 0).any(-1), quarters() == place)


def test_one_network_stands_at_all_places_and_is_told_which():
    net, patch = randomise(PatchTrunk(SPEC, 8, 2)), torch.rand(1, 1, 3, 3)
    found = net(patch.repeat(1, 1, 2, 2))[0]
    for place in range(4):
        close(found[place], net.net(patch, torch.eye(4)[[place]])[0])
    assert (found[1:] - found[0]).abs().max() > 0.01


def test_of_one_place_it_is_the_trunk():
    x = torch.rand(4, 1, 6, 6)
    torch.manual_seed(0)
    whole = Trunk(SPEC, 8)
    torch.manual_seed(0)
    assert torch.equal(PatchTrunk(SPEC, 8, 1)(x)[:, 0], whole(x))


def test_patches_of_convolutions_have_places_too():
    spec = SPEC._replace(shape=(1, 16, 16), family="conv", hidden=(4, 8, 16))
    net, back = PatchTrunk(spec, 8, 2), PatchUntrunk(spec, 3, 2, 2)
    assert net(torch.rand(5, 1, 16, 16)).shape == (5, 4, 8)
    assert back(torch.rand(5, 12)).shape == (5, 2, 16, 16)
