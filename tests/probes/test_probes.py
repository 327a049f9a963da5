"""Heads against scikit-learn, and against what no head may do."""

import math
import sys

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from torch.distributions import Categorical

from rdu_bench import registry
from rdu_bench.api import Budget, Factor, Head, Probe, ProbeCard, Target
from rdu_bench.measure.heads import Drawn, Readers, _floored, _sharper, read
from rdu_bench.measure.labels import Labels, binned
from rdu_bench.measure.usefulness import _classification
from rdu_bench.nn.whitening import whitening

BUDGET = Budget(steps=1, head_steps=1000)
HEADS = ["linear", "mlp", "knn", "boosted_trees"]


def problem(n=1200, d=5, k=4, seed=0, draws=1):
    draw = np.random.default_rng(seed)
    z = draw.normal(size=(draws, n, d))
    logits = z[0] @ draw.normal(size=(d, k)) * 0.8
    y = (logits + draw.gumbel(size=logits.shape)).argmax(1)
    return torch.from_numpy(z).float(), torch.from_numpy(y)


def heads(name, z, targets, cut=800):
    probe = registry.load("probes", name)()
    made = [Target(f, y[:cut], y[cut:]) for f, y in targets]
    return probe.fit(z[:, :cut], z[:, cut:], made, seed=0, budget=BUDGET)


def loss(head, z, y):
    return -head.predict(z).log_prob(y).mean().item()


@pytest.mark.parametrize("k", [2, 4, 11])
def test_the_linear_head_is_scikit_learns(k):
    z, y = problem(k=k)
    [head] = heads("linear", z, [(Factor("y", k), y)])
    ridge = head.settings["ridge"]
    oracle = LogisticRegression(C=1 / (ridge * 800), tol=1e-8, max_iter=5000).fit(z[0, :800], y[:800])
    expected = -oracle.predict_log_proba(z[0])[np.arange(len(y)), y].mean()
    assert loss(head, z, y) == pytest.approx(expected, abs=0.002)


