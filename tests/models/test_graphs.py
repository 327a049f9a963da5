"""The structured deep generative model: any graph of blocks, its bounds and its particles."""

import math

import pytest
import torch
from effects import trained
from small import (
    close,
    equal_on_average,
    gradient,
    labelled,
    maker,
    reaches,
    same_noise,
)
from torch import nn

from rdu_bench import registry
from rdu_bench.api import Batch, Spec, total_rate

SPEC = Spec((1, 4, 4), examples=40, classes=3, groups=2, hidden=(16, 16), latent=3)
new = maker(SPEC, spread=0.3)


def test_structured_dgm_of_two_causes_of_x_is_m2():
    """Terms and gradients, at the same weights and noise, whatever is labelled."""
    m2 = new("m2")
    model = new("structured_dgm", nodes=["y", "z", "x | y, z"])
    model.q["y"].load_state_dict(m2.classifier.state_dict())
    model.q["z"].load_state_dict(m2.encoder.net.state_dict())
    model.decoder.load_state_dict(m2.decoder.state_dict())
    assert len(list(model.parameters())) == len(list(m2.parameters()))
    ours = [w for part in (model.q["y"], model.q["z"], model.decoder) for w in part.parameters()]
    its = [w for part in (m2.classifier, m2.encoder, m2.decoder) for w in part.parameters()]
    for y in ((-1,), (0, 2, 1), (-1, 2, -1, 0)):
        batch = labelled(48, y=y)
        one, other = same_noise(model, batch), same_noise(m2, batch)
        for a, b in zip(one, other, strict=True):
            close(a, b, atol=1e-4)
        for a, b in zip(one[:3], other[:3], strict=True):
            b = b.mean() if b.requires_grad else 0 * other.rate.sum()  # of no label there is no regulariser
            for mine, theirs in zip(gradient(a.mean(), ours), gradient(b, its), strict=True):
                close(mine, theirs, atol=1e-4)
    torch.manual_seed(3)
    code = model.encode(labelled(48))
    torch.manual_seed(3)
    for a, b in zip(code.values(), m2.encode(labelled(48)).values(), strict=True):
        close(a.sample, b.sample)
        close(a.rate, b.rate)


def test_a_learned_prior_of_z_given_y_is_paid_by_class():
    """R = KL(q(y|x) ‖ 1/K) + Σ_y q(y|x) KL(q(z|x, y) ‖ p(z|y)), by a loop."""
    model, batch = new("structured_dgm", nodes=["y", "z | y", "x | y, z"]), labelled(48)
    q = model.q["y"](batch.x).softmax(-1)
    R = -torch.special.entr(q).sum(-1) + math.log(3)
    for k in range(3):
        y = torch.eye(3)[k].expand(48, -1)
        a, b = model.law("z", model.q["z"](batch.x, y)), model.law("z", model.p["z"](y))
        KL = torch.log(b.stddev / a.stddev) + (a.variance + (a.mean - b.mean) ** 2) / (2 * b.variance) - 0.5
        R = R + q[:, k] * KL.sum(-1)
    close(model(batch).rate, R)
    assert reaches(model(batch).rate.mean(), model.p["z"])


class Table(nn.Module):
    """A network whose outputs are given, by example and by what else it is told, classes all."""

    def __init__(self, out):
        super().__init__()
        self.out = nn.Parameter(out)  # (K_1, …, n)

    def forward(self, x, *given):
        at = tuple(one.argmax(-1) for one in given)
        return self.out[at] if at else self.out.expand(len(x), -1)


def exact(q_c, q_y):
    """Two classes c → y and a picture of both, whose terms have no noise at all; one picture x."""
    model = new("structured_dgm", nodes=["c", "y | c", "x | c, y"], classes={"c": 2}, alpha=0.0)
    model.q["c"], model.q["y"] = Table(q_c), Table(q_y)
    return model


