"""Robust scores and errors of curves by hand, where no reference implementation says them."""

from itertools import product

import numpy as np
import pytest

from rdu_bench import scores
from rdu_bench.scores import _linear_head, codelength
from rdu_bench.scores._inputs import pair
from rdu_bench.scores.clustering import fit_clusters
from rdu_bench.scores.dci import _forests


def test_informations_of_independent_columns_are_corrected_below_zero():
    """Of a full table of 2 × 3 cells, whose plug-in information is 0: (2 + 3 − 6 − 1) / 2 n (Miller and Madow)."""
    table = np.array([*product(range(2), range(3))] * 3)
    z, y = np.stack([table[:, 0], np.zeros(18)], 1), table[:, 1:]
    assert scores.mutual_information(z, y) == pytest.approx(np.array([[-2 / 36], [0.0]]), abs=1e-12)
    assert scores.mutual_information(z, y, "dlib") == pytest.approx(np.zeros((2, 1)), abs=1e-12)


def test_a_latent_weighs_in_modularity_by_all_that_it_knows():
    draw = np.random.default_rng(0)
    y = draw.integers(4, size=(4000, 2))
    z = np.stack([y[:, 0], 4 * y[:, 0] + y[:, 1]], 1).astype(float)  # the second knows both, and counts twice
    found = scores.modularity(z, y)
    each = [1.0, 1 - 1.0]  # of equal informations of two factors
    assert found == pytest.approx(np.average(each, weights=[1, 2]), abs=0.01)


def test_the_error_of_a_curve_is_that_of_a_mean_over_label_seeds(monkeypatch):
    made = []

    class Learner:
        def __init__(self, x, y, classes):
            made.append(self)
            self.loss = float(len(made))  # 1, 2 and 4 nats
            self.loss += self.loss > 2

        def learn(self, n):
            pass

        def log_loss(self, x, y):
            return np.full(len(x), self.loss)

    monkeypatch.setattr(codelength, "Learner", Learner)
    z, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    curve = scores.n_label_curve(z, y, z, y, sizes=[20, 40], seeds=3)
    assert curve.loss[0] == pytest.approx(7 / 3) and curve.se.tolist() == pytest.approx([(7 / 9) ** 0.5, 0.0])


def test_udr_is_the_median_of_the_agreements_with_all_others_in_latents_that_say_something():
    draw = np.random.default_rng(0)
    source = draw.normal(size=(300, 3))
    models = [source @ np.linalg.qr(np.eye(3) + s * draw.normal(size=(3, 3)))[0] for s in (0, 0.1, 0.3, 0.6, 2)]
    apart = np.array([[scores.udr([a, b], least=2)[0] if a is not b else np.nan for b in models] for a in models])
    assert scores.udr(models) == pytest.approx(np.nanmedian(apart, axis=1))
    rates = [np.array([1.0, 0.02, 0.009])] * 5
    assert scores.udr(models, kl=rates) == pytest.approx(scores.udr([m[:, :2] for m in models]))


def test_informations_that_chance_explains_count_as_none():
    """Four latents of a factor each: of pairs that have nothing in common one in fifty is beyond three errors."""
    draws = (np.random.default_rng(seed).integers(3, size=(600, 4)) for seed in range(8))
    assert sum(scores.modularity(y.astype(float), y) == 1.0 for y in draws) >= 5


def test_a_latent_weighs_in_irs_by_what_it_knows():
    draw = np.random.default_rng(0)
    y = draw.integers(6, size=(3000, 2))
    z = np.stack([y[:, 0], y[:, 1] + 1.5 * draw.normal(size=3000)], 1)
    known = scores.mutual_information(z, y).diagonal()
    each = [scores.irs(z[:, [j]], y) for j in (0, 1)]
    assert scores.irs(z, y) == pytest.approx(np.average(each, weights=known), abs=1e-3)
    assert abs(np.average(each, weights=known) - np.mean(each)) > 0.05  # which is something else


def test_a_code_that_hardly_helps_to_guess_has_no_importances():
    """Values that are right in 51.5 of 100 examples, where guessing is in 50."""
    draw = np.random.default_rng(0)
    y = draw.integers(2, size=(20_000, 2))
    z = np.where(draw.random(y.shape) < 0.03, y, draw.integers(2, size=y.shape)).astype(float)
    with pytest.raises(scores.Undefined, match=r"informativeness is 0\.0"):
        scores.dci(z, y)


def test_the_likelihood_of_k_means_is_that_of_balls_of_one_size():
    """Two balls about (±1, 0), of a variance of .01 in each direction."""
    z = np.array([[a + b, c] for a in (-1, 1) for b in (-0.1, 0.1) for c in (-0.1, 0.1)])
    found = fit_clusters(z, 2, method="k-means").log_likelihood(np.array([[1.0, 0.0], [-1.0, 0.1]]))
    assert found == pytest.approx(-np.log(2) - np.log(2 * np.pi * 0.01) - 0.5 / 2, abs=1e-6)


def test_one_in_fifty_of_the_latents_that_are_noise_has_an_importance():
    """Those whose importance is two standard errors above nothing, or more: 2.3 of 100, by chance."""
    counted = 0
    for seed in range(6):
        draw = np.random.default_rng(seed)
        y = draw.integers(2, size=(1500, 2))
        z = np.where(draw.random(y.shape) < 0.3, y, draw.integers(2, size=y.shape))
        train, test = pair(np.concatenate([z, draw.normal(size=(1500, 8))], 1), y, None, None)
        importance, _ = _forests(train, test, seed=0)
        assert (importance[:2].diagonal() > 0).all()
        counted += np.count_nonzero(importance[2:])
    assert 1 <= counted <= 5  # of 96


def test_priors_that_predict_worse_by_thirty_nats_are_dropped_and_no_others():
    draw = np.random.default_rng(0)
    x = _linear_head.with_bias(draw.normal(size=(400, 5)))
    y = (x @ draw.normal(size=(6, 3)) + draw.gumbel(size=(400, 3))).argmax(1)
    learner, behind = _linear_head.Learner(x, y, 3), set()
    for n in (10, 20, 40, 80, 120, 160, 240, 400):
        held = set(learner.heads)
        learner.learn(n)
        worse = {prior: learner.lengths[prior] - min(learner.lengths.values()) for prior in held}
        assert set(learner.heads) == {prior for prior in held if worse[prior] < 30}
        behind |= {round(nats) for nats in worse.values()}
    assert any(10 < nats < 30 for nats in behind) and any(30 <= nats < 60 for nats in behind)
