"""Ways to get the numbers wrong that have been published.  Each must break a law, one by one."""

import math

import pytest
import torch
from worlds import SPECTRUM, Coins, Optimal, Plane, Symbols, as_record, study, viewed

from rdu_bench.api import Batch, Entropy, Examples, Model, Row, bernoulli, flatten, gaussian, one_hot, transmit
from rdu_bench.measure import codes as drawing
from rdu_bench.measure import measure
from rdu_bench.measure import study as studying
from rdu_bench.measure.codes import Splits
from rdu_bench.measure.posteriors import Posteriors
from rdu_bench.records.laws import check


@pytest.fixture
def plane():
    made = Plane()
    made.load()
    return made


def broken(model, data, **budget):
    """The laws that a measurement breaks, as one text."""
    found = measure(study(model, data, **budget))
    return "\n".join(check(as_record(found, data)))


def with_mean(code):
    return {name: b._replace(sample=b.q.mean, drawn=b.q.mean) for name, b in code.items()}


class MeanDecoder(Optimal):
    """D of the posterior mean."""

    def receive(self, code):
        return super().receive(with_mean(code))


class PixelMean(Optimal):
    """D averaged over pixels."""

    def decode(self, code):
        density = super().decode(code)

        class Averaged:
            def log_prob(self, x):
                return density.log_prob(x) / x.shape[1]

        return Averaged()


class LatentMean(Optimal):
    """R averaged over latents."""

    def encode(self, batch):
        block = super().encode(batch)["z"]
        return {"z": block._replace(rate=block.rate / block.sample.shape[1])}


class Peeking(Optimal):
    """The decoder sees a pixel that was not sent."""

    def encode(self, batch):
        Peeking.seen = batch.x[:, :1]
        return super().encode(batch)

    def decode(self, code):
        mean = super().decode(code).mean
        return gaussian(torch.cat([self.seen, mean[:, 1:]], 1), torch.full_like(mean, SPECTRUM[-1] ** 0.5))


def test_nothing_is_wrong_before_something_is(plane):
    assert broken(Optimal(1.0), plane) == ""


@pytest.mark.parametrize(
    ("mutant", "law"),
    [
        (MeanDecoder, "below H(x)"),
        (PixelMean, "below H(x)"),
        (LatentMean, "differ"),
        (Peeking, "below H(x)"),
    ],
)
def test_mutants_of_the_model_break_a_law(plane, mutant, law):
    assert law in broken(mutant(1.0), plane)


def test_a_decoder_has_no_posterior_to_read(plane):
    class Reader(Optimal):
        def decode(self, code):
            return super().decode({"z": code["z"]._replace(sample=code["z"].q.mean)})

    found = measure(study(Reader(1.0), plane))
    assert found.values["D_own"] is None
    assert "'Arrived' object has no attribute 'q'" in found.nulls["D_own"]


def test_a_head_on_the_mean_takes_more_than_was_sent(plane, monkeypatch):
    honest = drawing._one

    def mean_code(model, x, decode):
        found = honest(model, x, decode)
        return drawing.Codes(**{**found.__dict__, "z": found.mean})

    monkeypatch.setattr(drawing, "_one", mean_code)
    assert "came out of a code" in broken(Optimal(7.9), plane)
    monkeypatch.undo()
    assert broken(Optimal(7.9), plane) == ""


def test_the_log_of_an_average_is_not_the_average_of_logs(plane, monkeypatch):
    honest = studying.draw

    def averaged(*args, **kwargs):
        found = honest(*args, **kwargs)
        level = math.log(len(found.distortion)) - (-found.distortion).logsumexp(0)
        return drawing.Codes(**{**found.__dict__, "distortion": level.expand_as(found.distortion)})

    monkeypatch.setattr(studying, "draw", averaged)
    assert "below H(x)" in broken(Optimal(1.0), plane, draws_test=64, draws_fit=64, codes=200)


def few(n, noise=SPECTRUM[-1]):
    """The same world with n examples in every split."""
    made = Plane()
    made.load(n=n, noise=noise)
    return made


