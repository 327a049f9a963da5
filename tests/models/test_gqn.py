"""GQN: a scene's code from some of its views, and every view from that code."""

import pytest
import torch
from effects import trained
from small import close, gaussian_kl, maker, seen, twin
from torch.distributions import kl_divergence

from rdu_bench import registry
from rdu_bench.api import Batch, Spec

V = 6
SPEC = Spec((V, 1, 4, 4), examples=40, hidden=(16, 16), latent=3)
CONV = SPEC._replace(shape=(V, 1, 8, 8), family="conv", hidden=(4, 8, 16))
new = maker(SPEC, spread=0.3)


def scenes(n=8, spec=SPEC):
    return seen(n, spec.shape)


def q_of(model, x, seed=5):
    torch.manual_seed(seed)
    return {name: block.q for name, block in model.encode(Batch.unlabelled(x)).items()}


def differ(a, b):
    """Over which of the leading axes two tensors differ."""
    return (a != b).any(-1)


def test_r_does_not_depend_on_the_order_of_the_views():
    """Views change places with their poses; without their poses they are another scene."""
    model, x = new("gqn"), scenes().x
    assert model.context == [0, 2, 4]
    order = [4, 1, 0, 3, 2, 5]
    moved = twin(new, model, "gqn")
    with torch.no_grad():
        moved.pose.copy_(model.pose[order])
    plain, found = q_of(model, x)["r"], q_of(moved, x[:, order])["r"]
    close(found.mean, plain.mean)
    close(found.variance, plain.variance)
    assert differ(q_of(model, x[:, order])["r"].mean, plain.mean).all()


def test_r_is_of_the_sum_over_views_of_the_context():
    model, x = new("gqn", context=2), scenes().x
    told = sum(model.view.net(x[:, k], model.pose[k].expand(8, -1)) for k in (0, 3))
    close(q_of(model, x)["r"].mean, model.infer(told).mean)
    code = model.encode(Batch.unlabelled(x))
    close(code["r"].rate, gaussian_kl(code["r"].q))


@pytest.mark.parametrize("spec", [SPEC, CONV], ids=["mlp", "conv"])
def test_r_is_told_of_the_context_alone(spec):
    model, x = new("gqn", spec), scenes(8, spec).x
    for k in range(V):
        changed = x.clone()
        changed[:, k] = 1 - changed[:, k]
        assert differ(q_of(model, changed)["r"].mean, q_of(model, x)["r"].mean).all() == (k in (0, 2, 4))


def test_more_views_change_no_shape():
    """Neither of r nor of a weight, except that each view has a pose."""
    shapes = []
    for views, context in ((1, 1), (4, 1), (4, 4), (9, 5)):
        spec = SPEC._replace(shape=(views, 1, 4, 4))
        model = new("gqn", spec, context=context, local=2)
        assert len(model.context) == len(set(model.context)) == context and max(model.context) < views
        code = model.encode(scenes(5, spec))
        assert code["r"].sample.shape == (5, 3) and code["z"].drawn.shape == (5, views, 2)
        assert model.receive(code).mean.shape == (5, *spec.shape)
        weights = {name: tuple(w.shape) for name, w in model.state_dict().items()}
        assert weights.pop("pose") == (views, 4)
        shapes.append(weights)
    assert all(one == shapes[0] for one in shapes)


def test_every_view_starts_with_a_pose_of_its_own():
    pose = maker(SPEC)("gqn").pose.detach()
    assert pose.shape == (V, 4) and torch.pdist(pose).min() > 0.5


@pytest.mark.parametrize(("views", "context"), [(6, [0, 2, 4]), (4, [0, 2]), (5, [0, 1, 3]), (1, [0])])
def test_half_of_the_views_are_context_evenly_spaced(views, context):
    assert new("gqn", SPEC._replace(shape=(views, 1, 4, 4))).context == context


@pytest.mark.parametrize("context", [0, 7])
def test_a_context_that_is_not_there_is_refused(context):
    with pytest.raises(ValueError, match=f"context = {context}: a scene here has 6 views; give 1 to 6"):
        new("gqn", context=context)


def test_every_query_pays_for_its_own_code_against_what_r_and_the_pose_expect():
    model, batch = new("gqn", local=2), scenes()
    code = model.encode(batch)
    z, r, rate = code["z"], code["r"].sample, torch.zeros(8)
    for k in range(V):
        at = torch.cat([r, model.pose[k].expand(8, -1)], -1)
        q, p = model.look.net.net(batch.x[:, k], at).chunk(2, -1), model.expect.net.net(at).chunk(2, -1)
        q, p = (torch.distributions.Normal(m, torch.nn.functional.softplus(s) + 1e-4) for m, s in (q, p))
        close(z.q.mean[:, k], q.mean)
        paid = kl_divergence(q, p).sum(-1)
        assert (paid >= 0).all() and paid.max() > 0
        rate = rate + paid
    close(z.rate, rate)
    assert model(batch).rate.shape == (8,)


def test_a_query_is_looked_at_alone():
    model, x = new("gqn", local=2), scenes().x
    for k in (1, 3, 5):  # not in the context, so that r stays
        changed = x.clone()
        changed[:, k] = 1 - changed[:, k]
        found = differ(q_of(model, changed)["z"].mean, q_of(model, x)["z"].mean)
        assert torch.equal(found, torch.arange(V).eq(k).expand(8, -1))


@pytest.mark.parametrize("local", [0, 2])
def test_a_view_is_decoded_from_r_its_pose_and_its_own_code(local):
    model = new("gqn", local=local)
    code = model.encode(scenes())
    plain = model.receive(code).mean
    for k in range(V):
        parts = [code["r"].sample, model.pose[k].expand(8, -1), *([code["z"].drawn[:, k]] if local else [])]
        close(plain[:, k], model.decoder.net(*parts).sigmoid())
    assert list(code) == ["r", "z"][: 1 + bool(local)]


def test_the_row_says_whether_views_have_codes_of_their_own():
    assert new("gqn").row.prior == "N" and new("gqn").row.encoder == ""
    assert new("gqn", local=1).row.prior == "N+L" and new("gqn", local=1).row.encoder == "H"


@torch.no_grad()
def lost_a_view(model, data):
    """(V,) mean distortion of each view on the test set, nats."""
    x = data.splits["test"].take()
    p = model.receive(model.encode(Batch.unlabelled(x))).base_dist
    return -p.log_prob(x).flatten(2).sum(-1).mean(0)


def nothing_told(data):
    """(V,) the same of the mean of each view in training."""
    mean = data.splits["train"].take().mean(0).clamp(1e-3, 1 - 1e-3)
    p = torch.distributions.Bernoulli(mean)
    return -p.log_prob(data.splits["test"].take()).flatten(2).sum(-1).mean(0)


@pytest.mark.slow
@pytest.mark.effect
def test_views_that_were_not_seen_are_predicted_the_better_the_more_were_seen():
    data = registry.dataset("scenes", size=8, n_train=1500, n_val=200, n_test=500)
    network = {"hidden": (64, 64), "latent": 6}
    unseen = [1, 3, 5]
    null = nothing_told(data)[unseen].mean()
    lost = {}
    for context in (1, 3):
        model, _ = trained("gqn", data, 6.0, steps=1000, network=network, context=context, width=32)
        lost[context] = lost_a_view(model, data)[unseen].mean()
    assert lost[1] < null - 2 and lost[3] < lost[1] - 1
