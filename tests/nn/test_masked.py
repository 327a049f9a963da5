"""Laws of networks that may not look ahead."""

import itertools
import math

import pytest
import torch
from small import randomise, shaken

from rdu_bench.api import Spec, WindowedDecoder
from rdu_bench.nn.masked import MaskedLinear, Window, made


def decoder(shape, window, **more):
    return randomise(WindowedDecoder(Spec(shape, hidden=(8,), **more), 3, window))


def tiny_images(h, w):
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=h * w))).view(-1, 1, h, w)


def test_a_masked_layer_sees_what_comes_before_and_nothing_else():
    order = torch.tensor([2, 0, 1, 1])
    for strict in (True, False):
        layer = randomise(MaskedLinear(order, order, strict=strict))
        jacobian = torch.func.jacrev(layer)(torch.randn(4))
        allowed = order[:, None] > order if strict else order[:, None] >= order
        assert torch.equal(jacobian != 0, allowed)


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_a_made_is_strictly_triangular(dim):
    net = randomise(made(dim, 8 * dim, 2))
    jacobian = torch.stack([torch.func.jacrev(net)(z) for z in torch.randn(40, dim)]).abs().sum(0)
    below = torch.ones(dim, dim).tril(-1).bool()
    assert torch.equal(jacobian != 0, below.repeat(2, 1))


@pytest.mark.parametrize("radius", [1, 2])
def test_the_logits_of_a_pixel_depend_on_its_window_only(radius):
    net, z = decoder((1, 6, 7), radius), torch.randn(1, 3)
    x = torch.rand(200, 1, 1, 6, 7)

    def logits(x):
        return net(z).conditional(x).base_dist.logits[0, 0]

    seen = torch.stack([torch.func.jacrev(logits)(image) for image in x]).abs().sum(0)[:, :, 0, 0] != 0
    for i, j, a, b in itertools.product(range(6), range(7), range(6), range(7)):
        near = abs(b - j) <= radius and 0 <= i - a <= radius
        before = a < i or (a == i and b < j)
        assert bool(seen[i, j, a, b]) == (near and before), (i, j, a, b)


def test_stacking_windows_would_widen_them():
    """Why everything past the window is 1 × 1: two masked layers see two pixels back."""
    stack = randomise(torch.nn.Sequential(Window(1, 4, 1), Window(4, 1, 1)))
    seen = torch.func.jacrev(stack)(torch.rand(1, 1, 3, 9))[0, 0, 2, 4, 0, 0]
    assert seen[2, 2] != 0 and seen[0, 2] != 0


def test_every_pixel_depends_on_the_code():
    net, x = decoder((1, 4, 4), 1), torch.rand(1, 1, 4, 4).round()
    slope = torch.func.jacrev(lambda z: net(z).conditional(x).base_dist.logits)(torch.randn(1, 3))
    assert (slope[0, 0].abs().sum((-1, -2)) > 0).all()


def test_the_probabilities_of_all_images_sum_to_one():
    net, images = decoder((1, 2, 2), 1), tiny_images(2, 2)
    for z in torch.randn(5, 1, 3):
        mass = net(z.expand(16, 3)).log_prob(images).exp()
        assert mass.sum().item() == pytest.approx(1, abs=1e-5)
        assert mass.max() > 2 / 16  # not the uniform one, which would sum to one as well


def test_log_prob_is_the_chain_rule_taken_pixel_by_pixel():
    net, x, z = decoder((1, 3, 3), 2), tiny_images(3, 3)[[5, 77, 300]], torch.randn(3, 3)
    total, past = torch.zeros(3), torch.zeros_like(x)  # what has not been sent yet is unknown: zeros
    for i, j in itertools.product(range(3), repeat=2):
        logit = net(z).conditional(past).base_dist.logits[:, 0, i, j]
        total += torch.nn.functional.logsigmoid(torch.where(x[:, 0, i, j] > 0, logit, -logit))
        past[:, 0, i, j] = x[:, 0, i, j]
    assert torch.allclose(net(z).log_prob(x), total, atol=1e-5)


def test_drawn_images_have_the_probabilities_claimed():
    net, images, N = decoder((1, 2, 2), 1), tiny_images(2, 2), 20_000
    z = torch.randn(1, 3)
    torch.manual_seed(2)
    drawn = net(z.expand(N, 3)).sample()
    index = (drawn.flatten(1) @ torch.tensor([8.0, 4.0, 2.0, 1.0])).long()
    p = net(z.expand(16, 3)).log_prob(images).exp()
    found = torch.bincount(index, minlength=16) / N
    assert ((found - p).abs() <= 5 * (p * (1 - p) / N).sqrt() + 1e-9).all()


