"""FactorVAE, β-TCVAE, HFVAE and DIP-VAE: what they charge for dependence that is known."""

import itertools
import math

import effects
import pytest
import torch
from closed_forms import RHO, TC, correlated, lack, total
from small import close, gaussian_block, labelled, maker, penalty, reaches, same_noise, sent
from torch import nn
from torch.distributions import Categorical, MixtureSameFamily, Normal
from torch.nn.functional import softplus
from torch.special import entr

from rdu_bench import registry
from rdu_bench.api import (
    Batch,
    Critic,
    Spec,
    covariance,
    log_aggregates,
    one_hot,
    total_correlation,
    total_rate,
    transmit,
)
from rdu_bench.measure import Study
from rdu_bench.measure import total_correlation as of_codes
from rdu_bench.training import Training, fit

SPEC = Spec((1, 4, 4), examples=500, hidden=(16,), latent=4)
new = maker(SPEC)


def exact(n, C):
    """(n, d) numbers with mean 0 and covariance C, up to rounding."""
    z = torch.randn(n, len(C), dtype=torch.float64)
    z = z - z.mean(0)
    white = z @ torch.linalg.inv(torch.linalg.cholesky(z.T @ z / n)).T
    return (white @ torch.linalg.cholesky(C.double()).T).float()


def tied(n, C, s=0.4):
    """Means of posteriors of width s that make q(z) = N(0, C)."""
    return torch.randn(n, len(C)) @ torch.linalg.cholesky(C - s**2 * torch.eye(len(C))).T


# ---- FactorVAE ------------------------------------------------------------------------------------------------------


def test_the_critic_reads_a_known_total_correlation():
    model = new("factor_vae", SPEC._replace(latent=2), gamma=1.0, width=64, depth=2)
    critic = model.critic
    optimizer = torch.optim.Adam(critic.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1000)
    for _ in range(1000):
        z = correlated(512)
        loss = model.critic_loss(labelled(), {"z": sent(z)})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    z = correlated(20_000)
    read = float(model.regularizer(labelled(), {"z": sent(z)}).detach())
    assert TC - 0.08 < read < TC + 0.04  # the lag of a critic biases it low
    independent = torch.randn(20_000, 2)
    assert float(critic.ratio(independent).mean()) < 0


def test_a_critic_at_chance_costs_log_four_and_one_that_is_right_less_than_one_with_swapped_roles():
    """A linear critic with log p/q = 2z, of p at z = 1 and q at z = −1: 2 log(1 + e⁻²), and 2 log(1 + e²) swapped."""
    critic = Critic(1, depth=0)
    p, q = torch.ones(50, 1), -torch.ones(50, 1)
    for weight, loss, swapped in ((0.0, math.log(4), math.log(4)), (2.0, 0.253856, 4.253856)):
        nn.init.constant_(critic.net[-1].weight, weight)
        nn.init.zeros_(critic.net[-1].bias)
        assert critic.loss(p, q).item() == pytest.approx(loss, abs=1e-5)
        assert critic.loss(q, p).item() == pytest.approx(swapped, abs=1e-5)
        assert torch.equal(critic.ratio(p), torch.full((50,), weight))


def test_one_backward_pass_serves_both_players():
    model, given = new("factor_vae", gamma=3.0), labelled()
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
    given = labelled()
    none, some, twice = (same_noise(new("factor_vae", gamma=g), given) for g in (0.0, 5.0, 10.0))
    plain = same_noise(new("vae"), given)
    assert torch.equal(none.distortion, plain.distortion) and none.regularizer == 0
    assert twice.regularizer.item() == pytest.approx(2 * some.regularizer.item(), rel=1e-5)
    assert some.regularizer.item() != 0


