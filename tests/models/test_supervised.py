"""Information dropout and VIB: a code of x that is there for its label."""

import math

import pytest
import torch
from effects import trained
from small import close, equal_on_average, gaussian_kl, gradient, labelled, maker, reaches, same_noise
from torch import nn
from torch.distributions import LogNormal, Normal
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


# ---- information dropout --------------------------------------------------------------------------------------------

dropout = maker(SPEC._replace(examples=40, classes=3, hidden=(16, 16)), spread=0.3)


def features(net, given):
    """f and α of the two halves of what a layer gives."""
    f, a = net(given).chunk(2, -1)
    return nn.functional.softplus(f) + 1e-4, 1e-4 + (0.7 - 1e-4) * a.sigmoid()


def charged(mean, scale, m, t):
    """KL(N(mean, scale²) ‖ N(m, t²)) over the last axis, written out."""
    return (torch.log(t / scale) + (scale**2 + (mean - m) ** 2) / (2 * t**2) - 0.5).sum(-1)


def test_dropout_noise_multiplies():
    """z/f(x) = e^{αε}: noise grows with the feature, where additive noise would not."""
    model, batch = dropout("information_dropout", spread=1.0, layers=1), labelled(48)
    block = model.encode(batch)["z"]
    f, a = features(model.nets[0], batch.x)
    close(block.q.mean.exp(), f)
    close(block.q.stddev, a)
    torch.manual_seed(3)
    block = model.encode(batch)["z"]
    torch.manual_seed(3)
    noise = torch.randn_like(block.drawn)
    close(block.sample, block.q.mean.exp() * (block.q.stddev * noise).exp())
    assert (block.sample > 0).all()
    with torch.no_grad():
        model.nets[0].head[-1].weight.zero_()
        model.nets[0].head[-1].bias.copy_(torch.tensor([-2.0, 0.0, 8.0, 1.0, 1.0, 1.0]))  # small, middling and large f
        z = model.encode(Batch.unlabelled(labelled(1).x.expand(20_000, -1, -1, -1)))["z"].sample
    variation = z.std(0) / z.mean(0)
    s = 0.7 * torch.tensor(1.0).sigmoid()
    close(variation, (torch.expm1(s**2) ** 0.5).expand(3), rtol=0.05, atol=0)  # se of a log-normal's, under 2 %


@pytest.mark.parametrize("training", [True, False])
def test_dropout_noise_multiplies_in_every_layer_that_has_it(training):
    """What a layer is given are K draws of the one before: new in training, the same whenever it is measured."""
    model, batch = dropout("information_dropout", layers=3, draws=5).train(training), labelled(48)
    torch.manual_seed(3)
    block = model.encode(batch)["z"]
    torch.manual_seed(3)
    z = batch.x
    for layer, net in enumerate(model.nets):
        f, a = (part if layer else part[:, None] for part in features(net, z))
        if layer < 2:
            fixed = model.get_buffer(f"noise{layer}").expand(48, 5, 16)
            new = torch.randn(48, 5, 16)
            new = (new - new.mean(1, keepdim=True)) / new.std(1, correction=0, keepdim=True)
            z = f * (a * (new if training else fixed)).exp()
    each = block.q.component_distribution
    close(each.mean, f.log())
    close(each.stddev, a)
    again = model.encode(batch)["z"].q.component_distribution.mean
    assert torch.equal(each.mean, again) is not training
    assert (each.mean.std(1) > 1e-3).all()  # the K differ
    other = model.encode(batch._replace(x=batch.x.flip(0)))["z"].q.component_distribution.mean
    assert torch.allclose(other.flip(0), each.mean, atol=1e-5) is not training  # measured, q is a function of x
    for noise in (model.noise0, model.noise1):  # of mean 0 and variance 1, as the new
        close(noise.mean(1), torch.zeros(1, 16))
        close(noise.square().mean(1), torch.ones(1, 16))


def test_dropout_rate_is_that_of_the_log_normals():
    """KL in log z against log-densities of z itself, and unchanged by the unit of f."""
    model, N = dropout("information_dropout", layers=1), 40_000
    batch = Batch.unlabelled(labelled(1).x.expand(N, -1, -1, -1))
    with torch.no_grad():
        block = model.encode(batch)["z"]
        q, p = (LogNormal(d.mean, d.stddev) for d in (block.q, block.p))
        equal_on_average((q.log_prob(block.sample) - p.log_prob(block.sample)).sum(-1), block.rate)
        close(
            block.rate[0], charged(block.q.mean[0], block.q.stddev[0], model.means[0], model.log_scales[0].exp()).sum()
        )


