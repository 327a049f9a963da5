"""Clusters, levels, leakage, efficiency and noise of codes whose answers are known."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from worlds import SPECTRUM, Coins, Optimal, Plane, Symbols, channel_information, study, viewed

from rdu_bench.api import Dataset, Examples, Factor, Model, Row, gaussian, one_hot, transmit
from rdu_bench.measure import MEASUREMENTS, efficiency
from rdu_bench.measure.codes import draw
from rdu_bench.measure.prefixes import Prefix
from rdu_bench.measure.robustness import Corrupted, under
from rdu_bench.scores import Undefined

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


PARTS = ("clusters", "levels", "leakage", "efficiency", "noise")


def found(part, model, data, **budget):
    """One table of structure, from 1 draw of each training and validation code and 2 of each test code."""
    return look(part, study(model, data, **{"head_steps": 500, "draws_test": 2, "test": 10_000, **budget}))


def look(part, about):
    return MEASUREMENTS[part].run(about).tables["structure"][part]


def test_clusters_that_are_the_classes_are_found_and_only_they():
    each = found("clusters", Echo(), made(Blobs))
    assert each["factor"] == "ball" and each["k"] == 3 and each["from"] in ("k-means", "mixture")
    for method in ("k-means", "mixture"):
        assert each[method]["ari"] > 0.99 and each[method]["acc"] > 0.99
    data = made(Blobs)
    data.task = ("other",)
    each = found("clusters", Echo(), data)
    assert abs(each["ari"]) < 0.02 and abs(each["ami"]) < 0.02


def test_the_only_symbol_of_a_code_is_its_own_clustering():
    data = made(Fair)
    clusters = found("clusters", Symbols(0.01), data)
    assert clusters["from"] == "own classes" and clusters["k"] == 8
    assert clusters["acc"] == pytest.approx(0.25, abs=0.05)  # one of the four symbols of each value is matched
    assert clusters["own classes"]["nmi"] == pytest.approx(2 * LOG2 / (LOG2 + math.log(8)), abs=0.05)


@pytest.mark.parametrize("e", [0.02, 0.2])
def test_the_top_level_carries_the_coarse_factor_and_nothing_else(e):
    levels = found("levels", Bits(e), made(Fair))
    assert list(levels) == ["top0", "top1"]
    per_bit = LOG2 - binary_entropy(e)
    for bits, name in ((1, "top0"), (3, "top1")):
        assert levels[name]["R_star"] == pytest.approx(bits * per_bit, abs=0.01 + 4 * levels[name]["R_star_se"])
    for name, fine in (("top0", LOG2), ("top1", binary_entropy(e))):
        f = levels[name]["factors"]
        assert f["bit0"]["Dy"] == pytest.approx(binary_entropy(e), abs=0.01 + 4 * f["bit0"]["Dy_se"])
        for bit in ("bit1", "bit2"):
            assert f[bit]["Dy"] == pytest.approx(fine, abs=0.01 + 4 * f[bit]["Dy_se"])


def test_a_block_that_is_constant_costs_and_tells_nothing_beside_the_others():
    model = Bits(0.1, ((0,),))
    with pytest.raises(Undefined, match="the code has 1 block;"):
        found("blocks", model, made(Fair))
    model.silent = ("rest",)
    blocks = found("blocks", model, made(Fair))
    assert list(blocks) == ["top0", "rest"] and blocks["rest"]["R"] == 0 and blocks["top0"]["R"] > 0.3
    assert blocks["top0"]["factors"]["bit0"]["IV"] > 0.3
    for told in blocks["rest"]["factors"].values():
        assert told["IV"] == 0 and told["Dy"] == told["Hy_V"] == pytest.approx(LOG2, abs=0.01)


def test_rates_of_levels_add_up_where_blocks_depend_on_each_other():
    data = made(Plane, n=3000)
    levels = found("levels", Ladder(), data)
    top, whole = levels["z2"], levels["z1"]
    # given z₂, the second block shows x with variance ¼; x₁ was shown once before, with variance 1
    assert top["R_star"] == pytest.approx(0.5 * math.log1p(SPECTRUM[0]), abs=0.01 + 4 * top["R_star_se"])
    seen = [1 + 4 * v for v in SPECTRUM]
    seen[0] += SPECTRUM[0]
    assert whole["R_star"] == pytest.approx(0.5 * sum(map(math.log, seen)), abs=0.02 + 4 * whole["R_star_se"])


@pytest.mark.parametrize("model", [Bits(0.1), Bits(0.1, ((0,), (1,), (2,))), Bits(0.3, ((0, 1), (2,)))])
def test_sending_more_neither_costs_less_nor_tells_less(model):
    levels = list(found("levels", model, made(Fair)).values())
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
    x = data.view("test", Ladder.row)
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
    hidden = found("leakage", Bits(0.01, ((0,), (2,))), data)
    assert hidden["s"] == "bit1"
    assert abs(hidden["IV"]) <= 3 * hidden["IV_se"] + 0.01
    shown = found("leakage", Bits(1e-6, ((0,), (1,))), data)
    assert shown["IV"] == pytest.approx(LOG2, abs=0.02) and shown["Ds"] == pytest.approx(0, abs=0.01)


def test_what_leaks_never_exceeds_what_the_channel_carries():
    leak = found("leakage", Bits(0.1, ((1,),)), made(Fair, sensitive="bit1"))
    assert leak["IV"] <= LOG2 - binary_entropy(0.1) + 3 * leak["IV_se"] + 0.01
    assert leak["Ds"] == pytest.approx(binary_entropy(0.1), abs=0.01 + 4 * leak["Ds_se"])


def test_labels_that_the_code_shows_are_cheap_and_others_cost_their_entropy():
    about = found("efficiency", Echo(), made(Blobs))
    ball, other = about["ball"], about["other"]
    assert ball["mdl_ratio"] < 0.2 and ball["sdl_bound"] == "="
    assert other["mdl_ratio"] > 1 and other["mdl"] > 600 * math.log(3) - 3
    assert ball["n"][0] == 30 and ball["n"][-1] == 600 and len(ball["Dy"]) == len(ball["n"]) == len(ball["Dy_se"])
    assert ball["sdl_eps"] < 0.2 and other["sdl_eps"] == pytest.approx(math.log(3) + 0.1, abs=0.03)


def test_labels_are_learned_from_one_draw_of_each_code(monkeypatch):
    given = []
    curve = efficiency.n_label_curve
    monkeypatch.setattr(efficiency, "n_label_curve", lambda z, *a, **k: given.append(z) or curve(z, *a, **k))
    about = study(Echo(), made(Blobs), draws_fit=3, draws_test=2, test=10_000)
    look("efficiency", about)
    assert torch.equal(torch.tensor(given[0]), about.codes.train.z[0].double())
    assert not torch.equal(about.codes.train.z[0], about.codes.train.z[1])


def test_a_code_that_lost_the_label_never_reaches_what_x_gives():
    about = found("efficiency", Echo(scale=8.0), made(Blobs))["ball"]
    assert about["sdl_bound"] == ">" and about["Dy"][-1] > about["sdl_eps"]


def test_noise_of_nothing_is_the_clean_loss():
    data = made(Fair)
    about = study(Bits(0.1), data)
    clean, again = under(about, [0.0, 1e-12])["Dy"]["bit0"], look("levels", about)["top1"]["factors"]["bit0"]
    assert clean[0] == again["Dy"]
    assert clean[1] == pytest.approx(clean[0], abs=4 * again["Dy_se"])  # other draws of the same codes


def test_the_loss_under_flipped_pixels_is_the_closed_form():
    e = 0.05
    noise = found("noise", Bits(e), made(Fair, n=4000))
    assert noise["kind"] == "flip" and noise["levels"][0] == 0
    for level, loss, error in zip(noise["levels"], noise["Dy"]["bit0"], noise["Dy_se"]["bit0"], strict=True):
        wrong = level * (1 - e) + (1 - level) * e
        frozen = -(1 - wrong) * math.log(1 - e) - wrong * math.log(e)
        assert loss == pytest.approx(frozen, abs=0.02 + 4 * error)
        assert loss >= binary_entropy(wrong) - 4 * error


def test_more_noise_costs_more_for_real_factors_too():
    about = study(Optimal(1.0), made(Plane, n=1500))
    noise = look("noise", about)
    loss, error = noise["Dy"]["y"], noise["Dy_se"]["y"]
    assert noise["kind"] == "gaussian" and loss[-1] > loss[0] + 4 * error[-1]
    assert all(b > a - error[0] for a, b in itertools.pairwise(loss))
    for part, why in {
        "clusters": "no factor of the task is a class",
        "efficiency": "no factor of the task is a class",
        "levels": "1 block;",
        "leakage": "sensitive",
    }.items():
        with pytest.raises(Undefined, match=why):
            look(part, about)


def noisy(x, size=512, **noise):
    return torch.cat([batch.x for batch in Corrupted(viewed(x), 0, **noise).chunks(size)])


def test_noise_added_has_the_size_asked_for():
    x = torch.zeros(200, 100)
    assert float(noisy(x, flip=0.2).mean()) == pytest.approx(0.2, abs=0.01)
    assert float(noisy(x, noise=1.5).std()) == pytest.approx(1.5, abs=0.03)
    assert torch.equal(noisy(x, flip=1e-12), x)


@pytest.mark.parametrize("shape", [(4,), (1, 3, 3), (17,)])
@pytest.mark.parametrize("n", [1, 31, 32, 33, 65, 100])
@pytest.mark.parametrize("kind", ["flip", "noise"])
def test_noise_drawn_in_chunks_is_that_drawn_at_once(shape, n, kind):
    x = torch.zeros(n, *shape)
    generator = torch.Generator().manual_seed(0)
    whole = (torch.rand if kind == "flip" else torch.randn)(x.shape, generator=generator)
    expected = (whole < 0.3).float() if kind == "flip" else 0.3 * whole
    torch.testing.assert_close(noisy(x, 16, **{kind: 0.3}), expected)


@pytest.mark.parametrize("blocks", [((0,), (1, 2)), ((0, 1, 2),)])
def test_again_gives_the_same_and_json_can_say_it(blocks):
    data = made(Fair, sensitive="bit2", n=400)
    tables = []
    for seed in (1, 99):
        torch.manual_seed(seed)
        about = study(Bits(0.1, blocks), data, seed=3)
        tables.append({part: look(part, about) for part in PARTS if part != "levels" or len(blocks) > 1})
    assert json.dumps(tables[0], allow_nan=False) == json.dumps(tables[1], allow_nan=False)


def test_noise_is_the_same_whether_levels_were_looked_at_or_failed():
    """Its draws come after those of the levels, in one run of numbers, whoever asks first."""
    data = made(Fair, n=400)
    after, before = study(Bits(0.1), data), study(Bits(0.1), data)
    look("levels", after)
    assert look("noise", before) == look("noise", after)


def test_the_last_level_is_the_whole_code():
    about = study(Bits(0.1), made(Fair, n=400))
    levels = look("levels", about)
    assert levels["top1"]["R_star"] == pytest.approx(float(about.marginal.rate.mean()))
    assert levels["top0"]["R_star"] == pytest.approx(channel_information(0.1, 2), abs=0.05)


def test_a_collapsed_code_has_no_clusters_and_says_so():
    class Silent(Echo):
        def encode(self, batch):
            one = gaussian(torch.zeros(len(batch.x), 2), torch.ones(2))
            block = transmit(one, one)
            return {"z": block._replace(sample=block.sample * 0)}

    about = study(Silent(), made(Blobs))
    with pytest.raises(Undefined, match="distinct codes"):
        look("clusters", about)
    assert look("efficiency", about)["ball"]["mdl_ratio"] > 1
