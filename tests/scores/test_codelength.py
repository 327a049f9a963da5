"""Label curves and codelengths, where the answer is known by hand, by theory or by another solver."""

import time
from itertools import pairwise

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from rdu_bench.scores import Undefined, _linear_head
from rdu_bench.scores._whitening import whitening
from rdu_bench.scores.codelength import (
    fit,
    least_loss,
    log_loss,
    n_label_curve,
    prequential_codelength,
    surplus_description_length,
    with_bias,
)


def softmax_world(n, d=3, classes=4, seed=0, sharpness=1.0):
    """z ~ N(0, I) and labels of a softmax with (d + 1) (classes − 1) free numbers; also the nats of the truth."""
    draw = np.random.default_rng(seed)
    z, w = draw.normal(size=(n, d)), sharpness * draw.normal(size=(d + 1, classes))
    logits = np.concatenate([z, np.ones((n, 1))], 1) @ w
    y = (logits + draw.gumbel(size=logits.shape)).argmax(1)
    return z, y, float(log_loss(w, np.concatenate([z, np.ones((n, 1))], 1), y).sum())


def fitted_nats(z, y, classes):
    x = with_bias(whitening(z)(z))
    return float(log_loss(fit(x, y, classes, prior=1e-6), x, y).sum())


def entropy(y):
    p = np.bincount(y) / len(y)
    return float(-(p[p > 0] * np.log(p[p > 0])).sum())


def test_the_head_is_that_of_scikit_learn():
    z, y, _ = softmax_world(800)
    x = with_bias(whitening(z)(z))
    theirs = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-8, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(-log_loss(fit(x, y, 4), x, y), theirs.predict_log_proba(x)[range(800), y], atol=5e-3)


def test_growing_blocks_by_less_than_doubling_wastes_less():
    n, regrets = 20000, {1.3: [], 2.0: []}
    for seed in range(3):
        z, y, _ = softmax_world(n, seed=seed)
        best = fitted_nats(z, y, 4)
        for growth, found in regrets.items():
            found.append(prequential_codelength(z, y, classes=4, growth=growth, seed=seed).nats - best)
    mean = {growth: np.mean(found) for growth, found in regrets.items()}
    assert 45 < mean[1.3] < 85  # ½ · 12 · log n = 59.4 nats, which no code of blocks attains
    assert mean[1.3] + 5 < mean[2.0] < 110


def test_no_code_of_random_labels_is_shorter_than_listing_them():
    draw = np.random.default_rng(0)
    for classes in (2, 5):
        y = draw.integers(classes, size=2000)
        found = prequential_codelength(draw.normal(size=(2000, 6)), y, classes=classes)
        assert found.nats > 2000 * np.log(classes) and 1 < found.ratio < 1.1


def test_a_codelength_lies_between_the_best_head_and_the_frequencies_of_labels():
    z, y, truth = softmax_world(3000, sharpness=2.0)
    found = prequential_codelength(z, y, classes=4)
    assert fitted_nats(z, y, 4) < found.nats and truth < found.nats
    assert found.ratio == pytest.approx(found.nats / (3000 * entropy(y))) and found.ratio < 0.9


def test_a_constant_code_costs_the_entropy_of_the_labels_and_of_learning_their_frequencies():
    y = np.random.default_rng(1).choice(3, 4000, p=[0.7, 0.2, 0.1])
    extra = prequential_codelength(np.ones((4000, 2)), y, classes=3).nats - 4000 * entropy(y)
    assert 0 < extra < 30


def test_fewer_labels_than_the_first_block_go_at_log_C_each():
    y = np.array([0, 1, 2, 1])
    assert prequential_codelength(np.eye(4), y, classes=3, start=16).nats == pytest.approx(4 * np.log(3))


