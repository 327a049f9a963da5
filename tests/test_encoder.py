"""A trained encoder behaves as scikit-learn expects."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from rdu_bench import Encoder

SMALL = {"hidden": (64,), "latent": 6, "steps": 600}


@pytest.fixture(scope="module")
def digits():
    bundle = load_digits()
    return (bundle.images[:, None] >= 8).astype("f4")[:800], bundle.target[:800]


def test_it_sends_what_was_asked_for_and_is_useful(digits):
    X, y = digits
    pipe = make_pipeline(Encoder(sigma=8, **SMALL), LogisticRegression(max_iter=500))
    pipe.fit(X[:600], y[:600])
    assert pipe[0].rate_ == pytest.approx(8, rel=0.02)
    assert pipe.score(X[600:], y[600:]) > 0.5


def test_draws_are_the_same_at_every_call_and_differ_from_the_mean(digits):
    X, _ = digits
    made = Encoder(sigma=4, **SMALL).fit(X)
    first = made.transform(X[:50])
    assert first.shape == (50, 6)
    np.testing.assert_array_equal(first, made.transform(X[:50]))
    mean = made.set_params(output="mean").transform(X[:50])
    assert np.abs(first - mean).mean() > 0.05


def test_it_can_be_cloned():
    assert clone(Encoder("beta_vae", sigma=3)).get_params()["sigma"] == 3


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.full((4, 3), 0.5), "likelihood='gaussian'"),
        (np.full((4, 3), np.nan), "NaN"),
        (np.zeros((0, 3)), "n > 0"),
    ],
)
def test_bad_input_is_named(X, message):
    with pytest.raises(ValueError, match=message):
        Encoder(steps=1).fit(X)


def test_a_missed_rate_is_said(digits):
    with pytest.warns(ConvergenceWarning, match="σ = 30"):
        Encoder(sigma=30, hidden=(8,), steps=5).fit(digits[0])


def test_another_shape_than_fitted_is_refused(digits):
    X, _ = digits
    made = Encoder(sigma=None, hidden=(8,), steps=2).fit(X)
    with pytest.raises(ValueError, match="fitted on"):
        made.transform(X[:, :, :4])
