"""Laws of training under a rate constraint."""

import math
from dataclasses import replace

import pytest
import torch
from stripes import LONG, Stripes, new
from torch import nn

from rdu_bench import registry
from rdu_bench.api import Autoencoder, Critic, Row
from rdu_bench.budget import Budget
from rdu_bench.training import Control, Learning, Training, fit, fit_stack, fitting, mean_rate, train_at
from rdu_bench.training import loop as training_loop
from rdu_bench.training.control import FLOOR, RateTarget, own_price, verdict
from rdu_bench.training.loop import ROUND, ROUNDS, labelled
from rdu_bench.training.posthoc import Whitened, comes_after
from rdu_bench.training.stack import Stack


@pytest.fixture(scope="module")
def data():
    made = Stripes()
    made.load()
    return made


@pytest.mark.parametrize("sigma", [0.7, 2.5])
def test_the_rate_asked_for_is_the_rate_reached(data, sigma):
    control = fit(new(data), data, sigma, LONG).control
    assert control.status == "ok"
    assert abs(control.R_train / sigma - 1) <= 0.02
    assert control.rate_err == pytest.approx(control.R_train / sigma - 1)


def test_training_again_gives_the_same_bits(data):
    first, second = new(data), new(data)
    fit(first, data, 2.0, LONG)
    torch.manual_seed(99)  # the caller's generator has no say
    fit(second, data, 2.0, LONG)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def sums(model):
    """Of the weights and of their absolute values."""
    weights = torch.cat([p.detach().double().flatten() for p in model.parameters()])
    return [float(weights.sum()), float(weights.abs().sum())]


# of weights as protocol 3 trains them; a changed draw or step moves all digits
KEPT = {
    "vae": ([-0.6498513963306323, 180.31820970925037], 0.29785107930501303, 20),
    "factor_vae": ([-42.8862954084305, 4625.343893982204], 0.28923492431640624, 20),
    "ae": ([-1.460358540778543, 169.17505821746818], 2.0, 7),
    "mr_vae": ([-1.7823746699141338, 210.40438335190993], 2.0000148518880208, 0),
}
TWENTY = Training(steps=20, batch=50, seed=3)


@pytest.mark.parametrize("name", KEPT)
def test_weights_are_those_of_the_protocol(data, name):
    found = train_at(new(data, name), data, 2.0, TWENTY)
    weights, rate, steps = KEPT[name]
    assert sums(found.model) == pytest.approx(weights, rel=1e-6)
    assert found.control.R_train == pytest.approx(rate, rel=1e-6)
    assert found.control.steps == steps  # of the last stretch of training, settling included


def test_stacked_weights_are_those_of_the_protocol(data):
    found = fit_stack([new(data) for _ in range(3)], data, [None, 1.0, 3.0], TWENTY)
    kept = [
        [1.2721695872023702, 180.2967833939474],
        [-0.40301036939490587, 180.37485318316612],
        [-0.7166496672434732, 180.32641877734568],
    ]
    for trained, weights in zip(found, kept, strict=True):
        assert sums(trained.model) == pytest.approx(weights, rel=1e-6)


def test_the_learning_curve_goes_through_settling_and_ends_where_training_does(data):
    found = train_at(new(data), data, 2.0, TWENTY)
    table = found.learning.table()
    assert table["step"][-1] == found.control.steps == 20  # 5 rounds of 1 after 15
    assert table["step"] == [1, 15, 16, 17, 18, 19, 20]
    assert {len(column) for column in table.values()} == {len(table["step"])}
    assert table["D"][-1] < table["D"][0]


def test_points_of_a_learning_curve_are_means_over_all_batches_between_looks(data, monkeypatch):
    monkeypatch.setattr("rdu_bench.training.loop.ROUNDS", 0)
    seen = []

    class Spied(Autoencoder):
        row = Row(paper="0000.00000")

        def distortion(self, batch, code):
            D = super().distortion(batch, code)
            seen.append(float(D.detach().mean()))
            return D

    learning = train_at(Spied(data.spec(hidden=(8,), latent=2)), data, None, Training(60, batch=50)).learning
    assert learning.step == (1, 26, 51, 60)
    expected = [seen[0], sum(seen[1:26]) / 25, sum(seen[26:51]) / 25, sum(seen[51:60]) / 9]
    assert pytest.approx(expected, rel=1e-5) == learning.D
    assert learning.beta == (1, 1, 1, 1)
    assert learning.table(most=2)["D"] == pytest.approx([sum(seen[:26]) / 26, sum(seen[26:60]) / 34], rel=1e-4)


