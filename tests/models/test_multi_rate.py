"""The Multi-Rate VAE: every β has a VAE of its own, and one training finds them all."""

import math

import pytest
import torch
from effects import NETWORK, trained
from small import same_noise
from torch import nn
from worlds import SPECTRUM, Plane

from rdu_bench import Encoder, analytic, registry
from rdu_bench.api import Autoencoder, Batch, Decoder, Row, Spec, Trunk, gaussian
from rdu_bench.nn.gated import GAIN, Gate
from rdu_bench.training import Training, fit, mean_rate
from rdu_bench.training.posthoc import at_rate

MLP = Spec((1, 8, 8), examples=500, hidden=(16, 12), latent=3)
CONV = MLP._replace(family="conv", hidden=(4, 6, 12))
REAL = MLP._replace(likelihood="gaussian", noise=0.5, centre=0.4, scale=2.0)
LINE = Spec((len(SPECTRUM),), likelihood="gaussian", noise=SPECTRUM[-1], hidden=(), latent=len(SPECTRUM))


def new(spec=MLP, spread=0.0, **params):
    """A model, with `spread` one whose gates have come to depend on β."""
    torch.manual_seed(0)
    model = registry.model("mr_vae", spec, **params)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if spread and ("weight" in name or "bias" in name):
                weight.add_(spread * torch.randn_like(weight))
    return model


def batch(n=64, spec=MLP):
    generator = torch.Generator().manual_seed(1)
    return Batch.unlabelled(torch.rand(n, *spec.shape, generator=generator).round())


def put(model, beta):
    """The model at this β, as it is measured."""
    model.log_beta.fill_(math.log(beta))
    return model.eval()


# ---- what it is at one β -------------------------------------------------------------------------------------------


class Plain(nn.Module):
    """The suite's trunk as N(f, s²), log s = min(0, r)."""

    def __init__(self, trunk):
        super().__init__()
        self.trunk = trunk

    def forward(self, x):
        f, r = self.trunk(x).chunk(2, -1)
        return gaussian(f, r.clamp(max=0).exp())


class VAE(Autoencoder):
    row = Row(paper="1312.6114")


def factor(gate, t):
    """(n,) what it multiplies its units by."""
    return gate(torch.ones(1, len(gate.bias)), t)[0]


