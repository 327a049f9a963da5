"""Critics of q(z): AAE, the WAE with a critic and the penalty of PixelGAN-AE."""

import math

import pytest
import torch
from effects import measured, trained
from sklearn.linear_model import LogisticRegression
from small import (
    gaussian_block,
    labelled,
    maker,
    same_noise,
    sent,
    twin,
)
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from rdu_bench import registry
from rdu_bench.api import Batch, Critic, Spec, mmd, one_hot, transmit
from rdu_bench.training import Training, fit
from rdu_bench.training.loop import labelled as hide_labels

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
    unpriced = terms.rate.mean().item() if (name, params) == ("pixelgan_ae", {}) else 0.0
    assert terms.regularizer.item() + unpriced == pytest.approx(3 * critics * math.log(2), rel=1e-5)
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
    assert off[1.0] < 0.25 * off[0.0]


GAUSSIAN = [("wae", {"penalty": "gan"}), ("aae", {}), ("pixelgan_ae", {})]


@pytest.mark.parametrize(("name", "params"), GAUSSIAN)
def test_a_critic_that_is_right_pays_little_and_the_encoder_much(name, params):
    """Its logit is high where codes are and low where the prior is."""
    model, given = new(name, **params), labelled()
    code = {"z": sent(5 + torch.randn(64, 3))}
    model.critic.net = nn.Linear(3, 1)
    nn.init.ones_(model.critic.net.weight)
    nn.init.constant_(model.critic.net.bias, -7.5)
    assert model.critic_loss(given, code) < 0.1 and model.regularizer(given, code) > 5


@pytest.mark.parametrize(("name", "block"), [("aae", "y"), ("pixelgan_ae", "z")])
def test_a_critic_of_symbols_pays_little_where_all_are_the_first(name, block):
    """K = 4: ¼ softplus(5) + 1¾ softplus(−5), where the other way round it is 1¾ softplus(5) + ¼ softplus(−5)."""
    model = new(name, **({"variant": "clustering"} if name == "aae" else {"prior": "categorical"}), strength=1.0)
    first = torch.zeros(2000, 4)
    first[:, 0] = 80.0
    code = blinded(model).encode(labelled(2000)) | {block: transmit(one_hot(first), one_hot(torch.zeros_like(first)))}
    critic = model.critic_of_y if name == "aae" else model.critic
    critic.net = nn.Linear(4, 1)
    with torch.no_grad():
        critic.net.weight.copy_(torch.tensor([[10.0, 0, 0, 0]]))
        critic.net.bias.fill_(-5.0)
    low, high = float(softplus(torch.tensor(-5.0))), float(softplus(torch.tensor(5.0)))
    other = 2 * math.log(2) if name == "aae" else 0.0
    assert model.critic_loss(labelled(2000), code).item() - other == pytest.approx(0.25 * high + 1.75 * low, abs=0.2)


@pytest.mark.parametrize(("name", "params"), [*GAUSSIAN, ("aae", {"variant": "clustering"}), ("factor_vae", {})])
def test_the_critic_of_numbers_is_wide_and_keeps_pace_unless_pixels_have_a_past(name, params):
    critic = new(name, **params).critic
    layers = [w.shape[0] for w in critic.parameters() if w.dim() == 2]
    own = 1e-4 if name == "pixelgan_ae" else None
    assert layers == [256, 256, 256, 1] and (critic.lr, critic.betas) == (own, (0.5, 0.9))


@pytest.mark.parametrize(
    ("name", "params", "part"),
    [("aae", {"variant": "clustering"}, "critic_of_y"), ("pixelgan_ae", {"prior": "categorical"}, "critic")],
)
def test_the_critic_of_symbols_is_small_and_slower_and_is_shown_single_symbols(name, params, part):
    model, given = new(name, **params), labelled(400)
    critic, shown = getattr(model, part), []
    assert critic.lr == 1e-3 and [w.shape[0] for w in critic.parameters()] == [32, 32, 1, 1]
    critic.loss = lambda p, q: shown.append((p, q)) or torch.zeros(())
    model.critic_loss(given, model.encode(given))
    [(_, prior)] = shown
    assert torch.equal(prior.amax(-1), torch.ones(400)) and torch.equal(prior.sum(-1), torch.ones(400))
    assert (prior.mean(0) - 1 / prior.shape[1]).abs().max() < 4 * 0.5 / 20


