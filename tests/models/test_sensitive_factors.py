"""VFAE, Fader networks and two-step disentanglement: who is told s, and who is kept from it."""

import math

import pytest
import torch
from effects import measured, trained
from small import (
    close,
    gradient,
    maker,
    same_noise,
)
from torch import nn

from rdu_bench import registry
from rdu_bench.api import Adversary, Batch, Spec, flatten, gaussian_kernel, mmd_between, total_rate
from rdu_bench.model import replay
from rdu_bench.training.posthoc import Whitened

SPEC = Spec((1, 4, 4), examples=500, classes=4, groups=3, hidden=(32,), latent=4)
new = maker(SPEC)


def batch(n=60, progress=1.0, groups=3):
    torch.manual_seed(1)
    x = torch.rand(n, 1, 4, 4).round()
    return Batch(x, torch.randint(0, 4, (n,)), torch.arange(n) % groups, torch.tensor(progress))


def unknown(given, name):
    return given._replace(**{name: torch.full_like(given.y, -1)})


def reached(loss, model):
    """Names of the parts of a model that a loss sends a gradient to."""
    model.zero_grad()
    loss.backward()
    return {name.split(".")[0] for name, w in model.named_parameters() if w.grad is not None and w.grad.any()}


def lied_to(model, given):
    """p(x|z, s) of the same code, with s and with another."""
    code, told = model.encode(given), model.encode(given._replace(s=(given.s + 1) % model.groups))["s"]
    return model.decode(code).mean, model.decode({**code, "s": told}).mean


# ---- the adversary --------------------------------------------------------------------------------------------------


def test_the_adversary_is_read_by_its_input_alone_and_taught_by_its_weights_alone():
    adversary, z = Adversary(4, 3), torch.randn(10, 4, requires_grad=True)
    s = torch.arange(10) % 3
    adversary.log_prob(z)[:, 0].sum().backward()
    assert z.grad.any() and all(w.grad is None for w in adversary.parameters())
    z.grad = None
    adversary.loss(z, s).backward()
    assert z.grad is None and all(w.grad.any() for w in adversary.parameters())


def test_the_adversary_leaves_out_examples_whose_label_is_unknown():
    adversary, z = Adversary(4, 3), torch.randn(10, 4)
    s = torch.tensor([0, 1, 2, -1, -1, 0, 1, 2, -1, -1])
    known = -adversary.log_prob(z)[s >= 0].gather(1, s[s >= 0, None]).sum() / 10
    torch.testing.assert_close(adversary.loss(z, s), known)
    assert adversary.loss(z, torch.full((10,), -1)) == 0


def test_an_adversary_that_knows_nothing_costs_log_k():
    adversary = Adversary(4, 3)
    nn.init.zeros_(adversary.net[-1].weight)
    nn.init.zeros_(adversary.net[-1].bias)
    assert adversary.loss(torch.randn(9, 4), torch.arange(9) % 3).item() == pytest.approx(math.log(3))


def test_an_adversary_finds_what_can_be_known():
    """z = ±1 + ε: the least loss is E log(1 + e^{−2m}), m ~ N(1, 1)."""
    adversary = Adversary(1, 2, hidden=32, depth=2)
    optimizer = torch.optim.Adam(adversary.parameters(), 1e-2)
    grid = torch.linspace(-9, 11, 20_001)
    best = float(torch.trapezoid(nn.functional.softplus(-2 * grid) * (-((grid - 1) ** 2) / 2).exp(), grid)) / 2.5066283
    for _ in range(300):
        s = torch.arange(256) % 2
        optimizer.zero_grad()
        adversary.loss((2.0 * s - 1 + torch.randn(256))[:, None], s).backward()
        optimizer.step()
    s = torch.arange(40_000) % 2
    found = float(adversary.loss((2.0 * s - 1 + torch.randn(40_000))[:, None], s).detach())
    assert best - 0.01 < found < best + 0.02  # 40 000 losses of spread 0.5: 0.0025 a standard error


