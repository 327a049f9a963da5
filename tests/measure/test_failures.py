"""One thing that fails costs its own numbers, with the reason, and no others."""

import math

import numpy as np
import pytest
import torch
from worlds import Coins, Wires, as_record, study

from rdu_bench.api import bernoulli, gaussian, transmit
from rdu_bench.measure import MEASUREMENTS, measure
from rdu_bench.measure import heads as reading
from rdu_bench.measure import measured as merging
from rdu_bench.measure import study as studying
from rdu_bench.records.laws import check
from rdu_bench.scores import Undefined

PLANTED = "RuntimeError: planted"


class Pair(Wires):
    """Two blocks: the first wire, then the other two."""

    def encode(self, batch):
        mean = self.gain * (2 * batch.x.flatten(1) - 1)
        parts = {"top": mean[:, :1], "rest": mean[:, 1:]}
        return {
            name: transmit(gaussian(part, torch.ones_like(part)), gaussian(0 * part, torch.ones_like(part)))
            for name, part in parts.items()
        }

    def decode(self, code):
        z = torch.cat([code["top"].sample, code["rest"].sample], 1)
        return bernoulli((2 * self.gain * z).view(-1, 1, 1, 3) + 0 * self.still)


@pytest.fixture(scope="module")
def coins():
    made = Coins()
    made.load(n=240)
    made.sensitive = "bit1"
    return made


def measured(data, model=None, **budget):
    model = Pair(1.5) if model is None else model
    return measure(study(model, data, **{"codes": 120, "mixtures": (2,), "draws_test": 2, "draws_fit": 2, **budget}))


@pytest.fixture(scope="module")
def whole(coins):
    return measured(coins)


def numbers(found):
    """Every number of a measurement by the name its reason would have."""
    flat = dict(found.values) | dict(found.scores)
    for factor, fields in found.factors.items():
        flat |= {f"{name}[{factor}]": value for name, value in fields.items()}
    return flat


def without_a_reason(found):
    """Fields that are null and do not say why; standard errors share the reason of their mean."""
    return [
        name
        for name, value in numbers(found).items()
        if value is None
        and not any(n in found.nulls for n in (name, name.replace("_se[", "["), name.removesuffix("_se")))
    ]


def plant(monkeypatch, name, error):
    def fail(about):
        raise error

    monkeypatch.setitem(MEASUREMENTS, name, MEASUREMENTS[name]._replace(run=fail))


def test_all_is_well_before_something_is_planted(whole):
    assert set(whole.structure) == {"clusters", "levels", "blocks", "leakage", "efficiency", "noise"}
    assert without_a_reason(whole) == []


KINDS = {
    PLANTED: RuntimeError("planted"),
    "SystemExit: 3": SystemExit(3),
    "it means nothing": Undefined("it means nothing"),
}
WITHOUT = {"prediction"}  # of these models, which predict nothing
ONE_BY_ONE = [(name, PLANTED) for name, one in MEASUREMENTS.items() if one.blank and name not in WITHOUT]


@pytest.mark.parametrize(("name", "reason"), [*ONE_BY_ONE, *(("distortion", reason) for reason in KINDS)])
def test_a_measurement_that_fails_costs_its_own_numbers_and_no_others(name, reason, coins, whole, monkeypatch):
    plant(monkeypatch, name, KINDS[reason])
    found = measured(coins)
    before, after = numbers(whole), numbers(found)
    assert before.keys() == after.keys()
    lost = {n for n in after if after[n] is None and before[n] is not None}
    assert {n: after[n] for n in after.keys() - lost} == {n: before[n] for n in before.keys() - lost}
    assert without_a_reason(found) == []
    gone = set(whole.structure) - set(found.structure)
    assert found.structure == {part: table for part, table in whole.structure.items() if part not in gone}
    missing = whole.vectors.keys() - found.vectors.keys()
    assert found.vectors.keys() <= whole.vectors.keys()
    assert lost or gone or missing
    assert {found.nulls[n] for n in lost if n in found.nulls} <= {reason}
    assert reason in found.nulls.values()
    assert {found.nulls[f"structure.{part}"] for part in gone} <= {reason}
    for vector in found.vectors:
        if name == "distortion" and vector.startswith("pictures/"):  # whose draws go on where those of D end
            assert found.vectors[vector].shape == whole.vectors[vector].shape
        else:
            np.testing.assert_array_equal(found.vectors[vector], whole.vectors[vector])


def test_one_measurement_more_or_less_changes_no_number(coins, whole, monkeypatch):
    kept = dict(reversed([(n, m) for n, m in MEASUREMENTS.items() if n not in ("information", "controls", "levels")]))
    monkeypatch.setattr(merging, "MEASUREMENTS", kept)
    found = measured(coins)
    for name, value in numbers(found).items():
        assert value == numbers(whole)[name], name
    assert found.structure == {k: v for k, v in whole.structure.items() if k != "levels"}


