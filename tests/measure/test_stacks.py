"""Stacks of densities for codes of several blocks and of many symbols, where I or the entropy is known."""

import math

import pytest
import torch
from worlds import viewed

from rdu_bench.api import Batch, Model, Row, gaussian, one_hot, transmit
from rdu_bench.measure.charts import chart
from rdu_bench.measure.codes import Splits, draw
from rdu_bench.measure.histograms import histograms
from rdu_bench.measure.marginals import BY_BLOCK, refit


class Two(Model):
    """x = ±4; z₁ ~ N(x, 1), by an own marginal N(0, 1) that fits badly; z₂ hangs on z₁ alone, as its own p knows."""

    row = Row(paper="0000.00000", title="two", encoder="H")

    def encode(self, batch: Batch):
        first = transmit(gaussian(batch.x, torch.ones_like(batch.x)), gaussian(0 * batch.x, torch.ones_like(batch.x)))
        wave = gaussian(2 * torch.sin(4 * first.sample), torch.full_like(batch.x, 0.3))
        return {"z1": first, "z2": transmit(wave, wave)}


class Chained(Model):
    """The same blocks in a line: z₂ ~ N(2 z₁, 0.1), of which its own p = N(0, 1) knows nothing."""

    row = Row(paper="0000.00000", title="chained", encoder="H")

    def encode(self, batch: Batch):
        unit = gaussian(0 * batch.x, torch.ones_like(batch.x))
        first = transmit(gaussian(batch.x, torch.ones_like(batch.x)), unit)
        return {"z1": first, "z2": transmit(gaussian(2 * first.sample, torch.full_like(batch.x, 0.1)), unit)}


def signs(n, seed):
    return 4 * (2 * torch.randint(0, 2, (n, 1), generator=torch.Generator().manual_seed(seed)).float() - 1)


def codes_of(model, n=2000):
    torch.manual_seed(0)
    return Splits(*(draw(model, viewed(signs(n, seed)), 2, decode=False) for seed in range(3)))


def information(codes):
    """(S, N) log q(z₁|x) − log q(z₁) nats, z₂ saying nothing more; up to signs of x."""
    z = codes.test.drawn[0][..., 0].double()
    each = torch.stack([-0.5 * (z - m) ** 2 - 0.5 * math.log(2 * math.pi) for m in (-4, 4)])
    return (each.max(0).values - each.logsumexp(0) + math.log(2)).mean()


def test_a_stack_a_block_is_tight_where_no_joint_density_is():
    codes = codes_of(Two())
    found, i = refit(codes, (4,), 0, {}), float(information(codes))
    rates = {name: float(nats.mean()) for name, nats in found.parts.items()}
    assert rates["own"] - i > 0.5 and rates["full"] - i > 0.5 and rates["mixture-4"] - i > 0.5
    assert i - 0.01 <= float(found.rate.mean()) <= i + 0.05
    assert rates[BY_BLOCK] <= i + 0.05 and found.weights[BY_BLOCK] > 0.9


def test_a_block_may_be_expected_by_a_line_through_those_before():
    codes = codes_of(Chained())
    found, i = refit(codes, (), 0, {}), float(information(codes))
    parts = {name: float(nats.mean()) for name, nats in found.parts.items()}
    assert parts[BY_BLOCK] < parts["own"] - 10
    loose = 0.5 * math.log(17) - math.log(2)  # of the Gaussian about all z₁, whose variance is 17
    assert parts[BY_BLOCK] == pytest.approx(i + loose, abs=0.05)


def test_a_code_of_one_block_has_no_stack_a_block():
    class One(Two):
        def encode(self, batch):
            return {"z1": super().encode(batch)["z1"]}

    assert BY_BLOCK not in refit(codes_of(One(), 200), (), 0, {}).weights


def test_a_stack_fitted_to_the_codes_that_it_charges_is_below_the_information():
    few = codes_of(Two(), 60)
    cheat = refit(Splits(few.test, few.test, few.test), (6,), 0, {})
    assert float(cheat.rate.mean()) < float(refit(few, (6,), 0, {}).rate.mean()) - 0.05


LAWS = {
    "harmonic": 1 / torch.arange(1, 1001).double(),
    "half of them": (torch.arange(1000) % 2).double() + 1e-9,
    "geometric": 0.99 ** torch.arange(1000).double(),
    "even": torch.ones(1000).double(),
}


def placed(law, n, seed, positions=1):
    torch.manual_seed(seed)
    k = torch.multinomial(law, n * positions, replacement=True).view(1, n, positions)
    return chart("one-hot", torch.zeros(1))(torch.nn.functional.one_hot(k, len(law)).float())


@pytest.mark.parametrize("name", LAWS)
def test_a_thousand_symbols_cost_their_entropy(name):
    law = LAWS[name] / LAWS[name].sum()
    train, val = placed(law, 4000, 0), placed(law, 1500, 1)
    log_p = law.log()

    def loose(density):
        whole = density(val._replace(symbols=torch.arange(1000).view(1, -1, 1), volume=torch.zeros(1, 1000).double()))
        assert float(whole.logsumexp(1)) == pytest.approx(0, abs=1e-6)
        return float((law * (log_p - whole[0])).sum())

    found = {name: loose(fit.scored) for name, fit in histograms(train, val).items()}
    assert min(found.values()) < 0.1 and found["pooled"] < 0.12


def test_symbols_that_never_come_cost_little():
    law = LAWS["half of them"] / LAWS["half of them"].sum()
    [pooled, added] = (histograms(placed(law, 4000, 0), placed(law, 1500, 1))[name] for name in ("pooled", "histogram"))
    test = placed(law, 4000, 2)
    assert -float(pooled.scored(test).mean()) - math.log(500) < 0.03 < -float(added.scored(test).mean()) - math.log(500)


def test_positions_that_share_their_law_share_what_was_seen():
    law = LAWS["harmonic"] / LAWS["harmonic"].sum()
    train, val, test = (placed(law, n, seed, 10) for seed, n in enumerate((1000, 500, 4000)))
    entropy = -float((law * law.log()).sum())
    found = {name: -float(fit.scored(test).mean()) - 10 * entropy for name, fit in histograms(train, val).items()}
    assert found["histogram"] > 1 and found["tied"] < 0.5


def test_symbols_never_seen_are_weighed_by_validation():
    class Names(Model):
        row = Row(paper="0000.00000", title="names")

        def encode(self, batch: Batch):
            hot = torch.nn.functional.one_hot(batch.x[:, 0].long(), 1000).float()
            return {"k": transmit(one_hot(80 * hot), one_hot(0 * hot))}

    law = LAWS["harmonic"] / LAWS["harmonic"].sum()
    x = [torch.multinomial(law, n, replacement=True)[:, None].float() for n in (4000, 2000, 4000)]
    codes = Splits(*(draw(Names(), viewed(part), 1, decode=False) for part in x))
    nats = -law.log()[x[2][:, 0].long()].mean()
    assert float(refit(codes, (), 0, {}).rate.mean()) == pytest.approx(float(nats), abs=0.1)