# ---- all who are told s ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "params"), [("vfae", {}), ("vfae", {"layers": 2}), ("fader", {})])
def test_the_receiver_is_told_s_pays_for_it_and_uses_it(name, params):
    model, given = new(name, **params), batch()
    code = model.encode(given)
    assert code["s"].side and torch.equal(code["s"].sample.argmax(1), given.s)
    torch.testing.assert_close(code["s"].rate, torch.full((60,), math.log(3)))
    torch.testing.assert_close(model.encode(unknown(given, "s"))["s"].rate, code["s"].rate)  # no way to pay less
    told, lied = lied_to(model, given)
    assert bool(((told - lied).abs().amax((1, 2, 3)) > 1e-4).all())  # every example's


@pytest.mark.parametrize(("name", "looks"), [("vfae", True), ("fader", False), ("hadad", False)])
def test_who_looks_at_s_to_encode(name, looks):
    model, given = new(name), batch()
    codes = [same_noise(model.encode, b)["z"].sample for b in (given, given._replace(s=(given.s + 1) % 3))]
    assert torch.equal(*codes) != looks


@pytest.mark.parametrize("name", ["vfae", "fader", "hadad"])
def test_examples_of_unknown_s_teach_neither_side(name):
    model, given = new(name), unknown(batch(), "s")
    terms = same_noise(model, given)
    assert terms.regularizer == 0 and terms.critic_loss == 0


@pytest.mark.parametrize(("name", "params"), [("vfae", {}), ("vfae", {"layers": 2}), ("fader", {}), ("hadad", {})])
def test_players_are_given_what_was_drawn_and_not_its_mean(name, params):
    model, given = new(name, noise="trained", **params) if name in ("fader", "hadad") else new(name, **params), batch()
    code, z = model.encode(given), "z1" if params else "z"
    q = code[z].q
    other = type(q.base_dist)(q.mean + 1 + torch.randn_like(q.mean), q.stddev)
    moved = code[z]._replace(q=torch.distributions.Independent(other, 1))
    drawn = code[z]._replace(sample=code[z].sample + given.s[:, None])
    for loss in (model.regularizer, model.critic_loss):
        same, changed, plain = (same_noise(loss, given, code | {z: block}) for block in (moved, drawn, code[z]))
        assert torch.equal(same, plain)
        assert (name == "vfae" and loss == model.critic_loss) or not torch.equal(changed, plain)


@pytest.mark.parametrize("name", ["fader", "hadad"])
def test_the_step_of_the_adversary_is_ones_own(name):
    assert new(name, lr=0.25).adversary.lr == 0.25 and new(name).adversary.lr == 3e-3


@pytest.mark.parametrize("name", ["fader", "hadad"])
def test_the_adversary_is_as_wide_as_critics_of_numbers(name):
    layers = [w.shape for w in new(name).adversary.parameters() if w.dim() == 2]
    assert layers == [(256, 4), (256, 256), (256, 256), (3, 256)]


# ---- VFAE -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2])
def test_codes_that_are_equal_in_all_groups_are_fair(layers):
    model, given = new("vfae", layers=layers, strength=7.0, alpha=0.0), batch(600)
    code = model.encode(given)
    read = []
    for apart in (0.0, 1.0):
        found = []
        for _ in range(40):
            z = torch.randn(600, 4) + apart * given.s[:, None]
            found.append(model.regularizer(given, {**code, model.z: code[model.z]._replace(sample=z)}))
        found = torch.stack(found).detach()
        read.append((float(found.mean()), float(found.std()) / math.sqrt(40)))
    (fair, error), (unfair, _) = read
    assert abs(fair) < 4 * error < 0.1 * unfair
    z = code[model.z].sample
    torch.testing.assert_close(model.regularizer(given, code), 7 * mmd_between(z, given.s, 3, gaussian_kernel(2.0)))


@pytest.mark.parametrize("layers", [1, 2])
def test_examples_of_unknown_s_are_in_no_group(layers):
    model, given = new("vfae", layers=layers, strength=7.0, alpha=0.0), batch()
    code, known = model.encode(given), torch.arange(60) < 30
    z = code[model.z].sample[known]
    found = model.regularizer(given._replace(s=torch.where(known, given.s, -1)), code)
    close(found, 7 * mmd_between(z, given.s[known], 3, gaussian_kernel(2.0)))
    alone = torch.where((given.s > 0) | (torch.arange(60) == 0), given.s, -1)  # one of the first group is no group
    assert model.regularizer(given._replace(s=alone), code) == 0


