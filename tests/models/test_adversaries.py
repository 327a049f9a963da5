"""Critics of q(z): AAE, the WAE with a critic and the penalty of PixelGAN-AE."""

import math

import pytest
import torch
from effects import measured, trained
from small import (
    labelled,
    maker,
    same_noise,
    sent,
    twin,
)
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from rdu_bench import registry
from rdu_bench.api import Critic, Spec, mmd
from rdu_bench.training import Training, fit

SPEC = Spec((1, 4, 4), examples=500, classes=4, hidden=(32,), latent=3)
new = maker(SPEC)


def blinded(model):
    """With critics that know nothing, C = ½ everywhere."""
    for critic in model.modules():
        if isinstance(critic, Critic):
            nn.init.zeros_(critic.net[-1].weight)
            nn.init.zeros_(critic.net[-1].bias)
    return model


# ---- a critic of q(z) -----------------------------------------------------------------------------------------------


CRITICISED = [
    ("wae", {"penalty": "gan"}),
    ("aae", {}),
    ("aae", {"variant": "clustering"}),
    ("pixelgan_ae", {}),
    ("pixelgan_ae", {"prior": "categorical"}),
]


@pytest.mark.parametrize(("name", "params"), CRITICISED)
def test_a_critic_at_chance_costs_log_two_and_log_four(name, params):
    model, given = blinded(new(name, strength=3.0, **params)), labelled(y=range(4))
    critics = sum(isinstance(module, Critic) for module in model.modules())
    terms = model(given)
    assert terms.regularizer.item() == pytest.approx(3 * critics * math.log(2))
    assert terms.critic_loss.item() == pytest.approx(critics * math.log(4))


@pytest.mark.parametrize(("name", "params"), CRITICISED)
def test_the_critic_sees_the_crowd_and_not_who_sent_what(name, params):
    """So it has no part in I(x;z): codes dealt out anew cost the same, though not D."""
    model, given = new(name, **params), labelled(y=range(4))
    code = model.encode(given)
    dealt = model.encode(given.rows(torch.randperm(len(given.x))))
    torch.manual_seed(3)
    sent = {key: part._replace(sample=torch.randn_like(part.sample)) for key, part in code.items() if not part.discrete}
    order = torch.randperm(len(given.x))
    moved = {key: part._replace(sample=part.sample[order]) for key, part in sent.items()}
    same, other = model.regularizer(given, code | sent), model.regularizer(given, dealt | moved)
    assert same.item() == pytest.approx(other.item(), rel=1e-5) and same.item() > 0


@pytest.mark.parametrize(("name", "params"), CRITICISED)
def test_the_criticism_reaches_the_encoder_and_not_the_decoder(name, params):
    model, given = new(name, **params), labelled(y=range(4))
    model.regularizer(given, model.encode(given)).backward()
    assert all(
        w.grad.any() for n, w in model.named_parameters() if n.startswith(("encoder", "class")) and "weight" in n
    )
    assert all(w.grad is None for n, w in model.named_parameters() if n.startswith("decoder"))


def test_the_best_critic_costs_log_four_less_twice_jensen_and_shannon():
    """z ~ N(3/2, 1) against N(0, 1): log q/p is linear, the critic pays log 4 − 2 D_JS, the encoder E log(1 + q/p)."""
    model, n = new("aae", SPEC._replace(latent=1), strength=2.0), 40_000
    model.critic = Critic(1, depth=0)
    with torch.no_grad():
        model.critic.net[0].weight.fill_(1.5)
        model.critic.net[0].bias.fill_(-(1.5**2) / 2)
    z = torch.linspace(-9, 11, 4001)
    q, p = (torch.distributions.Normal(at, 1.0).log_prob(z) for at in (1.5, 0.0))
    mean = torch.logaddexp(q, p) - math.log(2)
    js = 0.5 * float(torch.trapezoid(q.exp() * (q - mean) + p.exp() * (p - mean), z))
    code, error = {"z": sent(1.5 + torch.randn(n, 1))}, 4 * 1.5 / n**0.5  # no slope of a loss is above 1.5
    loss = model.critic_loss(labelled(1), code)
    assert loss.item() == pytest.approx(math.log(4) - 2 * js, abs=2 * error)
    steps = torch.autograd.grad(loss, list(model.critic.parameters()))
    assert all(float(step.abs().max()) < 3 * error for step in steps)  # nowhere better to go
    paid = float(torch.trapezoid(q.exp() * softplus(q - p), z))
    assert model.regularizer(labelled(1), code).item() == pytest.approx(2 * paid, abs=2 * error)


@pytest.mark.effect
def test_the_crowd_of_codes_comes_to_look_like_the_prior_under_a_critic():
    digits, off = registry.dataset("digits"), {}
    for strength in (0.0, 1.0):
        model = new("aae", digits.spec(hidden=(32,), latent=2), strength=strength, noise="posthoc-iso")
        fit(model, digits, None, Training(steps=300, batch=128))
        z = model.encode(digits.view("train", model.row).batch())["z"].sample.detach()
        off[strength] = float(mmd(z, torch.randn_like(z)))
    assert off[1.0] < 0.2 * off[0.0]


# ---- AAE ------------------------------------------------------------------------------------------------------------