@pytest.mark.parametrize("looks", [0, 1, 49, 50, 51, 99, 101, 1000])
def test_a_learning_curve_of_any_length_has_at_most_fifty_points(looks):
    steps, flat = tuple(range(1, looks + 1)), tuple(map(float, range(looks)))
    table = Learning(steps, flat, flat, flat).table()
    assert len(table["step"]) <= 50
    assert table["step"][-1:] == list(steps[-1:])


def test_what_is_not_finite_is_null_in_a_learning_curve():
    table = Learning((1, 2), (1.0, math.nan), (math.inf, 2.0), (1.0, 1.0)).table()
    assert table["D"] == [1.0, None] and table["R"] == [None, 2.0]


def test_a_channel_that_comes_afterwards_comes_once(data):
    base = new(data, "ae")
    assert comes_after(base)
    found = train_at(base, data, 2.0, TWENTY)
    assert isinstance(found.model, Whitened) and not comes_after(found.model)
    again = train_at(found.model, data, 2.0, Training(3, batch=50))
    assert again.model is found.model
    assert found.learning.step[-1] == 20  # of which 35 % are behind the channel


def test_a_training_is_what_its_budget_spends():
    budget = Budget(steps=70, batch=9, lr=0.5, continuation=0.1)
    training = Training.of(budget, seed=3)
    assert (training.steps, training.batch, training.lr, training.seed) == (70, 9, 0.5, 3)
    assert training.continued().steps == 7


def test_training_leaves_the_callers_generator_alone(data):
    model = new(data)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(model, data, 2.0, Training(steps=2))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("vectorise", [True, False])
def test_a_stack_equals_separate_runs(data, vectorise):
    sigmas = [None, 1.0, 3.0]
    apart = [new(data) for _ in sigmas]
    short = Training(steps=50, batch=100, seed=1)
    controls = [fit(m, data, s, short).control for m, s in zip(apart, sigmas, strict=True)]
    together = [new(data) for _ in sigmas]
    found = fit_stack(together, data, sigmas, short, vectorise=vectorise)
    for one, other, a, b in zip(apart, together, controls, (t.control for t in found), strict=True):
        for p, q in zip(one.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(p, q, atol=1e-4, rtol=1e-3)
        assert a.R_train == pytest.approx(b.R_train, rel=1e-3)
        assert b.strategy == "batched"


def test_without_a_target_the_multiplier_is_one():
    target = RateTarget(torch.tensor([math.nan, 2.0]))
    for rate in (0.1, 50.0):
        beta = target(torch.tensor([rate, rate]))
        assert beta[0] == 1
    assert beta[1] != 1


def test_the_multiplier_stays_within_its_bounds():
    target = RateTarget(torch.tensor([1.0, 1.0]), w=10)
    for _ in range(2000):
        beta = target(torch.tensor([0.0, 9.0]))
    assert beta[0] >= FLOOR * math.exp(-1) * 0.999
    assert beta[1] <= 10
    assert target.log_beta.exp().tolist() == pytest.approx([FLOOR, 10], rel=1e-3)


def test_a_warm_start_reaches_its_target_sooner(data):
    model = new(data)
    before = fit(model, data, 3.0, LONG).control
    after = fit(model, data, 2.0, Training(steps=200, batch=100, seed=1), start=before).control
    assert after.status == "ok" and after.strategy == "continuation"


class Bursts(Autoencoder):
    """Loses its head after some steps, at high rates only."""

    row = Row(paper="0000.00000")

    def regularizer(self, batch, code):
        return torch.where(batch.progress > 0.5, math.nan, 0.0) * code["z"].rate.mean()


def test_divergence_is_a_status_with_its_reason(data):
    control = fit(Bursts(data.spec(hidden=(8,), latent=2)), data, 1.0, Training(steps=100)).control
    assert control.status == "diverged"
    assert "regularizer not finite" in control.reason


class OneCellBursts(Autoencoder):
    """NaN as soon as the rate is above 2 nats."""

    row = Row(paper="0000.00000")

    def regularizer(self, batch, code):
        return torch.where(code["z"].rate.mean() > 2, math.nan, 0.0)


def test_a_diverged_cell_does_not_touch_the_others(data):
    torch.manual_seed(0)
    models = [OneCellBursts(data.spec(hidden=(32,), latent=4)) for _ in range(2)]
    quiet, loud = (t.control for t in fit_stack(models, data, [0.5, 4.0], LONG))
    assert loud.status == "diverged"
    assert quiet.status == "ok"


def test_a_rate_no_code_can_carry_is_called_unreachable():
    assert verdict(3.0, 5.0, FLOOR, 100)[0] == "unreachable"
    assert verdict(3.0, 2.0, 100.0, 100)[0] == "unreachable"
    assert verdict(0.01, 2.0, 1.0, 100)[0] == "collapsed"
    assert verdict(0.09, 2.0, 1.0, 100)[0] == "collapsed"
    assert verdict(0.11, 2.0, 1.0, 100)[0] == "rate_missed"
    assert verdict(2.5, 2.0, 1.0, 100)[0] == "rate_missed"
    assert verdict(2.019, 2.0, 1.0, 100)[0] == "ok"
    assert verdict(2.021, 2.0, 1.0, 100)[0] == "rate_missed"
    assert verdict(1.019, 1.0, 1.0, 100)[0] == "ok"


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.inf, math.nan])
def test_a_target_must_be_a_positive_number(data, sigma):
    with pytest.raises(ValueError, match="positive number of nats"):
        fit(new(data), data, sigma, Training(steps=1))


