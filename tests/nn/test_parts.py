"""Laws of shared parts: averages, critics, deterministic encoders, channels put on afterwards, prices of a draw."""

import copy
import itertools
import math

import pytest
import torch
from torch import nn

from rdu_bench.api import (
    Autoencoder,
    Average,
    Batch,
    Critic,
    Examples,
    Factor,
    Row,
    Spec,
    deterministic_block,
    flatten,
    gaussian,
    one_hot,
    transmit,
)
from rdu_bench.api import Dataset as Data
from rdu_bench.autoencoder import NOISES
from rdu_bench.conformance.model_rates import labels_are_declared
from rdu_bench.conformance.model_subject import ModelSubject, specs
from rdu_bench.conformance.models import _practice
from rdu_bench.conformance.plugin import read
from rdu_bench.model import replay
from rdu_bench.training import Training, fit, fit_stack, mean_rate
from rdu_bench.training.posthoc import Whitened
from rdu_bench.training.stack import Single, Stack, optimizers

SPEC = Spec((1, 2, 2), examples=64, hidden=(8,), latent=2)


@pytest.fixture(autouse=True)
def _no_more_steps_than_asked_for(monkeypatch):
    monkeypatch.setattr("rdu_bench.training.loop.ROUNDS", 0)


class Squares(Data):
    """2×2 images with one pixel in two set."""

    def load(self, n: int = 192) -> None:
        generator = torch.Generator().manual_seed(0)
        x = torch.rand(n, 1, 2, 2, generator=generator).round()
        self.name, self.shape, self.task, self.factors = "squares", (1, 2, 2), ("y",), (Factor("y", 2),)
        part = {name: slice(i * n // 3, (i + 1) * n // 3) for i, name in enumerate(("train", "val", "test"))}
        self.splits = {name: Examples(x[at], {"y": x[at, 0, 0, 0].long()}) for name, at in part.items()}


@pytest.fixture(scope="module")
def data():
    made = Squares()
    made.load()
    return made


def batch(n=32):
    return Batch.unlabelled(torch.rand(n, 1, 2, 2, generator=torch.Generator().manual_seed(1)).round())


# ---- averages ------------------------------------------------------------------------------------------------------


class Follows(Autoencoder):
    """A VAE whose average follows the mean image and the clock, which says which batches it saw."""

    row = Row(paper="0000.00000")

    def __init__(self, data, rate=0.2):
        super().__init__(data)
        self.average = Average(torch.full((5,), 3.0), rate=rate)

    @staticmethod
    def target(batch):
        return torch.cat([batch.x.flatten(1).mean(0), batch.progress[None]])

    def critic_loss(self, batch, code):
        return self.average.loss(self.target(batch))


def followed(model, data, steps, rate):
    """(5,) the exponential moving average of the targets that a training of `steps` steps saw."""
    seen: list[torch.Tensor] = []
    spy = copy.deepcopy(model)
    spy.critic_loss = lambda batch, code: seen.append(spy.target(batch)) or batch.x.new_zeros(())
    fit(spy, data, 1.0, Training(steps=steps, batch=16, seed=3))
    value = torch.full((5,), 3.0)
    for target in seen:
        value = (1 - rate) * value + rate * target
    assert len(seen) == steps
    return value


@pytest.mark.parametrize("rate", [0.2, 0.01, 1.0])
def test_an_average_is_the_exponential_moving_average_of_its_targets(data, rate):
    """Whatever the learning rate and its schedule, whose last step is next to nothing."""
    model = Follows(data.spec(hidden=(8,), latent=2), rate)
    expected = followed(model, data, 12, rate)
    for lr in (2e-3, 0.05):
        trained = copy.deepcopy(model)
        fit(trained, data, 1.0, Training(steps=12, batch=16, seed=3, lr=lr))
        torch.testing.assert_close(trained.average(), expected)


@pytest.mark.parametrize("vectorise", [True, False])
def test_averages_of_a_stack_are_those_of_each_cell(data, vectorise):
    """Also where the cells differ in what they follow: their own mean code."""

    class FollowsCode(Follows):
        def critic_loss(self, batch, code):
            return self.average.loss(code["z"].q.mean.mean(0).repeat(3)[:5])

    for kind in (Follows, FollowsCode):
        sigmas = [None, 0.5, 1.5]
        torch.manual_seed(0)
        first = kind(data.spec(hidden=(8,), latent=2))
        apart, together = ([copy.deepcopy(first) for _ in sigmas] for _ in range(2))
        for model, sigma in zip(apart, sigmas, strict=True):
            fit(model, data, sigma, Training(steps=40, batch=16, seed=3, lr=0.01))
        fit_stack(together, data, sigmas, Training(steps=40, batch=16, seed=3, lr=0.01), vectorise=vectorise)
        for one, other in zip(apart, together, strict=True):
            torch.testing.assert_close(one.average(), other.average(), rtol=1e-3, atol=1e-4)
        spread = torch.stack([model.average() for model in apart]).std(0).max()
        assert (spread > 1e-3) == (kind is FollowsCode)


def test_an_average_moves_nothing_and_is_moved_by_nothing_else():
    model, given = Follows(SPEC), batch()
    x = given.x.clone().requires_grad_()
    loss = model.average.loss(model.target(given._replace(x=x)) + sum(p.sum() for p in model.decoder.parameters()))
    loss.backward()
    assert x.grad is None and all(p.grad is None for p in model.decoder.parameters())
    value, target = model.average.value, model.average.value.grad
    torch.testing.assert_close(target, (value - value.detach() + target).detach())
    assert not model.average().requires_grad
    assert torch.equal(model.average(), model.average.value)


def test_one_step_of_descent_goes_the_fraction_of_the_way():
    average, target = Average(torch.tensor([2.0, -1.0]), rate=0.25), torch.tensor([6.0, 1.0])
    optimizer = torch.optim.SGD(average.parameters(), lr=average.rate)
    average.loss(target).backward()
    optimizer.step()
    torch.testing.assert_close(average(), torch.tensor([3.0, -0.5]))


def test_an_average_starts_as_a_copy():
    start = torch.zeros(3)
    average = Average(start, rate=0.5)
    start.add_(1)
    assert not average().any()


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.5, math.nan])
def test_a_fraction_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match="rate = "):
        Average(torch.zeros(1), rate=rate)