def test_without_strength_it_is_a_vae_that_is_told_s():
    model, given = new("vfae", strength=0.0), batch()
    terms, code = same_noise(model, given), same_noise(model.encode, given)
    q = code["z"].q
    assert terms.regularizer == 0
    rate = math.log(3) + 0.5 * (q.mean.square() + q.variance - 1 - q.variance.log()).sum(-1)
    torch.testing.assert_close(terms.rate, rate)


def test_with_two_layers_the_rate_is_the_joint_density_ratio():
    """log q(z1|x,s) q(y|z1) q(z2|z1,y) − log p(z2) p(y) p(z1|z2,y), from the densities at what was drawn."""
    model, n = new("vfae", layers=2), 20_000
    given = batch().rows(slice(1))
    many = Batch(given.x.expand(n, -1, -1, -1), given.y.expand(n), given.s.expand(n), given.progress)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
        code = model.encode(many)
        z1, y, z2 = (code[name].sample for name in ("z1", "y", "z2"))
        normal = -0.5 * (z2.square() + math.log(2 * math.pi)).sum(-1)
        log_q = model.encoder(many.x, code["s"].sample).log_prob(z1) + model.up(z1, y).log_prob(z2)
        log_q = log_q + (model.classifier(z1).log_softmax(-1) * y).sum(-1)
        log_p = normal + model.down(z2, y).log_prob(z1) - math.log(4)
        off = total_rate(code) - math.log(3) - (log_q - log_p)
    assert abs(off.mean()) < 4 * off.std() / n**0.5
    assert list(code) == ["s", "z1", "y", "z2"] and flatten(code).shape[1] == 4 + 4 + 2


def test_with_two_layers_what_is_sent_depends_on_z1_alone():
    """Sent again with z_1 as it was, under another x, y and z_2 are expected and drawn from the same densities."""
    model, given = new("vfae", layers=2), batch()
    code = model.encode(given)
    other = given._replace(x=1 - given.x)
    with replay([block.drawn for block in code.values()]):
        again = model.encode(other)
    for name in ("y", "z2"):
        torch.testing.assert_close(again[name].q.mean, code[name].q.mean)
    assert not torch.allclose(again["z1"].q.mean, code["z1"].q.mean)
    assert torch.equal(again["z1"].p.mean, code["z1"].p.mean)
    without = {k: b._replace(sample=torch.nan * b.sample) if k in ("y", "z2") else b for k, b in code.items()}
    assert torch.equal(model.decode(without).mean, model.decode(code).mean)


def test_every_block_of_two_layers_is_found_in_what_was_drawn():
    """Not in means: the receiver has none of them."""
    model, given = new("vfae", SPEC, layers=2), batch()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    code = model.encode(given)
    z1, y, z2 = (code[name].drawn for name in ("z1", "y", "z2"))
    torch.testing.assert_close(code["y"].q.mean, model.classifier(z1).softmax(-1))
    torch.testing.assert_close(code["y"].p.mean, torch.full((60, 4), 0.25))
    torch.testing.assert_close(code["z2"].q.mean, model.up(z1, y).mean)
    torch.testing.assert_close(code["z1"].p.mean, model.down(z2, y).mean)
    torch.testing.assert_close(code["z1"].q.mean, model.encoder(given.x, code["s"].sample).mean)


@pytest.mark.parametrize("known", [0, 20, 60])
def test_a_known_class_takes_its_place_and_an_unknown_one_is_summed_out(known):
    """By a loop over the classes, at the same draws: R is summed, its gradient is that of the class that is known."""
    model, given, C = new("vfae", layers=2, strength=0.0), batch(), 4
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    given = given._replace(y=torch.where(torch.arange(60) < known, given.y, -1))
    z1, z2 = torch.randn(60, 4), torch.randn(60, C, 2)
    with replay([torch.eye(3)[given.s], z1, z2.flatten(0, 1)]):
        terms = model(given)
    log_q = model.classifier(z1).log_softmax(-1)
    per_class = []
    for k in range(C):
        y = torch.eye(C)[k].expand(60, -1)
        q = model.up(z1, y)
        KL = 0.5 * (q.mean.square() + q.variance - 1 - q.variance.log()).sum(-1)
        per_class.append(KL - model.down(z2[:, k], y).log_prob(z1))
    weight = torch.where(given.y[:, None] >= 0, torch.eye(C)[given.y.clamp(min=0)], log_q.exp())
    per_class, log_q1 = torch.stack(per_class, 1), model.encoder(given.x, torch.eye(3)[given.s]).log_prob(z1)
    fixed = math.log(3) + math.log(C) + log_q1
    R = fixed + (log_q.exp() * (log_q + per_class)).sum(-1)
    torch.testing.assert_close(terms.rate, R)
    price = (log_q.exp() * log_q).sum(-1)
    pulled = log_q1 + torch.where(given.y >= 0, price.detach(), price) + (weight * per_class).sum(-1)
    weights = list(model.parameters())
    for a, b in zip(gradient(terms.rate.sum(), weights), gradient(pulled.sum(), weights), strict=True):
        close(a, b, rtol=1e-3, atol=1e-3)