def test_a_codelength_is_about_the_area_under_the_curve_of_labels():
    z, y, _ = softmax_world(6000, sharpness=2.0)
    sizes = [16, 32, 64, 128, 256, 512, 1024, 2048, 3000]
    curve = n_label_curve(z[:3000], y[:3000], z[3000:], y[3000:], sizes=sizes)
    lower = surplus_description_length(sizes, curve.loss, 0.0).nats
    upper = 16 * np.log(4) + float((np.diff(curve.n) * curve.loss[:-1]).sum())
    found = prequential_codelength(z[:3000], y[:3000], classes=4).nats
    assert 0.95 * lower < found < 1.05 * upper


@pytest.mark.parametrize("turn", ["rotation", "scale", "shear"])
def test_coordinates_of_the_code_do_not_matter(turn):
    z, y, _ = softmax_world(900)
    matrix = {
        "rotation": np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0],
        "scale": np.diag([0.1, 1.0, 10.0]),
        "shear": np.array([[1.0, 0.7, 0.0], [0, 1, -2], [0, 0, 1]]),
    }[turn]
    before, after = (prequential_codelength(v, y, classes=4).nats for v in (z, 5 + z @ matrix))
    assert after == pytest.approx(before, rel=1e-3)


def test_a_curve_of_labels_falls_and_ends_at_the_head_of_all():
    z, y, _ = softmax_world(4000, sharpness=3.0)
    curve = n_label_curve(z[:1000], y[:1000], z[1000:], y[1000:])
    assert curve.n.tolist() == [40, 80, 160, 320, 640, 1000]
    assert (np.diff(curve.loss) < 3 * curve.se[:-1]).all() and curve.loss[-1] < curve.loss[0]
    assert curve.se[-1] == 0 and (curve.se[:-1] > 0).all()
    seen, scored = (with_bias(whitening(z[:1000])(part)) for part in (z[:1000], z[1000:]))
    everything = log_loss(fit(seen, y[:1000], 4), scored, y[1000:]).mean()
    assert curve.loss[-1] == pytest.approx(everything, abs=1e-4)


def test_draws_are_scored_by_the_mean_of_logs():
    z, y, _ = softmax_world(600)
    draws = np.stack([z[300:], z[300:] + np.random.default_rng(0).normal(size=(300, 3))])
    both = n_label_curve(z[:300], y[:300], draws, y[300:])
    each = [n_label_curve(z[:300], y[:300], draw, y[300:]).loss for draw in draws]
    np.testing.assert_allclose(both.loss, np.mean(each, 0), rtol=1e-10)


def test_a_class_that_few_labels_leave_out_costs_finite_nats():
    draw = np.random.default_rng(0)
    y = np.r_[np.zeros(500, int), np.full(20, 2)]
    curve = n_label_curve(draw.normal(size=(520, 2)), y, draw.normal(size=(9, 2)), np.arange(9) % 3, sizes=[3, 520])
    assert np.isfinite(curve.loss).all()


def test_surplus_by_hand():
    sizes, losses = [10, 20, 40], [2.0, 1.0, 0.5]
    assert surplus_description_length(sizes, losses, 0.0) == (10 * 2 + 10 * 1 + 20 * 0.5, ">")
    assert surplus_description_length(sizes, losses, 0.75) == (10 * 1.25 + 10 * 0.25, "=")
    assert surplus_description_length(sizes, losses, 0.5) == (15 + 5, "=")
    assert surplus_description_length(sizes, losses, 3.0) == (0.0, "=")


def test_surplus_falls_with_what_is_tolerated():
    losses = [1.5, 1.1, 0.8, 0.6, 0.55]
    values = [surplus_description_length([16, 32, 64, 128, 256], losses, eps).nats for eps in np.linspace(0, 2, 9)]
    assert all(a >= b for a, b in pairwise(values))