# ---- who steps what ------------------------------------------------------------------------------------------------


class Crowd(Autoencoder):
    """A VAE with a critic that lags behind, one that keeps pace, and an average."""

    row = Row(paper="0000.00000")

    betas = (0.7, 0.95)

    def __init__(self, data):
        super().__init__(data)
        self.slow, self.fast = Critic(2, hidden=4, depth=1, lr=1e-4), Critic(2, hidden=4, depth=1)
        self.average = Average(torch.zeros(2), rate=0.1)
        self.still = nn.Parameter(torch.zeros(3), requires_grad=False)

    def critic_loss(self, batch, code):
        z = code["z"].sample
        players = self.slow.loss(z, torch.randn_like(z)) + self.fast.loss(z, torch.randn_like(z))
        return players + self.average.loss(z.mean(0))


@pytest.mark.parametrize("cells", [0, 3])
def test_every_weight_has_one_optimiser_and_critics_theirs(cells):
    model = Crowd(SPEC)
    runner = Stack(model, cells) if cells else Single(model)
    adam, sgd = runner.optimizers(2e-3)
    rates = {id(p): (group["lr"], group["betas"]) for group in adam.param_groups for p in group["params"]}
    params = runner.params if cells else dict(model.named_parameters())
    for name, weight in params.items():
        if name.startswith("average"):
            assert id(weight) not in rates
        elif name.startswith(("slow", "fast")):
            assert rates[id(weight)] == ({"slow": 1e-4, "fast": 2e-3}[name[:4]], (0.5, 0.9))
        elif name != "still" or cells:
            assert rates[id(weight)] == (2e-3, (0.7, 0.95))
    assert [(group["lr"], group["params"][0] is params["average.value"]) for group in sgd.param_groups] == [(0.1, True)]
    assert sgd.defaults["momentum"] == 0 and sgd.defaults["weight_decay"] == 0