def test_on_average_two_layers_are_trained_at_the_price_that_they_are_measured_at():
    model = new("vfae", layers=2)
    given = unknown(batch(6000), "y")
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
        off = model(given).rate - total_rate(model.encode(given))
    assert off.std() > 0 and abs(off.mean()) < 4 * off.std() / 6000**0.5


def test_labels_teach_the_class_that_is_read_off_z1():
    model, given = new("vfae", layers=2, strength=0.0, alpha=2.0), batch()
    code = model.encode(given)
    known = given._replace(y=torch.where(torch.arange(60) < 20, given.y, -1))
    log_q = model.classifier(code["z1"].sample).log_softmax(-1)[:20].gather(1, given.y[:20, None])
    torch.testing.assert_close(model.regularizer(known, code), -2 * log_q.sum() / 60)
    assert reached(model.regularizer(known, code), model) == {"classifier", "encoder"}
    assert model.regularizer(unknown(given, "y"), code) == 0
    assert new("vfae").row.needs == ("groups",) and set(model.row.needs) == {"groups", "labels"}


@pytest.mark.parametrize(("latent", "top"), [(1, 1), (5, 2)])
def test_the_upper_layer_has_half_of_the_dimensions_and_one_at_least(latent, top):
    code = new("vfae", latent=latent, layers=2).encode(batch())
    assert (code["z1"].sample.shape, code["z2"].sample.shape) == ((60, latent), (60, top))


def test_layers_there_are_not_are_refused():
    with pytest.raises(ValueError, match="1 or 2"):
        new("vfae", layers=3)


# ---- Fader networks -------------------------------------------------------------------------------------------------


def test_the_encoder_is_paid_for_a_wrong_class_and_of_two_for_the_other():
    model, given = new("fader", SPEC._replace(groups=2), strength=2.0), batch(groups=2)
    code = model.encode(given)
    flipped = model.adversary.log_prob(code["z"].sample).gather(1, 1 - given.s[:, None])
    torch.testing.assert_close(model.regularizer(given, code), -2 * flipped.mean())


def test_of_more_than_two_every_wrong_class_is_drawn_and_never_the_right_one():
    """By an adversary whose −log C is 0, 1 and 10 for s, s + 1 and s + 2: the mean is 5.5."""
    model, given = new("fader", strength=1.0), batch(6000)

    class Fixed(nn.Module):
        def log_prob(self, z):
            cost = torch.tensor([0.0, 1.0, 10.0])
            return -torch.stack([cost[(k - given.s) % 3] for k in range(3)], 1)

    model.adversary = Fixed()
    code = model.encode(given)
    found = torch.stack([model.regularizer(given, code) for _ in range(10)])
    assert found.mean().item() == pytest.approx(5.5, abs=4 * 4.5 / math.sqrt(60_000))


def test_the_reward_grows_linearly_over_training():
    model = new("fader", SPEC._replace(groups=2))
    read = [float(same_noise(model, batch(progress=t, groups=2)).regularizer.detach()) for t in (0.0, 0.25, 0.5, 1.0)]
    assert read == pytest.approx([t * read[-1] for t in (0.0, 0.25, 0.5, 1.0)]) and read[-1] > 0


def test_the_encoder_is_pulled_where_the_adversary_errs():
    """Of two classes −log C(1 − s) and −log C(s) have opposite gradients in z, C and 1 − C of the same vector."""
    model, given = new("fader", SPEC._replace(groups=2), strength=1.0), batch(groups=2)
    code = model.encode(given)
    z = code["z"].sample.detach().requires_grad_()
    log_c = model.adversary.log_prob(z).gather(1, given.s[:, None])
    [right] = torch.autograd.grad(-log_c.mean(), z)
    [ours] = torch.autograd.grad(model.regularizer(given, {**code, "z": code["z"]._replace(sample=z)}), z)
    c = log_c.detach().exp()
    torch.testing.assert_close(ours * (1 - c), -right * c)
    assert ours.any(1).all()