@pytest.mark.parametrize(("name", "params"), GAUSSIAN)
def test_critics_are_given_what_was_drawn_and_not_its_mean(name, params):
    model, given = new(name, **params), labelled()
    plain = gaussian_block(torch.randn(64, 3), 0.5)
    moved = plain._replace(q=gaussian_block(torch.randn(64, 3)).q)
    drawn = plain._replace(sample=plain.sample + 1)
    for loss in (model.regularizer, model.critic_loss):
        same, other, here = (same_noise(loss, given, {"z": block}) for block in (moved, drawn, plain))
        assert torch.equal(same, here) and not torch.equal(other, here)


# ---- PixelGAN-AE ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prior", ["gaussian", "categorical"])
def test_what_x_tells_of_z_has_no_price_but_that_of_a_target(prior):
    """D + R + regularizer is the paper's D − λ E log C(z), which has no R; R of symbols keeps its price of 1."""
    model, given = new("pixelgan_ae", prior=prior, strength=0.7), labelled()
    torch.manual_seed(3)
    code = model.encode(given)
    away = softplus(model.critic.ratio(model.judged(code))).mean()
    priced = code["z"].rate.mean() if prior == "gaussian" else 0.0
    torch.testing.assert_close(priced + model.regularizer(given, code), 0.7 * away)


def test_labels_teach_the_symbol_of_pixelgan_where_they_are_known():
    model, given = new("pixelgan_ae", prior="categorical", labelled=20, alpha=5.0), labelled(y=range(4))
    half = given._replace(y=torch.where(torch.arange(64) % 2 == 0, given.y, -1))
    some, without = (same_noise(model, b) for b in (half, given._replace(y=torch.full((64,), -1))))
    wrong = cross_entropy(model.encoder(given.x)[::2], given.y[::2])
    assert (some.regularizer - without.regularizer).item() == pytest.approx(5 * wrong.item(), rel=1e-4)
    plain = twin(new, model, "pixelgan_ae", prior="categorical")
    assert all(map(torch.equal, same_noise(plain, given), without))
    assert (model.labelled, model.row.labels, model.row.needs) == (20, "required", ("image", "labels"))
    assert plain.labelled is None and plain.row.needs == ("image",)


def test_labels_are_shown_to_a_prior_over_classes_and_no_other():
    for params in ({"prior": "gaussian"}, {"prior": "categorical", "clusters": 7}):
        with pytest.raises(ValueError, match="labelled = 20"):
            new("pixelgan_ae", labelled=20, **params)


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


@pytest.mark.parametrize(
    ("name", "params", "block"),
    [("aae", {"variant": "clustering"}, "y"), ("pixelgan_ae", {"prior": "categorical"}, "z")],
)
@pytest.mark.parametrize(("classes", "asked", "symbols"), [(4, None, 4), (4, 6, 6), (0, None, 10)])
def test_there_are_as_many_symbols_as_classes_or_ten_unless_asked(name, params, block, classes, asked, symbols):
    code = new(name, SPEC._replace(classes=classes), clusters=asked, **params).encode(labelled(8))
    assert code[block].sample.shape == (8, symbols)


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
    """KL(q(y|x) ‖ 1/K), of three seeds 1.01, 1.72 and 1.40 nats more; after 800 steps 0.21 to 0.74."""
    digits, told = registry.dataset("digits"), {}
    for strength in (0.0, 1.0):
        model, control = trained("aae", digits, 6.0, steps=2000, variant="clustering", strength=strength)
        assert control.status == "ok"
        told[strength] = float(model.encode(digits.view("test", model.row).batch())["y"].rate.mean().detach())
    assert told[1.0] > told[0.0] + 0.5


@pytest.mark.effect
def test_a_hundred_labels_and_a_crowd_without_name_the_digit_better_than_the_hundred_alone():
    """Accuracy of AAE, seed 0: 0.760, and 0.741 without critics; of logistic regressions on the same hundred 0.716."""
    digits = registry.dataset("digits")
    test, (model, _) = digits.splits["test"], trained("aae", digits, 6.0, variant="semi-supervised")
    shown, y = hide_labels(digits, model, 0), test.factors["digit"]
    known = shown.factors["digit"] >= 0
    x, label = shown.take()[known].flatten(1).numpy(), shown.factors["digit"][known].numpy()
    heads = [LogisticRegression(C=C, max_iter=2000).fit(x, label) for C in (0.1, 1.0, 10.0)]
    alone = max(head.score(test.take().flatten(1).numpy(), y.numpy()) for head in heads)
    with torch.no_grad():
        found = model.encode(Batch.unlabelled(test.take()))["y"].q.mean.argmax(-1)
    assert int(known.sum()) == 100 and float((found == y).float().mean()) > alone + 0.015