def test_without_averages_there_is_nothing_to_follow():
    model = Autoencoder(SPEC)
    assert optimizers(model, dict(model.named_parameters()), 1e-3)[1] is None


def test_the_learning_rate_of_one_critic_is_not_that_of_all():
    assert Critic(2, lr=0.5).lr == 0.5 and Critic(2).lr is None


def test_a_critic_that_keeps_pace_moves_further_than_one_that_lags(data):
    model = Crowd(data.spec(hidden=(8,), latent=2))
    before = copy.deepcopy(model)
    fit(model, data, 1.0, Training(steps=3, batch=16))
    moved = {
        name: max(
            float((a - b).detach().abs().max())
            for a, b in zip(getattr(model, name).parameters(), getattr(before, name).parameters(), strict=True)
        )
        for name in ("slow", "fast")
    }
    assert 0 < moved["slow"] <= 3.3 * 1e-4 < 2e-3 < moved["fast"]  # Adam's steps are about its learning rate
    assert torch.equal(model.still, before.still)


# ---- deterministic encoders ----------------------------------------------------------------------------------------


class Plain(Autoencoder):
    row = Row(paper="0000.00000")


def test_noise_there_is_not_is_refused_with_what_there_is():
    with pytest.raises(ValueError, match="noise = 'gauss'") as refused:
        Plain(SPEC, noise="gauss")
    assert all(repr(noise) in str(refused.value) for noise in NOISES)


@pytest.mark.parametrize(
    ("noise", "channel"), [("", "native"), ("trained", "trained-noise"), *[(n, n) for n in NOISES[1:]]]
)
def test_a_channel_is_named_for_its_noise_on_the_instance_alone(noise, channel):
    assert Plain(SPEC, noise=noise).channel == channel and Plain.channel == "native"


def test_trained_noise_pays_for_its_mean_and_its_width():
    """½ Σ f² + s² − 1 − log s², whose gradient reaches f and s alike, under an encoder of one's own too."""
    f = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    for encoder in (None, f):
        model, given = Plain(SPEC, encoder=encoder, noise="trained"), batch()
        with torch.no_grad():
            model.encoder.log_width.copy_(torch.tensor([-0.05, 0.02]))
        mean, s2 = model.encoder.net(given.x), (20 * torch.tensor([-0.05, 0.02])).exp()
        block = model.encode(given)["z"]
        torch.testing.assert_close(block.rate, 0.5 * (mean.square() + s2 - 1 - s2.log()).sum(-1))
        assert block.q.stddev.unique(dim=0).shape[0] == 1
        block.rate.mean().backward()
        assert all(p.grad is not None and p.grad.any() for p in model.encoder.parameters())
        assert encoder is None or model.encoder.net is f


@pytest.mark.parametrize("noise", NOISES[1:])
def test_before_there_is_a_channel_nothing_is_paid_and_behind_it_the_rate_asked_for(data, noise):
    model = Plain(data.spec(hidden=(8,), latent=2), noise=noise)
    seen = data.view("train", model.row).batch()
    terms = model(seen)
    assert not terms.rate.any() and not terms.rate.requires_grad and terms.distortion.requires_grad
    assert mean_rate(model, seen) == 0
    for sigma in (0.5, 3.0):
        noisy = Whitened(model, seen, sigma)
        assert mean_rate(noisy, seen) == pytest.approx(sigma, rel=1e-4)
        assert not noisy(seen).rate.isclose(terms.rate).any()


def test_what_is_silent_is_sent_as_it_is():
    f = torch.randn(5, 3, requires_grad=True)
    block = deterministic_block(f)
    assert torch.equal(block.sample, f) and torch.equal(block.drawn, f)
    assert not block.rate.any() and not block.log_ratio.any() and not block.discrete and not block.side
    (gradient,) = torch.autograd.grad(block.sample.sum(), f)
    assert torch.equal(gradient, torch.ones_like(f))
    assert torch.equal(flatten({"z": block}), f)


