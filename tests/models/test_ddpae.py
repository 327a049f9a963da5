"""DDPAE: objects that are followed, looked at where they are, and carried about."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from small import close, frames_that_matter, gaussian_kl, maker, same_noise, seen, sent
from torch.nn.functional import avg_pool2d, pad, softplus

from rdu_bench import registry
from rdu_bench.api import Batch, Spec, gaussian
from rdu_bench.training import Training, fit

SHAPE = (5, 1, 8, 8)
SPEC = Spec(SHAPE, examples=500, hidden=(24,), latent=3)
new = maker(SPEC)
given = seen(8, SHAPE)


def objects(model, c, at):
    """A message of contents (B, n, 8) and of poses (B, T, n, 3)."""
    moves = torch.cat([at[:, :1], at.diff(dim=1)], 1) / model.units
    return {"content": sent(c.flatten(1)), "moves": sent(moves.flatten(1))}


def drawn(model, c, at):
    """(B, T, 1, 8, 8) what is expected of pixels, from 0 to 1."""
    return (model.receive(objects(model, c, at)).mean - 1e-3) / (1 - 2e-3)


def held(model, at, width=1e-6):
    """The model with objects at poses (T, n, 3), whatever it sees."""
    moves = torch.cat([at[:1], at.diff(dim=0)]) / model.units
    q = gaussian(moves.flatten(1).expand(8, -1, -1), torch.full((8, 5, moves[0].numel()), width))
    model.where = lambda x: q
    return model


def at_pixels(*places):
    """(1, n, 3) poses of objects drawn half as large, so many pixels right of and below the middle of 8×8."""
    return torch.tensor([[0.0, x * 2 / 8, y * 2 / 8] for x, y in places])[None]


def test_a_pose_is_the_sum_of_the_moves_up_to_it():
    model = new("ddpae")
    at = model.pose(torch.ones(1, 30))[0]
    for t in range(5):
        close(at[t], torch.tensor([0.2, 1.0, 1.0]).expand(2, 3) + 0.2 * t)
    moves = torch.randn(3, 30)
    apart = (moves.unflatten(1, (5, 2, 3)) * model.units).unbind(1)
    for t in range(5):
        close(model.pose(moves)[:, t], sum(apart[: t + 1]))


def test_contents_and_moves_pay_for_what_they_tell():
    code = new("ddpae", spread=0.1).encode(given)
    close(code["content"].rate, gaussian_kl(code["content"].q))
    q = code["moves"].q
    close(code["moves"].rate, 0.5 * (q.mean**2 + q.variance - 1 - q.variance.log()).sum((1, 2)), rtol=1e-3)


def test_objects_are_followed_frame_by_frame_and_one_after_the_other():
    model = new("ddpae", spread=0.3)
    for t in range(5):
        assert frames_that_matter(lambda x, t=t: model.where(x).mean[:, t], SHAPE) == list(range(t + 1))
        assert frames_that_matter(lambda x, t=t: model.where(x).stddev[:, t], SHAPE) == list(range(t + 1))
    q, seen = model.where(given.x), model.seen(given.x)
    mean, scale = (part.unflatten(2, (2, 3)) for part in (q.mean, q.stddev))
    one = model.follow(torch.cat([seen, torch.zeros_like(seen)], -1), now=True)
    two = model.follow(torch.cat([seen, one], -1), now=True)
    for k, state in enumerate((one, two)):
        told = torch.cat([model.first(state[:, :1]), model.later(state[:, 1:])], 1)
        close(mean[:, :, k], told[..., :3])
        close(scale[:, :, k], softplus(told[..., 3:]) + 1e-4)


def test_a_third_object_is_followed_knowing_what_the_second_was_at():
    model = new("ddpae", objects=3, spread=0.3)
    mean, seen = model.where(given.x).mean.unflatten(2, (3, 3)), model.seen(given.x)
    state = torch.zeros_like(seen)
    for k in range(3):
        state = model.follow(torch.cat([seen, state], -1), now=True)
        close(mean[:, 1:, k], model.later(state[:, 1:])[..., :3])


def test_a_glimpse_is_the_part_of_a_frame_where_the_object_would_be_drawn():
    model, x = new("ddpae", spread=0.3), given.x
    for place, rows, columns in (((0, 0), (2, 6), (2, 6)), ((2, -1), (1, 5), (4, 8)), ((-2, 1), (3, 7), (0, 4))):
        found = model.glimpses(x, at_pixels(place, (0, 0)).expand(8, 5, 2, 3))
        close(found[:, :, 0], x[..., slice(*rows), slice(*columns)])
        close(found[:, :, 1], x[..., 2:6, 2:6])
    closer = model.glimpses(x, torch.tensor([-1.0, 0, 0]).expand(8, 5, 2, 3))[:, :, 0]
    close(closer, avg_pool2d(x.flatten(0, 1), 2).unflatten(0, (8, 5)))


def test_what_was_drawn_is_seen_again_at_its_pose():
    model, c = new("ddpae", objects=1, spread=0.3), torch.randn(6, 1, 8)
    at = torch.cat([at_pixels(place) for place in [(0, 0), (1, 0), (0, 1), (-2, 1), (2, -2)]]).expand(6, -1, -1, -1)
    glimpses = model.glimpses(model.parts(objects(model, c, at))[:, :, 0], at)
    for t in range(5):
        close(glimpses[:, t], model.picture_of(c), atol=1e-4)


def test_contents_are_read_where_their_objects_are():
    model = held(new("ddpae", spread=0.3), at_pixels((-2, -2), (2, 2)).expand(5, 2, 3))
    x = given.x.clone().requires_grad_()
    for k, window in enumerate((slice(0, 4), slice(4, 8))):
        mean = model.encode(Batch.unlabelled(x))["content"].q.mean.unflatten(1, (2, -1))[:, k]
        [slope] = torch.autograd.grad(mean.sum(), x)
        assert all(slope[:, t, :, window, window].abs().max() > 1e-4 for t in range(5))
        slope[:, :, :, window, window] = 0
        assert slope.abs().max() < 1e-4  # a pose is off by its noise


def test_contents_are_read_at_the_poses_that_were_drawn():
    model = held(new("ddpae", spread=0.3), at_pixels((0, 0), (0, 0)).expand(5, 2, 3), width=1.0)
    code = same_noise(model.encode, given)
    found = model.glimpses(given.x, model.pose(code["moves"].sample))
    last = torch.stack([model.gather(model.look(found[:, :, k]), now=True)[:, -1] for k in (0, 1)], 1)
    mean, raw = model.what(last).split(8, -1)
    close(code["content"].q.mean, mean.flatten(1))
    close(code["content"].q.stddev, softplus(raw).flatten(1) + 1e-4)


@pytest.mark.parametrize(("zoom", "closer"), [(2.0, 0.0), (1.5, 0.5)])
def test_one_object_is_its_picture_made_smaller_and_moved(zoom, closer):
    """A picture of 4×4 in frames of 8×8; a pixel is 2/8 of the way across from −1 to 1."""
    model, c = new("ddpae", objects=1, zoom=zoom, spread=0.3), torch.randn(1, 1, 8)
    steps = torch.tensor([[0, 0], [1, 0], [0, 1], [-2, 1], [2, -2]])  # pixels right and down
    at = torch.cat([torch.full((5, 1), closer), steps * 2 / 8], 1)
    found = drawn(model, c, at[None, :, None])[0]
    small = pad(model.picture_of(c)[0], [2] * 4)[0]
    assert small.std() > 0.05
    for frame, (x, y) in zip(found, steps.tolist(), strict=True):
        close(frame, small.roll((y, x), (-2, -1)), atol=1e-4)


def test_two_objects_are_a_sum_and_never_more_than_one():
    model, c, at = new("ddpae", spread=0.3), 3 * torch.randn(6, 2, 8), 0.2 * torch.randn(6, 5, 2, 3)
    far = torch.tensor([0.0, 20.0, 0.0])
    alone = [torch.where(torch.arange(2)[:, None] == k, at, far) for k in (0, 1)]
    parts = [drawn(model, c, one) for one in alone]
    total = parts[0] + parts[1]
    assert (total > 1.1).any() and ((total > 0.1) & (total < 0.9)).any()
    close(drawn(model, c, at), total.clamp(max=1), atol=1e-4)


def test_objects_have_no_order_and_two_of_one_content_commute():
    model, c, at = new("ddpae", spread=0.3), torch.randn(6, 2, 8), 0.4 * torch.randn(6, 5, 2, 3)
    twins = c[:, :1].expand(6, 2, 8)
    close(drawn(model, c.flip(1), at.flip(2)), drawn(model, c, at))
    close(drawn(model, twins, at.flip(2)), drawn(model, twins, at))
    assert not torch.allclose(drawn(model, c, at.flip(2)), drawn(model, c, at), atol=1e-2)


@torch.no_grad()
def own_digits(model, data):
    """Pixels from objects to the digits that they follow, and to the others; codes of each object, and its digit."""
    batch, factors = data.view("test", model.row).batch(), data.splits["test"].factors
    code = model.encode(batch)
    at = (model.pose(code["moves"].sample)[..., 1:] + 1) * 8 - 4  # the upper left corner of what is drawn of 8×8
    places = torch.stack([factors["low_position"], factors["high_position"]], 2)
    far = torch.stack([(at - of).norm(dim=-1).mean((1, 2)) for of in (places, places.flip(2))], 1)
    digits = torch.stack([factors["low"], factors["high"]], 1)
    own = torch.where(far.argmin(1, keepdim=True) == 1, digits.flip(1), digits).flatten()
    moves = code["moves"].sample.reshape(*at.shape[:3], 3).transpose(1, 2)
    codes = {"content": code["content"].sample.unflatten(1, (2, -1)), "moves": moves}
    return far.amin(1).mean(), far.amax(1).mean(), {k: z.flatten(0, 1).flatten(1) for k, z in codes.items()}, own


@pytest.mark.effect
def test_each_object_follows_a_digit_and_its_content_says_which():
    """Seed 0: 1.2 pixels from one digit and 3.8 from the other; contents tell it to 34 %, moves to 9 %."""
    data = registry.dataset("moving_digits", frames=4)
    torch.manual_seed(0)
    model = registry.model("ddpae", data.spec(hidden=(256, 256), latent=8))
    model = fit(model, data, None, Training(steps=4000, batch=64, lr=3e-3)).model.eval()
    near, other, codes, own = own_digits(model, data)
    assert near < 2 and other > near + 1.5
    half = len(own) // 2
    head = {k: LogisticRegression(max_iter=1000).fit(z[:half], own[:half]) for k, z in codes.items()}
    right = {k: head[k].score(z[half:], own[half:]) for k, z in codes.items()}
    assert right["content"] > right["moves"] + 0.1