@torch.no_grad()
def posterior(x):
    """log p(x, c, y) of that model for all c and y, (2, 3)."""
    model = exact(torch.zeros(2), torch.zeros(2, 3))
    c, y = torch.eye(2), torch.eye(3)
    log_p = model.p["y"](c).log_softmax(-1) - math.log(2)
    likely = [[model.decoder(c[i : i + 1], y[k : k + 1]).log_prob(x) for k in range(3)] for i in range(2)]
    return log_p + torch.tensor(likely)


def test_bounds_are_tight_at_the_posterior_with_labels_and_without():
    """Without a label D + R = −log p(x) there, with one y it is −log p(x, y) up to a constant: nothing pulls at q."""
    x = labelled(1).x
    joint = posterior(x)
    q_c, q_y = joint.logsumexp(1).log_softmax(-1), joint.log_softmax(-1)
    for y in (-1, 0, 1, 2):
        model = exact(q_c, q_y)
        terms = model(labelled(1, y=(y,)))
        if y < 0:
            close(terms.distortion + terms.rate, -joint.logsumexp((0, 1))[None])
        for pull in gradient((terms.distortion + terms.rate).sum(), list(model.q.parameters())):
            assert pull.abs().max() < 1e-5


def test_a_label_changes_what_is_believed_of_what_was_drawn_before():
    """With y known, c is weighed by q(c|x, y) ∝ q(c|x) q(y|x, c)."""
    q_c, q_y = torch.randn(2).log_softmax(-1), torch.randn(2, 3).log_softmax(-1)
    x, joint = labelled(1).x, posterior(labelled(1).x)
    model = exact(q_c, q_y)
    lost = -(joint - model.p["y"](torch.eye(2)).log_softmax(-1).detach() + math.log(2))  # −log p(x|c, y)
    for y in range(3):
        belief = (q_c + q_y[:, y]).softmax(-1)
        close(model(labelled(1, y=(y,))).distortion, (belief * lost[:, y]).sum()[None], atol=1e-4)
    model.alpha = 1.0
    wrong = model(Batch(x, torch.tensor([1]), torch.tensor([-1]), torch.ones(()))).regularizer
    close(wrong, -model.scarce * (q_c + q_y[:, 1]).logsumexp(-1))


def test_particles_are_weighed_by_how_well_they_explain_the_label():
    """z before y: D = Σ_s w_s D(z_s) with w_s ∝ q(y|x, z_s), and −log q(y|x) is that of the mean over particles."""
    S = 5
    model = new("structured_dgm", nodes=["z", "y | z", "x | z"], particles=S, alpha=1.0, spread=1.0)
    batch = labelled(6, y=(2, 0, 1))
    terms = same_noise(model, batch)
    torch.manual_seed(7)
    x = batch.x.repeat_interleave(S, 0)
    z = model.law("z", model.q["z"](x)).rsample()
    log_q = model.q["y"](x, z).log_softmax(-1).view(6, S, 3)[torch.arange(6), :, batch.y]  # (6, S)
    D = -model.decoder(z).log_prob(x).view(6, S)
    assert log_q.softmax(-1).max() > 1.5 / S
    close(terms.distortion, (log_q.softmax(-1) * D).sum(-1))
    close(terms.regularizer, -model.scarce * (log_q.logsumexp(-1) - math.log(S)).mean())


def test_what_was_drawn_before_a_label_is_paid_at_the_draw():
    """z before y: R = Σ_s w_s [log q(z_s|x) − log p(z_s) + KL(q(y|x, z_s) ‖ p(y|z_s))], not KL(q(z|x) ‖ p(z))."""
    S = 5
    model = new("structured_dgm", nodes=["z", "y | z", "x | z"], particles=S, spread=1.0)
    batch = labelled(6, y=(2, 0, 1))
    R = same_noise(model, batch).rate
    torch.manual_seed(7)
    x = batch.x.repeat_interleave(S, 0)
    q = model.law("z", model.q["z"](x))
    z = q.rsample()
    log_q = model.q["y"](x, z).log_softmax(-1).view(6, S, 3)
    log_p = model.p["y"](z).log_softmax(-1).view(6, S, 3)
    w = log_q[torch.arange(6), :, batch.y].softmax(-1)
    paid = q.log_prob(z) + 0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)
    close(R, (w * (paid.view(6, S) + (log_q.exp() * (log_q - log_p)).sum(-1))).sum(-1))


