"""VIB and information dropout: a code of x that is there for its label."""

import math

import pytest
import torch
from effects import trained
from small import close, equal_on_average, gradient, labelled, maker, reaches, same_noise
from torch import nn
from torch.distributions import LogNormal
from torch.nn.functional import cross_entropy
from worlds import whole

from rdu_bench import registry
from rdu_bench.api import (
    Batch,
    Spec,
    mlp,
)
from rdu_bench.training import Training, fit

SPEC = Spec((1, 4, 4), examples=500, classes=4, hidden=(32,), latent=3)
new = maker(SPEC)


# ---- VIB ------------------------------------------------------------------------------------------------------------


def test_there_is_no_decoder_and_only_labels_teach():
    model, given = new("vib"), labelled(y=range(4))
    assert not model.decodes
    with pytest.raises(NotImplementedError):
        model.decode(model.encode(given))
    blind = same_noise(model, given._replace(y=torch.full((64,), -1)))
    assert torch.equal(blind.distortion, torch.zeros(64))
    assert torch.equal(blind.rate, same_noise(model, given).rate)  # q(z|x) never sees the label
    half = given._replace(y=torch.where(torch.arange(64) < 32, given.y, -1))
    mixed, full = same_noise(model, half).distortion, same_noise(model, given).distortion
    assert torch.equal(mixed[:32], full[:32]) and not mixed[32:].any()


def test_the_distortion_is_log_loss_in_nats_and_normalised():
    model, given = new("vib"), labelled(y=range(4))
    mass = torch.stack([same_noise(model, given._replace(y=torch.full((64,), k))).distortion for k in range(4)])
    torch.testing.assert_close((-mass).exp().sum(0), torch.ones(64))
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    torch.testing.assert_close(model(given).distortion, torch.full((64,), math.log(4)))


def test_the_head_of_a_bottleneck_is_given_what_was_drawn_and_teaches_the_encoder():
    model, given = new("vib"), labelled(y=range(4))
    plain = model.encode(given)["z"]
    close(
        model.distortion(given, {"z": plain._replace(q=LogNormal(plain.q.mean, 1.0))}),
        cross_entropy(model.head(plain.sample), given.y, reduction="none"),
    )
    assert reaches(model.distortion(given, {"z": plain}).sum(), model.encoder)


def test_what_the_code_tells_of_the_label_is_at_most_its_rate(corners):
    found = []
    for sigma in (0.3, 0.8, 2.0):
        model = new("vib", corners.spec(hidden=(32,), latent=3))
        fit(model, corners, sigma, Training(steps=400, batch=100))
        given = whole(corners)
        H = torch.distributions.Categorical(torch.bincount(given.y).float()).entropy()
        with torch.no_grad():
            terms = model(given)
        told, rate = float(H - terms.distortion.mean()), terms.rate.mean().item()
        assert told <= rate + 0.05  # three standard errors of 1000 log losses
        found.append(told)
    assert found == sorted(found) and found[-1] > 3 * found[0]


def test_the_rate_goes_to_the_label_first(corners):
    """At R ≈ H(y) the code of VIB names the class; that of a VAE, which must draw every pixel, less so."""
    told = {}
    for name in ("vib", "vae"):
        model = new(name, corners.spec(hidden=(32,), latent=3))
        fit(model, corners, 1.0, Training(steps=500, batch=100))
        given = whole(corners)
        z = torch.cat([model.encode(given)["z"].sample.detach() for _ in range(4)])
        head = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 4))
        optimizer = torch.optim.Adam(head.parameters(), 1e-2)
        for _ in range(300):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(head(z), given.y.repeat(4))
            loss.backward()
            optimizer.step()
        told[name] = math.log(4) - float(loss.detach())
    assert told["vib"] > told["vae"]


# ---- information dropout --------------------------------------------------------------------------------------------

dropout = maker(SPEC._replace(examples=40, classes=3, hidden=(16, 16)), spread=0.3)


def test_dropout_noise_multiplies():
    """z/f(x) = e^{αε}: noise grows with the feature, where additive noise would not."""
    model, batch = dropout("information_dropout", spread=1.0), labelled(48)
    block = model.encode(batch)["z"]
    f, a = model.encoder(batch.x).chunk(2, -1)
    close(block.q.mean.exp(), nn.functional.softplus(f) + 1e-4)
    close(block.q.stddev, 0.7 * a.sigmoid(), atol=2e-4)
    torch.manual_seed(3)
    block = model.encode(batch)["z"]
    torch.manual_seed(3)
    noise = torch.randn_like(block.drawn)
    close(block.sample, block.q.mean.exp() * (block.q.stddev * noise).exp())
    assert (block.sample > 0).all()
    with torch.no_grad():
        model.encoder.head[-1].weight.zero_()
        model.encoder.head[-1].bias.copy_(torch.tensor([-2.0, 0.0, 8.0, 1.0, 1.0, 1.0]))  # small, middling and large f
        z = model.encode(Batch.unlabelled(labelled(1).x.expand(20_000, -1, -1, -1)))["z"].sample
    variation = z.std(0) / z.mean(0)
    s = 0.7 * torch.tensor(1.0).sigmoid()
    close(variation, (torch.expm1(s**2) ** 0.5).expand(3), rtol=0.05, atol=0)  # se of a log-normal's, under 2 %