def test_both_players_of_factor_vae_are_given_what_was_drawn_and_the_encoder_learns_from_the_penalty():
    model, given = new("factor_vae"), labelled()
    plain = model.encode(given)["z"]
    for loss in (model.regularizer, model.critic_loss):
        here, moved, drawn = (
            same_noise(loss, given, {"z": block})
            for block in (
                plain,
                plain._replace(q=Normal(plain.q.mean + 1, 1.0)),
                plain._replace(sample=plain.sample + 1),
            )
        )
        assert torch.equal(here, moved) and not torch.equal(here, drawn)
    assert reaches(model.regularizer(given, {"z": plain}), model.encoder)


def test_the_critic_compares_with_permuted_codes_whose_every_dimension_is_as_it_was():
    """A critic of one dimension can tell nothing: it pays E softplus(z) + softplus(−z), z about 5."""
    model, z = new("factor_vae", width=1, depth=1), 5 + torch.randn(64, 4)
    model.critic.net = nn.Linear(4, 1)
    with torch.no_grad():
        model.critic.net.weight.copy_(torch.eye(4)[:1])
        model.critic.net.bias.zero_()
    paid = softplus(z[:, 0]) + softplus(-z[:, 0])
    close(model.critic_loss(labelled(), {"z": sent(z)}), paid.mean())


@pytest.mark.effect
def test_gamma_lowers_total_correlation_at_equal_rate():
    digits = registry.dataset("digits")
    read = {}
    for name, params in {"vae": {}, "factor_vae": {"gamma": 20.0}}.items():
        model = new(name, digits.spec(hidden=(128,), latent=6), **params)
        control = fit(model, digits, 6.0, Training(steps=1500, batch=128)).control
        assert control.R_train == pytest.approx(6, rel=0.1)
        code = model.encode(Batch.unlabelled(digits.splits["train"].take()))
        read[name] = float(total_correlation(code["z"], len(digits.splits["train"])).detach())
    assert read["factor_vae"] < read["vae"]


# ---- β-TCVAE --------------------------------------------------------------------------------------------------------


def test_beta_tcvae_charges_a_known_total_correlation():
    """0.511 nats of a Gaussian with ρ = 0.8, once β is taken off by the 1 that R charges."""
    model = new("beta_tcvae", SPEC._replace(latent=2, examples=100_000), beta=3.0)
    found = torch.stack([penalty(model, tied(512, RHO), 0.4) for _ in range(20)]) / 2
    error = found.std() / math.sqrt(20)
    assert total(RHO).item() == pytest.approx(0.511, abs=5e-4)
    assert abs(found.mean() - total(RHO)) < lack(RHO, 0.4, 512) + 4 * error


@pytest.mark.parametrize(("name", "one"), [("beta_tcvae", {"beta": 1.0}), ("hfvae", {"between": 1.0})])
def test_at_weights_of_one_it_is_the_vae(name, one):
    found, plain = (same_noise(new(*given[:1], **given[1]), labelled()) for given in ((name, one), ("vae", {})))
    assert torch.equal(found.distortion, plain.distortion) and torch.equal(found.rate, plain.rate)
    assert found.regularizer == 0
    assert same_noise(new(name), labelled()).regularizer != 0


def test_beta_tcvae_teaches_the_encoder_what_total_correlation_costs():
    model, given = new("beta_tcvae"), labelled()
    assert reaches(model.regularizer(given, model.encode(given)), model.encoder)


def test_beta_tcvae_of_all_examples_charges_the_mixtures_total_correlation():
    model = new("beta_tcvae", SPEC._replace(examples=64), beta=4.0)
    given = labelled()
    torch.manual_seed(3)
    code = model.encode(given)
    q, z = code["z"].q, code["z"].sample
    even = Categorical(torch.full((64,), 1 / 64))
    log_q = MixtureSameFamily(even, q).log_prob(z)
    each = [MixtureSameFamily(even, Normal(q.mean[:, j], q.stddev[:, j])).log_prob(z[:, j]) for j in range(4)]
    close(model.regularizer(given, code), 3 * (log_q - sum(each)).mean())


# ---- HFVAE ----------------------------------------------------------------------------------------------------------


BLOCKS = torch.tensor([[1.0, 0.5, 0.2, 0.0], [0.5, 1.0, 0.1, 0.1], [0.2, 0.1, 1.0, -0.4], [0.0, 0.1, -0.4, 1.0]])