# ---- a channel put on afterwards -----------------------------------------------------------------------------------


class Corrupts(Autoencoder):
    """Drops pixels while it trains, and counts on being told when it does not."""

    row = Row(paper="0000.00000")

    def send(self, x):
        return super().send(x * (torch.rand_like(x) < 0.5) if self.training else x)


def test_the_model_behind_a_channel_stays_as_it_was_measured(data):
    """Noise of training alone is over when the channel is put on, for f and for the decoder, however it is trained."""
    model = Corrupts(data.spec(hidden=(8,), latent=2), noise="posthoc-learned")
    seen = data.view("train", model.row).batch()
    noisy = Whitened(model.train(), seen, 1.5)
    modes: list[tuple[bool, bool]] = []
    encode = noisy.encode
    noisy.encode = lambda given: modes.append((noisy.training, noisy.model.training)) or encode(given)
    for mode in (True, False):
        assert noisy.train(mode) is noisy
        assert noisy.training is mode and not any(m.training for m in noisy.model.modules())
    fit(noisy, data, 1.5, Training(steps=4, batch=16))
    assert (True, False) in modes and all(not inner for _, inner in modes)
    del noisy.encode
    f = torch.stack([noisy.train().encode(seen)["z"].q.mean for _ in range(2)])
    assert torch.equal(f[0], f[1])
    assert mean_rate(noisy, seen) == pytest.approx(1.5, rel=0.02)


def test_what_is_put_behind_a_channel_is_a_copy(data):
    model = Plain(data.spec(hidden=(8,), latent=2), noise="posthoc-learned")
    before = copy.deepcopy(model.state_dict())
    noisy = Whitened(model, data.view("train", model.row).batch(), 1.0)
    fit(noisy, data, 1.0, Training(steps=10, batch=16))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    moved = [not torch.equal(before[name], value) for name, value in noisy.model.state_dict().items()]
    assert any(moved)


# ---- prices of a draw ----------------------------------------------------------------------------------------------


def conditional(first, second):
    """p(k) = p(k_1) p(k_2|k_1) over (P = 2, K): the conditionals (B, 2, K) at strings (B, 2, K)."""

    def given(drawn):
        return one_hot(torch.stack([first.expand(len(drawn), -1), drawn[:, 0] @ second], 1))

    return given


def test_a_price_that_depends_on_the_draw_is_the_sum_of_conditional_divergences():
    first, second = torch.randn(3), torch.randn(3, 3)
    logits = torch.randn(20, 2, 3)
    block = transmit(one_hot(logits), conditional(first, second))
    q, k = logits.log_softmax(-1), block.drawn.argmax(-1)
    p = torch.stack([first.log_softmax(-1).expand(20, -1), second[k[:, 0]].log_softmax(-1)], 1)
    torch.testing.assert_close(block.rate, (q.exp() * (q - p)).sum((1, 2)))
    row = torch.arange(20)
    ratio = sum(q[row, j, k[:, j]] - p[row, j, k[:, j]] for j in (0, 1))
    torch.testing.assert_close(block.log_ratio, ratio)
    assert torch.equal(block.sample, block.drawn.flatten(1)) and block.discrete


def test_on_average_it_is_the_divergence_of_the_joint():
    """Exactly, over all strings; each draw's price is the joint log ratio with less noise."""
    first, second = torch.randn(3), torch.randn(3, 3)
    logits = torch.randn(1, 2, 3)
    strings = torch.eye(3)[torch.tensor(list(itertools.product(range(3), repeat=2)))]  # (9, 2, 3)
    price, ratio = [], []
    for string in strings:
        with replay([string[None]]):
            block = transmit(one_hot(logits), conditional(first, second))
        price.append(block.rate[0])
        ratio.append(block.log_ratio[0])
    weight = (strings * logits.log_softmax(-1)).sum((1, 2)).exp()
    price, ratio = torch.stack(price), torch.stack(ratio)
    assert weight.sum().item() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(weight @ price, weight @ ratio)
    spread = [weight @ (value - weight @ value).square() for value in (price, ratio)]
    assert 0 < spread[0] < spread[1]


