"""The Kalman VAE: what is expected of a frame, what is paid for it, and what its dynamics save."""

import effects
import pytest
import torch
from small import close, equal_on_average, gradient, images, lost, maker, randomise, reaches, seen
from torch.distributions import MultivariateNormal

from rdu_bench import registry
from rdu_bench.api import Batch, Spec, gaussian, standard_normal
from rdu_bench.training.stack import Stack

T = 4
SPEC = Spec((T, 1, 4, 4), examples=40, hidden=(16, 16), latent=3)
CONV = SPEC._replace(shape=(T, 1, 8, 8), family="conv", hidden=(4, 8, 16))
plain = maker(SPEC)


def new(spec=SPEC, **params):
    """One whose every weight matters, and whose frames are not all alike to it."""
    model = randomise(plain("kvae", spec, **params), 0.3)
    torch.nn.init.normal_(model.system.C, 0, 1)
    return model


def film(n=64, spec=SPEC):
    return seen(n, spec.shape)


@pytest.mark.parametrize("spec", [SPEC, CONV], ids=["mlp", "conv"])
def test_the_code_of_a_frame_is_of_that_frame_and_decodes_to_it(spec):
    model, batch = new(spec), film(3, spec)
    code = model.encode(batch)
    [block] = code.values()
    assert list(code) == ["a"] and block.drawn.shape == (3, T, 2)
    for t in range(T):
        changed = batch.x.clone()
        changed[:, t] = 1 - changed[:, t]
        moved = (model.encode(Batch.unlabelled(changed))["a"].q.mean != block.q.mean).any(-1)
        assert torch.equal(moved, torch.eye(T, dtype=torch.bool)[t].expand(3, -1))
        sample = block.drawn.clone()
        sample[:, t] += 1
        other = model.receive({"a": block._replace(sample=sample.flatten(1))}).mean
        moved = (other != model.receive(code).mean).flatten(2).any(-1)
        assert torch.equal(moved, torch.eye(T, dtype=torch.bool)[t].expand(3, -1))


def test_a_frame_is_expected_from_those_before_it_alone():
    """Their draws choose the mixture, too: without the filter's mean the covariance still follows them."""
    model, a = new(), torch.randn(1, T, 2)

    def of(part):
        found = torch.autograd.functional.jacobian(lambda a: getattr(model.expect(a).base_dist, part)[0], a)
        return found.reshape(T, -1, T, 2).abs().sum((1, 3))

    for part in ("mean", "covariance_matrix"):
        assert not of(part).triu().any() and (of(part).tril(-1).sum(1)[1:] > 0).all()


def test_weights_of_the_mixture_add_up_and_differ_from_frame_to_frame():
    model, a = new(), torch.randn(5, T, 2)
    asked = []
    model.system.register_forward_hook(lambda _, given, __: asked.append(given))
    model.expect(a)
    [[sent, weights]] = asked
    assert torch.equal(sent, a) and weights.shape == (5, T, 3)
    close(weights.sum(-1), torch.ones(5, T))
    assert weights.min() > 0 and weights.std(1).min() > 1e-3


def test_the_rate_is_that_of_the_draw_under_the_filter():
    model, batch = new(), film()
    block = model.encode(batch)["a"]
    p = model.expect(block.drawn)
    rate = 0
    for t in range(T):
        m, S = p.base_dist.mean[:, t], p.base_dist.covariance_matrix[:, t]
        mean, variance = block.q.mean[:, t], block.q.variance[:, t]
        off = (mean - m).unsqueeze(-1)
        quadratic = (off.mT @ torch.linalg.inv(S) @ off).flatten()
        trace = (torch.linalg.inv(S).diagonal(dim1=1, dim2=2) * variance).sum(-1)
        rate = rate + 0.5 * (trace + quadratic - 2 + torch.linalg.det(S).log() - variance.log().sum(-1))
    close(block.rate, rate, rtol=1e-3, atol=1e-3)
    equal_on_average(block.rate, block.log_ratio)
    close(model(batch).rate.mean(), rate.mean(), rtol=0.2, atol=0)  # of other draws