def test_what_was_drawn_between_labels_is_paid_at_the_draw():
    """z between y and s: R = KL(q(y|x) ‖ 1/3) + Σ_i w_i [log q(z_i|x, y) / p(z_i) + KL(q(s|x, y, z_i) ‖ p(s|z_i))]."""
    S = 5
    model = new("structured_dgm", nodes=["y", "z", "s | z", "x | y, z"], particles=S, spread=1.0)
    batch, at = labelled(6, y=(2, 0, 1), s=(1, 0)), torch.arange(6)
    R = same_noise(model, batch).rate
    torch.manual_seed(7)
    x, y = batch.x.repeat_interleave(3 * S, 0), torch.eye(3).repeat(6 * S, 1)
    q = model.law("z", model.q["z"](x, y))
    z = q.rsample()
    paid = (q.log_prob(z) + 0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)).view(6, S, 3)[at, :, batch.y]
    log_q = model.q["s"](x, y, z).log_softmax(-1).view(6, S, 3, 2)[at, :, batch.y]
    log_p = model.p["s"](z).log_softmax(-1).view(6, S, 3, 2)[at, :, batch.y]
    w = log_q[at, :, batch.s].softmax(-1)
    log_y = model.q["y"](batch.x).log_softmax(-1)
    told = (log_y.exp() * log_y).sum(-1) + math.log(3)
    close(R, told + (w * (paid + (log_q.exp() * (log_q - log_p)).sum(-1))).sum(-1), rtol=1e-3)


class Line(nn.Module):
    """Parameters of N(slope · the last number given, spread²)."""

    def __init__(self, slope, spread):
        super().__init__()
        self.slope, self.raw = slope, math.log(math.expm1(spread - 1e-4))

    def forward(self, *given):
        mean = self.slope * given[-1].flatten(1)[:, -1:]
        return torch.cat([mean, torch.full_like(mean, self.raw)], 1)


def test_a_node_that_is_expected_from_a_later_one_is_paid_at_the_draw():
    """z ~ N(0, 1), w near z, and z is expected near w: q(z, w|x) = p(z, w) costs nothing, E KL(q(z|x) ‖ p(z|w)) 1.3."""
    model = new("structured_dgm", nodes=["w", "z | w", "x | z"], guide=["z", "w | z"], latent=2)
    model.q["z"], model.q["w"], model.p["z"] = Line(0.0, 1.0), Line(0.8, 0.6), Line(0.8, 0.6)
    batch = labelled(2000)
    with torch.no_grad():
        for rate in (model(batch).rate, total_rate(model.encode(batch))):
            equal_on_average(rate, torch.zeros(2000))


def test_particles_weigh_the_same_where_the_label_comes_first():
    nodes = ["y", "z | y", "x | y, z"]
    one, many = (new("structured_dgm", nodes=nodes, particles=n) for n in (1, 400))
    batch = labelled(4, y=(-1, 2))
    with torch.no_grad():
        several = torch.stack([one(batch).distortion for _ in range(400)])
        error = several.std(0) * (2 / 400) ** 0.5
        assert ((many(batch).distortion - several.mean(0)).abs() < 4.5 * error).all()
        close(many(batch).rate, one(batch).rate, atol=1e-4)


