"""What makes each model itself: limits, closed forms and gradient routes that a plain VAE would fail."""

import math

import pytest
import torch
from torch import nn

from rdu_bench import registry
from rdu_bench.api import (
    Batch,
    Block,
    Critic,
    Examples,
    Factor,
    Spec,
    gaussian,
    gaussian_kernel,
    mmd,
    multiquadric,
    permute_dims,
    total_correlation,
)
from rdu_bench.api import Dataset as Data
from rdu_bench.training.posthoc import Whitened
from rdu_bench.training.train import fit, mean_rate

SPEC = Spec((1, 4, 4), examples=500, classes=4, hidden=(32,), latent=3)


@pytest.fixture(autouse=True)
def _seeded():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def new(name, spec=SPEC, seed=0, **params):
    torch.manual_seed(seed)
    return registry.model(name, spec, **params)


def batch(n=64, progress=1.0, seed=1):
    torch.manual_seed(seed)
    x = torch.rand(n, 1, 4, 4).round()
    y = torch.randint(0, 4, (n,))
    return Batch(x, y, torch.full((n,), -1), torch.tensor(progress))


def same_noise(model, given):
    torch.manual_seed(7)
    return model(given)


def block(mean, scale):
    """A Gaussian block with given posteriors."""
    q = gaussian(mean, scale)
    z = q.rsample()
    p = gaussian(torch.zeros_like(mean), torch.ones_like(mean))
    return Block(z, q.log_prob(z) - p.log_prob(z), q, p, z)