def test_the_adversary_of_fader_is_taught_the_class_of_each_code():
    model, given = new("fader", spread=0.3), batch()
    code = model.encode(given)
    right = model.adversary.log_prob(code["z"].sample).gather(1, given.s[:, None])
    torch.testing.assert_close(model.critic_loss(given, code), -right.mean())
    other = model.adversary.log_prob(code["z"].sample).gather(1, given.s.roll(1)[:, None])
    assert (right - other).mean().abs() > 0.05


def test_the_players_of_fader_keep_to_themselves():
    model, given = new("fader"), batch()
    assert reached(model.regularizer(given, model.encode(given)), model) == {"encoder"}
    assert reached(model.critic_loss(given, model.encode(given)), model) == {"adversary"}
    assert reached(model.distortion(given, model.encode(given)).mean(), model) == {"encoder", "decoder"}


@pytest.mark.parametrize(("name", "side"), [("fader", "s"), ("hadad", "specified")])
def test_noise_put_on_afterwards_is_on_z_and_not_on_what_is_told(name, side):
    model, given = new(name, noise="posthoc-learned"), batch(200)
    noisy = Whitened(model, given, 3.0)
    with torch.no_grad():
        code, sharp = same_noise(noisy.encode, given), same_noise(model.encode, given)
    assert torch.equal(code[side].sample, sharp[side].sample) and code[side].side
    assert flatten(sharp).shape == flatten(code).shape == (200, 4)
    assert noisy.decode(code).log_prob(given.x).isfinite().all()
    close(total_rate(code).mean(), 3.0)  # what is told is paid for out of the same nats
    close(code[side].rate, sharp[side].rate)


# ---- two-step disentanglement ---------------------------------------------------------------------------------------


def test_s_is_found_in_x_and_sent_beside_the_representation():
    model, given = new("hadad"), batch()
    first, second = (same_noise(model.encode, b) for b in (given, unknown(given, "s")))
    assert torch.equal(first["specified"].sample, second["specified"].sample)
    assert first["specified"].side and flatten(first).shape[1] == 4 and model.row.side == ""
    log_s = model.specified(given.x).log_softmax(-1)
    rate = math.log(3) + (log_s.exp() * log_s).sum(-1)
    torch.testing.assert_close(first["specified"].rate, rate.detach())
    assert bool((rate <= math.log(3)).all())


def test_the_receiver_is_given_s_as_it_was_found():
    model, given = new("hadad"), batch()
    code = model.encode(given)
    found = code["specified"]
    told, lied = (
        model.decode(code | {"specified": found._replace(sample=s)}).mean
        for s in (found.sample, found.sample.roll(1, -1))
    )
    assert bool(((told - lied).abs().amax((1, 2, 3)) > 1e-4).all())
    torch.testing.assert_close(found.q.mean, model.specified(given.x).softmax(-1))


def test_in_the_first_step_s_is_learnt_and_no_one_looks_for_it_in_z():
    model, given = new("hadad", first=0.3), batch(progress=0.29)
    terms = same_noise(model, given)
    assert reached(terms.distortion.mean() + terms.rate.mean() + terms.critic_loss, model) == {"encoder", "decoder"}
    loss = same_noise(model, given).regularizer
    torch.testing.assert_close(loss, nn.functional.cross_entropy(model.specified(given.x), given.s))
    assert reached(loss, model) == {"specified"}


def test_in_the_second_step_all_but_s_are_learnt():
    model, given = new("hadad", first=0.3, strength=3.0), batch(progress=0.31)
    terms = same_noise(model, given)
    assert reached(terms.distortion.mean() + terms.rate.mean(), model) == {"encoder", "decoder"}
    assert reached(same_noise(model, given).critic_loss, model) == {"adversary"}
    code = model.encode(given)
    found = model.adversary.log_prob(code["z"].sample).gather(1, given.s[:, None]).mean()
    torch.testing.assert_close(model.regularizer(given, code), 3 * found)
    assert reached(model.regularizer(given, code), model) == {"encoder"}


