"""Training that validation ends."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from stripes import LONG, Stripes, new

from rdu_bench import registry
from rdu_bench._hash import named_seed
from rdu_bench.api import Autoencoder, Batch, Critic, Row
from rdu_bench.model import Terms
from rdu_bench.training import fit, fit_stack, train_at
from rdu_bench.training import fitting as training_fitting
from rdu_bench.training import loop as training_loop
from rdu_bench.training.converge import POWER, Watch, at_rate, validation
from rdu_bench.training.stack import Single, Stack

OPEN = replace(LONG, steps=3000, lr=1e-2, patience=0.4, warm=250)


@pytest.fixture(scope="module")
def data():
    made = Stripes()
    made.load(120)  # few enough to be learned by heart
    return made


def watched(model, data, sigma=2.0, cells=1):
    runner = Single(model) if cells == 1 else Stack(model, cells)
    seen = validation(data, model, seed=0, device="cpu")
    return Watch(runner, seen, torch.full((cells,), sigma), patience=0.4, warm=0)


def validated(model, data, sigma, beta):
    watch = watched(model, data, sigma)
    return float(watch._loss(torch.tensor([beta]))[0])


def test_validation_ends_training_where_more_of_it_overfits(data):
    training = replace(OPEN, steps=1500)
    ended = train_at(new(data), data, 6.0, training)
    assert not ended.control.capped and training.warm <= ended.control.kept_at < ended.control.steps < training.steps
    long = train_at(new(data), data, 6.0, replace(training, patience=None))
    slope = ended.control.beta_end
    assert validated(ended.model, data, 6.0, slope) < validated(long.model, data, 6.0, slope) - 0.2


def test_who_is_cut_off_says_so(data):
    cut = train_at(new(data), data, 2.0, replace(OPEN, steps=400, lr=1e-3)).control
    assert cut.capped and cut.steps == 400 and cut.last_gain > 0.05


@pytest.mark.parametrize(("name", "watched"), [("ali", [None]), ("bigan", [None, 0.4]), ("aae", [0.4])])
def test_validation_of_d_ends_no_training_that_d_has_no_part_in(data, monkeypatch, name, watched):
    """A channel that is learned afterwards, under D, is another training."""
    seen, honest = [], training_fitting.run

    def spied(runner, data, sigmas, training, **more):
        seen.extend([training.patience] * (not training.stage))
        return honest(runner, data, sigmas, training, **more)

    monkeypatch.setattr(training_fitting, "run", spied)
    training = replace(OPEN, steps=120, warm=100)
    control = train_at(new(data, name), data, 2.0, training).control
    assert seen == watched and (control.kept_at is None) == (watched[-1] is None)
    if name == "ali":
        [stacked] = fit_stack([new(data, name)], data, [2.0], training)
        assert seen[1:] == [None] and control.steps == stacked.control.steps == 120


def test_looks_leave_training_as_it_is(data, monkeypatch):
    """The weights that follow each other are the same with and without looks, and so is the noise."""
    seen = []
    honest = Watch.add

    def spied(watch):
        honest(watch)
        seen.append(float(watch.weights[0].detach().double().abs().sum()))

    monkeypatch.setattr(Watch, "add", spied)
    short = replace(OPEN, steps=300, patience=0.99)
    training_loop.run(Single(new(data)), data, [2.0], short)
    looked, seen = seen, []
    monkeypatch.setattr(Watch, "look", lambda watch, beta: False)
    training_loop.run(Single(new(data)), data, [2.0], short)
    assert len(looked) == 300 and looked == seen


def test_what_is_kept_is_the_average_that_validation_liked_best(data, monkeypatch):
    looks, means = [], []
    honest = Watch.look

    def spied(watch, beta):
        mean, judged = [mean.clone() for mean in watch.means], len(watch.looks)
        over = honest(watch, beta)
        if len(watch.looks) > judged:
            means.append(mean)
            looks.append((watch.steps, float(watch.looks[-1][1])))
        return over

    monkeypatch.setattr(Watch, "look", spied)
    model = new(data)
    [(control, _)] = training_loop.run(Single(model), data, [2.0], OPEN)
    late = [(loss, step, mean) for (step, loss), mean in zip(looks, means, strict=True) if step >= OPEN.warm]
    loss, step, best = min(late, key=lambda look: look[0])
    assert control.kept_at == step and all(map(torch.equal, model.parameters(), best))
    half = [loss for at, loss in looks if at <= step / 2][-1]
    assert control.last_gain == pytest.approx(half - loss)
    apart = [b / a for (a, _), (b, _) in pairwise(looks)]
    assert OPEN.warm / 2.2 <= looks[0][0] <= OPEN.warm / 2 and all(1.1 <= ratio <= 1.12 for ratio in apart[:-1])


def test_the_average_weighs_steps_by_a_power(data):
    model = new(data)
    watch = watched(model, data)
    seen, n = [], 40
    for step in range(1, n + 1):
        with torch.no_grad():
            watch.weights[0].fill_(math.sin(step))
        watch.add()
        seen.append(math.sin(step))
    weights = [math.prod(i + j for j in range(POWER)) for i in range(1, n + 1)]  # i (i + 1) … (i + 7)
    expected = sum(w * v for w, v in zip(weights, seen, strict=True)) / sum(weights)
    assert watch.means[0].flatten()[0].item() == pytest.approx(expected, rel=1e-4)


def terms(D, R, priced=0.0):
    zero = torch.zeros(1)
    return Terms(torch.tensor([D]), torch.tensor([R]), zero, zero, torch.tensor([priced]))


def test_distortion_is_brought_to_the_rate_along_the_frontier():
    sigma = 4.0

    def frontier(R):
        return 20 * math.exp(-2 * R / sigma)

    there = frontier(sigma)
    for R in (3.6, 4.0, 4.4):
        slope = torch.tensor([2 / sigma * frontier(R)])
        found = float(at_rate(terms(frontier(R), R), slope, torch.tensor([sigma])))
        assert found == pytest.approx(there, rel=0.005)
    untrained = at_rate(terms(20.0, 0.0), torch.tensor([50.0]), torch.tensor([sigma]))
    assert float(untrained) == 20.0  # not 20 − 50 · 4
    assert float(at_rate(terms(20.0, 3.0, 0.5), torch.tensor([9.0]), torch.tensor([math.nan]))) == 23.5
    assert float(at_rate(terms(20.0, 4.0, 0.5), torch.tensor([2.0]), torch.tensor([sigma]))) == 21.0


def test_a_models_own_terms_count_unless_a_critic_says_them(data):
    class Fined(Autoencoder):
        row = Row(paper="0000.00000")

        def regularizer(self, batch, code):
            return 7.0 + batch.x.new_zeros(())

    class Told(Fined):
        def __init__(self, spec):
            super().__init__(spec)
            self.critic = Critic(4)

    spec = data.spec(hidden=(32,), latent=4)
    one = torch.ones(1)
    torch.manual_seed(0)
    plain, fined, told = new(data), Fined(spec), Told(spec)
    fined.load_state_dict(plain.state_dict())
    told.load_state_dict(plain.state_dict(), strict=False)
    losses = [float(watched(model, data)._loss(one)[0]) for model in (plain, fined, told)]
    assert losses[1] - losses[0] == pytest.approx(7.0, rel=1e-4) and losses[2] == pytest.approx(losses[0])


def test_a_look_has_the_same_noise_every_time(data):
    model = new(data)
    watch, one = watched(model, data), torch.ones(1)
    torch.manual_seed(5)
    first = torch.stack(watch._loss(one))
    ahead = torch.rand(3)
    torch.manual_seed(6)
    assert torch.equal(torch.stack(watch._loss(one)), first)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), ahead)


@pytest.mark.parametrize("vectorise", [True, False])
def test_cells_of_a_stack_end_as_separate_runs_do(data, vectorise):
    sigmas, training = [1.0, 2.5], replace(OPEN, steps=170, warm=100, lr=2e-3)
    alone = [fit(new(data), data, sigma, training) for sigma in sigmas]
    both = fit_stack([new(data) for _ in sigmas], data, sigmas, training, vectorise=vectorise)
    for one, other in zip(alone, both, strict=True):
        assert one.control.kept_at == other.control.kept_at
        assert one.control.R_train == pytest.approx(other.control.R_train, rel=1e-2)
        for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
            assert torch.allclose(a, b, atol=2e-2)


def test_a_cell_that_is_done_keeps_what_it_had(data):
    watch = watched(new(data), data, cells=2)
    watch.steps, losses = 100, iter([[5.0, 5.0], [9.0, 4.0], [1.0, 3.0]])
    watch._loss = lambda beta: (torch.tensor(next(losses)), torch.ones(2))
    assert not watch.look(torch.tensor([0.1, 0.1]))
    watch.steps = 200
    assert not watch.look(torch.tensor([0.2, 0.2]))
    assert watch.done.tolist() == [True, False]
    watch.steps = 300
    watch.means[0] += 1.0
    watch.look(torch.tensor([0.3, 0.3]))
    assert watch.best.tolist() == [5.0, 3.0] and watch.at.tolist() == [100, 300]
    assert watch.beta.tolist() == pytest.approx([0.1, 0.3])
    assert torch.equal(watch.kept[0][1], watch.means[0][1]) and not torch.equal(watch.kept[0][0], watch.means[0][0])


def test_gains_too_small_to_see_are_kept_and_not_waited_for(data):
    """Of a spread of 2 nats, .01 counts; a crumb is measured from the last gain, so that many of them are one."""
    watch = watched(new(data), data)
    told = {100: 9.0, 140: 8.992, 150: 8.988, 200: 8.98, 240: 8.979, 250: 8.979}
    ended = {}
    for watch.steps, loss in told.items():
        watch._loss = lambda beta, loss=loss: (torch.tensor([loss]), torch.tensor([2.0]))
        ended[watch.steps] = watch.look(torch.ones(1))
    assert watch.gained.item() == 150 and ended == {**dict.fromkeys(told, False), 250: True}
    assert watch.at.item() == 240 and float(watch.best) == pytest.approx(8.979)


def test_the_spread_is_that_of_d_over_examples(data):
    model = new(data)
    watch = watched(model, data)
    _, spread = watch._loss(torch.ones(1))
    torch.manual_seed(named_seed("look"))
    with torch.no_grad():
        each = torch.cat([model.eval()(batch).distortion for batch in watch.batches])
    assert float(spread) == pytest.approx(float(each.std(correction=0)), rel=1e-4)


def test_warming_up_takes_its_steps_and_is_over(data):
    ends = [float(batch.progress) for batch in training_loop.stream(data, new(data), replace(OPEN, steps=300))]
    assert ends[0] == 0 and ends[125] == pytest.approx(0.5) and set(ends[250:]) == {1.0}
    later = training_loop.stream(data, new(data), replace(OPEN, steps=30).continued())
    assert {float(batch.progress) for batch in later} == {1.0}


def test_as_large_a_share_of_the_labels_is_known_in_validation(data):
    model = new(data)
    [*seen] = validation(data, model, seed=0, device="cpu")
    assert len(seen) == 8 and (seen[0].y >= 0).all() and len(seen[0].x) == len(data.splits["val"])
    model.labelled = len(data.splits["train"]) // 3
    first: Batch = validation(data, model, seed=0, device="cpu")[0]
    assert (first.y >= 0).sum() == round(len(first.x) / 3)


def test_a_loss_that_is_no_number_ends_training(data):
    class Lost(Autoencoder):
        row = Row(paper="0000.00000")

        def distortion(self, batch, code):
            return super().distortion(batch, code) * math.nan

    control = train_at(Lost(data.spec(hidden=(8,), latent=2)), data, 2.0, OPEN).control
    assert control.status == "diverged" and control.kept_at is None


@pytest.mark.parametrize("name", ["vib", "m2", "vq_vae", "factor_vae", "ae", "joint_vae"])
def test_validation_judges_models_of_every_kind(data, name):
    """With labels, without a decoder, of several sizes, with a critic, with a channel afterwards, with a warm-up."""
    training = replace(OPEN, steps=160, warm=100, lr=2e-3)
    control = train_at(new(data, name), data, 2.0, training).control
    assert control.status != "diverged" and control.kept_at and control.kept_at <= control.steps
    assert math.isfinite(control.R_train)


def test_groups_in_which_one_factor_varies_are_validation_where_they_are_training():
    sprites = registry.dataset("sprites")
    model = registry.model("dc_ign", sprites.spec(hidden=(16,), latent=12))
    seen = validation(sprites, model, seed=0, device="cpu")
    assert len({int(batch.varied) for batch in seen} - {-1}) and all(float(batch.progress) == 1 for batch in seen)
    assert train_at(model, sprites, 2.0, replace(OPEN, steps=110, warm=60)).control.kept_at