GRAPHS = {
    "a chain": {"nodes": ["w", "z | w", "x | z"]},
    "drawn against the arrows": {"nodes": ["w", "z | w", "x | z"], "guide": ["z", "w | z"]},
    "an effect of z": {"nodes": ["z", "y | z", "x | z"]},
    "a hidden class": {"nodes": ["c", "z | c", "x | z"], "classes": {"c": 2}},
    "two labels": {"nodes": ["y", "s | y", "z", "x | y, s, z"], "guide": ["y", "s", "z | s"]},
    "a cause last": {"nodes": ["y", "z | y", "x | y, z"], "guide": ["z", "y | z"]},
}


@pytest.mark.parametrize("graph", GRAPHS)
def test_any_graph_costs_on_average_what_the_joint_log_ratio_says(graph):
    model, N = new("structured_dgm", **GRAPHS[graph]), 8000
    batch = Batch.unlabelled(labelled(1).x.expand(N, -1, -1, -1))
    with torch.no_grad():
        exact, code = model(batch), model.encode(batch)
        equal_on_average(exact.rate, total_rate(code))
        equal_on_average(total_rate(code), sum(block.log_ratio for block in code.values()))
        equal_on_average(exact.distortion, model.distortion(batch, code))
    assert [name for name, block in code.items() if block.discrete] == [n for n in code if n in ("y", "s", "c")]


def test_nodes_take_what_the_graph_says_and_nothing_else():
    model = new("structured_dgm", **GRAPHS["two labels"])
    assert model.row.needs == ("labels", "groups") and list(model.encode(labelled(48))) == ["y", "s", "z"]
    assert new("structured_dgm", **GRAPHS["a chain"]).row[-1] == ()
    code = model.encode(labelled(48))
    moved = code | {"y": code["y"]._replace(sample=code["y"].sample.roll(1, -1))}
    assert not torch.equal(model.decode(moved).mean, model.decode(code).mean)
    model = new("structured_dgm", nodes=["y", "z | y", "x | z"])
    code = model.encode(labelled(48))
    moved = code | {"y": code["y"]._replace(sample=code["y"].sample.roll(1, -1))}
    assert torch.equal(model.decode(moved).mean, model.decode(code).mean)


def test_every_label_of_the_graph_is_used_and_can_be_hidden():
    graph = {"nodes": ["y", "s", "z", "x | y, s, z"]}
    both, y, none = (new("structured_dgm", **graph, observed=seen) for seen in (["y", "s"], ["y"], []))
    plain, told = labelled(48, y=(0, 1)), labelled(48, y=(0, 1), s=(1,))
    assert not torch.equal(same_noise(both, plain).distortion, same_noise(both, told).distortion)
    assert torch.equal(same_noise(y, plain).distortion, same_noise(y, told).distortion)
    assert none.row.labels == "" and same_noise(none, told).regularizer == 0
    wrong = same_noise(both, told).regularizer
    assert reaches(wrong, both.q["s"]) and reaches(wrong, both.q["y"])


def test_a_label_of_s_weighs_as_one_example_and_one_of_y_as_many():
    """Labels of y are few by design; those of s are as many as the data have."""
    model = new("structured_dgm", nodes=["y", "s", "z", "x | y, s, z"], alpha=1.0, labelled=4)
    assert model.scarce == 10
    told = labelled(48, s=(1, 0))
    log_s = [model.q["s"](told.x, torch.eye(3)[k].expand(48, -1)).log_softmax(-1) for k in range(3)]
    log_y = model.q["y"](told.x).log_softmax(-1)
    of_s = torch.stack([part.gather(1, told.s[:, None])[:, 0] for part in log_s], 1)  # (48, 3)
    close(same_noise(model, told).regularizer, -(log_y + of_s).logsumexp(-1).mean())
    both = told._replace(y=torch.arange(48) % 3)
    close(same_noise(model, both).regularizer, -10 * (log_y + of_s).gather(1, both.y[:, None]).mean())