def fold(gated, into, t):
    """Write the weights of `gated` at t into an ordinary network: a gate behind a ReLU is as good as one before it."""
    layers, weights = list(gated.layers), []
    for i, layer in enumerate(layers):
        if not list(layer.parameters()) or isinstance(layer, Gate):
            continue
        weight, bias = layer.weight.clone(), layer.bias.clone()
        if i and isinstance(layers[0], Gate) and i == 1:
            weight = weight * factor(layers[0], t)
        after = [g for g in layers[i + 1 : i + 4] if isinstance(g, Gate | nn.Linear | nn.Conv2d | nn.ConvTranspose2d)]
        if after and isinstance(after[0], Gate):
            a = factor(after[0], t)
            a = a.repeat_interleave(len(bias) // len(a))  # channels of what a linear layer makes an image of
            out = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
            weight = (weight.transpose(0, out) * a.view(-1, *[1] * (weight.dim() - 1))).transpose(0, out)
            bias = bias * a
        weights += [weight, bias]
    with torch.no_grad():
        for new, old in zip(into.parameters(), weights, strict=True):
            new.copy_(old)


@pytest.mark.parametrize("beta", [0.02, 1.0, 7.0])
@pytest.mark.parametrize("spec", [MLP, CONV, REAL], ids=["mlp", "conv", "real"])
def test_at_one_beta_it_is_a_vae_of_the_suites_networks(spec, beta):
    model, given = put(new(spec, 0.3), beta), batch()
    t = model.told(model.log_beta[None])
    trunk, decoder = Trunk(spec, 6), Decoder(spec, 3)
    fold(model.encoder.net, trunk, t)
    fold(model.decoder.net.net, decoder.net.net, t)
    with torch.no_grad():
        last = trunk.head[-1]
        a = factor(model.encoder.mean, t)
        last.weight[:3] *= a[:, None]
        last.bias[:3] *= a
        last.bias[3:] += GAIN * model.encoder.slope * t - 1
    ours = same_noise(model, given)
    theirs = same_noise(VAE(spec, encoder=Plain(trunk), decoder=decoder), given)
    torch.testing.assert_close(ours.rate, theirs.rate, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.distortion, theirs.distortion, rtol=1e-4, atol=1e-4)
    assert ours.regularizer == 0


def test_betas_have_vaes_of_their_own_and_none_when_new():
    given = batch()
    for spread, differ in ((0.0, False), (0.3, True)):
        model = new(spread=spread)
        low, high = (put(model, beta).encode(given)["z"].q.mean for beta in (0.02, 5.0))
        code = model.encode(given)
        images = [put(model, beta).decode(code).mean for beta in (0.02, 5.0)]
        assert torch.equal(low, high) != differ and torch.equal(*images) != differ


@pytest.mark.parametrize("shuts", [False, True])
def test_a_new_gate_is_open_at_every_beta(shuts):
    """1/(1 + e⁻⁴) and (1 − e⁻⁴)^½, of logarithms of β from one end of their range to the other."""
    t = torch.linspace(-(3**0.5), 3**0.5, 5)
    open_ = (1 - math.exp(-4)) ** 0.5 if shuts else 1 / (1 + math.exp(-4))
    torch.testing.assert_close(Gate(3, shuts=shuts)(torch.ones(5, 3), t), torch.full((5, 3), open_))


def test_a_new_code_is_as_wide_as_beta_says_until_it_is_as_wide_as_the_prior():
    """A step of one in what networks get of log β makes every width e times what it was."""
    model, x = new(), batch().x
    low, middle, high = (model.encoder(x, torch.full((64,), t)).stddev for t in (-1.0, 0.0, 20.0))
    torch.testing.assert_close(middle, math.e * low)
    assert torch.equal(high, torch.ones(64, 3)) and middle.max() < 1


@pytest.mark.parametrize("shuts", [False, True])
def test_gates_are_the_papers(shuts):
    gate, t = Gate(3, shuts=shuts), torch.tensor([-1.0, 0.5])
    with torch.no_grad():
        gate.weight.copy_(torch.tensor([0.1, -0.2, 0.05]))
        gate.bias.copy_(torch.tensor([-0.3, -0.1, 0.2]))
    u = 10 * (torch.tensor([0.1, -0.2, 0.05]) * t[:, None] + torch.tensor([-0.3, -0.1, 0.2]))
    expected = (1 - u.exp()).relu().sqrt() if shuts else 1 / (1 + (-u).exp())
    h = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(gate(h, t), h * expected[:, :, None, None])
    assert not shuts or (expected == 0).any()


def test_a_dimension_whose_gate_is_shut_costs_nothing_and_tells_nothing():
    model, given = put(new(spread=0.3), 5.0), batch()
    with torch.no_grad():
        for gate in (model.encoder.mean, model.decoder.net.net.layers[0]):
            gate.weight.fill_(0.1)
            gate.bias.fill_(0)  # shut above the middle of the range
        model.encoder.slope.fill_(2)
    code = model.encode(given)
    assert not code["z"].rate.any() and torch.equal(code["z"].q.mean, torch.zeros(64, 3))
    image = model.decode(code).mean
    assert torch.equal(image, image[:1].expand_as(image))
    assert put(model, 0.05).encode(given)["z"].rate.min() > 0.1


def test_a_gate_about_to_shut_has_a_gradient_that_is_a_number():
    gate = Gate(201, shuts=True)
    with torch.no_grad():
        gate.bias.copy_(torch.linspace(-1e-4, 1e-4, 201))
    gate(torch.ones(1, 201), torch.zeros(1)).sum().backward()
    assert gate.bias.grad.isfinite().all() and gate.bias.grad.abs().max() <= 10 * 0.5 / 1e-2 * 1.01
    assert not gate.bias.grad[101:].any()


# ---- training ------------------------------------------------------------------------------------------------------


def test_in_training_every_example_pays_its_own_beta_in_both_networks(monkeypatch):
    """D and R of example i are those of the model at β_i, and the loss is the mean of D_i + β_i R_i."""
    model, given = new(spread=0.3), batch(3)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "rand", lambda n, device=None: torch.tensor([0.0, 0.5, 1.0]))
        found = same_noise(model.train(), given)
    betas = torch.tensor([0.01, 0.1**0.5, 10.0])
    for i, beta in enumerate(betas.tolist()):
        alone = same_noise(put(model, beta), given)
        torch.testing.assert_close(found.rate[i], alone.rate[i], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.distortion[i], alone.distortion[i], rtol=1e-4, atol=1e-4)
    loss = found.distortion.mean() + found.rate.mean() + found.regularizer
    torch.testing.assert_close(loss, (found.distortion + betas * found.rate).mean())


