"""ALI and BiGAN: a critic of pairs (x, z) teaches encoder and decoder, and D teaches neither."""

import math

import pytest
import torch
from effects import NETWORK, measured, trained
from small import close, gaussian_kl, gradient, labelled, maker, reaches, same_noise, sent

from rdu_bench import registry
from rdu_bench.api import Batch, PairCritic, Spec, gaussian, mlp, transmit
from rdu_bench.training import Training, fit
from rdu_bench.training.control import own_price
from rdu_bench.training.stack import Single

SPEC = Spec((1, 4, 4), examples=500, hidden=(32,), latent=3)
REAL = SPEC._replace(likelihood="gaussian", centre=3.0, scale=2.0)
BOTH = ["ali", "bigan"]
new = maker(SPEC, spread=0.3)


def linear(model, of_x, of_z, bias=0.0):
    """With a critic whose logit is of_x Σ x + of_z Σ z + bias."""
    net = mlp(SPEC.size + SPEC.latent, 1)
    with torch.no_grad():
        net[0].weight.copy_(torch.cat([torch.full((1, SPEC.size), of_x), torch.full((1, SPEC.latent), of_z)], 1))
        net[0].bias.fill_(bias)
    model.critic.net = net
    return model


def seen_pairs(model, given, code):
    """What the critic is given of code and decoder, without gradient: (x, z), (x̃, z̃)."""
    both = model.critic.pairs(given.x, code["z"].sample, model.decoder)
    return [[part.detach() for part in pair] for pair in both]


# ---- what the critic is given ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
def test_pairs_are_x_with_its_code_and_a_draw_of_the_prior_with_what_it_decodes_to(name):
    model, given = new(name, blur=0.0), labelled(4_000)
    code = model.encode(given)
    (x, z), (made, drawn) = seen_pairs(model, given, code)
    assert torch.equal(x, given.x) and torch.equal(z, code["z"].sample)
    assert torch.equal(made, model.decoder(drawn).mean)
    error = 4 / len(drawn) ** 0.5
    close(drawn.mean(0), torch.zeros(3), atol=error, rtol=0)
    close(torch.cov(drawn.T), torch.eye(3), atol=2 * error, rtol=0)


@pytest.mark.parametrize("name", BOTH)
def test_noise_is_on_both_sides_and_on_x_alone_in_units_of_the_data(name):
    model, given = new(name, REAL, blur=0.5), labelled(4_000)
    given = given._replace(x=3 + 2 * torch.randn_like(given.x))
    code = model.encode(given)
    (x, z), (made, drawn) = seen_pairs(model, given, code)
    off = x - given.x, made - model.decoder(drawn).mean.detach()
    for noise in off:  # half of the 2 that is the unit of these data
        assert float(noise.std()) == pytest.approx(1.0, rel=0.02) and abs(float(noise.mean())) < 0.02
    assert abs(float((off[0] * off[1]).mean())) < 0.02 and torch.equal(z, code["z"].sample)


@pytest.mark.parametrize("name", BOTH)
def test_the_critic_sees_who_sent_what(name):
    """So codes dealt out anew cost something else, where a critic of q(z) would not see it."""
    model, given = new(name), labelled()
    code = model.encode(given)
    dealt = {"z": code["z"]._replace(sample=code["z"].sample.roll(1, 0))}
    for loss in (model.regularizer, model.critic_loss):
        same, here, other = (same_noise(loss, given, sent) for sent in (code, code, dealt))
        assert torch.equal(same, here) and abs(float((here - other).detach())) > 1e-4


def test_ali_shows_its_critic_the_draw_and_not_the_mean():
    model, given = new("ali"), labelled()
    q = gaussian(torch.randn(64, 3), torch.full((64, 3), 0.5))
    block = transmit(q, model.prior())
    moved = block._replace(q=gaussian(q.mean + 1, torch.ones(64, 3)))
    for loss in (model.regularizer, model.critic_loss):
        assert torch.equal(*(same_noise(loss, given, {"z": one}) for one in (block, moved)))
        drawn = block._replace(sample=block.sample + 1)
        assert not torch.equal(*(same_noise(loss, given, {"z": one}) for one in (block, drawn)))


# ---- the game -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
def test_at_chance_both_players_pay_log_four(name):
    terms = linear(new(name), 0.0, 0.0)(labelled())
    close(terms.regularizer, math.log(4))
    close(terms.critic_loss, math.log(4))


