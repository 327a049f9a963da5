"""What a model is when nothing is asked of it, as published numbers were made with, and that what is asked is done."""

import inspect

import pytest
import torch
from small import gradient

from rdu_bench import registry
from rdu_bench.api import Batch, Critic, Spec

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


# ---- what is asked ---------------------------------------------------------------------------------------------------

IMAGE = Spec((1, 6, 6), examples=500, classes=4, groups=3, factors=3, hidden=(12,), latent=6)
FILM = IMAGE._replace(shape=(4, 1, 6, 6))
OTHER = {  # than the default, where that is no number or wants company
    "aae": {"variant": "clustering", "noise": ""},
    "ae": {"noise": "posthoc-iso"},
    "bigan": {"noise": "posthoc-iso"},
    "dae": {"corruption": "masking", "noise": "posthoc-iso"},
    "dc_ign": {"latent": 8, "width": 1},
    "dip_vae": {"variant": "I"},
    "fader": {"noise": "posthoc-iso"},
    "gqn": {"context": 3},
    "gumbel_vq": {"codes": 8},
    "hadad": {"noise": "posthoc-iso"},
    "hfvae": {"groups": [1, 5]},
    "hsic_vae": {"against": "s"},
    "info_vae": {"alpha": 0.5},
    "information_dropout": {"task": "label"},
    "ladder_vae": {"dims": [3, 2]},
    "mcnet": {"seen": 3},
    "mr_vae": {"lowest": 0.1},
    "pixel_vae": {"levels": 1, "free": 1.0},
    "pixelgan_ae": {"prior": "categorical"},
    "som_vae": {"side": 3},
    "structured_dgm": {
        "nodes": ("y", "z", "x | y, z"),
        "guide": ("y", "w", "z"),
        "classes": {"w": 3},
        "observed": (),
        "latent": 3,
    },
    "vae": {"noise": "trained"},
    "vfae": {"layers": 2},
    "vlae_ladder": {"dims": [3, 2]},
    "vq_vae": {"codebook": "ema"},
    "wae": {"penalty": "gan", "noise": "posthoc-iso"},
}
BESIDE = {  # what else is asked, that a parameter has a say
    ("aae", "clusters"): {"variant": "clustering"},
    ("aae", "labelled"): {"variant": "semi-supervised"},
    ("aae", "alpha"): {"variant": "semi-supervised"},
    ("dip_vae", "lambda_d"): {"lambda_od": 2.0},
    ("pixelgan_ae", "clusters"): {"prior": "categorical"},
    ("pixelgan_ae", "labelled"): {"prior": "categorical"},
    ("pixelgan_ae", "alpha"): {"prior": "categorical", "labelled": 10},
    ("structured_dgm", "particles"): {"nodes": ("z", "y | z", "x | y, z")},
    ("vfae", "alpha"): {"layers": 2},
}

UNSEEN = {("vae", part) for part in ("encoder", "decoder", "prior")}  # modules, which have tests of their own


def other(name, param):
    """A value of a parameter that is not its default."""
    if param in OTHER.get(name, {}):
        return OTHER[name][param]
    default = DEFAULTS[name][param]
    if default is None:
        return 2
    return not default if isinstance(default, bool) else default * 2 if isinstance(default, float) else default + 1


def seen_of(name, **params):
    """What there is to see of a new model: its size, how it is trained, its terms on a batch and what they teach."""
    spec = FILM if "sequence" in registry.load("models", name).row.needs else IMAGE
    torch.manual_seed(0)
    model = registry.model(name, spec, **params)
    x = torch.rand(16, *spec.shape, generator=torch.Generator().manual_seed(1)).round()
    y, s = (torch.arange(16) % (count + 1) - 1 for count in (spec.classes, spec.groups))
    torch.manual_seed(3)
    terms = model(Batch(x, y, s, torch.tensor(0.25), torch.tensor(1)))
    learned = gradient(sum(term.mean() for term in terms), model.parameters())
    steps = [module.lr for module in model.modules() if isinstance(module, Critic)]
    shapes = {part: weight.shape for part, weight in model.state_dict().items()}
    numbers = [float(part.detach().abs().sum()) for part in (*terms, *learned)]
    return model.channel, model.labelled, steps, shapes, numbers


@pytest.mark.parametrize("name", DEFAULTS)
def test_what_is_seen_of_a_model_is_always_the_same(name):
    assert seen_of(name) == seen_of(name)


@pytest.mark.parametrize(
    ("name", "param"), [(name, p) for name, params in DEFAULTS.items() for p in params if (name, p) not in UNSEEN]
)
def test_every_parameter_has_a_say(name, param):
    beside = BESIDE.get((name, param), {})
    assert seen_of(name, **beside, **{param: other(name, param)}) != seen_of(name, **beside)


@pytest.mark.parametrize("name", [name for name, params in DEFAULTS.items() if "labelled" in params])
def test_as_many_labels_are_shown_as_are_asked_for(name):
    assert registry.model(name, IMAGE, labelled=37, **BESIDE.get((name, "labelled"), {})).labelled == 37