@pytest.mark.parametrize("progress", [0.0, 1.0])
def test_labels_of_hadad_weigh_as_many_examples_as_have_one(progress):
    """Of s known in a third, each term is a third of that of those: a batch with few labels teaches little of s."""
    model, given = new("hadad", strength=3.0), batch(progress=progress)
    code, few = model.encode(given), torch.arange(60) < 20
    seen = given._replace(s=torch.where(few, given.s, -1))
    log_c, log_s = model.adversary.log_prob(code["z"].sample), model.specified(given.x).log_softmax(-1)
    of = [part[few].gather(1, given.s[few, None]).sum() / 60 for part in (log_c, log_s)]
    close(model.regularizer(seen, code), 3 * of[0] if progress else -of[1])
    close(model.critic_loss(seen, code), -of[0])


def test_s_stands_still_once_its_step_is_over():
    """But for the momentum of its last steps, which fades by a tenth at every one."""
    model, moved = new("hadad", first=0.5), []
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for step in range(80):
        before = torch.cat([w.detach().flatten().clone() for w in model.specified.parameters()])
        terms = model(batch(progress=step / 80))
        optimizer.zero_grad()
        (terms.distortion.mean() + terms.rate.mean() + terms.regularizer + terms.critic_loss).backward()
        optimizer.step()
        after = torch.cat([w.detach().flatten() for w in model.specified.parameters()])
        moved.append(float((after - before).norm()))
    assert min(moved[:40]) > 0.01
    assert sum(moved[60:]) < 0.1 * sum(moved[20:40])


# ---- effects --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coloured():
    return registry.dataset("coloured", correlation=0.5)


def leaked(model, data):
    """Nats of s that the strongest head finds in z."""
    return measured(model, data).structure["leakage"]["IV"]


def changed(model, data, side="s"):
    """Nats an example that a lie about s costs: −log p(x|z, s̃) + log p(x|z, s)."""
    seen = data.view("test", model.row).batch()
    with torch.no_grad():
        code = model.encode(seen)
        lie = {**code, side: code[side]._replace(sample=1 - code[side].sample)}
        return float((model.decode(code).log_prob(seen.x) - model.decode(lie).log_prob(seen.x)).mean())


@pytest.mark.effect
def test_fair_codes_tell_less_of_s_than_their_twin_at_equal_rate(coloured):
    """Seeds 0, 1, 2 at 6 nats: 0.01, 0.03, 0.06 nats of s against 0.60, 0.56, 0.52."""
    (fair, a), (twin, b) = (trained("vfae", coloured, 6.0, strength=w) for w in (10.0, 0.0))
    assert a.R_train == pytest.approx(6, rel=0.02) and b.R_train == pytest.approx(6, rel=0.02)
    assert changed(fair, coloured) > 10
    assert leaked(fair, coloured) < 0.25 * leaked(twin, coloured)


@pytest.mark.effect
def test_faded_codes_tell_less_of_s_than_their_twin_at_equal_rate(coloured):
    """Seeds 0, 1, 2 at 6 nats of z: 0.11, 0.20, 0.11 nats of s against 0.66, 0.69, 0.65."""
    (faded, a), (twin, b) = (trained("fader", coloured, 6.0, strength=w) for w in (0.3, 0.0))
    assert a.R_train == pytest.approx(b.R_train, rel=1e-3)
    assert changed(faded, coloured) > 10
    assert leaked(faded, coloured) < 0.5 * leaked(twin, coloured)


@pytest.mark.effect
def test_what_is_left_to_z_tells_less_of_s_than_its_twins_at_equal_rate(coloured):
    """Seeds 0, 1, 2 at 6 nats: 0.00, 0.01, 0.00 nats of s against 0.51, 0.45, 0.09."""
    (apart, a), (twin, b) = (trained("hadad", coloured, 6.0, strength=w) for w in (1.0, 0.0))
    assert a.R_train == pytest.approx(6, rel=0.02) and b.R_train == pytest.approx(6, rel=0.02)
    seen = coloured.view("test", apart.row).batch()
    right = apart.encode(seen)["specified"].sample.argmax(1) == coloured.splits["test"].factors["colour"]
    assert right.float().mean() > 0.99
    assert changed(apart, coloured, "specified") > 10
    assert leaked(apart, coloured) < 0.25 * leaked(twin, coloured)