@pytest.mark.parametrize("what", ["draw", "refit"])
def test_without_codes_or_a_marginal_there_is_no_point(what, coins, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("planted")

    monkeypatch.setattr(studying, what, fail)
    with pytest.raises(RuntimeError, match="planted"):
        measured(coins)


def test_trouble_of_the_machine_is_raised(coins, monkeypatch):
    plant(monkeypatch, "scores", MemoryError())
    with pytest.raises(MemoryError):
        measured(coins)


class Torn(Pair):
    """log p(x|z) of pictures whose bits are all 1 is NaN."""

    def decode(self, code):
        density = super().decode(code)

        class Density:
            mean = density.mean

            def log_prob(self, x):
                return torch.where(x.flatten(1).all(1), torch.nan, density.log_prob(x))

        return Density()


def only(data, part):
    """The same data, but pictures whose bits are all 1 are in one split only."""
    other = Coins()
    other.load(n=240)
    for name, split in data.splits.items():
        ones = split.take().flatten(1).all(1)
        keep = torch.ones(len(split), dtype=torch.bool) if name == part else ~ones
        other.splits[name] = split.subset(keep.nonzero()[:, 0])
    return other


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_decoder_that_is_not_finite_on_a_few_pictures_is_no_candidate_and_this_is_said(part, coins):
    data = only(coins, part)
    wrong = int(data.splits[part].take().flatten(1).all(1).sum())
    found = measured(data, Torn(1.5), probe_steps=20)
    assert wrong > 0 and found.values["D_own"] is None and found.values["D_own_se"] is None
    assert f"not finite on {wrong} of {len(data.splits[part])} examples of {part}" in found.nulls["D_own"]
    assert found.nulls["elbo_gen_D"] == found.nulls["D_own"] and found.values["D_own_lost"] == wrong
    assert f"no finite number for {wrong} examples" in " ".join(check(as_record(found, data)))
    assert math.isfinite(found.values["D"]) and found.values["D_source"] in ("probe", "null")
    assert "D_own_i" not in found.vectors and np.isfinite(found.vectors["D_i"]).all()
    assert without_a_reason(found) == []


class Mute(Pair):
    """A decoder that raises."""

    def decode(self, code):
        raise ArithmeticError("no")


def test_a_decoder_that_raises_costs_its_own_d(coins, whole):
    found = measured(coins, Mute(1.5))
    assert found.values["D_own"] is None and "ArithmeticError: no" in found.nulls["D_own"]
    assert found.values["D_star_kind"] == "scratch" and found.values["R_star"] == whole.values["R_star"]
    assert found.factors == whole.factors and found.scores == whole.scores


@pytest.mark.parametrize("broken", ["fit", "predict", "nan"])
def test_a_head_that_fails_costs_its_own_numbers(broken, coins, whole, monkeypatch):
    honest = reading.registry.load

    class Broken:
        def fit_many(self, fit, val, targets, *, seed, budget):
            if broken == "fit":
                raise RuntimeError("planted")
            heads = honest("probes", "linear")().fit_many(fit, val, targets, seed=seed, budget=budget)

            def predict(z):
                if broken == "predict":
                    raise RuntimeError("planted")
                return torch.distributions.Categorical(
                    logits=torch.full((*z.shape[:2], 2), torch.nan), validate_args=False
                )

            return [[head._replace(predict=predict) for head in code] for code in heads]

    monkeypatch.setattr(reading.registry, "load", lambda kind, name: Broken if name == "broken" else honest(kind, name))
    about = study(Pair(1.5), coins, ("linear", "broken"), codes=120, mixtures=(2,), draws_test=2, draws_fit=2)
    found = measure(about)
    for factor in ("bit0", "bit1", "bit2"):
        fields = found.factors[factor]
        assert fields["Dy_broken"] is None and fields["Dy_broken_se"] is None
        assert ("planted" if broken != "nan" else "nan") in found.nulls[f"Dy_broken[{factor}]"]
        assert {n: fields[n] for n in whole.factors[factor]} == whole.factors[factor]
    assert found.structure["leakage"] == whole.structure["leakage"]


def test_a_marginal_that_is_not_a_number_is_left_out_of_the_stack(coins, whole):
    class Lost(Pair):
        """A prior without a density."""

        def encode(self, batch):
            code = super().encode(batch)
            block = code["rest"]

            class Nowhere(torch.distributions.Normal):
                def log_prob(self, z):
                    return torch.full((len(z),), torch.nan)

            return {**code, "rest": block._replace(p=Nowhere(0.0, 1.0))}

    found = measured(coins, Lost(1.5))
    assert "own" not in found.values["R_star_w"] and "not a number" in found.nulls["R_star_parts.own"]
    assert found.values["R_star"] == pytest.approx(whole.values["R_star"], abs=0.05)


def test_a_rate_that_is_not_a_number_is_no_point(coins):
    class Nan(Pair):
        def encode(self, batch):
            code = super().encode(batch)
            block = code["rest"]

            class Nowhere(torch.distributions.Independent):
                def log_prob(self, z):
                    return super().log_prob(z) * torch.where(torch.arange(len(z)) == 0, torch.nan, 1.0)

            return {**code, "rest": block._replace(q=Nowhere(block.q.base_dist, 1))}

    with pytest.raises(ValueError, match=r"R\* is not a number: .* of 240 test examples"):
        measured(coins, Nan(1.5))


def test_numbers_that_are_not_finite_become_null_wherever_they_are():
    nulls = {}
    table = {"a": [1.0, math.inf, {"b": math.nan}], "c": "x", "d": (1, 2.5)}
    assert merging._finite("t", table, nulls) == {"a": [1.0, None, {"b": None}], "c": "x", "d": [1, 2.5]}
    assert nulls == {"t.a[1]": "not finite", "t.a[2].b": "not finite"}