def test_total_correlation_is_that_between_groups_and_that_within():
    """Of a Gaussian in closed form, and of the three weights of the model at one draw."""
    model = new("hfvae", SPEC._replace(examples=100_000), groups=[2, 2], between=2.0, within=1.0)
    inside = total(BLOCKS[:2, :2]) + total(BLOCKS[2:, 2:])
    across = total(BLOCKS) - inside
    found = {"between": [], "within": [], "both": []}
    for seed in range(20):
        mean = tied(512, BLOCKS, 0.6)
        for name, weights in {"between": (2.0, 1.0), "within": (1.0, 2.0), "both": (2.0, 2.0)}.items():
            model.between, model.within = weights
            torch.manual_seed(seed)
            found[name].append(penalty(model, mean, 0.6))
    read = {name: torch.stack(values) for name, values in found.items()}
    close(read["both"], read["between"] + read["within"])
    for name, closed in {"between": across, "within": inside}.items():
        error = read[name].std() / math.sqrt(20)
        assert abs(read[name].mean() - closed) < lack(BLOCKS, 0.6, 512) + 4 * error


def test_hfvae_with_dimensions_tied_within_groups_alone_pays_nothing():
    """Where β-TCVAE pays 1.02 nats for the ties."""
    C = torch.block_diag(RHO, RHO)
    spec = SPEC._replace(examples=100_000)
    apart, all_apart = new("hfvae", spec, between=2.0), new("beta_tcvae", spec, beta=2.0)
    means = [tied(512, C) for _ in range(20)]
    free, paid = (torch.stack([penalty(m, mean, 0.4) for mean in means]).mean() for m in (apart, all_apart))
    assert abs(free) < 0.25 * paid and paid == pytest.approx(2 * total(RHO).item(), abs=lack(C, 0.4, 512))


@pytest.mark.parametrize(
    "params",
    [
        {"groups": [1, 1, 1, 1], "between": 5.0},
        {"groups": [4], "within": 5.0, "between": 2.0},
        {"groups": [1, 3], "between": 5.0, "within": 5.0},
    ],
)
def test_hfvae_is_beta_tcvae_of_groups_of_one_of_one_group_and_of_equal_weights(params):
    found, plain = same_noise(new("hfvae", **params), labelled()), same_noise(new("beta_tcvae", beta=5.0), labelled())
    close(found.regularizer, plain.regularizer)
    assert torch.equal(found.distortion, plain.distortion)


def test_hfvae_weighs_how_far_each_dimension_is_from_its_prior():
    """q(z_j) = N(m, v), independent of the others: ½(m² + v − 1 − log v) nats each."""
    m, v = 0.5, 1.5
    model = new("hfvae", SPEC._replace(examples=100_000), between=1.0, marginals=3.0)
    found = torch.stack([penalty(model, m + (v - 0.16) ** 0.5 * torch.randn(512, 4), 0.4) for _ in range(40)]) / 2
    closed = 4 * 0.5 * (m**2 + v - 1 - math.log(v))
    assert found.mean().item() == pytest.approx(
        closed, abs=4 * lack(v * torch.eye(1), 0.4, 512) + 4 * found.std().item() / math.sqrt(40)
    )


@pytest.mark.parametrize("part", ["between", "within", "marginals"])
def test_each_part_of_hfvae_is_that_of_the_mixture_of_all_posteriors(part):
    """With all examples in the batch q(z) is a mixture of 64 Gaussians, and each weight of 2 charges its part once."""
    model = new("hfvae", SPEC._replace(examples=64), groups=[3, 1], **{"between": 1.0, part: 2.0})
    given = labelled()
    code = model.encode(given)
    q, z, even = code["z"].q, code["z"].sample, Categorical(torch.full((64,), 1 / 64))

    def log_q(*dims):
        dims = list(dims)
        posteriors = torch.distributions.Independent(Normal(q.mean[:, dims], q.stddev[:, dims]), 1)
        return MixtureSameFamily(even, posteriors).log_prob(z[:, dims])

    groups, each = log_q(0, 1, 2) + log_q(3), sum(log_q(j) for j in range(4))
    parts = {"between": log_q(0, 1, 2, 3) - groups, "within": groups - each}
    parts["marginals"] = each + 0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)
    close(model.regularizer(given, code), parts[part].mean())