def test_a_marginal_scored_on_what_it_was_fitted_to_is_no_bound(monkeypatch):
    sharp = {"codes": 400, "mixtures": [40], "draws_test": 2}
    assert broken(Optimal(1.0), few(400), **sharp) == ""
    honest = studying.refit
    monkeypatch.setattr(studying, "refit", lambda codes, *how: honest(Splits(codes.test, codes.test, codes.test), *how))
    assert "below H(x)" in broken(Optimal(1.0), few(400), **sharp)


def test_test_points_in_the_marginal_cap_the_rate(monkeypatch):
    plane, model = few(40, noise=0.005), Optimal(1.0, noise=0.005)
    assert broken(model, plane) == ""
    peeked = {"peeked": Posteriors(model, viewed(plane.splits["test"].take()))}
    honest = studying.refit
    monkeypatch.setattr(studying, "refit", lambda codes, *how: honest(codes._replace(val=codes.test), *how[:2], peeked))
    assert "below H(x)" in broken(model, plane)


class Relaxed(Model):
    """The decoder gets the relaxed sample, the rate is that of the symbol."""

    row = Row(paper="0000.00000")
    e = 2.0

    def __init__(self):
        super().__init__()
        self.still = torch.nn.Parameter(torch.zeros(()))  # a model has something to train

    def encode(self, batch):
        side = self.e * (batch.x.flatten(1)[:, :1] - 0.5)
        q = one_hot(torch.cat([side, -side], 1))
        block = transmit(q, one_hot(torch.zeros(len(side), 2)))
        u = torch.rand_like(side).clamp(1e-6, 1 - 1e-6)
        return {"k": block._replace(sample=2 * side + u.log() - (-u).log1p())}

    def decode(self, code):
        v = code["k"].sample

        def density(u):
            return -u - 2 * torch.nn.functional.softplus(-u)

        return bernoulli((density(v - self.e) - density(v + self.e) + 0 * self.still).view(-1, 1, 1, 1))


class Hard(Relaxed):
    """The decoder gets the symbol."""

    def encode(self, batch):
        block = super().encode(batch)["k"]
        return {"k": block._replace(sample=block.drawn)}

    def decode(self, code):
        return bernoulli((code["k"].sample @ torch.tensor([[self.e], [-self.e]]) + 0 * self.still).view(-1, 1, 1, 1))


def test_a_relaxed_sample_carries_more_than_its_symbol():
    coin = Coins()
    coin.load(n=20_000)
    coin.shape, coin.population, coin.factors, coin.task = (1, 1, 1), None, (), ()
    coin.entropy = Entropy(math.log(2), "exact")
    coin.splits = {part: Examples(s.take()[..., :1], {}) for part, s in coin.splits.items()}
    assert broken(Hard(), coin, test=20_000) == ""
    assert "below H(x)" in broken(Relaxed(), coin, test=20_000)


def test_counting_pictures_twice_forbids_what_is_possible():
    coins = Coins()
    coins.load(twice=True)
    assert broken(Symbols(0.001), coins) == ""
    coins.entropy = Entropy(math.log(16), "exact")
    assert "below H(x)" in broken(Symbols(0.001), coins)


def test_grey_pixels_have_no_bernoulli_density():
    logits = torch.zeros(1, 1, 1, 2)
    density = bernoulli(logits)
    binary = torch.tensor([[i >> 1 & 1, i & 1] for i in range(4)]).float().view(4, 1, 1, 2)
    assert density.log_prob(binary).exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    levels = torch.linspace(0, 1, 17)
    grey = torch.cartesian_prod(levels, levels).view(-1, 1, 1, 2)
    assert density.log_prob(grey).exp().sum().item() > 10
    coins = Coins()
    coins.load()
    assert coins.verify() == []
    coins.splits["train"] = Examples(coins.splits["train"].take() * 0.5, coins.splits["train"].factors)
    assert any("0 and 1 only" in sentence for sentence in coins.verify())


def test_what_is_sent_and_what_is_probed_are_the_same(plane):
    code = Optimal(1.0).encode(Batch.unlabelled(plane.splits["test"].take(slice(5))))
    assert torch.equal(flatten(code), code["z"].sample)
