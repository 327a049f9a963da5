"""Clusters, levels, leakage, efficiency and noise of codes whose answers are known."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from worlds import BUDGET, SPECTRUM, Coins, Optimal, Plane, Symbols, channel_information, spent

from rdu_bench.api import Dataset, Examples, Factor, Model, Row, gaussian, one_hot, transmit
from rdu_bench.measure.codes import draw
from rdu_bench.measure.structure import Prefix, _Structure, corrupted, structure

LOG2 = math.log(2)


def binary_entropy(p):
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


class Fair(Coins):
    """Coins of whose bits one is sensitive."""

    def load(self, n=1500, sensitive=None, task=("bit0",)):
        super().load(n)
        self.sensitive, self.task = sensitive, tuple(task)


class Blobs(Dataset):
    """Three balls in the plane, and a factor that has nothing to do with them."""

    def load(self, n=600):
        draws = np.random.default_rng(0)
        self.name, self.shape, self.likelihood, self.noise = "blobs", (2,), "gaussian", 0.01
        self.factors = (Factor("ball", 3), Factor("other", 3))
        self.task = ("ball", "other")
        self.splits = {}
        for part in ("train", "val", "test"):
            y, other = draws.integers(3, size=(2, n))
            x = np.array([[0, 0], [4, 0], [0, 4.0]])[y] + 0.3 * draws.normal(size=(n, 2))
            factors = {"ball": torch.from_numpy(y), "other": torch.from_numpy(other)}
            self.splits[part] = Examples(torch.from_numpy(x.astype(np.float32)), factors)


class Echo(Model):
    """z = x and a little noise."""

    row = Row(paper="0000.00000")

    def __init__(self, width=2, scale=0.1):
        super().__init__()
        self.width, self.scale = width, scale

    def encode(self, batch):
        mean = batch.x.flatten(1)
        prior = gaussian(torch.zeros(self.width), 3 * torch.ones(self.width))
        return {"z": transmit(gaussian(mean, torch.full_like(mean, self.scale)), prior)}


class Bits(Model):
    """Blocks of bits, coarse first: each bit of x is sent with probability 1 − e, else turned over."""

    row = Row(paper="0000.00000")

    def __init__(self, e=0.1, blocks=((0,), (1, 2))):
        super().__init__()
        self.e, self.blocks = e, blocks

    def encode(self, batch):
        bits, code = batch.x.flatten(1).long(), {}
        for level, bit in enumerate(self.blocks):
            logits = torch.full((len(bits), len(bit), 2), math.log(self.e))
            logits = logits.scatter(2, bits[:, list(bit), None], math.log(1 - self.e))
            code[f"top{level}"] = transmit(one_hot(logits), one_hot(torch.zeros(len(bits), len(bit), 2)))
        return code


class Ladder(Model):
    """Two levels in the plane: z₂ = x₁ + ε; z₁ is a full view of x, drawn around what z₂ said."""

    row = Row(paper="0000.00000")

    def encode(self, batch):
        x, unit = batch.x, gaussian(torch.zeros(1), torch.ones(1))
        top = transmit(gaussian(x[:, :1], torch.ones_like(x[:, :1])), unit)
        mean = x + 0.5 * top.sample
        below = gaussian(0 * mean + 0.5 * top.sample, torch.ones_like(mean))
        return {"z2": top, "z1": transmit(gaussian(mean, torch.full_like(mean, 0.5)), below)}


def made(kind, **params):
    data = kind()
    data.load(**params)
    return data


def coded(model, data, draws=(1, 2)):
    torch.manual_seed(1)
    parts = [
        draw(model, data.splits[p].x, n) for p, n in zip(("train", "val", "test"), (draws[0], *draws), strict=True)
    ]
    return (*parts, torch.arange(len(data.splits["train"])))


def found(model, data, **more):
    train, val, test, at = coded(model, data)
    return structure(model, data, train, val, test, at=at, budget=spent(head_epochs=30), seed=0, **more)


def test_clusters_that_are_the_classes_are_found_and_only_they():
    each = found(Echo(), made(Blobs))[0]["clusters"]
    assert each["factor"] == "ball" and each["k"] == 3 and each["from"] in ("k-means", "mixture")
    for method in ("k-means", "mixture"):
        assert each[method]["ari"] > 0.99 and each[method]["acc"] > 0.99
    data = made(Blobs)
    data.task = ("other",)
    each = found(Echo(), data)[0]["clusters"]
    assert abs(each["ari"]) < 0.02 and abs(each["ami"]) < 0.02


def test_the_only_symbol_of_a_code_is_its_own_clustering():
    data = made(Fair)
    clusters = found(Symbols(0.01), data)[0]["clusters"]
    assert clusters["from"] == "own classes" and clusters["k"] == 8
    assert clusters["acc"] == pytest.approx(0.25, abs=0.05)  # one of the four symbols of each value is matched
    assert clusters["own classes"]["nmi"] == pytest.approx(2 * LOG2 / (LOG2 + math.log(8)), abs=0.05)


@pytest.mark.parametrize("e", [0.02, 0.2])
def test_the_top_level_carries_the_coarse_factor_and_nothing_else(e):
    levels = found(Bits(e), made(Fair))[0]["levels"]
    assert list(levels) == ["top0", "top1"]
    per_bit = LOG2 - binary_entropy(e)
    for bits, name in ((1, "top0"), (3, "top1")):
        assert levels[name]["R_star"] == pytest.approx(bits * per_bit, abs=0.01 + 4 * levels[name]["R_star_se"])
    for name, fine in (("top0", LOG2), ("top1", binary_entropy(e))):
        f = levels[name]["factors"]
        assert f["bit0"]["Dy"] == pytest.approx(binary_entropy(e), abs=0.01 + 4 * f["bit0"]["Dy_se"])
        for bit in ("bit1", "bit2"):
            assert f[bit]["Dy"] == pytest.approx(fine, abs=0.01 + 4 * f[bit]["Dy_se"])


def test_rates_of_levels_add_up_where_blocks_depend_on_each_other():
    data = made(Plane, n=3000)
    train, val, test, at = coded(Ladder(), data)
    levels = structure(Ladder(), data, train, val, test, at=at, budget=BUDGET, seed=0)[0]["levels"]
    top, whole = levels["z2"], levels["z1"]
    # given z₂, the second block shows x with variance ¼; x₁ was shown once before, with variance 1
    assert top["R_star"] == pytest.approx(0.5 * math.log1p(SPECTRUM[0]), abs=0.01 + 4 * top["R_star_se"])
    seen = [1 + 4 * v for v in SPECTRUM]
    seen[0] += SPECTRUM[0]
    assert whole["R_star"] == pytest.approx(0.5 * sum(map(math.log, seen)), abs=0.02 + 4 * whole["R_star_se"])


@pytest.mark.parametrize("model", [Bits(0.1), Bits(0.1, ((0,), (1,), (2,))), Bits(0.3, ((0, 1), (2,)))])
def test_sending_more_neither_costs_less_nor_tells_less(model):
    levels = list(found(model, made(Fair))[0]["levels"].values())
    for before, after in itertools.pairwise(levels):
        assert before["R_star"] <= after["R_star"] + 3 * math.hypot(before["R_star_se"], after["R_star_se"])
        for bit, f in after["factors"].items():
            g = before["factors"][bit]
            assert f["Dy"] <= g["Dy"] + 3 * math.hypot(f["Dy_se"], g["Dy_se"]) + 0.01
    for level in levels:
        told = sum(f["IV"] for f in level["factors"].values())
        assert told <= level["R_star"] + 0.02 + 3 * level["R_star_se"]


def test_a_prefix_has_the_draws_densities_and_rates_of_the_blocks_that_were_sent():
    data = made(Plane, n=50)
    x = data.splits["test"].x
    torch.manual_seed(0)
    whole = draw(Ladder(), x, 1)
    torch.manual_seed(0)
    first = draw(Prefix(Ladder(), 1), x, 1)
    torch.testing.assert_close(first.z, whole.z[..., :1])
    assert list(first.rate) == ["z2"] and not Prefix(Ladder(), 1).decodes
    torch.manual_seed(0)
    torch.testing.assert_close(draw(Prefix(Ladder(), 2), x, 1).log_q, whole.log_q)


def test_nothing_of_an_independent_s_leaks_and_all_of_one_that_is_sent():
    data = made(Fair, sensitive="bit1")
    hidden = found(Bits(0.01, ((0,), (2,))), data)[0]["leakage"]
    assert hidden["s"] == "bit1"
    assert abs(hidden["IV"]) <= 3 * hidden["IV_se"] + 0.01
    shown = found(Bits(1e-6, ((0,), (1,))), data)[0]["leakage"]
    assert shown["IV"] == pytest.approx(LOG2, abs=0.02) and shown["Ds"] == pytest.approx(0, abs=0.01)


def test_what_leaks_never_exceeds_what_the_channel_carries():
    leak = found(Bits(0.1, ((1,),)), made(Fair, sensitive="bit1"))[0]["leakage"]
    assert leak["IV"] <= LOG2 - binary_entropy(0.1) + 3 * leak["IV_se"] + 0.01
    assert leak["Ds"] == pytest.approx(binary_entropy(0.1), abs=0.01 + 4 * leak["Ds_se"])


def test_labels_that_the_code_shows_are_cheap_and_others_cost_their_entropy():
    about = found(Echo(), made(Blobs))[0]["efficiency"]
    ball, other = about["ball"], about["other"]
    assert ball["mdl_ratio"] < 0.2 and ball["sdl_bound"] == "="
    assert other["mdl_ratio"] > 1 and other["mdl"] > 600 * math.log(3) - 3
    assert ball["n"][0] == 30 and ball["n"][-1] == 600 and len(ball["Dy"]) == len(ball["n"]) == len(ball["Dy_se"])
    assert ball["sdl_eps"] < 0.2 and other["sdl_eps"] == pytest.approx(math.log(3) + 0.1, abs=0.03)


def test_a_code_that_lost_the_label_never_reaches_what_x_gives():
    about = found(Echo(scale=8.0), made(Blobs))[0]["efficiency"]["ball"]
    assert about["sdl_bound"] == ">" and about["Dy"][-1] > about["sdl_eps"]


def test_noise_of_nothing_is_the_clean_loss():
    data = made(Fair)
    train, val, test, at = coded(Bits(0.1), data)
    about = _Structure(Bits(0.1), data, train, val, test, at, BUDGET, 0, "cpu", (), None)
    clean, again = about.noise([0.0, 1e-12])["Dy"]["bit0"], about.levels()["top1"]["factors"]["bit0"]
    assert clean[0] == again["Dy"]
    assert clean[1] == pytest.approx(clean[0], abs=4 * again["Dy_se"])  # other draws of the same codes
    torch.testing.assert_close(corrupted(data.splits["test"].x, 0.0, True, 1.0, 0), data.splits["test"].x)


def test_the_loss_under_flipped_pixels_is_the_closed_form():
    e = 0.05
    noise = found(Bits(e), made(Fair, n=4000))[0]["noise"]
    assert noise["kind"] == "flip" and noise["levels"][0] == 0
    for level, loss, error in zip(noise["levels"], noise["Dy"]["bit0"], noise["Dy_se"]["bit0"], strict=True):
        wrong = level * (1 - e) + (1 - level) * e
        frozen = -(1 - wrong) * math.log(1 - e) - wrong * math.log(e)
        assert loss == pytest.approx(frozen, abs=0.02 + 4 * error)
        assert loss >= binary_entropy(wrong) - 4 * error


def test_more_noise_costs_more_for_real_factors_too():
    found_, nulls = found(Optimal(1.0), made(Plane, n=1500))
    noise = found_["noise"]
    loss, error = noise["Dy"]["y"], noise["Dy_se"]["y"]
    assert noise["kind"] == "gaussian" and loss[-1] > loss[0] + 4 * error[-1]
    assert all(b > a - error[0] for a, b in itertools.pairwise(loss))
    assert "no factor of the task is a class" in nulls["structure.clusters"]
    assert "no factor of the task is a class" in nulls["structure.efficiency"]
    assert "1 block;" in nulls["structure.levels"] and "sensitive" in nulls["structure.leakage"]


def test_noise_added_has_the_size_asked_for():
    x = torch.zeros(200, 100)
    assert float(corrupted(x, 0.2, True, 1.0, 0).mean()) == pytest.approx(0.2, abs=0.01)
    assert float(corrupted(x, 0.5, False, 3.0, 0).std()) == pytest.approx(1.5, abs=0.03)


def test_again_gives_the_same_and_json_can_say_it():
    data = made(Fair, sensitive="bit2", n=400)
    train, val, test, at = coded(Bits(0.1), data)
    first = structure(Bits(0.1), data, train, val, test, at=at, budget=BUDGET, seed=3)
    torch.manual_seed(99)
    second = structure(Bits(0.1), data, train, val, test, at=at, budget=BUDGET, seed=3)
    assert json.dumps(first, allow_nan=False) == json.dumps(second, allow_nan=False)
    assert set(first[0]) | {n.removeprefix("structure.") for n in first[1]} == {
        "clusters", "levels", "leakage", "efficiency", "noise"
    }  # fmt: skip


def test_a_rate_that_is_known_is_not_measured_again():
    levels = found(Bits(0.1), made(Fair, n=400), rate=(1.25, 0.5))[0]["levels"]
    assert (levels["top1"]["R_star"], levels["top1"]["R_star_se"]) == (1.25, 0.5)
    assert levels["top0"]["R_star"] == pytest.approx(channel_information(0.1, 2), abs=0.05)


def test_a_collapsed_code_has_no_clusters_and_says_so():
    class Silent(Echo):
        def encode(self, batch):
            one = gaussian(torch.zeros(len(batch.x), 2), torch.ones(2))
            block = transmit(one, one)
            return {"z": block._replace(sample=block.sample * 0)}

    parts, nulls = found(Silent(), made(Blobs))
    assert "clusters" not in parts and "distinct codes" in nulls["structure.clusters"]
    assert parts["efficiency"]["ball"]["mdl_ratio"] > 1