def test_groups_that_are_not_all_of_z_are_refused():
    with pytest.raises(ValueError, match="4"):
        new("hfvae", groups=[2, 1])
    assert new("hfvae", SPEC._replace(latent=5)).groups == [2, 2, 1]


CELLS = torch.tensor([[0, 0, 0], [0, 0, 0], [0, 1, 1], [1, 1, 1], [1, 1, 0], [1, 0, 0]])  # of z, dimension by dimension
CHANCES = torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.2, 0.6], [0.1, 0.1, 0.8], [0.3, 0.6, 0.1], [0.7, 0.2, 0.1], [0, 1, 0]])


def told(side):
    """The code of six examples at z = ±2 by their cells, 80 widths apart, one width off to a `side`, and a symbol."""
    z, logits = gaussian_block(4.0 * CELLS - 2, 0.05), CHANCES.clamp(min=1e-30).log()
    at = z.q.mean + 0.05 * side
    return {"z": z._replace(sample=at, drawn=at), "c": transmit(one_hot(logits), one_hot(torch.zeros_like(logits)))}


def entropy(*of):
    """Nats of some of the variables 0, 1, 2 (cells) and 3 (symbol) under the six examples, by enumeration."""
    table = {}
    for x, c in itertools.product(range(6), range(3)):
        at = tuple([*CELLS[x].tolist(), c][j] for j in of)
        table[at] = table.get(at, 0.0) + float(CHANCES[x, c]) / 6
    return -sum(p * math.log(p) for p in table.values() if p)


def part_of(name, **params):
    """What HFVAE charges for one part of such codes: at one width off to either side z − its mean has its variance."""
    spec = SPEC._replace(examples=6, latent=3)
    model = new("hfvae", spec, groups=[2, 1], **{"between": 1.0, name: 2.0, **params})
    codes = [told(side) for side in (1, -1)]
    if "symbols" not in params:
        codes = [{"z": code["z"]} for code in codes]
    return torch.stack([model.regularizer(labelled(6), code) for code in codes]).mean()


def test_information_and_the_parts_of_hfvae_with_a_symbol_are_the_rate():
    """Every part is what enumeration says, and with I(x; z, c) they make up what blocks charge in closed form."""
    found = {name: part_of(name, symbols=3) for name in ("between", "within", "marginals")}
    code = told(1)
    z = code["z"].rate.mean() - sum(entropy(j) for j in range(3))
    closed = {
        "between": entropy(0, 1) + entropy(2) + entropy(3) - entropy(0, 1, 2, 3),
        "within": entropy(0) + entropy(1) - entropy(0, 1),
        "marginals": z + math.log(3) - entropy(3),
    }
    for name, value in found.items():
        close(value, closed[name], atol=1e-5, rtol=1e-5)
        assert value > 0.05
    doubt = entr(CHANCES).sum(-1).mean()  # H(c|x), and z tells its cells for sure
    information = entropy(0, 1, 2, 3) - doubt
    close(information + sum(found.values()), total_rate(code).mean(), rtol=1e-5)


def test_a_symbol_adds_what_it_tells_of_the_groups_and_how_far_it_is_from_even():
    with_it, without = (
        {name: part_of(name, **params) for name in ("between", "within", "marginals")}
        for params in ({"symbols": 3}, {})
    )
    close(with_it["between"] - without["between"], entropy(0, 1, 2) + entropy(3) - entropy(0, 1, 2, 3))
    close(with_it["within"], without["within"])
    close(with_it["marginals"] - without["marginals"], math.log(3) - entropy(3))
    close(told(1)["c"].rate.mean(), math.log(3) - entr(CHANCES).sum(-1).mean())


