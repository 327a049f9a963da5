"""What a model learns is the slope of what it is charged, part by part, but where a gradient is meant to stop or bend.

The gradient of every term in every part of a model is held against what the term itself does when the part is moved,
the noise being the same.  So a `detach` too many or too few is seen wherever it is.
"""

import pytest
import torch
from small import gradient, shaken
from torch.func import functional_call

from rdu_bench import registry
from rdu_bench.api import Batch, Spec, Terms

IMAGE = Spec((1, 6, 6), examples=500, classes=4, groups=3, factors=3, hidden=(12,), latent=6)
FILM = IMAGE._replace(shape=(3, 1, 6, 6))
STEP = 1e-7

# "term|part": nothing of the slope is learned there.  "term~part": not the slope, as of what passes a symbol or arg min
SLOPES = [
    ("aae", {"noise": ""}, "critic_loss|encoder regularizer|critic"),
    (
        "aae",
        {"variant": "semi-supervised"},
        "critic_loss|classifier critic_loss|encoder distortion~classifier regularizer|critic regularizer|critic_of_y",
    ),
    ("aae", {}, "critic_loss|encoder regularizer|critic"),
    ("ae", {}, ""),
    ("ali", {}, "critic_loss|decoder critic_loss|encoder distortion|decoder distortion|encoder regularizer|critic"),
    ("beta_tcvae", {}, ""),
    ("beta_vae", {}, ""),
    ("bigan", {}, "critic_loss|decoder critic_loss|encoder distortion|decoder distortion|encoder regularizer|critic"),
    ("dae", {}, ""),
    ("dc_ign", {}, "distortion~encoder"),
    ("ddpae", {"width": 8}, ""),
    ("dip_vae", {"variant": "I"}, ""),
    ("dip_vae", {}, ""),
    ("drnet", {}, "critic_loss|pose regularizer|critic"),
    ("dsvae", {"told": True}, ""),
    ("dsvae", {}, ""),
    ("factor_vae", {}, "critic_loss|encoder regularizer|critic"),
    ("fader", {}, "critic_loss|encoder regularizer|adversary"),
    ("fhvae", {}, ""),
    ("gqn", {"local": 2}, ""),
    ("gqn", {}, ""),
    (
        "gumbel_vq",
        {},
        "distortion|codebook distortion~encoder distortion~log_T rate|codebook regularizer~codebook "
        "regularizer~encoder",
    ),
    ("hadad", {}, "critic_loss|encoder rate|specified regularizer|adversary"),
    ("hfvae", {"symbols": 3, "within": 2.0, "marginals": 1.5}, "distortion~classifier"),
    ("hfvae", {}, ""),
    ("hsic_vae", {"against": "s"}, ""),
    ("hsic_vae", {}, ""),
    ("info_vae", {"alpha": 0.5}, ""),
    ("info_vae", {}, ""),
    ("information_dropout", {"layers": 1}, ""),
    ("information_dropout", {"task": "label"}, ""),
    ("information_dropout", {}, ""),
    ("joint_vae", {"capacity": 3.0}, "distortion~encoder"),
    ("joint_vae", {}, "distortion~encoder priced~encoder"),
    ("kvae", {}, ""),
    ("ladder_vae", {"share": False}, ""),
    ("ladder_vae", {}, ""),
    ("m1_m2", {}, "rate~classifier rate~down rate~encoder rate~up regularizer|encoder"),
    ("m2", {}, "rate~classifier"),
    ("mcnet", {}, ""),
    ("ml_vae", {}, ""),
    ("mr_vae", {}, ""),
    ("pixel_vae", {"levels": 1}, ""),
    ("pixel_vae", {}, ""),
    (
        "pixelgan_ae",
        {"prior": "categorical", "labelled": 10},
        "critic_loss|encoder distortion~encoder regularizer|critic",
    ),
    ("pixelgan_ae", {}, "critic_loss|encoder regularizer|critic"),
    ("som_vae", {}, "distortion|codebook distortion~encoder rate~encoder regularizer~codebook regularizer~encoder"),
    ("structured_dgm", {}, "rate~q"),
    ("svae", {"factorised": True}, "critic_loss|encoder critic_loss~mixture distortion|mixture rate|mixture"),
    ("svae", {}, "critic_loss|encoder critic_loss~mixture distortion|mixture distortion~encoder rate|mixture"),
    ("vae", {}, ""),
    ("vfae", {"layers": 2}, "rate~classifier rate~down rate~encoder rate~up"),
    ("vfae", {}, ""),
    ("vib", {}, ""),
    ("vlae_ladder", {}, ""),
    ("vlae_lossy", {}, ""),
    (
        "vq_vae",
        {"codebook": "ema"},
        "critic_loss|encoder distortion|total distortion|used distortion~encoder rate~encoder "
        "regularizer|total regularizer|used regularizer~encoder",
    ),
    ("vq_vae", {}, "distortion|codebook distortion~encoder rate~encoder regularizer~codebook regularizer~encoder"),
    ("wae", {"penalty": "gan"}, "critic_loss|encoder regularizer|critic"),
    ("wae", {}, ""),
]


def film_or_image(name):
    """What a small data set that the model can take looks like."""
    return FILM if "sequence" in registry.load("models", name).row.needs else IMAGE


def batch(spec, n=16):
    """Examples of which some are without a label, half-way through training, which differ in factor 1."""
    x = torch.rand(n, *spec.shape, generator=torch.Generator().manual_seed(1)).round()
    y, s = (torch.arange(n) % (count + 1) - 1 for count in (spec.classes, spec.groups))
    return Batch(x, y, s, torch.tensor(0.5), torch.tensor(1))


def bent(name, params):
    """Where the gradient of a term in a part is not its slope."""
    spec = film_or_image(name)
    model, given = shaken(registry.model(name, spec, **params), 0.1).double(), batch(spec)
    weights, found = dict(model.named_parameters()), set()

    def terms(moved):
        torch.manual_seed(3)
        return [term.mean() for term in functional_call(model, weights | moved, (given,))]

    here = terms({})
    for part in dict.fromkeys(name.partition(".")[0] for name in weights):
        own = {name: w for name, w in weights.items() if name.partition(".")[0] == part}
        way = {name: torch.randn_like(w) for name, w in own.items()}
        with torch.no_grad():
            ahead, behind = (terms({n: w + by * way[n] for n, w in own.items()}) for by in (STEP, -STEP))
        for term, value, high, low in zip(Terms._fields, here, ahead, behind, strict=True):
            learned = gradient(value, own.values()) if value.requires_grad else [0 * w for w in own.values()]
            told = sum(float((g * d).detach().sum()) for g, d in zip(learned, way.values(), strict=True))
            slope = float(high - low) / (2 * STEP)
            if abs(told - slope) > 1e-3 * (abs(told) + abs(slope)) + 1e-5:
                found.add(f"{term}{'~' if told else '|'}{part}")
    return found


@pytest.fixture
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize(
    ("name", "params", "expected"),
    SLOPES,
    ids=["-".join([name, *map(str, given.values())]) for name, given, _ in SLOPES],
)
def test_what_is_learned_is_the_slope_of_what_is_charged(name, params, expected):
    assert bent(name, params) == set(expected.split())


def test_every_model_is_held_to_its_slopes():
    assert {name for name, *_ in SLOPES} == set(registry.files("models"))