def test_a_function_that_ignores_the_draw_is_the_distribution_it_gives():
    q, p = gaussian(torch.randn(8, 2), torch.rand(8, 2) + 0.1), gaussian(torch.zeros(8, 2), torch.ones(8, 2))
    torch.manual_seed(3)
    plain = transmit(q, p)
    torch.manual_seed(3)
    called = transmit(q, lambda drawn: p)
    assert torch.equal(plain.rate, called.rate) and torch.equal(plain.sample, called.sample)


def test_the_price_of_a_gaussian_given_what_came_before_is_exact_in_the_mean():
    """q = N(μ, s²) in each of two dimensions, p(z_2|z_1) = N(a z_1, 1), whose joint divergence is in closed form."""
    n, a = 40_000, 0.8
    mean, s = torch.tensor([0.5, -1.0]), torch.tensor([0.6, 0.9])
    q = gaussian(mean.expand(n, -1), s.expand(n, -1))
    block = transmit(q, lambda z: gaussian(torch.stack([0 * z[:, 0], a * z[:, 0]], 1), torch.ones_like(z)))
    away = (mean[1] - a * mean[0]) ** 2 + a**2 * s[0] ** 2
    expected = 0.5 * (mean[0] ** 2 + away + (s**2 - 1 - (s**2).log()).sum())
    for value in (block.rate, block.log_ratio):
        assert abs(value.mean() - expected) < 4 * value.std() / n**0.5
    assert block.rate.std() < block.log_ratio.std()


# ---- rows ----------------------------------------------------------------------------------------------------------

NARROWS = """
import torch
from rdu_bench.api import Autoencoder, Batch, Code, Row, Spec


class Narrows(Autoencoder):
    row = Row(paper="2001.00001", labels="optional", needs=("labels", "groups", "binary"))

    def __init__(self, data: Spec, *, looks: bool = True, narrow: bool = False, latent: int = 2):
        super().__init__(data, latent=latent)
        self.looks = looks
        if narrow:
            self.row = self.row._replace(labels="", needs=())

    def regularizer(self, batch: Batch, code: Code) -> torch.Tensor:
        known = (batch.y >= 0) * (1 + batch.y)
        return (code["z"].rate * (known if self.looks else 1)).mean()
"""


def subject(folder, **params) -> ModelSubject:
    path = folder / "narrows.py"
    path.write_text(NARROWS)
    made = ModelSubject(read(path), params)
    made.load()
    return made


def test_the_row_of_an_instance_is_the_one_laws_read(tmp_path):
    wide, narrow = subject(tmp_path), subject(tmp_path, narrow=True)
    assert (wide.row.labels, narrow.row.labels) == ("optional", "")
    assert narrow.row.paper == wide.row.paper == "2001.00001"
    assert wide.kind.row == wide.row and narrow.kind.row == wide.row  # the class shows what it may need
    assert (_practice(wide.row), _practice(narrow.row)) == (("coloured", {}), ("digits", {}))
    assert {spec.likelihood for spec in specs(wide)} == {"bernoulli"}
    assert {spec.likelihood for spec in specs(narrow)} == {"bernoulli", "gaussian"}


@pytest.mark.parametrize(
    ("looks", "narrow", "words"),
    [
        (True, False, None),
        (False, True, None),
        (True, True, "labels change the loss, but row.labels is ''"),
        (False, False, "row.labels is 'optional', but no label changes the loss"),
    ],
)
def test_an_instance_is_held_to_its_own_row(tmp_path, looks, narrow, words):
    found = list(labels_are_declared(subject(tmp_path, looks=looks, narrow=narrow)))
    assert found == [] if words is None else any(words in problem for problem in found)


def test_the_row_of_what_cannot_be_built_is_its_classs(tmp_path):
    assert subject(tmp_path, nonsense=1).row.labels == "optional"