def test_the_symbol_of_hfvae_is_found_in_x_paid_for_and_decoded():
    model, given = new("hfvae", spread=0.3, symbols=5, between=1.0), labelled()
    terms, code = same_noise(model, given), same_noise(model.encode, given)
    q = model.classifier(given.x).softmax(-1)
    close(code["c"].q.mean, q)
    close(terms.rate, code["z"].rate + math.log(5) - entr(q).sum(-1))
    assert terms.regularizer == 0 and list(code) == ["z", "c"]
    assert torch.equal(code["c"].sample.detach().sum(-1), torch.ones(64))
    plain = model.receive(code).mean
    for name in code:
        other = code[name]._replace(sample=code[name].sample.roll(1, 1))
        assert not torch.allclose(model.receive(code | {name: other}).mean, plain)
    assert reaches(terms.distortion.mean(), model.classifier) and reaches(terms.rate.mean(), model.classifier)


@pytest.mark.parametrize("part", ["between", "marginals"])
def test_hfvae_charges_for_all_symbols_and_not_for_the_one_drawn(part):
    """So the encoder learns what dependence costs without the gradient of a relaxed draw."""
    model, given = new("hfvae", spread=0.3, symbols=5, **{"between": 1.0, part: 3.0}), labelled()
    code = model.encode(given)
    c = code["c"]
    moved = c._replace(sample=c.sample.roll(1, 1), drawn=c.drawn.roll(1, 1))
    loss = model.regularizer(given, code)
    assert torch.equal(loss, model.regularizer(given, code | {"c": moved})) and loss != 0
    assert reaches(loss, model.classifier) and reaches(loss, model.encoder)


def test_without_symbols_hfvae_sends_a_gaussian_alone():
    model, other = new("hfvae"), new("hfvae", symbols=5)
    assert list(model.encode(labelled())) == ["z"] and model.classifier is None
    assert (model.row.prior, other.row.prior) == ("N", "C+N")
    assert new("hfvae").state_dict().keys() == new("vae").state_dict().keys()


# ---- DIP-VAE --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["I", "II"])
def test_dip_vae_charges_a_known_covariance(variant):
    mean = exact(50, BLOCKS) * torch.tensor([1.0, 1.2, 0.5, 0.8])
    C = torch.cov(mean.T, correction=0) + (0.09 * torch.eye(4) if variant == "II" else 0)
    away = (C - torch.eye(4)).square()
    closed = 3 * (away.sum() - away.diagonal().sum()) + 7 * away.diagonal().sum()
    close(penalty(new("dip_vae", variant=variant, lambda_od=3.0, lambda_d=7.0), mean, 0.3), closed)
    assert closed > 1


@pytest.mark.parametrize("variant", ["I", "II"])
def test_dip_vae_and_its_gradient_vanish_at_the_priors_covariance(variant):
    model = new("dip_vae", variant=variant)
    s = torch.tensor([0.1, 0.3, 0.6, 0.9]) if variant == "II" else torch.ones(4)
    C = torch.diag(1 - s**2) if variant == "II" else torch.eye(4)
    mean, s = exact(50, C).requires_grad_(), s.requires_grad_()
    loss = penalty(model, mean, s)
    assert loss.item() < 1e-9
    for slope in torch.autograd.grad(loss, [mean, s], allow_unused=True):
        assert slope is None or slope.abs().max() < 1e-5
    off = exact(50, 2 * C).requires_grad_()
    assert torch.autograd.grad(penalty(model, off, s), off)[0].abs().max() > 1e-3


def test_dip_vaes_differ_by_the_mean_variance_on_the_diagonal():
    """II of N(μ, s²) is I of means whose covariance has E s² added to its diagonal and nothing elsewhere."""
    one, two = (new("dip_vae", variant=v, lambda_od=2.0, lambda_d=5.0) for v in ("I", "II"))
    mean, s = exact(50, BLOCKS), torch.rand(50, 4)
    close(penalty(two, mean, s), penalty(one, exact(50, BLOCKS + torch.diag(s.square().mean(0)))))
    assert penalty(one, mean, s) == penalty(one, mean, 2 * s) != penalty(two, mean, s)