def test_log_beta_is_uniform_over_its_range(monkeypatch):
    model, seen = new(lowest=0.1, highest=4.0).train(), []
    told = model.told
    monkeypatch.setattr(model, "told", lambda log_beta: seen.append(log_beta) or told(log_beta))
    n = 20_000
    model(Batch.unlabelled(torch.zeros(n, *MLP.shape)))
    log_beta = seen[0].double()
    low, high = math.log(0.1), math.log(4.0)
    assert log_beta.min() >= low - 1e-5 and log_beta.max() <= high + 1e-5
    counts = torch.histc(log_beta, 10, low, high)
    assert ((counts - n / 10) ** 2 / (n / 10)).sum() < 27.9  # χ² of 9 degrees of freedom, one in a thousand
    assert all(torch.equal(log_beta, other.double()) for other in seen)
    assert told(log_beta).mean().abs() < 4 / n**0.5 and abs(told(log_beta).std() - 1) < 4 * 0.45 / n**0.5


# ---- linear-Gaussian worlds ----------------------------------------------------------------------------------------


def optimum():
    """The model that is the linear VAE of least D + βR at every β of its range."""
    model = new(LINE)
    lam, noise = torch.tensor(SPECTRUM), SPECTRUM[-1]
    spread, middle = (model.highest - model.lowest) / 12**0.5, (model.lowest + model.highest) / 2
    threshold = (noise / lam).log() + middle  # log θ/λ is t · spread + threshold
    with torch.no_grad():
        encoder, decoder = model.encoder, model.decoder.net.net
        (_, linear), (gate, out) = encoder.net.layers, decoder.layers
        linear.weight.copy_(torch.cat([torch.diag(lam**-0.5), torch.zeros(4, 4)]))
        linear.bias.copy_(torch.cat([torch.zeros(4), 0.5 * threshold + 1]))
        encoder.slope.fill_(0.5 * spread / GAIN)
        out.weight.copy_(torch.diag(lam**0.5))
        out.bias.zero_()
        for shutting in (gate, encoder.mean):
            shutting.weight.fill_(spread / GAIN)
            shutting.bias.copy_(threshold / GAIN)
    return model


