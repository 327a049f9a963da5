"""Clusters against classes: what is known of the scores, and clusters that are there to be found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdu_bench.scores import Undefined
from rdu_bench.scores.clustering import cluster, clustering, fit_clusters


def blobs(n=600, k=4, d=3, spread=0.2, seed=0):
    draw = np.random.default_rng(seed)
    y = draw.integers(k, size=n)
    return 3 * np.eye(k, d + k)[y][:, :d] * np.arange(1, d + 1) + spread * draw.normal(size=(n, d)), y


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=4, max_size=60), st.permutations(range(5)))
def test_names_of_clusters_do_not_matter(pairs, names):
    guess, truth = np.array(pairs).T
    if len(set(truth)) < 2:
        truth = np.arange(len(truth)) % 2
    np.testing.assert_allclose(clustering(np.array(names)[guess], truth), clustering(guess, truth), atol=1e-12)


def test_classes_by_other_names_score_one():
    y = np.arange(50) % 5
    np.testing.assert_allclose(clustering((y + 2) % 5 * 7, y), (1, 1, 1, 1))


def test_one_cluster_scores_nothing_and_the_largest_class():
    found = clustering(np.zeros(10, int), np.r_[np.zeros(6, int), np.ones(4, int)])
    assert found == pytest.approx((0, 0, 0, 0.6))


def test_random_clusters_score_nothing_by_the_adjusted_indices():
    draw = np.random.default_rng(0)
    found = [clustering(draw.integers(10, size=2000), draw.integers(10, size=2000)) for _ in range(5)]
    assert abs(np.mean([f.ari for f in found])) < 0.005 and abs(np.mean([f.ami for f in found])) < 0.005


def test_more_random_clusters_raise_nmi_but_not_ami():
    draw = np.random.default_rng(0)
    y = draw.integers(10, size=1000)
    found = [clustering(draw.integers(k, size=1000), y) for k in (5, 20, 80, 300)]
    nmi, ami = [f.nmi for f in found], [f.ami for f in found]
    assert nmi == sorted(nmi) and nmi[-1] > 0.3
    assert max(map(abs, ami)) < 0.03


def test_accuracy_matches_by_the_best_assignment_even_of_unequal_numbers():
    assert clustering([0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 1, 1]).acc == pytest.approx(4 / 6)
    assert clustering([0, 0, 0, 0], [0, 0, 1, 2]).acc == pytest.approx(2 / 4)
    # each class may be claimed once: both clusters are mostly class 0
    assert clustering([0, 0, 0, 1, 1, 1], [0, 0, 1, 0, 0, 1]).acc == pytest.approx(3 / 6)


@pytest.mark.parametrize("method", ["k-means", "mixture"])
def test_clusters_that_are_there_are_found_on_examples_that_were_not_fitted(method):
    z, y = blobs()
    assert clustering(cluster(z[:300], z[300:], 4, method=method), y[300:]).ari > 0.99


@pytest.mark.parametrize("method", ["k-means", "mixture"])
@pytest.mark.parametrize("how", ["rotation", "units"])
def test_turning_or_scaling_the_code_leaves_clusters_alone(method, how):
    z, _ = blobs(spread=1.0)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0] if how == "rotation" else 1e3 * np.eye(3)
    before, after = (cluster(v[:300], v[300:], 4, method=method) for v in (z, z @ turn + 8))
    assert clustering(after, before).ari > 0.97


def test_the_likelihood_tells_stretched_clusters_from_balls():
    draw = np.random.default_rng(0)
    y = draw.integers(2, size=1200)
    stretched = np.stack([20 * draw.normal(size=1200), 4 * y + 0.3 * draw.normal(size=1200)], 1)
    found = {m: fit_clusters(stretched[:400], 2, method=m) for m in ("k-means", "mixture")}
    assert found["mixture"].log_likelihood(stretched[400:800]) > found["k-means"].log_likelihood(stretched[400:800])
    assert clustering(found["mixture"].assign(stretched[800:]), y[800:]).acc > 0.99
    assert clustering(found["k-means"].assign(stretched[800:]), y[800:]).acc < 0.6


def test_likelihoods_are_densities_in_the_units_of_the_code():
    z = np.random.default_rng(0).normal(size=(4000, 2)) * 3 + 5
    truth = -np.log(2 * np.pi * 9) - 1
    for method in ("k-means", "mixture"):
        found = fit_clusters(z[:2000], 2, method=method).log_likelihood(z[2000:])
        assert truth - 0.35 < found < truth + 0.06, method


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: clustering([0, 1], [0, 1, 1]), "2 entries and labels_true 3"),
        (lambda: clustering([0.5, 1.0], [0, 1]), "labels_pred has shape"),
        (lambda: clustering([], []), "labels_pred has shape"),
        (lambda: cluster(np.eye(3), np.eye(2), 2), "3 latents and z_test 2"),
        (lambda: cluster(np.eye(3), np.eye(3), 1), "k is 1"),
        (lambda: cluster(np.eye(3), np.eye(3), 2, method="spectral"), "'spectral'"),
        (lambda: cluster(np.full((3, 1), np.inf), np.ones((3, 1)), 2), "inf"),
    ],
)
def test_bad_input_is_named_with_its_value(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("method", ["k-means", "mixture"])
def test_what_cannot_be_clustered_has_no_score(method):
    with pytest.raises(Undefined, match="fewer than 3 distinct"):
        cluster(np.ones((50, 2)), np.ones((5, 2)), 3, method=method)
    with pytest.raises(Undefined, match="one class only"):
        clustering([0, 1, 0], [4, 4, 4])