def test_dip_vae_weighs_variances_in_proportion_to_what_is_off_the_diagonal():
    for variant, usual, ratio in (("I", 1.0, 10.0), ("II", 5.0, 0.2)):
        model, asked = new("dip_vae", variant=variant), new("dip_vae", variant=variant, lambda_od=3.0)
        assert (model.lambda_od, model.lambda_d) == pytest.approx((usual, ratio * usual))
        assert (asked.lambda_od, asked.lambda_d) == pytest.approx((3.0, ratio * 3.0))
        assert new("dip_vae", variant=variant, lambda_od=0.0).lambda_d == 0


def test_dip_vae_without_weights_is_the_vae():
    found, plain = same_noise(new("dip_vae", lambda_od=0.0), labelled()), same_noise(new("vae"), labelled())
    assert torch.equal(found.distortion, plain.distortion) and found.regularizer == 0
    with pytest.raises(ValueError, match="'II'"):
        new("dip_vae", variant="2")


# ---- at equal rate --------------------------------------------------------------------------------------------------


def posteriors(name, sigma, **params):
    """The block z of all training examples of `digits`: q(z) is then exact."""
    data = registry.dataset("digits")
    model, control = effects.trained(name, data, sigma, **params)
    assert control.R_train == pytest.approx(sigma, rel=0.02)
    with torch.no_grad():
        return model.encode(data.view("train", model.row).batch())["z"]


def between(given, lengths):
    """KL(q(z) ‖ ∏_g q(z_g)) of all examples."""
    joint, groups = log_aggregates(given, len(given.sample), [sum(lengths)], lengths)
    return float((joint[:, 0] - groups.sum(-1)).mean())


@pytest.mark.effect
@pytest.mark.parametrize(
    ("name", "off", "lengths"),
    [
        ("beta_tcvae", {"beta": 1.0}, [1] * 10),
        ("hfvae", {"between": 1.0}, [2] * 5),
    ],
)
def test_total_correlation_falls_at_equal_rate(name, off, lengths):
    with_it, without = posteriors(name, 6.0), posteriors(name, 6.0, **off)
    assert between(with_it, lengths) < 0.85 * between(without, lengths)


@pytest.mark.effect
def test_hfvae_uses_its_symbol():
    """I(x;c), of three seeds 0.93, 0.95 and 0.93 nats."""
    data = registry.dataset("digits")
    model, control = effects.trained("hfvae", data, 9.0, symbols=10)
    assert control.status == "ok"
    with torch.no_grad():
        q = model.encode(data.view("test", model.row).batch())["c"].q.mean
    assert entr(q.mean(0)).sum() - entr(q).sum(-1).mean() > 0.45


@pytest.mark.effect
def test_dip_vae_lowers_the_total_correlation_of_sprites():
    data, network = registry.dataset("sprites"), {"hidden": (256, 256), "latent": 10}
    found = {}
    for name in ("vae", "dip_vae"):
        model, control = effects.trained(name, data, 4.5, seed=1, network=network)
        assert control.status == "ok"
        study = Study(model.requires_grad_(False), data, effects.LAPTOP, ("linear",), data.spec(**network), seed=1)
        with torch.no_grad():
            found[name] = of_codes.total_correlation(study).values
    assert found["dip_vae"]["TC"] < found["vae"]["TC"] - 3 * found["vae"]["TC_se"]


@pytest.mark.effect
@pytest.mark.parametrize("variant", ["I", "II"])
def test_covariance_nears_the_priors_at_equal_rate(variant):
    away = {}
    for strength in (1.0, 0.0):
        q = posteriors("dip_vae", 13.0 if variant == "I" else 6.0, variant=variant, lambda_od=strength).q
        C = covariance(q.mean) + (torch.diag(q.variance.mean(0)) if variant == "II" else 0)
        away[strength] = float((C - torch.eye(10)).square().sum())
    assert away[1.0] < 0.5 * away[0.0]