@torch.no_grad()
def test_with_one_mode_codes_are_expected_as_by_one_gaussian():
    """E log q(a|x) − log p(a), p(a) with the covariance of so many draws of the system itself."""
    model, n = new(modes=1), 100_000
    A, C = model.system.A[0], model.system.C[0]
    z, drawn = 20**0.5 * torch.randn(n, 4), []
    for t in range(T):
        z = z @ A.T + 0.08**0.5 * torch.randn(n, 4) if t else z
        drawn.append(z @ C.T + 0.03**0.5 * torch.randn(n, 2))
    covariance = torch.cov(torch.cat(drawn, 1).T)
    a = torch.stack(drawn, 1)[:500]
    dense = MultivariateNormal(torch.zeros(2 * T), covariance).log_prob(a.flatten(1))
    close(model.expect(a).log_prob(a), dense, atol=0.05, rtol=0.01)


def test_distortion_is_of_all_frames():
    model, batch = new(), film()
    torch.manual_seed(2)
    terms = model(batch)
    torch.manual_seed(2)
    code = model.encode(batch)
    logits = torch.stack([model.decoder.net(code["a"].drawn[:, t]) for t in range(T)], 1)
    lost = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch.x, reduction="none")
    close(terms.distortion, lost.flatten(1).sum(1), rtol=1e-3)
    assert float(terms.regularizer) == 0


def test_rate_trains_the_dynamics_and_distortion_does_not():
    model = new()
    terms = model(film())
    for part in (model.past, model.weights, model.system):
        assert reaches(terms.rate.mean(), part) and not reaches(terms.distortion.mean(), part)
    assert all(g.any() for g in gradient(terms.rate.mean(), model.system.parameters()))


def test_several_systems_are_trained_at_once():
    model, batch = new(), film(8)
    torch.manual_seed(0)
    one = model(batch)
    torch.manual_seed(0)
    both = Stack(model, 2)(batch)
    for part in ("distortion", "rate"):
        close(getattr(both, part)[1], getattr(one, part), rtol=1e-3)


def test_a_frame_alone_is_expected_at_its_start():
    """Of one frame there are no dynamics: p(a_1) = N(0, 20 C Cᵀ + .03 I), the same for all."""
    model = new(SPEC._replace(shape=(1, 1, 4, 4)), modes=1)
    block = model.encode(Batch.unlabelled(images(5, (1, 1, 4, 4))))["a"]
    C = model.system.C[0]
    covariance = 20 * C @ C.T + 0.03 * torch.eye(2)
    expected = MultivariateNormal(torch.zeros(2), covariance)
    close(block.p.log_prob(block.drawn), expected.log_prob(block.drawn[:, 0]), rtol=1e-3)
    assert gaussian(block.q.mean, block.q.stddev).log_prob(block.drawn).shape == block.rate.shape


# ---- what it is for -------------------------------------------------------------------------------------------------


class Apart(registry.load("models", "kvae")):
    """The same without dynamics: every frame is expected at N(0, I)."""

    def expect(self, a):
        return standard_normal(a)


def explained(z, y, z_test, y_test):
    """R² on test of y (N, d) read from z by least squares."""
    one, one_test = (torch.cat([part, torch.ones(len(part), 1)], 1) for part in (z, z_test))
    left = y_test - one_test @ torch.linalg.lstsq(one, y).solution
    return 1 - (left.square().sum() / (y_test - y.mean(0)).square().sum()).item()


@pytest.mark.effect
def test_dynamics_save_distortion_and_velocity_is_in_all_frames_together():
    """At 8 nats of six frames D is 120 with dynamics and 152 without.  Velocity is told by all frames, not by one."""
    data = registry.dataset(
        "bouncing_ball", frames=6, size=12, places=6, directions=6, n_train=1500, n_val=100, n_test=300
    )
    spec, found = data.spec(hidden=(64, 64), latent=4), {}
    for kind in (registry.load("models", "kvae"), Apart):
        torch.manual_seed(0)
        model, control = effects.fitted(kind(spec), data, 8.0, steps=900, batch=64, lr=3e-3, w=200.0)
        assert control.R_train == pytest.approx(8, rel=0.05)
        found[kind] = lost(model, data), model
    (less, model), (more, _) = found.values()
    assert less < more - 15
    a, velocity = {}, {}
    for part in ("train", "test"):
        with torch.no_grad():
            a[part] = model.encode(data.view(part, model.row).batch())["a"].drawn
        velocity[part] = data.splits[part].factors["velocity"]
    t = 3
    whole = explained(a["train"].flatten(1), velocity["train"][:, t], a["test"].flatten(1), velocity["test"][:, t])
    alone = explained(a["train"][:, t], velocity["train"][:, t], a["test"][:, t], velocity["test"][:, t])
    assert whole > alone + 0.2