def test_colours_of_a_pixel_are_independent_and_gaussian_data_are_real():
    x, z = torch.randn(4, 3, 4, 4), torch.randn(4, 3)
    net = decoder((3, 4, 4), 1, likelihood="gaussian", noise=0.5)
    assert net(z).log_prob(x).shape == (4,) and net(z).sample().shape == x.shape
    past = torch.func.jacrev(lambda x: net(z[:1]).conditional(x).base_dist.loc[0, :, 2, 2])(x[:1])
    assert not past[:, 0, :, 2, 2].any() and past[:, 0, :, 2, 1].all()


def markov_rows(n, h, w, flip=0.1):
    """Images whose first row is fair coins and whose pixels copy the one above but for a `flip`; H(x) is known."""
    rows = [torch.rand(n, w).round()]
    for _ in range(h - 1):
        rows.append((rows[-1] + (torch.rand(n, w) < flip)) % 2)
    entropy = w * math.log(2) - (h - 1) * w * (flip * math.log(flip) + (1 - flip) * math.log(1 - flip))
    return torch.stack(rows, 1)[:, None], entropy


def test_without_a_code_it_learns_what_is_local_up_to_the_entropy():
    """At R = 0 the decoder is an autoregressive model; a factorised one would stay at 16 log 2 = 11.1 nats."""
    torch.manual_seed(3)
    x, entropy = markov_rows(4000, 4, 4)  # 6.67 nats
    net, z = WindowedDecoder(Spec((1, 4, 4), hidden=(16,)), 2, 1), torch.zeros(200, 2)
    adam = torch.optim.Adam(net.parameters(), 0.01)
    for step in range(400):
        at = step * 200 % 4000
        loss = -net(z).log_prob(x[at : at + 200]).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    test, _ = markov_rows(4000, 4, 4)
    with torch.no_grad():
        nats = -net(torch.zeros(4000, 2)).log_prob(test)
    se = nats.std().item() / 4000**0.5
    assert entropy - 3 * se <= nats.mean().item() <= entropy + 3 * se + 0.1


@pytest.mark.parametrize(("dim", "given"), [(1, 1), (2, 3), (5, 2)])
def test_every_output_of_a_made_sees_what_is_given_and_of_the_rest_only_what_came_before(dim, given):
    net = shaken(made(dim, 8 * dim, 2, given=given), 0.5)
    slope = torch.stack([torch.func.jacrev(net)(z) for z in torch.randn(40, given + dim)]).abs().sum(0)
    allowed = torch.cat([torch.ones(dim, given), torch.ones(dim, dim).tril(-1)], 1).bool()
    assert torch.equal(slope != 0, allowed.repeat(2, 1))


def pixel_cnn(shape, radius, depth):
    return shaken(WindowedDecoder(Spec(shape, hidden=(8,)), 3, radius, depth=depth), 0.5)


@pytest.mark.parametrize("depth", [1, 3])
def test_the_probabilities_a_pixel_cnn_gives_to_all_images_sum_to_one(depth):
    net = pixel_cnn((1, 2, 2), 1, depth)
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))).view(-1, 1, 2, 2)
    with torch.no_grad():
        for z in torch.randn(5, 1, 3):
            mass = net(z.expand(16, 3)).log_prob(x).exp()
            assert mass.sum().item() == pytest.approx(1, abs=1e-5)
            assert mass.max() > 2 / 16  # not the uniform one, which would sum to one as well


def test_depth_widens_a_pixel_cnn_and_never_lets_it_look_ahead():
    for depth in (0, 1, 2):
        net, z = pixel_cnn((1, 4, 9), 1, depth), torch.randn(1, 3)
        slope = torch.func.jacrev(lambda x, net=net, z=z: net(z).conditional(x).base_dist.logits[0, 0])
        seen = torch.stack([slope(x) for x in torch.rand(20, 1, 1, 4, 9)]).abs().sum(0)[:, :, 0, 0] != 0
        order = torch.arange(36).view(4, 9)
        assert not seen[order[:, :, None, None] <= order].any()
        assert seen[3, 4, 3].nonzero().flatten().tolist() == list(range(4 - depth - 1, 4))