def test_the_best_linear_head_is_at_least_as_good_as_the_curve_that_chooses_nothing():
    z, y, _ = softmax_world(3000, sharpness=0.2, d=20)
    parts = (z[:300], y[:300], z[300:1000], y[300:1000], z[1000:], y[1000:])
    curve = n_label_curve(*parts[:2], *parts[4:])
    assert least_loss(*parts, classes=4) <= curve.loss[-1] + 0.01


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: prequential_codelength(np.ones(3), [0, 1, 0], classes=2), "shape"),
        (lambda: prequential_codelength(np.ones((3, 1)), [0, 1], classes=2), "same examples"),
        (lambda: prequential_codelength(np.ones((2, 1)), [0, 3], classes=2), "classes is 2, but a label is 3"),
        (lambda: prequential_codelength(np.ones((2, 1)), [0, -1], classes=2), "from 0"),
        (lambda: prequential_codelength(np.ones((2, 1)), [0.5, 1.0], classes=2), "whole numbers"),
        (lambda: prequential_codelength(np.ones((2, 1)), [0, 1], classes=2, growth=1.0), "growth is 1.0"),
        (lambda: prequential_codelength(np.ones((2, 1)), [0, 1], classes=2, start=0), "start is 0"),
        (lambda: prequential_codelength(np.full((2, 1), np.nan), [0, 1], classes=2), "nan"),
        (lambda: n_label_curve(np.eye(4), [0, 1, 0, 1], np.eye(3), [0, 1, 0]), "z_test has shape"),
        (lambda: n_label_curve(np.eye(2), [0, 1], np.eye(2), [0, 1], sizes=[2, 1]), "increasing"),
        (lambda: n_label_curve(np.eye(2), [0, 1], np.eye(2), [0, 1], sizes=[1, 3]), "up to 2"),
        (lambda: n_label_curve(np.eye(2), [0, 1], np.eye(2), [0, 1], seeds=1), "at least 2"),
        (lambda: surplus_description_length([1, 2], [1.0], 0.0), "2 finite numbers"),
        (lambda: surplus_description_length([1, 2], [1.0, 0.5], np.nan), "eps is nan"),
    ],
)
def test_bad_input_is_named_with_its_value(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_labels_that_never_differ_have_no_ratio():
    with pytest.raises(Undefined, match="nothing to send"):
        prequential_codelength(np.eye(5), [1] * 5, classes=2)


def test_seven_factors_of_a_point_cost_seconds():
    draw = np.random.default_rng(0)
    z, began = draw.normal(size=(3000, 10)), time.perf_counter()
    for classes in (2, 3, 4, 8, 8, 10, 32):
        y = (z @ draw.normal(size=(10, classes)) + draw.gumbel(size=(3000, classes))).argmax(1)
        n_label_curve(z[:2500], y[:2500], z[2500:], y[2500:])
        prequential_codelength(z[:2500], y[:2500], classes=classes)
    assert time.perf_counter() - began < 15  # about 2 s on one core of its own


def test_a_code_that_tells_nothing_costs_hardly_more_than_no_code():
    draw = np.random.default_rng(0)
    y = draw.choice(5, 1500, p=[0.4, 0.3, 0.1, 0.1, 0.1])
    noise = draw.normal(size=(1500, 40))
    extra = (
        prequential_codelength(noise, y, classes=5).nats - prequential_codelength(np.ones((1500, 1)), y, classes=5).nats
    )
    assert extra < np.log(4) + 8
    curve = n_label_curve(noise[:1000], y[:1000], noise[1000:], y[1000:])
    assert (curve.loss < entropy(y) + 0.15).all() and (np.diff(curve.loss) < 0.02).all()


def test_all_priors_together_are_within_log_4_of_the_best_alone(monkeypatch):
    z, y, _ = softmax_world(700, d=12, sharpness=0.3)
    together = prequential_codelength(z, y, classes=4).nats
    alone = []
    for prior in _linear_head.PRIORS:
        monkeypatch.setattr(_linear_head, "PRIORS", (prior,))
        alone.append(prequential_codelength(z, y, classes=4).nats)
    assert min(alone) - 1e-6 <= together <= min(alone) + np.log(4) + 1e-6
