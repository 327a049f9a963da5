"""No number depends on the units of x."""

import math

import pytest
import torch
from worlds import study

from rdu_bench import registry
from rdu_bench.api import Dataset, Examples, Factor
from rdu_bench.measure.distortion import distortion
from rdu_bench.measure.rate import rate
from rdu_bench.nn.networks import Observation, Standard
from rdu_bench.training import Training, train_at

SHAPE = (1, 4, 4)
PRICED = ("vae", "vlae_lossy")  # by a controller of the rate


class Grey(Dataset):
    """Ramps and stripes in grey with noise, every pixel times `unit` after a shift of `shift` of them."""

    def load(self, unit: float = 1.0, shift: float = 0.0) -> None:
        draw = torch.Generator().manual_seed(0)
        y = torch.randint(0, 4, (900,), generator=draw)
        patterns = torch.rand(4, *SHAPE, generator=draw)
        x = (patterns[y] + 0.1 * torch.randn(900, *SHAPE, generator=draw) + shift) * unit
        self.name, self.shape, self.likelihood = "grey", SHAPE, "gaussian"
        self.factors, self.task = (Factor("y", 4),), ("y",)
        parts = {"train": slice(0, 500), "val": slice(500, 700), "test": slice(700, 900)}
        self.splits = {part: Examples(x[at], {"y": y[at]}) for part, at in parts.items()}


def grey(**given):
    made = Grey()
    made.load(**given)
    return made


def found(name, data, steps=60, sigma=3.0, **network):
    torch.manual_seed(0)
    spec = data.spec(**{"hidden": (16,), "latent": 3, **network})
    trained = train_at(registry.model(name, spec), data, sigma, Training(steps=steps, lr=3e-3, seed=0))
    about = study(trained.model, data, draws_test=2, probe_steps=30)
    return trained, {**rate(about).values, **distortion(about).values}


@pytest.mark.parametrize("name", ["vae", "dae", "vlae_lossy", "mr_vae"])
def test_x_times_16_moves_d_by_log_16_a_dimension_and_nothing_else(name):
    (one, plain), (other, large) = (found(name, grey(unit=unit)) for unit in (1.0, 16.0))
    assert large["R_own"] == pytest.approx(plain["R_own"], rel=1e-4)
    assert large["R_star"] == pytest.approx(plain["R_star"], rel=1e-3)
    if name in PRICED:
        assert other.control.price == pytest.approx(one.control.price, rel=1e-4)
    for d in ("D_null", "D_own", "D_star", "D"):
        assert large[d] - plain[d] == pytest.approx(16 * math.log(16), abs=2e-3), d


def test_a_network_sees_real_x_centred_and_scaled_and_writes_it_back():
    data = grey(unit=16.0, shift=5.0)
    spec, x = data.spec(hidden=()), data.splits["train"].take()
    seen = Standard(spec)(x)
    assert float(seen.mean()) == pytest.approx(0, abs=1e-4) and float(seen.std()) == pytest.approx(1, abs=1e-4)
    p = Observation(spec)(seen)
    torch.testing.assert_close(p.mean, x, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(p.stddev, torch.full_like(x, float(x.std())), rtol=1e-4, atol=0)


def test_the_learned_variance_follows_though_its_steps_are_small():
    """From the spread of the data to noise of a 20th of it, in 400 steps of 1e-3."""
    x = grey(unit=16.0).splits["train"].take()
    observation = Observation(grey(unit=16.0).spec(hidden=()))
    optimizer = torch.optim.Adam(observation.parameters(), lr=1e-3)
    out = (x - observation.centre) / observation.scale + 0.05 * torch.randn(x.shape)
    for _ in range(400):
        optimizer.zero_grad()
        (-observation(out).log_prob(x).mean()).backward()
        optimizer.step()
    assert float(observation(out).stddev.detach().flatten()[0]) == pytest.approx(0.05 * observation.scale, rel=0.05)


@pytest.mark.parametrize("corruption", ["masking", "salt-and-pepper", "gaussian"])
def test_what_corrupts_x_is_in_its_units(corruption):
    worse = []
    for unit in (1.0, 16.0):
        data = grey(unit=unit, shift=3.0)
        torch.manual_seed(0)
        model = registry.model("dae", data.spec(hidden=(4,), latent=2), corruption=corruption)
        torch.manual_seed(1)
        worse.append((model.corrupt(data.splits["train"].take()) - data.pixels.mean.mean().float()) / unit)
    torch.testing.assert_close(worse[0], worse[1], rtol=1e-4, atol=1e-5)
    assert float(worse[0].abs().max()) < 4 * grey().pixels.deviation


def test_the_learned_variance_goes_where_it_must():
    """Noise of 0.1 below a spread of 0.3: at its first variance D would stay near the null point."""
    _, values = found("vae", grey(), steps=600, sigma=4.0)
    assert values["D_own"] < values["D_null"] - 8
