"""Scores and total correlation of a measured model, where the truth is known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from worlds import Coins, Optimal, Plane, Symbols, Wires, study

from rdu_bench.api import Batch, gaussian, transmit
from rdu_bench.measure import measure
from rdu_bench.measure.total_correlation import low
from rdu_bench.records.laws import check


@pytest.fixture(scope="module")
def coins():
    made = Coins()
    made.load(n=2000)
    return made


TURN = torch.linalg.qr(torch.tensor([[1.0, 2, 0], [0, 1, 1], [1, 0, 3]]))[0]


def measured(model, data, **budget):
    return measure(study(model, data, **{"mixtures": (8,), **budget}))


def test_bits_on_wires_of_their_own_are_disentangled_and_mixed_ones_are_not(coins):
    straight, mixed = measured(Wires(4.0), coins, score_groups=500), measured(Wires(4.0, TURN), coins, score_groups=500)
    for score in ("mig", "dci_disentanglement", "dci_completeness", "sap", "modularity", "factorvae"):
        for rep in ("mean", "sample"):
            name = f"{score}_robust_{rep}"
            assert straight.scores[name] > 0.85, (name, straight.scores[name])
            if score not in ("modularity", "factorvae"):
                assert mixed.scores[name] < straight.scores[name] - 0.1, name
    assert straight.mi["latents"] == ["z[0]", "z[1]", "z[2]"] and straight.mi["factors"] == ["bit0", "bit1", "bit2"]
    np.testing.assert_allclose(straight.mi["sample"], math.log(2) * np.eye(3), atol=0.02)


def test_the_rate_is_information_total_correlation_and_misfit_of_each_latent(coins):
    """R_own = I + TC + Σ_j KL(q(z_j) ‖ N(0, 1)), the last by quadrature."""
    model = Wires(1.5, TURN)
    v = measured(model, coins).values
    grid = torch.linspace(-9, 9, 20001, dtype=torch.float64)
    misfit = 0.0
    for means in model.encode(Batch.unlabelled(coins.population.take()))["z"].q.mean.T.double():
        log_q = (-0.5 * (grid[:, None] - means) ** 2).logsumexp(1) - math.log(8 * math.sqrt(2 * math.pi))
        log_p = -0.5 * grid**2 - 0.5 * math.log(2 * math.pi)
        misfit += float((log_q.exp() * (log_q - log_p)).sum() * (grid[1] - grid[0]))
    error = math.hypot(v["TC_se"], v["I_exact_se"])
    assert v["I_exact"] + v["TC"] + misfit == pytest.approx(v["R_own"], abs=4 * error + 1e-3)
    assert v["TC"] - 0.1 < v["TC_low"] <= v["TC"] + 3 * error


def test_independent_wires_have_no_total_correlation(coins):
    v = measured(Wires(1.5), coins).values
    assert v["TC"] == pytest.approx(0, abs=4 * v["TC_se"] + 1e-3)
    assert v["TC_low"] <= 3 * v["TC_low_se"] + 0.02


def test_total_correlation_of_gaussian_codes_is_its_closed_form():
    plane = Plane()
    plane.load()
    found = measured(Correlated(), plane, mixtures=[2])
    assert found.values["TC_low"] == pytest.approx(-0.5 * math.log(1 - 0.64), abs=0.05)
    assert found.scores["gaussian_tc_dlib_sample"] == pytest.approx(-0.5 * math.log(1 - 0.64), abs=0.05)
    assert found.values["TC"] is None and "population" in found.nulls["TC"]
    assert "mig_robust_mean" not in found.scores and found.mi == {}  # its only factor is real


class Correlated(Optimal):
    """Two latents with correlation 0.8 in the aggregate."""

    def encode(self, batch: Batch):
        x = batch.x / torch.tensor([2.0, 1.0, 0.5, 0.25]).sqrt()
        mean = torch.stack([x[:, 0], 0.9 * x[:, 0] + (1 - 0.81) ** 0.5 * x[:, 1]], 1)
        scale = math.sqrt(0.9 / 0.8 - 1)
        return {"z": transmit(gaussian(mean, torch.full_like(mean, scale)), gaussian(0 * mean, torch.ones_like(mean)))}

    def decode(self, code):
        return gaussian(torch.zeros(len(code["z"].sample), 4) + 0 * self.still, torch.ones(4))


def test_total_correlation_is_seen_up_to_the_logarithm_of_the_shuffled_draws():
    """Latents that are one and the same number: a dependence that no shuffled draw has can be of any size."""
    z = torch.randn(2, 50, 1, generator=torch.Generator().manual_seed(0)).expand(2, 50, 2)
    mixture = SimpleNamespace(
        dependence=lambda z, orders=None: torch.full((len(z) * len(orders or [1]),), 0.0 if orders else 1e6)
    )
    told, log_mean = low(SimpleNamespace(continuous=z, log_q=z[..., 0]), mixture, seed=0)
    assert log_mean == pytest.approx(0, abs=1e-5) and told.shape == (2, 50)
    assert told.unique().item() == pytest.approx(math.log(8 * 100) - 1)


def test_a_bound_above_the_value_is_a_broken_law(coins):
    found = measured(Wires(1.5, TURN), coins)
    record = {"values": dict(found.values), "factors": {}, "status": "ok", "control": {}, "data": {"shape": [1, 1, 3]}}
    assert check(record) == []
    record["values"]["TC_low"] = found.values["TC"] + 0.5
    assert any("lower bound on TC" in said for said in check(record))


def test_symbols_have_scores_of_information_and_none_of_distance(coins):
    found = measured(Symbols(0.05), coins)
    assert found.scores["modularity_robust_sample"] == pytest.approx(0, abs=0.05)  # one symbol knows all three bits
    for name in ("irs_robust_mean", "betavae_dlib_sample", "gaussian_tc_robust_mean"):
        assert found.scores[name] is None and "symbols" in found.nulls[name]
    assert found.scores["mig_robust_mean"] is None and "only one" in found.nulls["mig_robust_mean"]


def test_every_score_without_a_value_says_why(coins):
    found = measured(Wires(0.0), coins)
    for name, value in found.scores.items():
        assert (value is None) == (name in found.nulls), name
        assert value is None or math.isfinite(value)
    assert found.scores["mig_robust_mean"] is None and "constant" in found.nulls["mig_robust_mean"]
    assert found.scores["dci_disentanglement_robust_sample"] is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s["levels"]["z1"].update(R_star=9.0), "blocks up to z1 cost 9.000 nats"),
        (lambda s: s["levels"]["z1"]["factors"]["y"].update(IV=2.0), "2.000 nats about y came out of 1.000"),
        (lambda s: s["leakage"].update(IV=5.0), "5.000 nats about s leak"),
        (lambda s: s["leakage"].update(Ds=-4.0), "below H(s)"),
    ],
)
def test_parts_that_say_more_than_they_cost_break_a_law(coins, change, said):
    found = measured(Wires(1.5), coins)
    factor = {"IV": 0.5, "IV_se": 0.01, "Dy": 0.2, "Dy_se": 0.01, "Hy_V": 0.69}
    structure = {
        "levels": {"z1": {"R_star": 1.0, "R_star_se": 0.01, "factors": {"y": dict(factor)}}},
        "leakage": {"s": "s", "head": "linear", "Ds": 0.3, "Ds_se": 0.01, "IV": 0.3, "IV_se": 0.01},
    }
    record = {"values": found.values, "status": "ok", "control": {}, "data": {"shape": [1, 1, 3]}}
    record |= {"factors": {"s": found.factors["bit0"]}, "structure": structure}
    assert check(record) == []
    change(structure)
    assert any(said in line for line in check(record))