def test_labels_of_y_that_are_not_used_weigh_nothing():
    """Neither those that are hidden from the model, nor those of data whose y is no node."""
    for nodes in (["y", "s", "z", "x | y, s, z"], ["s", "z", "x | s, z"]):
        model = new("structured_dgm", nodes=nodes, observed=["s"], alpha=1.0, labelled=4)
        told = labelled(48, s=(1, 0))
        some = told._replace(y=torch.arange(48) % 4 - 1)
        assert torch.equal(same_noise(model, told).regularizer, same_noise(model, some).regularizer)
        assert same_noise(model, told).regularizer != 0


@pytest.mark.parametrize(
    "wrong", [["y", "x | z"], ["z | y", "y", "x | z"], ["y", "z | x"], ["y", "z"], ["y", "x | y, x"]], ids=str
)
def test_a_graph_that_is_none_says_where(wrong):
    with pytest.raises(ValueError, match="nodes"):
        new("structured_dgm", nodes=wrong)


@pytest.mark.parametrize(("latent", "dims"), [(3, (2, 1)), (2, (1, 1))])
def test_gaussian_nodes_share_the_latent_dimensions(latent, dims):
    code = new("structured_dgm", latent=latent).encode(labelled(48))
    assert [code[name].sample.shape[1] for name in ("y", "w", "z")] == [3, *dims]
    with pytest.raises(ValueError, match="latent = 1: nodes w, z"):
        new("structured_dgm", latent=1)


def test_the_default_graph_is_paid_arrow_by_arrow():
    """R = KL(q(y|x) ‖ 1/K) + E log q(w|x, y) / p(w|y) + E log q(z|x, y, w) / p(z|w), at the draws that were sent."""
    model = new("structured_dgm")
    code = model.encode(labelled(4000))
    y, w, z = (code[name] for name in ("y", "w", "z"))
    close(y.p.mean, torch.full_like(y.p.mean, 1 / 3))
    for block, parent in ((w, y), (z, w)):
        name = "w" if block is w else "z"
        mean, raw = model.p[name](parent.sample).chunk(2, -1)
        close(block.p.mean, mean)
        close(block.p.stddev, torch.nn.functional.softplus(raw) + 1e-4)
    for name, block in code.items():
        moved = code | {name: block._replace(sample=block.sample.roll(1, 0))}
        assert not torch.equal(model.decode(code).mean, model.decode(moved).mean)


@pytest.mark.effect
def test_the_default_graph_lowers_distortion_where_m2s_cannot():
    """At 9 nats with the same latent dimensions (0.8 to 1.0 nats of D over seeds)."""
    data = registry.dataset("digits")
    batch, lost = Batch.unlabelled(data.splits["test"].take()), []
    for graph in ({}, {"nodes": ["y", "z", "x | y, z"]}):
        model, control = trained("structured_dgm", data, 9.0, **graph)
        assert abs(control.rate_err) < 0.04
        with torch.no_grad():
            lost.append(sum(model(batch).distortion.mean().item() for _ in range(8)) / 8)
    assert lost[0] < lost[1] - 0.3


@pytest.mark.slow
def test_a_graph_of_which_more_nodes_are_observed_explains_more():
    """Digits in colours: where colour is a node that is shown, y is better known, on average over three seeds."""
    data = registry.dataset("coloured", correlation=0.0)
    batch, true = Batch.unlabelled(data.splits["test"].take()), data.splits["test"].factors["digit"]
    right = {("y", "s"): [], ("y",): []}
    for seed in range(3):
        for observed, found in right.items():
            graph = {"nodes": ["y", "s", "z", "x | y, s, z"], "observed": observed}
            model, _ = trained("structured_dgm", data, 4.0, steps=400, seed=seed, **graph)
            with torch.no_grad():
                found.append((model.encode(batch)["y"].q.mean.argmax(-1) == true).float().mean().item())
    print(right)
    assert sum(right["y", "s"]) > sum(right["y",])