@pytest.mark.parametrize("name", BOTH)
def test_a_critic_that_is_right_pays_little_and_the_sides_much_each(name):
    """Codes at 10 in each dimension, draws of the prior about 0: the logit Σ z − 15 is high for codes alone."""
    model, given = linear(new(name), 0.0, 1.0, -15.0), labelled()
    code = {"z": sent(10 + torch.randn(64, 3))}
    assert model.critic_loss(given, code) < 0.01
    assert model.regularizer(given, code).item() == pytest.approx(30, abs=2)  # 15 for codes, 15 for draws
    assert linear(model, 0.0, -1.0, 15.0).regularizer(given, code) < 0.01  # a critic that is wrong


@pytest.mark.parametrize("name", BOTH)
def test_the_encoder_lowers_the_logit_and_the_decoder_raises_it(name):
    given = labelled()
    model = linear(new(name), 0.0, 1.0)
    code = model.encode(given)
    code["z"].sample.retain_grad()
    model.regularizer(given, code).backward()
    assert (code["z"].sample.grad > 0).all()  # descent makes Σ z smaller
    assert all(w.grad is None or not w.grad.any() for w in model.decoder.parameters())
    model = linear(new(name), 1.0, 0.0)
    model.regularizer(given, model.encode(given)).backward()
    assert (model.decoder.net.net[-1].bias.grad < 0).all()  # descent makes Σ x̃ larger
    assert all(w.grad is None or not w.grad.any() for w in model.encoder.parameters())


@pytest.mark.parametrize("name", BOTH)
def test_each_side_learns_from_the_critic_and_the_critic_from_both(name):
    model, given = new(name), labelled()
    terms = model(given)
    assert reaches(terms.regularizer, model.encoder) and reaches(terms.regularizer, model.decoder.net)
    assert not reaches(terms.regularizer, model.critic)
    assert all(bool(g.any()) for g in gradient(terms.critic_loss, model.critic.parameters()))
    assert not reaches(terms.critic_loss, model.encoder) and not reaches(terms.critic_loss, model.decoder)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("spec", [SPEC, REAL], ids=["binary", "real"])
def test_distortion_is_measured_and_teaches_nothing_but_a_variance(name, spec):
    model, given = new(name, spec), labelled()
    code = model.encode(given)
    D = model.distortion(given, code)
    close(D, -model.receive(code).log_prob(given.x))
    real = spec is REAL
    assert D.requires_grad == real
    if real:
        reached = {n for n, w in model.named_parameters() if gradient(D.sum(), [w])[0].any()}
        assert reached == {"decoder.observation.log_scale"}
    assert not model.learns_distortion


@pytest.mark.parametrize("name", BOTH)
def test_the_critic_is_of_the_suites_networks_and_steps_as_it_is_told(name):
    model = new(name, lr=0.02, blur=0.1)
    assert isinstance(model.critic, PairCritic) and (model.critic.lr, model.critic.blur) == (0.02, 0.1)
    images = new(name, SPEC._replace(family="conv", hidden=(4, 32)))
    assert isinstance(images.critic.net.features[0], torch.nn.Conv2d)


# ---- the rate -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
def test_no_player_has_much_momentum(name):
    model = new(name)
    adam, _ = Single(model).optimizers(2e-3)
    first = {id(p): group["betas"][0] for group in adam.param_groups for p in group["params"]}
    assert {first[id(weight)] for weight in model.parameters()} == {0.5}


def test_the_rate_of_ali_is_that_of_its_gaussian_and_nothing_of_the_game_pays_for_it():
    model, given = new("ali"), labelled()
    code = model.encode(given)
    q = model.encoder(given.x)
    close(code["z"].rate, gaussian_kl(q))
    assert float(q.stddev.detach().min()) > 0 and not torch.equal(model.encode(given)["z"].sample, code["z"].sample)
    assert own_price(model, given, 1.0) == 0
    assert model.channel == "native"


def test_the_encoder_of_bigan_takes_no_noise_and_its_channel_comes_afterwards():
    model, given = new("bigan"), labelled()
    one, other = (model.encode(given)["z"] for _ in range(2))
    assert torch.equal(one.sample, other.sample) and torch.equal(one.sample, model.encoder(given.x))
    assert not model(given).rate.any() and model.channel == "posthoc-learned"
    assert new("bigan", noise="posthoc-iso").channel == "posthoc-iso"