def test_labels_are_hidden_evenly_and_for_good(data):
    model = new(data)
    assert labelled(data, model, 0) is data.splits["train"]
    model.labelled = 7
    seen = labelled(data, model, 0).factors["top"]
    assert [(seen == k).sum().item() for k in (-1, 0, 1)] == [len(seen) - 7, 4, 3]
    assert torch.equal(seen, labelled(data, model, 0).factors["top"])
    assert not torch.equal(seen, labelled(data, model, 1).factors["top"])
    known = seen >= 0
    assert torch.equal(seen[known], data.splits["train"].factors["top"][known])


class Silent(Autoencoder):
    """A deterministic encoder that pays nothing, to be put behind a channel."""

    row = Row(paper="0000.00000", rate="noise channel")

    def __init__(self, data, *, channel="posthoc-iso"):
        super().__init__(data, encoder=nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), latent=3)
        self.channel = channel

    def encode(self, batch):
        from rdu_bench.api import Block, gaussian

        f = self.encoder(batch.x)
        unit = gaussian(f, torch.ones_like(f))
        return {"z": Block(f, f.new_zeros(len(f)), unit, unit, f)}


@pytest.mark.parametrize("sigma", [0.5, 3.0, 20.0])
def test_noise_of_the_closed_form_has_the_rate_asked_for(data, sigma):
    torch.manual_seed(0)
    noisy = Whitened(Silent(data.spec(hidden=(8,))), data.view("train", Silent.row), sigma)
    assert mean_rate(noisy, data.view("train", noisy.row)) == pytest.approx(sigma, rel=1e-4)
    assert fit(noisy, data, sigma, Training(steps=5)).control.steps == 0


def test_equal_noise_is_the_inverse_of_its_rate(data):
    noisy = Whitened(Silent(data.spec(hidden=(8,))), data.view("train", Silent.row), 2.0)
    torch.testing.assert_close(noisy.tau, torch.full_like(noisy.tau, math.expm1(2 * 2.0 / 3) ** -0.5))
    assert 0.5 * torch.log1p(noisy.tau**-2).sum().item() == pytest.approx(2.0)


def test_the_decoder_gets_the_mean_of_the_code_given_what_arrived(data, monkeypatch):
    """So what it misses of f has nothing to do with what arrived, which the nearest code to that would have."""
    noisy = Whitened(Silent(data.spec(hidden=(8,))), data.view("train", Silent.row), 2.0)
    monkeypatch.setattr(noisy.model, "decode", lambda code: code["z"].sample)
    with torch.no_grad():
        batch = data.view("train", Silent.row).batch()
        f, code = noisy.model.encode(batch)["z"].sample, noisy.encode(batch)
        z, guess = code["z"].sample, noisy.receive(code)
    each = (f - guess)[:, :, None] * z[:, None]
    assert (each.mean(0).abs() < 4 * each.std(0) / len(f) ** 0.5).all()
    assert ((f - guess).square().mean(0) < f.var(0)).all()