@pytest.mark.parametrize("beta", [0.05, 0.5, 1.0, 2.5, 5.0, 9.0])
def test_gates_can_be_the_optimum_of_every_beta(beta):
    """β of 9 is above λ_1/η², where nothing is sent."""
    model, best = put(optimum(), beta), analytic.optimal_vae(SPECTRUM, SPECTRUM[-1], beta)
    x = torch.randn(50, 4) * torch.tensor(SPECTRUM).sqrt()
    q = model.encode(Batch.unlabelled(x))["z"].q
    torch.testing.assert_close(q.mean, x @ torch.from_numpy(best.A.T).float(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(q.variance[0], torch.from_numpy(best.variance).float(), atol=1e-5, rtol=1e-4)
    code = model.encode(Batch.unlabelled(x))
    expected = code["z"].sample @ torch.from_numpy(best.W.T).float()
    torch.testing.assert_close(model.decode(code).mean, expected, atol=1e-5, rtol=1e-4)


@pytest.fixture(scope="module")
def plane():
    """A linear world, and one training in it."""
    data = Plane()
    data.load()
    torch.manual_seed(0)
    model = registry.model("mr_vae", data.spec(hidden=(), latent=4), lowest=0.05)
    fit(model, data, None, Training(steps=1500, batch=250, lr=1e-2))
    return data, model


@torch.no_grad()
def lost(model, data, part="train", draws=20):
    """D in nats."""
    seen = data.view(part, model.row).batch()
    torch.manual_seed(0)
    return sum(float(model.distortion(seen, model.encode(seen)).mean()) for _ in range(draws)) / draws


def test_one_training_traces_the_frontier(plane):
    """The frontier of the training set, from its own covariance; 0.02 is four standard errors of 80 000 draws of D."""
    data, model = plane
    x = data.splits["train"].take().double()
    spectrum = torch.linalg.eigvalsh(torch.cov(x.T, correction=0)).flip(0).numpy()
    for sigma in (0.3, 0.7, 1.2, 2.0, 3.0):
        made = at_rate(model, data.view("train", model.row).batch(), sigma)
        control = fit(made, data, sigma, Training(steps=1)).control
        assert control.status == "ok"
        best = float(analytic.frontier(spectrum, data.noise, [control.R_train])[0])
        assert -0.02 < lost(made, data) - best < 0.08
        slope = float(analytic.slope(spectrum, data.noise, [sigma])[0])
        assert made.log_beta.item() == pytest.approx(math.log(slope), abs=0.15)


# ---- rates ---------------------------------------------------------------------------------------------------------


def test_every_rate_in_reach_is_met_and_nothing_else_changes(plane):
    data, model = plane
    seen, before = data.view("train", model.row).batch(), {k: v.clone() for k, v in model.state_dict().items()}
    torch.manual_seed(5)
    state = torch.get_rng_state()
    made = [at_rate(model, seen, sigma) for sigma in (0.1, 0.5, 1.0, 2.0, 4.0)]
    assert torch.equal(state, torch.get_rng_state())  # R is known, none is drawn
    for one, sigma in zip(made, (0.1, 0.5, 1.0, 2.0, 4.0), strict=True):
        assert mean_rate(one, seen) == pytest.approx(sigma, rel=0.01)
        assert one.rate_is_set and not one.training and not any(p.requires_grad for p in one.parameters())
        kept = {k: v for k, v in one.state_dict().items() if k != "log_beta"}
        assert all(torch.equal(v, before[k]) for k, v in kept.items())
    betas = [float(one.log_beta) for one in made]
    assert betas == sorted(betas, reverse=True)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert any(p.requires_grad for p in model.parameters())


def test_the_rate_at_a_beta_is_the_mean_over_all_examples():
    """However many fit into memory at once."""
    model, given = put(new(spread=0.3), 0.3), batch(1500)
    assert model.rate(given, math.log(0.3)) == pytest.approx(model(given).rate.mean().item(), rel=1e-5)


def test_no_target_is_beta_one(plane):
    data, model = plane
    made = at_rate(model, data.view("train", model.row).batch(), None)
    control = fit(made, data, None, Training(steps=3)).control
    assert made.log_beta == 0 and control.status == "ok" and control.steps == 0
    assert control.R_train == pytest.approx(mean_rate(put(model, 1.0), data.view("train", model.row).batch()))


@pytest.mark.parametrize(("sigma", "beta", "words"), [(50.0, 0.05, "lowest"), (1e-4, 10.0, "highest")])
def test_rates_out_of_reach_are_the_nearest_and_say_so(plane, sigma, beta, words):
    data, model = plane
    if words == "highest":
        model = new(LINE, lowest=0.05)  # which has not learned to be silent
    made = at_rate(model, data.view("train", model.row).batch(), sigma)
    control = fit(made, data, sigma, Training(steps=1)).control
    assert control.status == "unreachable"
    assert control.reason == f"β = {beta:g} is the {words} it was trained for: R = {control.R_train:.2f} nats"
    assert control.R_train == pytest.approx(model.rate(data.view("train", model.row).batch(), math.log(beta)), rel=1e-4)


def test_without_gates_no_beta_changes_the_rate():
    model, given = new(spread=0.3), batch()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, Gate):
                module.weight.zero_()
        model.encoder.slope.zero_()
    low, high = (put(model, beta)(given).rate for beta in (0.02, 5.0))
    assert torch.equal(low, high)


def test_betas_that_are_no_range_are_refused():
    for wrong in ({"lowest": 0.0}, {"lowest": 2.0, "highest": 1.0}):
        with pytest.raises(ValueError, match="β is drawn between"):
            new(**wrong)


def test_it_is_an_encoder_of_scikit_learn_too():
    x = batch(200).x.numpy()
    made = Encoder("mr_vae", sigma=2, hidden=(16,), latent=3, steps=150).fit(x)
    assert made.rate_ == pytest.approx(2, rel=0.01) and made.control_.steps == 0


# ---- effects -------------------------------------------------------------------------------------------------------


def digits(seed, steps, *, code_gates=True):
    """One training on digits, and the data."""
    data = registry.dataset("digits")
    torch.manual_seed(seed)
    model = registry.model("mr_vae", data.spec(**NETWORK))
    if not code_gates:  # the code does not know β but through hidden units
        for gate in (model.encoder.mean, model.decoder.net.net.layers[0]):
            gate.weight.requires_grad_(False)
        model.encoder.slope.requires_grad_(False).zero_()
    fit(model, data, None, Training(steps=steps, seed=seed))
    return data, model


@pytest.mark.effect
def test_one_training_does_as_well_as_two_that_took_as_long_together():
    """D over that of VAEs of 800 steps each, in nats of about 20."""
    data, model = digits(0, 1600)
    for sigma, margin in ((2.0, 0.7), (13.0, 0.5)):
        alone, _ = trained("vae", data, sigma)
        made = at_rate(model, data.view("train", model.row).batch(), sigma)
        assert lost(made, data, "test", 5) < lost(alone, data, "test", 5) + margin


@pytest.mark.effect
def test_gates_of_the_code_are_what_lets_one_training_serve_all_rates():
    found = {}
    for code_gates in (True, False):
        data, model = digits(0, 800, code_gates=code_gates)
        found[code_gates] = lost(at_rate(model, data.view("train", model.row).batch(), 9.0), data, "test", 5)
    assert found[True] < found[False] - 1.5
