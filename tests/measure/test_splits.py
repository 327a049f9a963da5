"""Which split decides: weights, heads, temperatures, decoders and clusters are chosen on validation, never on test."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.distributions import Categorical
from worlds import SPECTRUM, Coins, Optimal, Plane, Symbols, Wires, spent, study

from rdu_bench import registry
from rdu_bench.api import Examples, Factor, Head
from rdu_bench.measure import clusters as clustered
from rdu_bench.measure import information as informed
from rdu_bench.measure import robustness
from rdu_bench.measure.charts import chart
from rdu_bench.measure.decoded import Decoded, best_of
from rdu_bench.measure.distortion import distortion
from rdu_bench.measure.found import averaged, folds, mean_and_error, parts, together
from rdu_bench.measure.gaussians import gaussians
from rdu_bench.measure.heads import Drawn, Readers, read
from rdu_bench.measure.histograms import histograms
from rdu_bench.measure.labels import Labels, binned
from rdu_bench.measure.latents import latents
from rdu_bench.measure.marginals import Judged, Parts, _candidates, _stack
from rdu_bench.measure.rate import rate
from rdu_bench.measure.usefulness import usefulness
from rdu_bench.scores.clustering import Clusters

BIASED = {"fair": [0.5, 0.5], "yes": [0.1, 0.9], "no": [0.9, 0.1]}


@pytest.fixture
def heads(monkeypatch):
    """A function from the probabilities of heads to how labels are read by them, whatever the code is."""

    def made(labels, **tables):
        def load(kind, name):
            def predict(z):
                return Categorical(probs=torch.tensor(tables[name]).expand(*z.shape[:2], -1))

            return lambda: SimpleNamespace(fit_many=lambda fit, val, targets, **_: [[Head(predict, {})]])

        monkeypatch.setattr(registry, "load", load)
        z = Drawn(*(torch.arange(2.0 * len(y)).view(1, -1, 2) ** 2 for y in labels))
        [[found]] = read([z], [Labels(Factor("y", 2), *labels)], Readers(tuple(tables), spent(), 0))
        return found

    return made


def answers(ones, n=10):
    return (torch.arange(n) < ones).long()


def test_the_head_that_is_best_on_validation_is_scored_whatever_test_says(heads):
    """Validation has 9 ones of 10, test 1; training half of them, so that a constant is fair."""
    found = heads((answers(5), answers(9), answers(1)), yes=BIASED["yes"], no=BIASED["no"])
    assert found.head == "yes"
    expected = -torch.where(answers(1) == 1, math.log(0.9), math.log(0.1))
    torch.testing.assert_close(found.loss.double(), expected.double(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.nothing.double(), torch.full((10,), math.log(2)).double())
    assert float(found.gained.mean()) == pytest.approx(math.log(2) - float(expected.mean()), abs=1e-4)


def test_no_head_at_all_is_taken_where_validation_says_so(heads):
    """Validation is as training, where a constant is right in 9 of 10; test is the other way round."""
    found = heads((answers(9), answers(9), answers(0)), fair=BIASED["fair"])
    assert found.head == "null" and torch.equal(found.loss, found.nothing) and found.predicted is None


@pytest.mark.parametrize(("val", "temperature"), [(9, 1.0), (7, math.log(9) / math.log(7 / 3))])
def test_the_temperature_is_that_of_validation(heads, val, temperature):
    """Of p = .9 where a share s of validation is one, logits are divided by log 9 / log(s / (1 − s))."""
    found = heads((answers(5), answers(val), answers(1)), yes=BIASED["yes"])
    fitted = found.heads["yes"]
    assert fitted.settings["temperature"] == pytest.approx(temperature, rel=0.01)
    share = val / 10
    assert fitted.val == pytest.approx(-share * math.log(share) - (1 - share) * math.log(1 - share), abs=1e-3)


def test_a_decoder_is_chosen_on_validation():
    good, bad = torch.full((1, 4), 1.0), torch.full((1, 4), 2.0)
    assert best_of({"val": Decoded(good, bad), "test": Decoded(bad, good)}) == "val"


def test_a_marginal_is_weighed_on_validation_and_scored_on_test():
    likely, rare = torch.zeros(1, 50, dtype=torch.float64), torch.full((1, 50), -4.0, dtype=torch.float64)
    weights, stacked = _stack({"a": Judged(likely, rare), "b": Judged(rare, likely)})
    assert weights[0] > 0.97 and float(weights.sum()) == pytest.approx(1)
    expected = (weights.log()[:, None] + torch.tensor([[-4.0], [0.0]])).logsumexp(0)
    torch.testing.assert_close(stacked.test[0], expected.expand(50))


def placed(symbol, n=100):
    hot = torch.nn.functional.one_hot(torch.full((1, n, 1), symbol), 4).float()
    return chart("one-hot", hot)(hot)


def test_histograms_are_weighed_by_what_training_saw_and_scored_by_all_that_was():
    """Training has symbol 0 alone, validation 1, of which training therefore knows nothing; test is not looked at."""
    train, val, test = (placed(k) for k in range(3))
    fit = histograms(train, val)["histogram"]
    judged = _candidates(Parts(train, val, test), (), 0)[0]["histogram"]
    assert torch.equal(judged.val, fit.weighed(val)) and torch.equal(judged.test, fit.scored(test))
    a = 20.0  # the most that may be added, for validation is as unlike as can be
    assert float(fit.weighed(val)[0, 0]) == pytest.approx(math.log(a / (100 + 4 * a)))
    assert float(fit.scored(val)[0, 0]) == pytest.approx(math.log((100 + a) / (200 + 4 * a)))
    assert float(fit.scored(test)[0, 0]) == pytest.approx(math.log(a / (200 + 4 * a)))


def test_a_gaussian_is_that_of_training_codes():
    z = torch.tensor([[[0.0], [2.0], [4.0], [6.0]]])
    place = chart("real", z)
    found = gaussians(place(z), (), 0)
    expected = torch.distributions.Normal(3.0, (20 / 3) ** 0.5).log_prob(torch.tensor(5.0))
    for name in ("diagonal", "full"):
        assert float(found[name](place(torch.tensor([[[5.0]]])))) == pytest.approx(float(expected), abs=1e-4)


@pytest.fixture(scope="module")
def uneven():
    """A plane whose test examples are twice as far out as those of training, and those of validation half as far."""
    data = Plane()
    data.load(n=300)
    for part, size in (("val", 0.5), ("test", 2.0)):
        split = data.splits[part]
        data.splits[part] = Examples(split.take() * size, split.factors)
    about = study(Optimal(1.0), data, draws_fit=2)
    return about, together([rate(about), distortion(about)]).values


def test_numbers_of_training_are_of_training_and_gaps_are_test_less_training(uneven):
    about, v = uneven
    train, val, test = (float(codes.rate["z"].mean()) for codes in about.codes)
    assert v["R_own"] == pytest.approx(test) and v["R_own_train"] == pytest.approx(train)
    assert val < train < test and v["elbo_gen_R"] == pytest.approx(test - train)
    d_train, _, d_test = (float(codes.distortion.double().mean()) for codes in about.codes)
    assert (v["D_own"], v["D_train"]) == pytest.approx((d_test, d_train))
    assert v["elbo_gen_D"] == pytest.approx(d_test - d_train)


def test_distortion_is_told_a_dimension_and_the_gap_is_of_the_sum(uneven):
    about, v = uneven
    assert v["D_per_dim"] == pytest.approx(v["D"] / 4)
    assert v["D_bits_per_dim"] == pytest.approx(v["D"] / 4 / math.log(2))
    assert v["gap_RD"] == pytest.approx(v["D"] + v["R_star"] - about.data.entropy.nats)


def test_the_error_of_a_mean_is_over_test_points_of_means_over_draws():
    assert mean_and_error(torch.tensor([1.0, 2.0, 4.0, 5.0])) == pytest.approx((3.0, (10 / 3) ** 0.5 / 2))
    draws = torch.tensor([[0.0, 4.0, 6.0], [2.0, 0.0, 6.0]])
    assert averaged("x", draws) == pytest.approx({"x": 3.0, "x_se": 7**0.5 / 3**0.5})
    assert [part.tolist() for part in parts(torch.arange(23))][:4] == [[0, 20], [1, 21], [2, 22], [3]]
    assert folds(torch.arange(23))[:4] == [10, 11, 12, 3] and len(folds(torch.arange(7))) == 7


@pytest.mark.parametrize(("low", "saturated"), [(5.01, True), (4.99, False)])
def test_a_bound_within_a_nat_of_log_n_is_saturated(monkeypatch, low, saturated):
    data = Plane()
    data.load(n=20)
    monkeypatch.setattr(informed, "contrasted", lambda test, posteriors: (torch.full((20,), low), 6.0))
    values = informed.information(study(Optimal(1.0), data)).values
    assert (values["saturated"], values["log_N"]) == (saturated, 6.0)


def test_a_task_of_several_factors_is_their_sum_and_u_their_mean_share():
    data = Coins()
    data.load(n=400)
    data.task = ("bit0", "bit2")
    about = study(Symbols(0.3), data)
    found = usefulness(about)
    v, f = found.values, found.factors
    mine = [f["bit0"], f["bit2"]]
    for name in ("Dy", "Hy_V", "H_y", "IV", "Dy_linear"):
        assert v[name] == pytest.approx(sum(one[name] for one in mine)), name
    assert v["Dy_sum"] == pytest.approx(sum(one["Dy"] for one in f.values()))
    assert v["U"] == pytest.approx(sum(one["IV"] / one["Hy_V"] for one in f.values()) / 3)
    each = sum(found.vectors[f"Dy_i/{name}"].astype(float) for name in data.task)
    assert v["Dy_se"] == pytest.approx(each.std(ddof=1) / 20, rel=1e-4)
    gained = sum(about.readings[name].gained.double() for name in data.task)
    assert v["IV_se"] == pytest.approx(float(gained.std()) / 20)
    assert v["IV_se"] > 1.1 * math.hypot(*(one["IV_se"] for one in mine))  # one symbol errs on both at once
    sizes = [20] * 20
    for name in ("Dy", "Hy_V"):
        assert np.average(found.tables["folds"][name], weights=sizes) == pytest.approx(v[name])


def test_a_real_factor_is_cut_where_training_says():
    y = torch.arange(40.0)[:, None]
    [cut] = binned(Labels(Factor("y", 1, kind="real"), y, y + 39, y - 100))
    assert torch.bincount(cut.train).tolist() == [2] * 20 and cut.factor.size == 20
    assert (cut.val[1:] == 19).all() and (cut.test == 0).all()


def test_the_rate_of_a_latent_is_half_the_log_of_its_spread_over_its_noise():
    """At β = 1 the noise of latent j is λ_d / λ_j of a spread of 1."""
    data = Plane()
    data.load(n=2000)
    found = latents(study(Optimal(1.0), data, draws_fit=4)).vectors["latents/rate"]
    assert found == pytest.approx(0.5 * np.log(np.array(SPECTRUM) / SPECTRUM[-1]), abs=0.08)


def test_clusters_are_chosen_by_validation_codes(monkeypatch):
    data = Coins()
    data.load(n=60)
    about, asked = study(Wires(2.0), data), []

    def of(likelihood):
        return Clusters(lambda z: np.zeros(len(z), np.int64), lambda z: asked.append(z) or likelihood)  # both are asked

    monkeypatch.setattr(clustered, "fit_each", lambda z, k, seed: {"k-means": of(-1.0), "mixture": of(-2.0)})
    assert clustered.clusters(about).tables["structure"]["clusters"]["from"] == "k-means"
    assert all(np.array_equal(z, about.codes.val.z[0].double().numpy()) for z in asked) and len(asked) == 2


def test_noise_is_in_units_of_the_spread_of_x(monkeypatch):
    data, said = Plane(), []
    data.load(n=30)
    data.splits["train"] = Examples(data.splits["train"].take() * 10, data.splits["train"].factors)
    monkeypatch.setattr(robustness.Corrupted, "__init__", lambda self, view, seed, **how: said.append(how) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        robustness.under(study(Optimal(1.0), data), [0.25])
    assert said == [{"flip": 0.0, "noise": pytest.approx(0.25 * float(data.splits["train"].take().std()))}]