def test_dropout_pays_for_a_mixture_of_what_noise_before_the_code_makes_of_x():
    """R = KL(1/K Σ_k q(z|z_1^k) ‖ p): at most the mean of the K divergences, and at least that less log K."""
    model, N = dropout("information_dropout", draws=4).eval(), 40_000
    batch = Batch.unlabelled(labelled(1).x.expand(N, -1, -1, -1))
    with torch.no_grad():
        block = model.encode(batch)["z"]
        mean, scale = (part[0] for part in (block.q.component_distribution.mean, block.q.component_distribution.stddev))
        each = torch.stack([Normal(m, s).log_prob(block.drawn).sum(-1) for m, s in zip(mean, scale, strict=True)])
        expected = Normal(model.means[1], model.log_scales[1].exp()).log_prob(block.drawn).sum(-1)
        paid = each.logsumexp(0) - math.log(4) - expected
        equal_on_average(block.rate, paid)
        close(block.log_ratio, paid, rtol=1e-3, atol=1e-3)
        assert block.rate.std() < paid.std() / 2
        most = charged(mean, scale, model.means[1], model.log_scales[1].exp()).mean()
        slack = 4 * float(block.rate.std()) / N**0.5
        assert most - math.log(4) - slack < block.rate.mean() < most + slack
        close(block.sample.log(), block.drawn)
        for share in each.softmax(0):  # every one of the K is sent, as often as the others
            equal_on_average(share, torch.full((N,), 0.25))
        for j in range(3):
            equal_on_average(block.drawn[:, j], block.q.mean[:, j])
            equal_on_average((block.drawn[:, j] - block.q.mean[:, j]) ** 2, block.q.variance[:, j])


def test_dropout_charges_layers_before_the_code_beside_the_rate():
    batch = labelled(48)
    model = dropout("information_dropout", layers=3, weight=0.5).eval()
    f, a = features(model.nets[0], batch.x)
    z = f[:, None] * (a[:, None] * model.noise0).exp()
    g, b = features(model.nets[1], z)
    scales = [s.exp() for s in model.log_scales]
    paid = charged(f.log(), a, model.means[0], scales[0]) + charged(g.log(), b, model.means[1], scales[1]).mean(1)
    code = model.encode(batch)
    close(model.regularizer(batch, code), 0.5 * paid.mean())
    close(dropout("information_dropout", layers=3, weight=2.0).eval().regularizer(batch, code), 2 * paid.mean())
    term = model.regularizer(batch, code)
    assert reaches(term, model.nets[0]) and reaches(term, model.nets[1]) and not reaches(term, model.nets[2])
    for pull in gradient(term, [model.means[2], model.log_scales[2]]):
        assert not pull.any()
    for pull in gradient(model(batch).rate.mean(), [*model.means[:2], *model.log_scales[:2]]):
        assert not pull.any()  # of what is sent, the priors of layers before it are no part
    assert reaches(model(batch).rate.mean(), model.nets[0])
    assert dropout("information_dropout", layers=1).regularizer(batch, code) == 0


def test_dropout_takes_hidden_layers_for_its_noise():
    """As deep and wide with noise in one layer as in three."""
    for layers in (1, 2, 3):
        model = dropout("information_dropout", layers=layers)
        assert [m.in_features for m in model.nets.modules() if isinstance(m, nn.Linear)] == [16, 16, 16]
        assert len(model.nets) == layers
    deeper = dropout("information_dropout", layers=4)  # than the suite's
    assert [m.in_features for m in deeper.nets.modules() if isinstance(m, nn.Linear)] == [16, 16, 16, 16]
    conv = SPEC._replace(shape=(1, 8, 8), family="conv", hidden=(4, 8, 32))
    assert [net.in_features for net in registry.model("information_dropout", conv, layers=3).nets[1:]] == [32, 32]


def test_dropout_noise_is_at_most_its_widest():
    for layers in (1, 2):
        model = dropout("information_dropout", spread=20.0, layers=layers)
        narrow = dropout("information_dropout", spread=20.0, layers=layers, widest=0.3)
        for q in model.walk(labelled(48).x):
            assert 0 < q.stddev.min() < 1e-3 and 0.699 < q.stddev.max() <= 0.7
        assert all(q.stddev.max() <= 0.3 for q in narrow.walk(labelled(48).x))


@pytest.mark.parametrize("layers", [1, 2])
def test_dropout_stays_on_when_measured(layers):
    model, batch = dropout("information_dropout", layers=layers).eval(), labelled(48)
    assert not torch.equal(model.encode(batch)["z"].sample, model.encode(batch)["z"].sample)


def test_the_best_log_normal_prior_has_the_moments_of_the_codes():
    model, batch = dropout("information_dropout"), labelled(48)
    q = next(iter(model.walk(batch.x)))
    with torch.no_grad():
        model.means[0].copy_(q.mean.mean((0, 1)))
        model.log_scales[0].copy_(0.5 * (q.variance.mean((0, 1)) + q.mean.var((0, 1), correction=0)).log())
    for pull in gradient(model(batch).regularizer, [model.means[0], model.log_scales[0]]):
        assert pull.abs().max() < 1e-5


def test_dropout_says_what_it_cannot_be():
    for wrong in ({"task": "labels"}, {"layers": 0}, {"draws": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            dropout("information_dropout", **wrong)
    assert dropout("information_dropout").row.encoder == "H"
    assert dropout("information_dropout", layers=1).row.rate == "closed-form KL"


def test_dropout_for_a_label_has_no_decoder_and_is_supervised():
    model, plain = dropout("information_dropout", task="label"), dropout("information_dropout")
    assert plain.decodes and not model.decodes
    assert (plain.row.labels, model.row.labels, model.row.needs) == ("", "required", ("labels",))
    code = plain.encode(labelled(48))
    close(plain.receive(code).log_prob(labelled(48).x), plain.receiver(code["z"].sample).log_prob(labelled(48).x))
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


def test_a_bottleneck_pays_for_all_dimensions_of_its_gaussian():
    model, given = new("vib"), labelled(y=range(4))
    close(model(given).rate, gaussian_kl(model.encoder(given.x)))


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