def test_dropout_rate_is_that_of_the_log_normals():
    """KL in log z against log-densities of z itself, and unchanged by the unit of f."""
    model, N = dropout("information_dropout"), 40_000
    batch = Batch.unlabelled(labelled(1).x.expand(N, -1, -1, -1))
    with torch.no_grad():
        block = model.encode(batch)["z"]
        q, p = (LogNormal(d.mean, d.stddev) for d in (block.q, block.p))
        equal_on_average((q.log_prob(block.sample) - p.log_prob(block.sample)).sum(-1), block.rate)
        mean, s = block.q.mean[0], block.q.stddev[0]
        m, t = model.mean, model.log_scale.exp()
        close(block.rate[0], (torch.log(t / s) + (s**2 + (mean - m) ** 2) / (2 * t**2) - 0.5).sum())


def test_dropout_noise_is_at_most_its_widest():
    model = dropout("information_dropout", spread=20.0)
    q = model.encode(labelled(48))["z"].q
    assert 0 < q.stddev.min() < 1e-3 and 0.699 < q.stddev.max() <= 0.7
    assert dropout("information_dropout", spread=20.0, widest=0.3).encode(labelled(48))["z"].q.stddev.max() <= 0.3


def test_dropout_stays_on_when_measured():
    model, batch = dropout("information_dropout").eval(), labelled(48)
    assert not torch.equal(model.encode(batch)["z"].sample, model.encode(batch)["z"].sample)


def test_the_best_log_normal_prior_has_the_moments_of_the_codes():
    model, batch = dropout("information_dropout"), labelled(48)
    q = model.encode(batch)["z"].q
    with torch.no_grad():
        model.mean.copy_(q.mean.mean(0))
        model.log_scale.copy_(0.5 * (q.variance.mean(0) + q.mean.var(0, correction=0)).log())
    for pull in gradient(model(batch).rate.mean(), [model.mean, model.log_scale]):
        assert pull.abs().max() < 1e-5


def test_dropout_for_a_label_has_no_decoder_and_is_supervised():
    model, plain = dropout("information_dropout", task="label"), dropout("information_dropout")
    assert plain.decodes and not model.decodes
    assert (plain.row.labels, model.row.labels, model.row.needs) == ("", "required", ("labels",))
    terms = same_noise(model, labelled(48, y=(1, -1)))
    torch.manual_seed(7)
    z = model.encode(labelled(48))["z"].sample
    expected = -model.receiver(z).log_softmax(-1)[:, 1]
    close(terms.distortion, torch.where(torch.arange(48) % 2 == 0, expected, 0.0))


def taught(net, x, y, steps=400, lr=5e-3, decay=0.01):
    """`net` after learning y; `x` draws the inputs anew each step."""
    adam = torch.optim.AdamW(net.parameters(), lr, weight_decay=decay)
    for _ in range(steps):
        adam.zero_grad()
        cross_entropy(net(x()), y).backward()
        adam.step()
    return net


@pytest.mark.effect
def test_dropout_for_a_label_drops_what_the_label_is_not():
    """Colour is a nuisance: at 4 nats its code tells no colour and much of y, that of a reconstruction the reverse."""
    data = registry.dataset("coloured", correlation=0.0)
    train, test, left = data.splits["train"], data.splits["test"], {}
    for task in ("label", "reconstruction"):
        model, control = trained("information_dropout", data, 4.0, task=task)
        assert abs(control.rate_err) < 0.02
        for name, size in (("digit", 10), ("colour", 2)):
            q = model.requires_grad_(False).encode(Batch.unlabelled(train.take()))["z"].q
            head = taught(mlp(10, 64, size), q.rsample, train.factors[name], 300)
            with torch.no_grad():
                z = model.encode(Batch.unlabelled(test.take()))["z"].drawn
                left[task, name] = cross_entropy(head(z), test.factors[name]).item()
    assert left["label", "colour"] > math.log(2) - 0.05 and left["reconstruction", "colour"] < 0.05
    assert left["label", "digit"] < left["reconstruction", "digit"] - 0.4
