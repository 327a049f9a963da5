"""Numbers against the truth, where it is known."""

import math

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from worlds import (
    READOUT,
    SPECTRUM,
    Coins,
    Optimal,
    Plane,
    Symbols,
    Turned,
    as_record,
    channel_information,
    study,
    viewed,
)

from rdu_bench import analytic
from rdu_bench.api import Batch, Block, Model, Row, gaussian, transmit
from rdu_bench.data import View
from rdu_bench.measure import measure
from rdu_bench.measure.codes import draw
from rdu_bench.measure.gaussians import Mixture
from rdu_bench.measure.posteriors import Posteriors
from rdu_bench.records.laws import check


@pytest.fixture(scope="module")
def plane():
    made = Plane()
    made.load()
    return made


@pytest.fixture(scope="module")
def coins():
    made = Coins()
    made.load()
    return made


def measured(model, data, **budget):
    return measure(study(model, data, **budget))


@pytest.mark.parametrize("beta", [1.0, 3.0])
def test_rate_distortion_and_usefulness_of_the_optimum_are_the_closed_forms(plane, beta):
    v = measured(Optimal(beta), plane).values
    rate = float(analytic.rate(SPECTRUM, beta * SPECTRUM[-1]))
    loss = float(analytic.frontier(SPECTRUM, SPECTRUM[-1], rate))
    useful = float(analytic.usefulness(SPECTRUM, READOUT, (0.1,), rate))
    assert v["R_own"] == pytest.approx(rate, abs=4 * v["R_own_se"])
    assert v["R_own_mc"] == pytest.approx(v["R_own"], abs=4 * v["R_own_mc_se"])
    assert rate - 4 * v["R_star_se"] <= v["R_star"] <= rate + 0.03 + 4 * v["R_star_se"]
    assert v["D_own"] == pytest.approx(loss, abs=4 * v["D_own_se"])
    assert v["Dy"] == pytest.approx(useful, abs=0.01 + 4 * v["Dy_se"])
    assert v["D_null"] == pytest.approx(float(analytic.frontier(SPECTRUM, SPECTRUM[-1], 0.0)), abs=4 * v["D_null_se"])


def test_the_tight_world_is_met_with_equality(plane):
    v = measured(Optimal(1.0), plane).values
    assert abs(v["gap_RD"]) <= 3 * v["gap_RD_se"] + 0.02


@pytest.mark.parametrize("e", [0.05, 0.4])
def test_a_discrete_channel_costs_what_it_carries(coins, e):
    found = measured(Symbols(e), coins)
    v, truth = found.values, channel_information(e)
    assert v["R_own"] == pytest.approx(truth, abs=1e-4)
    assert v["R_star"] == pytest.approx(truth, abs=0.01 + 4 * v["R_star_se"])
    assert v["I_exact"] == pytest.approx(truth, abs=0.01 + 4 * v["I_exact_se"])
    flip = e * 4 / 7
    bit = -(1 - flip) * math.log(1 - flip) - flip * math.log(flip)
    assert v["D_own"] == pytest.approx(3 * bit, abs=4 * v["D_own_se"])
    assert found.factors["bit1"]["Dy"] == pytest.approx(bit, abs=0.01 + 4 * found.factors["bit1"]["Dy_se"])


@pytest.mark.parametrize("kind", ["rotation", "permutation", "scale"])
def test_coordinates_of_the_code_do_not_matter(plane, kind):
    generator = torch.Generator().manual_seed(0)
    turns = {
        "rotation": torch.linalg.qr(torch.randn(4, 4, generator=generator))[0],
        "permutation": torch.eye(4)[[2, 0, 3, 1]],
        "scale": torch.eye(4) * 7.0,
    }
    before = measured(Turned(2.0, torch.eye(4)), plane, probe_steps=200).values
    after = measured(Turned(2.0, turns[kind]), plane, probe_steps=200).values
    for name in ("R_star", "D_star", "Dy"):
        assert after[name] == pytest.approx(before[name], abs=0.02 + 2 * before[f"{name}_se"]), name


def test_lawful_models_break_no_law(plane, coins):
    for data, model in ((plane, Optimal(1.0)), (plane, Optimal(8.0)), (coins, Symbols(0.01)), (coins, Symbols(0.8))):
        assert check(as_record(measured(model, data), data)) == []


def test_measuring_again_gives_the_same_numbers(plane):
    first = measured(Optimal(2.0), plane)
    torch.manual_seed(123)
    second = measured(Optimal(2.0), plane)
    assert first.values == second.values and first.factors == second.factors
    for name, vector in first.vectors.items():
        np.testing.assert_array_equal(vector, second.vectors[name])


def test_vectors_average_to_the_values(plane):
    found = measured(Optimal(2.0), plane)
    for vector, value in (("R_i", "R_own"), ("R_star_i", "R_star"), ("D_i", "D"), ("Dy_i/y", "Dy")):
        assert found.vectors[vector].dtype == np.float32
        assert float(found.vectors[vector].astype(float).mean()) == pytest.approx(found.values[value], abs=1e-4)