def test_the_elbo_of_a_channel_finds_its_own_rate(data):
    base = Silent(data.spec(hidden=(8,)))
    fit(base, data, None, Training(steps=300, batch=100))
    noisy = Whitened(base, data.view("train", Silent.row), None)
    before = noisy.tau.detach().clone()
    control = fit(noisy, data, None, LONG).control
    assert control.R_train > 0.05 and not torch.equal(before, noisy.tau)
    assert noisy.tau.std() < 1e-6


def test_learned_noise_moves_its_widths_and_the_decoder_only(data):
    torch.manual_seed(0)
    base = Silent(data.spec(hidden=(8,)), channel="posthoc-learned")
    noisy = Whitened(base, data.view("train", Silent.row), 2.0)
    control = fit(noisy, data, 2.0, LONG).control
    assert control.status == "ok"
    assert noisy.tau.std() > 0
    for a, b in zip(base.encoder.parameters(), noisy.model.encoder.parameters(), strict=True):
        assert torch.equal(a, b)
    moved = [
        not torch.equal(a, b) for a, b in zip(base.decoder.parameters(), noisy.model.decoder.parameters(), strict=True)
    ]
    assert all(moved)


def test_rescaling_the_encoder_does_not_change_the_channel(data):
    torch.manual_seed(0)
    base = Silent(data.spec(hidden=(8,)))
    first = Whitened(base, data.view("train", Silent.row), 2.0)
    with torch.no_grad():
        for p in base.encoder[1].parameters():
            p.mul_(1000)
    second = Whitened(base, data.view("train", Silent.row), 2.0)
    seen = data.view("test", Silent.row)
    assert mean_rate(first, seen) == pytest.approx(mean_rate(second, seen), rel=1e-3)


@pytest.mark.parametrize(("own", "lr"), [(None, 1e-3), (0.25, 0.25)])
def test_critics_learn_at_the_rate_of_the_model_or_at_their_own(data, own, lr):
    class Played(Autoencoder):
        row = Row(paper="0000.00000")

        def __init__(self, spec):
            super().__init__(spec)
            self.critic = Critic(self.latent, hidden=8, depth=1, lr=own)

    model = Played(data.spec(hidden=(8,), latent=2))
    adam, averages = Stack(model, 2).optimizers(1e-3)
    ours, theirs = adam.param_groups
    assert averages is None
    assert (theirs["lr"], theirs["betas"]) == (lr, (0.5, 0.9)) and ours["lr"] == 1e-3
    assert len(theirs["params"]) == len(list(model.critic.parameters()))
    assert len(ours["params"]) + len(theirs["params"]) == len(list(model.parameters()))


def test_whoever_misses_the_rate_is_trained_for_no_more_steps(data, monkeypatch):
    seen = []
    honest = training_loop.batches

    def counted(split, size, steps, **kwargs):
        seen.append(steps)
        return honest(split, size, steps, **kwargs)

    monkeypatch.setattr(training_loop, "batches", counted)
    short = replace(LONG, steps=60)
    met, missed = (fit(new(data), data, 2.5, training).control for training in (LONG, short))
    assert (met.status, missed.status) == ("ok", "rate_missed")
    rounds = [round(ROUND * LONG.steps)] * ROUNDS
    assert seen[: 1 + ROUNDS] == [LONG.steps - sum(rounds), *rounds] and sum(seen[: 1 + ROUNDS]) == met.steps
    assert sum(seen[1 + ROUNDS :]) == missed.steps == 60


def test_rounds_of_settling_bring_the_rate_nearer(data, monkeypatch):
    settled = fit(new(data), data, 2.5, replace(LONG, steps=300)).control
    [stacked] = fit_stack([new(data)], data, [2.5], replace(LONG, steps=300))
    assert stacked.control.R_train == pytest.approx(settled.R_train, rel=1e-3)
    monkeypatch.setattr("rdu_bench.training.loop.ROUNDS", 0)
    without = fit(new(data), data, 2.5, replace(LONG, steps=300)).control
    assert settled.steps == without.steps == 300
    assert abs(settled.rate_err) < abs(without.rate_err)