@pytest.mark.parametrize("noise", ["trained", ""])
def test_noise_from_the_start_is_refused(noise):
    with pytest.raises(ValueError, match=f"noise = {noise!r}.*'posthoc-iso'"):
        new("bigan", noise=noise)


def test_bigan_is_ali_with_codes_that_have_no_width():
    """One game: of the same code, under the same critic and decoder, all terms but the rate agree."""
    ali, given = new("ali"), labelled()
    bigan, code = twin_of(ali), {"z": sent(torch.randn(64, 3))}
    for term in ("distortion", "regularizer", "critic_loss"):
        assert torch.equal(*(same_noise(getattr(model, term), given, code) for model in (ali, bigan)))


def twin_of(ali):
    """A BiGAN with ALI's critic and decoder."""
    shared = {k: v for k, v in ali.state_dict().items() if not k.startswith("encoder")}
    bigan = new("bigan", blur=0.5)
    bigan.load_state_dict(shared, strict=False)
    return bigan


# ---- what comes of it -----------------------------------------------------------------------------------------------


def along_the_first_component(name, sigma, steps):
    """|correlation| of a code of one latent, in its mean, with the strongest component of a linear-Gaussian x."""
    line = registry.dataset("linear_gaussian")
    torch.manual_seed(0)
    model = registry.model(name, line.spec(hidden=(32,), latent=1))
    fit(model, line, sigma, Training(steps=steps, batch=128))
    x = line.splits["test"].take()
    with torch.no_grad():
        out = model.encoder(x)
    mean = out if isinstance(out, torch.Tensor) else out.mean
    return abs(float(torch.corrcoef(torch.stack([mean[:, 0], x @ line.basis[:, 0].float()]))[0, 1]))


@pytest.mark.effect
@pytest.mark.parametrize(("name", "sigma"), [("ali", 1.5), ("bigan", None)])
def test_a_code_of_one_number_follows_the_posterior_mean(name, sigma):
    """With one latent E(z|x) is the first principal component, up to a factor; correlations are .88 and .84.

    Of seed 1 they are .96 and .82.  After 3,000 steps the game has wandered, with any momentum: .0 to .9.
    """
    assert along_the_first_component(name, sigma, 1500) > 0.8


def strangers(critic, x, z):
    """What a critic sees of x, with the z of another pair."""
    return x + critic.blur * torch.randn_like(x), z.roll(1, 0)


@pytest.mark.effect
def test_codes_tell_x_because_the_critic_sees_pairs(monkeypatch):
    """Nothing rewards rebuilding x.  Of a critic that is shown the z of another example codes learn nothing of x.

    D saved on `digits`, one seed: 1.8 nats, and 0.0 under that critic.
    """
    digits, saved = registry.dataset("digits"), {}
    for shown in ("its own", "another's"):
        if shown == "another's":
            monkeypatch.setattr(PairCritic, "_seen", strangers)
        model, _ = trained("ali", digits, 6.0, steps=3000)
        values = measured(model, digits).values
        saved[shown] = values["D_null"] - values["D"]
    assert saved["its own"] > 1 and saved["another's"] < 0.5


@torch.no_grad()
def found_again(model):
    """Mean correlation, over dimensions, of z ~ N(0, I) with the code of a draw of p(x|z)."""
    torch.manual_seed(1)
    z = torch.randn(2_000, model.latent)
    back = model.encode(Batch.unlabelled(model.decoder(z).sample()))["z"].q.mean
    each = [torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(z.T, back.T, strict=True)]
    return float(torch.stack(each).mean())


@pytest.mark.effect
def test_the_encoder_of_bigan_inverts_its_decoder_and_needs_little_momentum():
    """On `digits` after 3,000 steps: .26 and .38 (two seeds); with the momentum of other models .07 and .01."""
    digits, found = registry.dataset("digits"), {}
    for first in (0.5, 0.9):
        torch.manual_seed(0)
        model = registry.model("bigan", digits.spec(**NETWORK))
        model.betas = (first, 0.999)
        found[first] = found_again(fit(model, digits, None, Training(steps=3_000, batch=128)).model.eval())
    assert found[0.5] > 0.2 and found[0.5] > found[0.9] + 0.12