def test_no_number_is_nan_and_every_null_has_its_reason(plane):
    found = measured(Optimal(2.0), plane)

    def walk(value, name):
        if isinstance(value, dict):
            for key, part in value.items():
                walk(part, key)
        elif value is None:
            assert name in found.nulls or name.removesuffix("_se") in found.nulls or name in ("acc", "bal_acc", "ece")
        elif isinstance(value, float):
            assert math.isfinite(value)

    walk(found.values, "")
    assert "population" in found.nulls["I_exact"]


class Blind(Model):
    """A code and no decoder."""

    row = Row(paper="0000.00000")

    def encode(self, batch):
        mean = batch.x[:, :2]
        unit = gaussian(mean[0] * 0, torch.ones(2))
        q = gaussian(mean, torch.ones_like(mean))
        z = q.rsample()
        return {"z": Block(z, q.log_prob(z) - unit.log_prob(z), q, unit, z)}


def test_a_model_without_a_decoder_is_given_one(plane):
    v = measured(Blind(), plane, probe_steps=100).values
    assert v["D_own"] is None and v["D_star_kind"] == "scratch" and v["D"] <= v["D_null"] + 3 * v["D_null_se"]


class Tied(Optimal):
    """A decoder that could lower D by changing the code it decodes: one weight sharpens q and is read by both."""

    def __init__(self):
        super().__init__(3.0)
        self.sharpness = torch.nn.Parameter(torch.zeros(()))

    def encode(self, batch):
        mean = batch.x @ self.A.T
        q = gaussian(mean, self.scale * (-self.sharpness).exp().expand_as(mean))
        return {"z": transmit(q, gaussian(mean[0] * 0, torch.ones_like(mean[0])))}

    def decode(self, code):
        mean = code["z"].sample @ self.W.T * (0.3 + self.sharpness)
        return gaussian(mean, torch.full_like(mean, self.noise**0.5))


def test_tuning_a_decoder_never_changes_the_code_it_decodes(plane):
    found = measured(Tied(), plane, probe_steps=1500)
    v = found.values
    truth = float(analytic.frontier(SPECTRUM, SPECTRUM[-1], v["R_own"]))
    assert v["D_star"] >= truth - 4 * v["D_star_se"]
    assert check(as_record(found, plane)) == []


class Chain(Model):
    """Two symbols, the second a copy of the first: half the rate if the marginal knows it."""

    row = Row(paper="0000.00000")

    def encode(self, batch):
        from rdu_bench.api import one_hot

        k = (batch.x[:, 0] > 0).long()
        logits = torch.full((len(k), 2, 2), -20.0).scatter(2, k[:, None, None].expand(-1, 2, 1), 20.0)
        q, p = one_hot(logits), one_hot(torch.zeros(len(k), 2, 2))
        z = q.rsample()
        return {"k": Block(z.flatten(1), q.log_prob(z) - p.log_prob(z), q, p, z)}


def test_the_marginal_of_symbols_sees_that_they_repeat(plane):
    v = measured(Chain(), plane).values
    assert v["R_own"] == pytest.approx(2 * math.log(2), abs=1e-3)
    assert v["R_star"] == pytest.approx(math.log(2), abs=0.01)


def test_aggregates_are_the_same_by_stored_and_by_replayed_posteriors(plane):
    x = View(plane.splits["train"], slice(40))
    codes = draw(Optimal(2.0), View(plane.splits["test"], slice(30)), 2)
    stored, replayed = Posteriors(Optimal(2.0), x), Posteriors(Optimal(2.0), x)
    replayed.flat = False
    torch.testing.assert_close(stored.aggregate(codes), replayed.aggregate(codes), atol=1e-4, rtol=1e-4)


def test_a_code_is_charged_under_another_example_as_its_density_says(plane):
    x = plane.splits["test"].take(slice(3))
    model = Optimal(2.0)
    codes = draw(model, viewed(x), 1)
    pairs = Posteriors(model, viewed(x)).log_density(tuple(part[0] for part in codes.drawn))
    for n in range(3):
        for m in range(3):
            q = model.encode(Batch.unlabelled(x[m : m + 1]))["z"].q
            assert pairs[n, m].item() == pytest.approx(q.log_prob(codes.drawn[0][0, n : n + 1]).item(), abs=1e-4)


def test_shuffled_latents_depend_as_they_would_alone():
    z = torch.randn(400, 2, dtype=torch.float64) @ torch.tensor([[1.0, 0.5], [0.0, 1.0]], dtype=torch.float64)
    fitted = GaussianMixture(3, random_state=0).fit(z.numpy())
    mixture = Mixture(fitted, torch.ones(2, dtype=torch.float64))
    orders = torch.stack([torch.stack([torch.randperm(400) for _ in range(2)]) for _ in range(2)])
    alone = torch.cat([mixture.dependence(torch.stack([z[a, 0], z[b, 1]], 1)) for a, b in orders])
    torch.testing.assert_close(mixture.dependence(z, list(orders)), alone)