def sent(classes, features, noise, n=3000, seed=0):
    """Codes at several rates of a class on a line and of a class anywhere, whitened."""
    draw = np.random.default_rng(seed)
    line, place = draw.integers(classes, size=(2, n))
    x = line[:, None] / classes * 3 * draw.normal(size=features) + draw.normal(size=(classes, features))[place]
    z = torch.from_numpy(np.stack([x + s * draw.normal(size=x.shape) for s in noise])).float()
    white = torch.stack([whitening(code[: n * 2 // 3])(code) for code in z])
    return white[:, None], torch.from_numpy(line), torch.from_numpy(place)


@pytest.mark.parametrize(("classes", "features"), [(2, 4), (24, 10), (5, 120)])
def test_every_head_of_many_codes_is_scikit_learns(classes, features):
    z, *ys = sent(classes, features, (2.0, 1.0, 0.5, 0.2))
    probe = registry.load("probes", "linear")()
    targets = [Target(Factor("y", classes), y[:2000], y[2000:2500]) for y in ys]
    found = probe.fit_many(z[:, :, :2000], z[:, :, 2000:2500], targets, seed=0, budget=BUDGET)
    for code, heads_of_code in zip(z, found, strict=True):
        for head, y in zip(heads_of_code, ys, strict=True):
            oracle = LogisticRegression(C=1 / (head.settings["ridge"] * 2000), tol=1e-7, max_iter=20000)
            oracle.fit(code[0, :2000].double(), y[:2000])
            expected = -oracle.predict_log_proba(code[0, 2500:].double())[np.arange(500), y[2500:]].mean()
            assert loss(head, code[:, 2500:], y[2500:]) == pytest.approx(expected, abs=0.003)


def test_a_code_that_says_all_is_read_to_the_end():
    y = torch.arange(1200) % 7
    z = torch.nn.functional.one_hot(y, 7).float()[None]
    [head] = heads("linear", whitening(z)(z), [(Factor("y", 7), y)])
    assert loss(head, whitening(z)(z), y) < 0.001


@pytest.mark.parametrize("name", HEADS)
def test_no_head_feels_the_codes_beside_it(name):
    z, y, other = sent(6, 5, (1.0, 0.5, 0.2), n=1500)
    targets = [Target(Factor("a", 6), y[:900], y[900:1200]), Target(Factor("b", 6), other[:900], other[900:1200])]
    probe = registry.load("probes", name)()
    fit, val, test = z[:, :, :900], z[:, :, 900:1200], z[:, :, 1200:]
    beside = probe.fit_many(fit, val, targets, seed=0, budget=BUDGET)
    for p in range(3):
        alone = probe.fit(fit[p], val[p], targets, seed=0, budget=BUDGET)
        for one, many, truth in zip(alone, beside[p], (y, other), strict=True):
            assert loss(one, test[p], truth[1200:]) == pytest.approx(loss(many, test[p], truth[1200:]), abs=1e-3)


@pytest.mark.parametrize("name", HEADS)
def test_columns_of_zeros_change_no_head(name):
    z, y = problem(k=4)
    real = z[0, :, :2].square()
    factors = [(Factor("y", 4), y), (Factor("r", 2, "real"), real)]
    wide = torch.cat([z, torch.zeros(1, 1200, 3)], -1)
    for narrow, filled, truth in zip(heads(name, z, factors), heads(name, wide, factors), (y, real), strict=True):
        assert loss(narrow, z, truth) == pytest.approx(loss(filled, wide, truth), abs=1e-3)


def test_a_probe_need_only_say_how_one_code_is_read():
    class Constant(Probe):
        card = ProbeCard("constant", "softmax(b)")

        def fit(self, fit, val, targets, *, seed, budget):
            return [Head(lambda z: Categorical(logits=torch.zeros(*z.shape[:-1], 4)), {}) for _ in targets]

    z, y = problem()
    made = [Target(Factor("y", 4), y[:800], y[800:])]
    found = Constant().fit_many(
        z[None, :, :800].repeat(3, 1, 1, 1), z[None].repeat(3, 1, 1, 1), made, seed=0, budget=BUDGET
    )
    assert [len(heads_of_code) for heads_of_code in found] == [1, 1, 1]
    assert loss(found[2][0], z, y) == pytest.approx(math.log(4))


@pytest.mark.parametrize("name", HEADS)
def test_a_class_that_fit_lacks_costs_much_but_not_infinity(name):
    z, y = problem(k=4)
    [head] = heads(name, z, [(Factor("y", 5), y)])
    missing = loss(head, z, torch.full_like(y, 4))
    assert 3 < missing < math.inf
    [only] = heads(name, z, [(Factor("y", 3), torch.ones_like(y))])
    assert loss(only, z, torch.ones_like(y)) < 0.01


def test_neighbours_are_scikit_learns_drawn_towards_the_frequencies():
    z, y = problem(k=4)
    [head] = heads("knn", z, [(Factor("y", 4), y)])
    k = int(head.settings["neighbours"])
    votes = KNeighborsClassifier(k).fit(z[0, :800], y[:800]).predict_proba(z[0, 800:]) * k
    counts = np.bincount(y[:800], minlength=4) + 0.5
    expected = (votes + counts / counts.sum()) / (k + 1)
    np.testing.assert_allclose(head.predict(z[:, 800:]).probs[0], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["mlp", "knn", "boosted_trees"])
def test_a_bent_real_factor_is_read_with_the_spread_of_its_errors(name):
    """y = z² + noise of standard deviation ½: no head beats ½ log 2πe/4, and these come near it."""
    draw = torch.Generator().manual_seed(0)
    z = torch.randn(1, 3000, 2, generator=draw)
    y = z[0, :, :1].square() + 0.5 * torch.randn(3000, 1, generator=draw)
    best = 0.5 * math.log(2 * math.pi * math.e * 0.25)
    [head] = heads(name, z[:, :2400], [(Factor("y", 1, "real"), y[:2400])], 1800)
    assert best - 0.1 < loss(head, z[:, 2400:], y[2400:].double()) < best + 0.3


def test_bins_of_a_real_factor_have_equal_mass_on_fit_and_are_its_own_factor_each():
    y = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0)).exp()
    bins = binned(Labels(Factor("r", 2, "real"), y[:2000], y[2000:3000], y[3000:]))
    assert [b.factor.name for b in bins] == ["r[0]", "r[1]"]
    for b in bins:
        assert torch.bincount(b.train, minlength=20).tolist() == [100] * 20
        assert b.test.min() >= 0 and b.test.max() < 20
    assert binned(Labels(Factor("c", 3), *[y[:, 0].long()] * 3)) == []


def test_bins_tell_a_little_less_of_a_real_factor_than_there_is():
    """y and z Gaussian with correlation 0.9: I(y; z) = −½ log(1 − 0.81), of which quantised y has some."""
    draw = torch.Generator().manual_seed(0)
    z = torch.randn(1, 6000, 1, generator=draw)
    y = 0.9 * z[0] + 0.19**0.5 * torch.randn(6000, 1, generator=draw)
    bins = binned(Labels(Factor("r", 1, "real"), y[:4000], y[4000:5000], y[5000:]))
    code = Drawn(z[:, :4000], z[:, 4000:5000], z[:, 5000:])
    [[found]] = read([code], bins, Readers(("linear",), BUDGET, 0))
    assert float(found.nothing.mean()) == pytest.approx(math.log(20), abs=0.01)
    information = -0.5 * math.log(1 - 0.81)
    error = float(found.gained.std() / len(found.gained) ** 0.5)
    assert 0.9 * information - 3 * error < float(found.gained.mean()) < information + 3 * error


def test_codes_of_any_width_are_read_together_as_they_are_alone():
    z, y, other = sent(5, 6, (1.0, 0.3), n=1500)
    codes = [z[0], z[1, :, :, :2] * 7 + 3, torch.cat([z[0], z[1].repeat(1, 1, 15)], -1), z[1].repeat(2, 1, 1)]
    drawn = [Drawn(c[:, :900], c[:, 900:1200], c[:, 1200:]) for c in codes]
    labels = [Labels(Factor(n, 5), t[:900], t[900:1200], t[1200:]) for n, t in (("a", y), ("b", other))]
    readers = Readers(("linear", "knn"), BUDGET, 0)
    together = read(drawn, labels, readers)
    for code, found in zip(drawn, together, strict=True):
        [alone] = read([code], labels, readers)
        for one, many in zip(alone, found, strict=True):
            assert one.head == many.head and one.loss.shape == (300,)
            assert float(one.loss.mean()) == pytest.approx(float(many.loss.mean()), abs=1e-3)
            assert float(many.gained.mean()) == pytest.approx(float((many.nothing - many.loss).mean()))


@pytest.mark.parametrize("stretch", [0.4, 1.0, 3.0])
def test_the_temperature_is_the_best_on_validation(stretch):
    z, y = problem(k=4, draws=2)
    logits = z @ torch.randn(5, 4, generator=torch.Generator().manual_seed(0)) + 3 * (y[:, None] == torch.arange(4))
    logits = logits.double() * stretch
    found = _sharper(logits, y)

    def cost(a):
        return -float(_floored(logits * a).log_prob(y).mean())

    assert cost(found) <= min(cost(a) for a in np.geomspace(0.2, 5, 200)) + 1e-5


def test_diagnostics_are_those_of_the_predicted_classes():
    draw = torch.Generator().manual_seed(0)
    probs = torch.distributions.Dirichlet(torch.tensor([0.5, 1.0, 2.0])).expand((2, 3000)).sample().double()
    y = torch.multinomial(probs[0], 1, generator=draw)[:, 0]
    labels = Labels(Factor("y", 3), y, y, y)
    found = _classification(Categorical(probs=probs[:1]), labels)
    guess = probs[0].argmax(-1)
    assert found["acc"] == pytest.approx(float((guess == y).double().mean()))
    assert found["bal_acc"] == pytest.approx(balanced_accuracy_score(y, guess))
    assert found["ece"] < 0.04  # y was drawn from what is predicted
    sure = _classification(Categorical(probs=torch.tensor([[[0.0, 0.0, 1.0]]]).expand(1, 3000, 3)), labels)
    assert sure["ece"] == pytest.approx(1 - float((y == 2).double().mean()))


def test_affine_maps_of_the_code_change_no_linear_head():
    z, y = problem()
    moved = z @ torch.randn(5, 5, generator=torch.Generator().manual_seed(1)) * 3 + 10
    found = []
    for code in (z, moved):
        white = whitening(code)(code)
        [head] = heads("linear", white, [(Factor("y", 4), y)])
        found.append(loss(head, white, y))
    assert found[0] == pytest.approx(found[1], abs=1e-3)


def test_whitened_codes_have_unit_covariance_and_drop_what_is_empty():
    z = torch.randn(1, 500, 3) @ torch.tensor([[1.0, 2, 0], [0, 1, 0], [3, 0, 0]])
    white = whitening(z)(z)[0]
    assert white.shape[1] == 2
    torch.testing.assert_close(white.T @ white / 500, torch.eye(2), atol=1e-3, rtol=0)
    constant = torch.ones(1, 10, 3)
    assert whitening(constant)(constant).abs().max() == 0


def test_a_real_factor_is_least_squares_with_its_residual_covariance():
    draw = np.random.default_rng(0)
    z = draw.normal(size=(2000, 3))
    y = z @ draw.normal(size=(3, 2)) + draw.normal(size=(2000, 2)) @ np.array([[1, 0.5], [0, 0.7]])
    [head] = heads(
        "linear", torch.from_numpy(z)[None].float(), [(Factor("y", 2, "real"), torch.from_numpy(y).float())], 1500
    )
    oracle = LinearRegression().fit(z[:1500], y[:1500])
    predicted = head.predict(torch.from_numpy(z)[None])
    np.testing.assert_allclose(predicted.mean[0], oracle.predict(z), atol=0.01)
    residual = y[:1500] - oracle.predict(z[:1500])
    np.testing.assert_allclose(
        predicted.covariance_matrix[0, 0] if predicted.covariance_matrix.dim() > 2 else predicted.covariance_matrix,
        residual.T @ residual / 1500,
        atol=0.01,
    )


@pytest.mark.parametrize("name", ["mlp", "knn", "boosted_trees"])
def test_other_heads_see_what_no_linear_head_can(name):
    draw = np.random.default_rng(0)
    z = draw.normal(size=(1, 3000, 2)).astype("f4")
    y = torch.from_numpy((z[0, :, 0] * z[0, :, 1] > 0).astype("i8"))
    z = torch.from_numpy(z)
    [linear] = heads("linear", z, [(Factor("xor", 2), y)], 2000)
    [other] = heads(name, z, [(Factor("xor", 2), y)], 2000)
    assert loss(linear, z[:, 2000:], y[2000:]) > 0.95 * math.log(2)
    assert loss(other, z[:, 2000:], y[2000:]) < 0.3 * math.log(2)


def test_every_factor_has_a_trunk_of_its_own():
    """Fitting beside another factor changes nothing: the same weights as in the same place alone."""
    z, y = problem(k=4)
    other = (y + 1) % 4
    alone = heads("mlp", z, [(Factor("a", 4), y), (Factor("b", 4), torch.zeros_like(y))])[0]
    beside = heads("mlp", z, [(Factor("a", 4), y), (Factor("b", 4), other)])[0]
    only = heads("mlp", z, [(Factor("a", 4), y)])[0]
    assert loss(alone, z, y) == pytest.approx(loss(beside, z, y), abs=1e-5)
    assert loss(only, z, y) == pytest.approx(loss(beside, z, y), abs=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_a_head_learns_nothing_from_a_code_that_says_nothing(name):
    z, _ = problem(n=3000)
    y = torch.randint(3, (3000,), generator=torch.Generator().manual_seed(0))
    [head] = heads(name, z, [(Factor("y", 3), y)], 2000)
    assert loss(head, z[:, 2500:], y[2500:]) > math.log(3) - 0.03


@pytest.mark.parametrize("name", HEADS)
def test_fitting_again_gives_the_same_head(name):
    z, y = problem()
    [first] = heads(name, z, [(Factor("y", 4), y)])
    [second] = heads(name, z, [(Factor("y", 4), y)])
    assert torch.equal(first.predict(z).logits, second.predict(z).logits)


@pytest.mark.parametrize("name", HEADS)
def test_factors_of_all_sizes_and_kinds_fit_together(name):
    z, y = problem(draws=2)
    real = z[0, :, :2] + 0.1
    found = heads(name, z, [(Factor("a", 4), y), (Factor("b", 2), y % 2), (Factor("r", 2, "real"), real)])
    assert [h.predict(z).log_prob(t).shape for h, t in zip(found, (y, y % 2, real.double()), strict=True)] == [
        (2, 1200)
    ] * 3


def test_the_optimizer_of_mlp_heads_is_torchs():
    mlp = sys.modules[registry.load("probes", "mlp").__module__]
    net = mlp._Net(*(torch.randn(shape) for shape in ((2, 64, 3), (2, 64, 1), (2, 5, 64), (10,))))
    same = [torch.nn.Parameter(part.clone()) for part in net]
    ours, theirs = mlp._Adam(net), torch.optim.Adam(same, lr=mlp.RATE, fused=True)
    for _ in range(3):
        slopes = mlp._Net(*(torch.randn_like(part) for part in net))
        for weight, slope in zip(same, slopes, strict=True):
            weight.grad = slope.clone()
        ours.step(net, slopes)
        theirs.step()
    assert all(torch.equal(a, b) for a, b in zip(net, same, strict=True))