class Corners(Data):
    """Four equally likely patterns with noise, named by their label: H(y) = log 4."""

    def load(self, n: int = 2000) -> None:
        generator = torch.Generator().manual_seed(0)
        y = torch.randint(0, 4, (n,), generator=generator)
        patterns = torch.rand(4, 1, 4, 4, generator=generator).round()
        flips = (torch.rand(n, 1, 4, 4, generator=generator) < 0.1).float()
        x = (patterns[y] + flips) % 2
        self.name, self.shape, self.task, self.factors = "corners", (1, 4, 4), ("y",), (Factor("y", 4),)
        thirds = {"train": slice(0, n // 2), "val": slice(n // 2, 3 * n // 4), "test": slice(3 * n // 4, n)}
        self.splits = {part: Examples(x[at], {"y": y[at]}) for part, at in thirds.items()}


@pytest.fixture(scope="module")
def data():
    made = Corners()
    made.load()
    return made


def whole(data, part="train"):
    split = data.splits[part]
    unknown = torch.full((len(split),), -1)
    return Batch(split.x, split.factors["y"], unknown, torch.ones(()))


# ---- divergences ---------------------------------------------------------------------------------------------------


def gaussian_mmd(shift, d, width):
    """MMD² of N(0, I) and N(Δ, I) under exp(−r²/2ℓ²)."""
    v = width**2
    return 2 * (v / (v + 2)) ** (d / 2) * (1 - math.exp(-(shift**2) / (2 * (v + 2))))


def multiquadric_mmd(shift, d):
    """The same under C/(C + r²) = ∫₀^∞ e^{−t} exp(−t r²/C) dt, which mixes Gaussians of ℓ² = C/2t."""
    t = torch.linspace(1e-6, 40, 200_001, dtype=torch.float64)
    v = 2 * d / (2 * t)
    mixed = 2 * (v / (v + 2)) ** (d / 2) * (1 - (-(shift**2) / (2 * (v + 2))).exp())
    return float(torch.trapezoid((-t).exp() * mixed, t))


KERNELS = {
    "gaussian": (lambda d: gaussian_kernel(d**0.5), lambda shift, d: gaussian_mmd(shift, d, d**0.5)),
    "multiquadric": (multiquadric, multiquadric_mmd),
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_mmd_is_its_closed_form_without_bias(kernel, shift):
    make, closed = KERNELS[kernel]
    n, d, repeats = 24, 4, 600
    move = torch.zeros(d)
    move[0] = shift
    found = torch.stack([mmd(torch.randn(n, d), torch.randn(n, d) + move, make(d)) for _ in range(repeats)]).double()
    error = found.std().item() / math.sqrt(repeats)
    assert found.mean().item() == pytest.approx(closed(shift, d), abs=4 * error)
    if shift == 0:
        assert closed(shift, d) == 0 and (found < 0).any()  # unbiased, so below zero at times


def test_a_biased_mmd_would_be_seen():
    n, d = 24, 4
    k = multiquadric(d)
    plain = torch.stack([mmd(torch.randn(n, d), torch.randn(n, d), k) for _ in range(600)])
    bias = 2 / n * (1 - float(k((torch.randn(4000, d) - torch.randn(4000, d)).square().sum(-1)).mean()))
    assert bias > 10 * plain.std().item() / math.sqrt(600)


def test_multiquadric_is_the_default_and_reaches_further():
    p, q = torch.randn(50, 3), torch.randn(50, 3)
    assert torch.equal(mmd(p, q), mmd(p, q, multiquadric(3)))
    far = torch.tensor(400.0)
    assert multiquadric(3)(far) > 100 * gaussian_kernel(3**0.5)(far)
    assert multiquadric(3)(torch.tensor(6.0)) == pytest.approx(0.5)  # at the mean distance of two draws of the prior


def correlated(n, rho):
    z = torch.randn(n, 2)
    return torch.stack([z[:, 0], rho * z[:, 0] + math.sqrt(1 - rho**2) * z[:, 1]], 1)


TC = -0.5 * math.log(1 - 0.8**2)  # 0.511 nats


def test_permuting_keeps_each_column_and_breaks_their_tie():
    z = correlated(4000, 0.8)
    shuffled = permute_dims(z)
    for column in range(2):
        assert torch.equal(z[:, column].sort().values, shuffled[:, column].sort().values)
    assert abs(float(torch.corrcoef(shuffled.T)[0, 1])) < 4 / math.sqrt(4000)


def test_the_estimate_from_densities_finds_a_known_total_correlation():
    """z = μ + s ε with Cov[μ] = Σ − s² I, so that q(z) = N(0, Σ)."""
    s2, rho, found = 0.15, 0.8, []
    chol = torch.linalg.cholesky(torch.tensor([[1.0, rho], [rho, 1.0]]) - s2 * torch.eye(2))
    for _ in range(20):
        mean = torch.randn(512, 2) @ chol.T
        found.append(total_correlation(block(mean, torch.full_like(mean, s2**0.5)), examples=100_000))
    assert float(torch.stack(found).mean()) == pytest.approx(TC, abs=0.06)


def test_codes_that_never_meet_are_tied_by_all_but_one_of_their_dimensions():
    """Each z sees its own x alone, in every dimension: log q(z) = log q(z|x) − log N, and so for every q(z_j)."""
    B, d, N = 16, 3, 5000
    mean = torch.randperm(B * d).float().view(B, d) * 100
    read = total_correlation(block(mean, torch.full_like(mean, 0.1)), examples=N)
    assert read.item() == pytest.approx((d - 1) * math.log(N), rel=1e-4)


# ---- FactorVAE -----------------------------------------------------------------------------------------------------


def test_the_critic_reads_a_known_total_correlation():
    model = new("factor_vae", SPEC._replace(latent=2), gamma=1.0, width=64, depth=2)
    critic = model.critic
    optimizer = torch.optim.Adam(critic.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1000)
    for _ in range(1000):
        z = correlated(512, 0.8)
        loss = model.critic_loss(batch(), {"z": block(z, torch.ones_like(z))._replace(sample=z)})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    z = correlated(20_000, 0.8)
    read = float(model.regularizer(batch(), {"z": block(z, torch.ones_like(z))._replace(sample=z)}).detach())
    assert TC - 0.08 < read < TC + 0.04  # the lag of a critic biases it low
    independent = torch.randn(20_000, 2)
    assert float(critic.ratio(independent).mean()) < 0


def test_the_critic_at_chance_costs_log_four():
    critic = Critic(2, hidden=8, depth=1)
    nn.init.zeros_(critic.net[-1].weight)
    nn.init.zeros_(critic.net[-1].bias)
    assert critic.loss(torch.randn(50, 2), torch.randn(50, 2)).item() == pytest.approx(math.log(4))
    assert torch.equal(critic.ratio(torch.randn(50, 2)), torch.zeros(50))


def test_one_backward_pass_serves_both_players():
    model, given = new("factor_vae", gamma=3.0), batch()
    terms = same_noise(model, given)
    (terms.distortion.mean() + terms.rate.mean() + terms.regularizer + terms.critic_loss).backward()
    together = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    for part in ("critic", "model"):
        model.zero_grad()
        terms = same_noise(model, given)
        ours = terms.distortion.mean() + terms.rate.mean() + terms.regularizer
        (terms.critic_loss if part == "critic" else ours).backward()
        for name, weight in model.named_parameters():
            if name.startswith("critic") == (part == "critic"):
                torch.testing.assert_close(weight.grad, together[name])
            else:
                assert weight.grad is None or not weight.grad.any()


def test_gamma_zero_is_the_vae_and_gamma_weighs_the_critics_reading():
    given = batch()
    none, some, twice = (same_noise(new("factor_vae", gamma=g), given) for g in (0.0, 5.0, 10.0))
    plain = same_noise(new("vae"), given)
    assert torch.equal(none.distortion, plain.distortion) and none.regularizer == 0
    assert twice.regularizer.item() == pytest.approx(2 * some.regularizer.item(), rel=1e-5)
    assert some.regularizer.item() != 0


@pytest.mark.slow
def test_gamma_lowers_total_correlation_at_equal_rate():
    digits = registry.dataset("digits")
    read = {}
    for name, params in {"vae": {}, "factor_vae": {"gamma": 20.0}}.items():
        model = new(name, digits.spec(hidden=(128,), latent=6), **params)
        control = fit(model, digits, 6.0, steps=1500, batch=128)
        assert control.R_train == pytest.approx(6, rel=0.1)
        code = model.encode(Batch.unlabelled(digits.splits["train"].x))
        read[name] = float(total_correlation(code["z"], len(digits.splits["train"])).detach())
    assert read["factor_vae"] < read["vae"]


# ---- β-VAE ---------------------------------------------------------------------------------------------------------


def test_the_loss_is_distortion_and_beta_times_rate():
    for beta in (0.5, 1.0, 4.0):
        terms = same_noise(new("beta_vae", beta=beta), batch())
        loss = terms.distortion.mean() + terms.rate.mean() + terms.regularizer
        assert loss.item() == pytest.approx((terms.distortion.mean() + beta * terms.rate.mean()).item(), rel=1e-5)
        assert (beta == 1) == (terms.regularizer.item() == 0)


@pytest.mark.parametrize(("progress", "grown"), [(0.0, 0.0), (0.25, 4.0), (0.5, 8.0), (1.0, 8.0)])
def test_the_loss_is_distortion_and_gamma_times_the_miss_of_a_growing_capacity(progress, grown):
    model = new("beta_vae", mode="capacity", capacity=8.0, gamma=30.0, warmup=0.5)
    terms = same_noise(model, batch(progress=progress))
    loss = terms.distortion.mean() + terms.rate.mean() + terms.regularizer
    expected = terms.distortion.mean() + 30 * (terms.rate.mean() - grown).abs()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_capacity_is_of_the_mean_rate_not_of_each_examples():
    model = new("beta_vae", mode="capacity", capacity=8.0, gamma=30.0)
    given = batch()
    code = model.encode(given)
    spread = code["z"]._replace(rate=torch.tensor([0.0, 16.0]).repeat(32))
    assert float(model.regularizer(given, {"z": spread})) == pytest.approx(-8.0)


@pytest.mark.parametrize("capacity", [1.0, 2.5])
def test_capacity_drives_the_rate(data, capacity):
    model = new("beta_vae", data.spec(hidden=(32,), latent=3), mode="capacity", capacity=capacity, gamma=100.0)
    fit(model, data, None, steps=400, batch=100)
    assert mean_rate(model, data.seen("train", model.row)) == pytest.approx(capacity, rel=0.05)


def test_rate_falls_with_beta(data):
    rates = []
    for beta in (0.3, 1.0, 4.0):
        model = new("beta_vae", data.spec(hidden=(32,), latent=3), beta=beta)
        rates.append(fit(model, data, None, steps=300, batch=100).R_train)
    assert rates[0] > 1.2 * rates[1] > 1.2 * rates[2]


def test_beta_is_the_slope_that_a_target_finds(data):
    """At the rate that β-VAE takes by itself a target must price R at β: they are one model."""
    spec, beta = data.spec(hidden=(32,), latent=3), 2.0
    free = fit(new("beta_vae", spec, beta=beta), data, None, steps=1200, batch=100)
    aimed = fit(new("vae", spec), data, free.R_train, steps=1200, batch=100)
    assert aimed.beta_end == pytest.approx(beta, rel=0.25)


def test_the_optimum_waterfills():
    """Linear decoder of fixed variance: R_j = max(0, ½ log(λ_j / β η²)), 2.30 nats in all; at β = 1 it were 4.24."""
    beta, noise = 4.0, 0.05
    values = torch.tensor([4.0, 1.0, 0.15])  # the third is below the water level βη² = 0.2
    closed = sum(max(0.0, 0.5 * math.log(v.item() / (beta * noise))) for v in values)
    spec = Spec((3,), examples=4000, likelihood="gaussian", noise=noise, hidden=(), latent=3)
    model = new("beta_vae", spec, beta=beta)
    optimizer = torch.optim.Adam(model.parameters(), 2e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1500)
    for _ in range(1500):
        x = torch.randn(256, 3) * values.sqrt()
        terms = model(Batch.unlabelled(x))
        optimizer.zero_grad()
        (terms.distortion.mean() + terms.rate.mean() + terms.regularizer).backward()
        optimizer.step()
        schedule.step()
    rate = model(Batch.unlabelled(torch.randn(20_000, 3) * values.sqrt())).rate.mean()
    assert rate.item() == pytest.approx(closed, rel=0.03)


def test_a_mode_there_is_not_is_refused():
    with pytest.raises(ValueError, match="'capacity'"):
        new("beta_vae", mode="gamma")


# ---- InfoVAE -------------------------------------------------------------------------------------------------------


def test_alpha_zero_and_lambda_one_is_the_vae():
    given = batch()
    info, plain = (same_noise(new(n, **p), given) for n, p in (("info_vae", {"strength": 1.0}), ("vae", {})))
    assert torch.equal(info.distortion, plain.distortion) and info.regularizer.item() == 0


@pytest.mark.parametrize(("alpha", "strength"), [(0.0, 10.0), (0.5, 3.0), (1.0, 5.0), (-0.5, 5.0)])
def test_the_loss_is_the_papers(alpha, strength):
    model, given = new("info_vae", alpha=alpha, strength=strength), batch()
    torch.manual_seed(7)
    code = model.encode(given)
    state = torch.get_rng_state()
    reg = model.regularizer(given, code)
    torch.set_rng_state(state)
    z = code["z"].sample
    mismatch = mmd(z, torch.randn_like(z), gaussian_kernel(math.sqrt(3)))
    rate = code["z"].rate.mean()
    expected = (1 - alpha) * rate + (alpha + strength - 1) * mismatch
    assert (rate + reg).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_three_lines_of_the_objective_agree_on_a_gaussian():
    """q(z|x) = N(a x, s²), x ~ N(0, 1): I, KL(q(z) ‖ p) and R in closed form, so R = I + KL."""
    a, s = 1.3, 0.4
    v = a**2 + s**2
    rate = 0.5 * (v - 1 - math.log(s**2))
    information, mismatch = 0.5 * math.log(v / s**2), 0.5 * (v - 1 - math.log(v))
    assert rate == pytest.approx(information + mismatch)
    for alpha, strength in ((0.3, 7.0), (1.0, 2.0)):
        first = (1 - alpha) * information + strength * mismatch
        second = (1 - alpha) * rate + (alpha + strength - 1) * mismatch
        assert first == pytest.approx(second)


def test_the_mismatch_vanishes_when_codes_are_the_priors():
    model = new("info_vae", strength=101.0)
    read = []
    for shift in (0.0, 1.0):
        found = []
        for _ in range(40):
            z = torch.randn(128, 3) + shift
            found.append(model.regularizer(batch(), {"z": block(z, torch.ones_like(z))._replace(sample=z)}) / 100)
        read.append(float(torch.stack(found).mean()))
    assert abs(read[0]) < 0.004
    assert read[1] == pytest.approx(gaussian_mmd(math.sqrt(3), 3, math.sqrt(3)), rel=0.1)


def test_lambda_brings_the_codes_to_the_prior_at_equal_rate(data):
    spec, off = data.spec(hidden=(32,), latent=3), {}
    for strength in (1.0, 30.0):
        model = new("info_vae", spec, strength=strength)
        control = fit(model, data, 4.0, steps=600, batch=200)
        assert control.R_train == pytest.approx(4, rel=0.1)
        z = torch.cat([model.encode(Batch.unlabelled(data.splits["train"].x))["z"].sample for _ in range(2)]).detach()
        off[strength] = float(mmd(z, torch.randn_like(z)))
    assert off[30.0] < 0.5 * off[1.0]


def test_without_a_price_the_rate_grows(data):
    spec = data.spec(hidden=(32,), latent=3)
    priced, free = (fit(new("info_vae", spec, alpha=a), data, None, steps=400, batch=100).R_train for a in (0.0, 1.0))
    assert free > priced + 2


# ---- VIB -----------------------------------------------------------------------------------------------------------


def test_there_is_no_decoder_and_only_labels_teach():
    model, given = new("vib"), batch()
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
    model, given = new("vib"), batch()
    mass = torch.stack([same_noise(model, given._replace(y=torch.full((64,), k))).distortion for k in range(4)])
    torch.testing.assert_close((-mass).exp().sum(0), torch.ones(64))
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    torch.testing.assert_close(model(given).distortion, torch.full((64,), math.log(4)))


def test_what_the_code_tells_of_the_label_is_at_most_its_rate(data):
    found = []
    for sigma in (0.3, 0.8, 2.0):
        model = new("vib", data.spec(hidden=(32,), latent=3))
        fit(model, data, sigma, steps=400, batch=100)
        given = whole(data)
        H = torch.distributions.Categorical(torch.bincount(given.y).float()).entropy()
        with torch.no_grad():
            terms = model(given)
        told, rate = float(H - terms.distortion.mean()), terms.rate.mean().item()
        assert told <= rate + 0.05  # three standard errors of 1000 log losses
        found.append(told)
    assert found == sorted(found) and found[-1] > 3 * found[0]


def test_the_rate_goes_to_the_label_first(data):
    """At R ≈ H(y) the code of VIB names the class; that of a VAE, which must draw every pixel, less so."""
    told = {}
    for name in ("vib", "vae"):
        model = new(name, data.spec(hidden=(32,), latent=3))
        fit(model, data, 1.0, steps=500, batch=100)
        given = whole(data)
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


# ---- WAE -----------------------------------------------------------------------------------------------------------


def test_the_rate_of_trained_noise_is_its_closed_form():
    model, given = new("wae"), batch()
    with torch.no_grad():
        model.encoder.log_width.copy_(torch.tensor([-0.1, 0.0, 0.05]))
    f = model.encoder.net(given.x)
    s2 = torch.tensor([math.exp(-2.0), 1.0, math.exp(1.0)])
    expected = 0.5 * (f.square() + s2 - 1 - s2.log()).sum(-1)
    torch.testing.assert_close(model(given).rate, expected)
    assert model.channel == "trained-noise"
    gradient = torch.autograd.grad(model(given).rate.mean(), model.encoder.log_width)[0]
    torch.testing.assert_close(gradient, 10 * (s2 - 1))


@pytest.mark.parametrize("noise", ["posthoc-iso", "posthoc-learned"])
def test_before_its_channel_the_encoder_is_a_function_and_pays_nothing(noise):
    model, given = new("wae", noise=noise), batch()
    first, second = model.encode(given)["z"], model.encode(given)["z"]
    assert torch.equal(first.sample, second.sample)
    assert not first.rate.any() and not first.log_ratio.any()
    assert model.channel == noise


@pytest.mark.parametrize("noise", ["trained", "posthoc-iso"])
def test_without_strength_it_is_the_plain_autoencoder(noise):
    terms = same_noise(new("wae", strength=0.0, noise=noise), batch())
    assert terms.regularizer.item() == 0
    assert same_noise(new("wae", noise=noise), batch()).regularizer.item() != 0


def test_the_penalty_reaches_the_encoder_and_not_the_decoder():
    model, given = new("wae", noise="posthoc-iso"), batch()
    model.regularizer(given, model.encode(given)).backward()
    assert all(w.grad is not None and w.grad.any() for n, w in model.encoder.named_parameters() if "weight" in n)
    assert all(w.grad is None for w in model.decoder.parameters())


def test_the_crowd_of_codes_comes_to_look_like_the_prior(data):
    off = {}
    for strength in (0.0, 10.0):
        model = new("wae", data.spec(hidden=(32,), latent=3), strength=strength, noise="posthoc-iso")
        fit(model, data, None, steps=500, batch=200)
        z = model.encode(whole(data))["z"].sample.detach()
        off[strength] = float(mmd(z, torch.randn_like(z)))
    assert off[10.0] < 0.2 * off[0.0]


@pytest.mark.parametrize("noise", ["trained", "posthoc-iso", "posthoc-learned"])
def test_every_channel_carries_the_rate_asked_for(data, noise):
    model = new("wae", data.spec(hidden=(32,), latent=3), noise=noise)
    if noise == "trained":
        fit(model, data, 2.0, steps=500, batch=100)
        measured = model
    else:
        fit(model, data, None, steps=200, batch=100)
        measured = Whitened(model, data.seen("train", model.row), 2.0)
        fit(measured, data, 2.0, steps=100, batch=100)
    assert mean_rate(measured, data.seen("train", model.row)) == pytest.approx(2, rel=0.05)
    assert measured.decode(measured.encode(whole(data))).log_prob(whole(data).x).isfinite().all()


def test_noise_there_is_not_is_refused():
    with pytest.raises(ValueError, match="'posthoc-iso'"):
        new("wae", noise="none")
