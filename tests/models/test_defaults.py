"""What a model is when nothing is asked of it: the default of every parameter, as published numbers were made with."""

import inspect

import pytest

from rdu_bench import registry

DEFAULTS = {
    "aae": {
        "latent": None,
        "variant": "gaussian",
        "strength": 1.0,
        "noise": "trained",
        "clusters": None,
        "labelled": 100,
        "alpha": 10.0,
    },
    "ae": {"latent": None, "noise": "posthoc-learned"},
    "ali": {"latent": None, "blur": 0.5, "lr": 0.003},
    "beta_tcvae": {"latent": None, "beta": 1.5},
    "beta_vae": {"latent": None, "beta": 4.0},
    "bigan": {"latent": None, "blur": 0.25, "lr": 0.003, "noise": "posthoc-learned"},
    "dae": {"latent": None, "corruption": "salt-and-pepper", "level": 0.25, "noise": "posthoc-learned"},
    "dc_ign": {"latent": None, "width": 2, "pull": 0.01},
    "ddpae": {"objects": 2, "content": 8, "zoom": 2.0, "step": 0.2, "width": 64},
    "dip_vae": {"latent": None, "variant": "II", "lambda_od": None, "lambda_d": None},
    "drnet": {"content": None, "pose": 3, "alpha": 1.0, "w": 1000.0, "width": 64, "lr": 0.003},
    "dsvae": {"static": None, "dynamic": 3, "width": 32, "told": False},
    "factor_vae": {"latent": None, "gamma": 10.0, "width": 256, "depth": 3},
    "fader": {"latent": None, "strength": 0.3, "noise": "posthoc-learned", "lr": 0.003},
    "fhvae": {"dim": 3, "alpha": 10.0, "s": 0.5},
    "gqn": {"latent": None, "local": 0, "context": None, "pose": 4, "width": 64},
    "gumbel_vq": {"positions": None, "codes": 32, "dim": 4, "b": 0.25, "T": 0.5},
    "hadad": {"latent": None, "strength": 1.0, "noise": "trained", "lr": 0.003, "first": 0.2},
    "hfvae": {"latent": None, "groups": None, "between": 1.5, "within": 1.0, "marginals": 1.0, "symbols": 0},
    "hsic_vae": {"latent": None, "against": "z", "first": None, "strength": 100.0},
    "info_vae": {"latent": None, "alpha": 0.0, "strength": 10.0},
    "information_dropout": {
        "latent": None,
        "task": "reconstruction",
        "layers": 2,
        "draws": 8,
        "weight": 0.003,
        "widest": 0.7,
    },
    "joint_vae": {"latent": None, "symbols": 10, "gamma": 2.0, "share": 0.5, "capacity": None, "warmup": 0.5},
    "kvae": {"dim": 2, "states": 4, "modes": 3, "width": 32},
    "ladder_vae": {"dims": None, "share": True},
    "m1_m2": {"latent": None, "above": None, "labelled": 100, "alpha": 0.1},
    "m2": {"latent": None, "labelled": 100, "alpha": 0.1},
    "mcnet": {"seen": None, "motion": 4, "content": None, "width": 32, "gamma": 1.0},
    "ml_vae": {"content": None, "style": 3},
    "mr_vae": {"latent": None, "lowest": 0.01, "highest": 10.0},
    "pixel_vae": {"latent": None, "levels": 2, "radius": 2, "depth": 2, "free": 0.15},
    "pixelgan_ae": {
        "latent": None,
        "prior": "gaussian",
        "clusters": None,
        "strength": 1.0,
        "window": 2,
        "depth": 1,
        "labelled": None,
        "alpha": 10.0,
    },
    "som_vae": {"side": 4, "dim": 4, "a": 0.25, "b": 0.25},
    "structured_dgm": {
        "nodes": ("y", "w | y", "z | w", "x | y, w, z"),
        "guide": None,
        "classes": None,
        "observed": ("y", "s"),
        "latent": None,
        "labelled": 100,
        "alpha": 0.1,
        "particles": 1,
    },
    "svae": {"latent": None, "components": 10, "strength": 1.0, "factorised": False},
    "vae": {"latent": None, "encoder": None, "decoder": None, "prior": None, "noise": ""},
    "vfae": {"latent": None, "strength": 10.0, "layers": 1, "alpha": 1.0},
    "vib": {"latent": None},
    "vlae_ladder": {"dims": None},
    "vlae_lossy": {"latent": None, "window": 2},
    "vq_vae": {"positions": None, "codes": None, "dim": 4, "b": 0.25, "codebook": "gradient"},
    "wae": {"latent": None, "strength": None, "penalty": "mmd", "noise": "trained"},
}


def test_every_model_has_its_defaults_here():
    assert list(DEFAULTS) == list(registry.files("models"))


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_those_of_the_table(name):
    given = inspect.signature(registry.load("models", name).__init__).parameters.values()
    assert {p.name: p.default for p in given if p.default is not p.empty} == DEFAULTS[name]
