"""Suites select what they say, refuse what they do not know, and name every point for good."""

from dataclasses import replace

import pytest

from rdu_bench import suite
from rdu_bench.suite import SuiteError


def write(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


DATA = '\n[[datasets]]\nname = "digits"\nsigmas = [1, 2]\n'


@pytest.mark.parametrize("name", suite.names())
def test_every_suite_of_ours_expands(name):
    curves = suite.curves(suite.read(name))
    keys = [curve.key(sigma) for curve in curves for sigma in curve.sigmas]
    assert len(keys) == len(set(keys)) > 0


def test_the_whole_suite_has_every_model_at_seven_rates():
    curves = suite.curves(suite.read("all"))
    from rdu_bench import registry

    assert {c.model for c in curves} == set(registry.files("models"))
    assert all(len([s for s in c.sigmas if s]) == 7 for c in curves)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bugdet = 'smoke'" + DATA, "Did you mean 'budget'"),
        ("budget = 'smok'" + DATA, "Did you mean 'smoke'"),
        ("models = ['vea']" + DATA, "Did you mean 'vae'"),
        ("seeds = 0" + DATA, "seeds = 0"),
        ("strategy = 'fast'" + DATA, "strategy = 'fast'"),
        (DATA.replace("[1, 2]", "[-1]"), "datasets.0.sigmas.0 = -1"),
        (DATA.replace("digits", "didgits"), "Did you mean 'digits'"),
        ("title = ", "line 1"),
        ("title = 'x'", "datasets"),
    ],
)
def test_what_is_wrong_with_a_suite_is_said(tmp_path, text, words):
    with pytest.raises((SuiteError, LookupError), match=words.replace("[", r"\[")):
        suite.curves(suite.read(write(tmp_path, text)))


def test_an_unknown_suite_gets_the_nearest_name():
    with pytest.raises(SuiteError, match="Did you mean 'quick'"):
        suite.read("quik")


def test_globs_narrow_and_name_what_they_miss():
    read = suite.read("quick")
    assert {c.model for c in suite.curves(read, models=["*_vae"])} >= {"beta_vae", "info_vae"}
    assert {c.row for c in suite.curves(read, models=["beta-vae"])} == {"beta_vae"}
    with pytest.raises(SuiteError, match="--model nothing selects nothing"):
        suite.curves(read, models=["nothing"])
    with pytest.raises(SuiteError, match="--sigma -3"):
        suite.curves(read, sigmas=[-3.0])


def test_models_go_only_where_the_data_has_what_they_need(tmp_path):
    text = "models = ['*']\n[[datasets]]\nname = 'linear_gaussian'\nsigmas = [1]\n"
    chosen = {c.model for c in suite.curves(suite.read(write(tmp_path, text)))}
    assert "vae" in chosen and not chosen & {"vib", "m2", "vlae_lossy"}


def test_a_key_is_a_matter_of_what_decides_the_numbers():
    [curve] = suite.curves(suite.read("smoke"), models=["vae"])
    assert curve.key(3.0) == curve.key(3.0) != curve.key(8.0)
    assert curve.key(3.0) == replace(curve, sigmas=(3.0,)).key(3.0)  # its neighbours do not matter
    for change in ({"seed": 1}, {"params": {"latent": 3}}, {"threads": 2}, {"heads": ("linear",)}):
        assert replace(curve, **change).key(3.0) != curve.key(3.0)
    chained = replace(curve, strategy="continuation")
    assert chained.key(3.0) != replace(chained, sigmas=(3.0,)).key(3.0)  # unless it was warm-started from them
    assert chained.key(8.0) == replace(chained, sigmas=(8.0,)).key(8.0)


def test_an_edited_plugin_is_another_point(tmp_path, monkeypatch):
    [curve] = suite.curves(suite.read("smoke"), models=["vae"])
    before = curve.key(3.0)
    monkeypatch.setattr(suite.registry, "plugin_hash", lambda kind, name: "0" * 16)
    assert curve.key(3.0) != before