def test_a_round_that_loses_the_rate_is_not_kept(data, monkeypatch):
    judge, judged, W = fitting._judge, [], "decoder.net.net.0.weight"

    def then_lost(model, data, control, training):
        found = judge(model, data, control, training)
        judged.append(model.state_dict()[W].clone() if len(judged) == 2 else None)
        status = "ok" if len(judged) == 3 else "rate_missed"
        return replace(found, status=status)

    monkeypatch.setattr(fitting, "_judge", then_lost)
    found = fit(new(data), data, 2.5, replace(LONG, steps=60))
    assert found.control.status == "ok" and found.control.steps == 60 and len(judged) == 1 + ROUNDS
    assert torch.equal(found.model.state_dict()[W], judged[2])


def test_all_stretches_of_a_training_show_the_same_labels(data):
    model = new(data)
    model.labelled = 30
    main, rounds = replace(LONG, steps=100).settling()
    known = []
    for training in (main, *rounds[:2]):
        seen = [(batch.x, batch.y) for batch in training_loop.stream(data, model, replace(training, steps=60))]
        x, y = (torch.cat(part) for part in zip(*seen, strict=True))
        known.append({tuple(image.flatten().tolist()) for image in x[y >= 0]})
    assert known[0] == known[1] == known[2]


def test_no_round_of_settling_warms_up_again(data):
    main, rounds = replace(LONG, steps=100).settling()
    ends = [
        [float(batch.progress) for batch in training_loop.stream(data, new(data), part)] for part in (main, rounds[0])
    ]
    assert ends[0][0] < 0.1 and ends[0] == sorted(ends[0]) and set(ends[1]) == {1.0}


def test_a_targets_type_does_not_change_what_is_trained(data):
    start = Control(2.0, 100.0, price=0.3)
    whole, real = (fit(new(data), data, sigma, replace(LONG, steps=20), start=start).control for sigma in (2, 2.0))
    assert whole.price == real.price and whole.R_train == real.R_train


@pytest.mark.parametrize("beta", [0.125, 4.0])
def test_the_slope_has_the_models_own_weight_on_the_rate_in_it(data, beta):
    model = registry.model("beta_vae", data.spec(hidden=(8,), latent=2), beta=beta)
    control = fit(model, data, None, replace(LONG, steps=5)).control
    assert control.price == 1 and control.beta_end == pytest.approx(beta)
    assert control.literal_ok == (beta <= 1)


def test_own_weight_on_the_rate_is_what_all_blocks_have_in_common(data):
    class Priced(Autoencoder):
        row = Row(paper="0000.00000")

        def encode(self, batch):
            return {"a": super().encode(batch)["z"], "z": super().encode(batch)["z"]}

        def regularizer(self, batch, code):
            return self.weights[0] * code["a"].rate.mean() + self.weights[1] * code["z"].rate.mean()

    model = Priced(data.spec(hidden=(8,), latent=2))
    batch = data.view("train", model.row, slice(20)).batch()
    for weights, common in {(3.0, 2.0): 2.0, (-0.5, -1.0): -0.5, (2.0, 0.0): 0.0, (1.0, -1.0): 0.0}.items():
        model.weights = weights
        assert own_price(model, batch, 3.0) == pytest.approx(common)


def test_what_is_priced_weighs_as_much_as_a_nat_of_rate_at_every_price(data):
    """With (k − 1) R priced at β a model is trained as by D + kβR: at rest β is a k-th, and the slope is the same."""

    class Priced(Autoencoder):
        row = Row(paper="0000.00000")
        k = 1.0

        def priced(self, batch, code):
            return (self.k - 1) * code["z"].rate.mean()

    slopes, prices = [], []
    for k in (1.0, 3.0):
        torch.manual_seed(0)
        model = Priced(data.spec(hidden=(8,), latent=2))
        model.k = k
        batch = data.view("train", model.row, slice(20)).batch()
        assert own_price(model, batch, 2.0) == pytest.approx(2 * (k - 1), rel=1e-4)
        control = fit(model, data, 1.0, replace(LONG, steps=400)).control
        assert control.rate_err == pytest.approx(0, abs=0.03)
        prices.append(control.price)
        slopes.append(control.beta_end)
    assert prices[0] == pytest.approx(3 * prices[1], rel=0.25)
    assert slopes[0] == pytest.approx(slopes[1], rel=0.25)