def test_without_strength_it_is_the_autoencoder_and_no_kl_is_in_the_loss():
    given, model = labelled(y=range(4)), new("aae", strength=0.0, noise="posthoc-iso")
    terms, plain = model(given), twin(new, model, "ae", noise="posthoc-iso")(given)
    assert torch.equal(terms.distortion, plain.distortion)
    assert terms.regularizer == 0 and not terms.rate.any()


def test_the_gaussian_variant_is_wae_with_a_critic():
    given, model = labelled(y=range(4)), new("aae", strength=2.0)
    other = twin(new, model, "wae", penalty="gan", strength=2.0)
    assert all(map(torch.equal, same_noise(model, given), same_noise(other, given)))


def test_wae_weighs_its_two_penalties_in_their_own_units():
    assert new("wae").strength == 10 and new("wae", penalty="gan").strength == 1
    assert new("wae", penalty="gan", strength=0.0).strength == 0


def test_the_symbol_costs_what_q_knows_of_it_and_its_critic_is_given_all_of_q():
    model, given = new("aae", variant="clustering", clusters=6), labelled(y=range(4))
    code = model.encode(given)
    q = model.classifier(given.x).softmax(-1)
    torch.testing.assert_close(code["y"].rate, math.log(6) - torch.special.entr(q).sum(-1))
    torch.testing.assert_close(code["y"].sample.sum(-1), torch.ones(64))
    paid = softplus(model.critic_of_y.ratio(q)).mean() + softplus(model.critic.ratio(code["z"].sample)).mean()
    assert model.regularizer(given, code).item() == pytest.approx(paid.item(), rel=1e-5)


def test_the_decoder_hears_both_the_symbol_and_the_style():
    model, given = new("aae", variant="clustering"), labelled(y=range(4))
    code = model.encode(given)
    plain = model.decode(code).mean
    for name in ("y", "z"):
        other = code[name]._replace(sample=code[name].sample.roll(1, 1))
        assert not torch.allclose(model.decode(code | {name: other}).mean, plain)


def test_labels_teach_the_symbol_where_they_are_known_and_nowhere_else():
    model, given = new("aae", variant="semi-supervised", alpha=5.0), labelled(y=range(4))
    half = given._replace(y=torch.where(torch.arange(64) % 2 == 0, given.y, -1))
    none = given._replace(y=torch.full((64,), -1))
    some, without = same_noise(model, half), same_noise(model, none)
    wrong = cross_entropy(model.classifier(given.x)[::2], given.y[::2])
    assert (some.regularizer - without.regularizer).item() == pytest.approx(5 * wrong.item(), rel=1e-4)
    assert torch.equal(some.distortion, without.distortion) and torch.equal(some.rate, without.rate)
    cluster = same_noise(twin(new, model, "aae", variant="clustering"), half)
    assert without.regularizer.item() == pytest.approx(cluster.regularizer.item(), rel=1e-5)


def test_rows_say_what_a_variant_uses():
    rows = {v: new("aae", variant=v).row for v in ("gaussian", "clustering", "semi-supervised")}
    assert [(r.labels, r.needs, r.prior) for r in rows.values()] == [
        ("", (), "N"),
        ("", (), "C+N"),
        ("required", ("labels",), "C+N"),
    ]
    assert new("aae", variant="semi-supervised", labelled=40).labelled == 40 and new("aae").labelled is None
    assert [new("pixelgan_ae", prior=p).row.prior for p in ("gaussian", "categorical")] == ["N", "C"]


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("dae", {"corruption": "blur"}, "'salt-and-pepper'"),
        ("dae", {"noise": "trained"}, "'posthoc-iso'"),
        ("aae", {"variant": "mixture"}, "'clustering'"),
        ("aae", {"variant": "clustering", "noise": "posthoc-iso"}, "'trained'"),
        ("wae", {"penalty": "kl"}, "'gan'"),
        ("pixelgan_ae", {"prior": "mixture"}, "'categorical'"),
    ],
)
def test_what_there_is_not_is_refused(name, params, words):
    with pytest.raises(ValueError, match=words):
        new(name, **params)


@pytest.mark.effect
def test_at_equal_rate_the_critic_leaves_less_of_it_to_mismatch():
    """R_own − R*, of three seeds 0.20, 0.24 and 0.12 nats less."""
    digits, mismatch = registry.dataset("digits"), {}
    for strength in (0.0, 1.0):
        model, control = trained("aae", digits, 6.0, strength=strength)
        assert control.status == "ok"
        values = measured(model, digits).values
        mismatch[strength] = values["R_own"] - values["R_star"]
    assert mismatch[1.0] < mismatch[0.0] - 0.1


@pytest.mark.effect
def test_at_equal_rate_the_critic_of_symbols_makes_them_say_more():
    """KL(q(y|x) ‖ 1/K), of three seeds 0.50, 0.49 and 0.42 nats more."""
    digits, told = registry.dataset("digits"), {}
    for strength in (0.0, 1.0):
        model, control = trained("aae", digits, 6.0, variant="clustering", strength=strength)
        assert control.status == "ok"
        told[strength] = float(model.encode(digits.view("test", model.row).batch())["y"].rate.mean().detach())
    assert told[1.0] > told[0.0] + 0.25
