"""Models whose decoder or prior looks at what came before: lossy VAE, PixelVAE and PixelGAN-AE."""

import itertools
import math

import effects
import pytest
import torch
from effects import measured, trained
from small import close, gaussian_kl, gradient, images, lost, maker, reaches, same_noise, seen, sent
from torch.distributions import kl_divergence

from rdu_bench import registry
from rdu_bench.api import (
    Batch,
    Examples,
    Factor,
    Spec,
    UnitGaussian,
    concatenate,
    gaussian,
    total_rate,
)
from rdu_bench.api import Dataset as Data
from rdu_bench.model import replay

SPEC = Spec((1, 4, 4), examples=40, hidden=(16, 16), latent=4)
new = maker(SPEC, spread=0.3)


def redraw(model, code, name):
    """The code of the same examples with every block as it was but `name`, which is drawn from N(0, I)."""
    drawn = [torch.randn_like(b.drawn) if block == name else b.drawn for block, b in code.items()]
    with replay(drawn):
        return model.encode(seen(len(drawn[0])))


# ---- VLAE (lossy) ---------------------------------------------------------------------------------------------------


def test_a_new_lossy_vae_decodes_without_its_window():
    torch.manual_seed(0)
    model, x = registry.model("vlae_lossy", SPEC), images()
    code = model.encode(Batch.unlabelled(x))
    plain = model.decoder.plain(code["z"].sample)[:, :1]
    close(-model.distortion(Batch.unlabelled(x), code), model.decoder.observation(plain).log_prob(x), atol=1e-4)


def test_the_rate_under_a_new_flow_is_the_closed_form_on_average():
    torch.manual_seed(0)
    model, N = registry.model("vlae_lossy", SPEC), 20_000
    with torch.no_grad():
        block = model.encode(Batch.unlabelled(images(1).expand(N, -1, -1, -1)))["z"]
        closed = kl_divergence(gaussian(block.q.mean, block.q.stddev), UnitGaussian(SPEC.latent)())
        assert block.rate.std() > 0.01  # drawn, not closed
        assert abs(block.rate.mean() - closed[0]) < 4 * block.rate.std() / N**0.5


def test_a_lossy_code_of_no_rate_leaves_an_autoregressive_model():
    """Where q(z|x) = m(z) the code says nothing, and −D is log p(x) of pixels alone: it sums to one over all x."""
    spec = SPEC._replace(shape=(1, 2, 2))
    torch.manual_seed(0)
    model = registry.model("vlae_lossy", spec, window=1)
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))).view(-1, 1, 2, 2)
    with torch.no_grad():
        for weight in (*model.decoder.parameters(), *model.encoder.parameters()):
            weight.normal_(0, 0.5)
        raw = model.encoder.net.head[-1]
        raw.weight.zero_()
        raw.bias.copy_(torch.tensor([0.0] * 4 + [math.log(math.e - 1 - 1e-4)] * 4))
        torch.manual_seed(1)
        code = model.encode(Batch.unlabelled(x))
        one = {"z": code["z"]._replace(sample=code["z"].sample[:1].expand(16, -1))}
        mass = (-model.distortion(Batch.unlabelled(x), one)).exp()
    assert code["z"].rate.abs().max() < 1e-3
    assert mass.sum().item() == pytest.approx(1, abs=1e-5) and mass.max() > 2 / 16


def test_the_flow_of_a_lossy_vae_is_no_gaussian_of_a_number_given_all_others():
    """Of one affine layer log m(z) is a parabola in the last number, whose third difference is none."""
    model, z = new("vlae_lossy", spread=0.5), torch.randn(200, 1, SPEC.latent)
    steps = torch.zeros(4, SPEC.latent)
    steps[:, -1] = torch.arange(4.0)
    log_m = model.prior().log_prob((z + steps).flatten(0, 1)).view(200, 4)
    third = log_m[:, 3] - 3 * log_m[:, 2] + 3 * log_m[:, 1] - log_m[:, 0]
    assert third.abs().mean() > 0.02


@torch.no_grad()
def interaction(model, x, a, b):
    """The most that log p(x|z) is from a sum of what pixels a and b of the first row add to it."""
    z, flipped = model.encode(Batch.unlabelled(x)), []
    for pixels in ([], [a], [b], [a, b]):
        other = x.clone()
        other[:, :, 0, pixels] = 1 - other[:, :, 0, pixels]
        flipped.append(model.distortion(Batch.unlabelled(other), z))
    none, one, two, both = flipped
    return float((both + none - one - two).abs().max())


def test_pixels_of_a_lossy_vae_know_of_each_other_inside_its_window_and_nowhere_else():
    for window, near, far in ((0, False, False), (1, True, False), (3, True, True)):
        model = new("vlae_lossy", window=window)
        for pixel, tied in ((1, near), (3, far)):
            assert (interaction(model, images(), 0, pixel) > 1e-3) == tied


def test_a_wider_window_leaves_less_to_the_code():
    """Rows share a bit.  At 1.3 nats of D for one of R it pays to send it, unless the window can copy the row."""
    torch.manual_seed(0)
    rows = torch.rand(1000, 4, 1).round()
    x = ((rows + (torch.rand(1000, 4, 4) < 0.02)) % 2)[:, None]
    rate = {}
    for window in (0, 3):
        torch.manual_seed(1)
        model = registry.model("vlae_lossy", SPEC._replace(latent=4), window=window)
        adam = torch.optim.Adam(model.parameters(), 0.005)
        for step in range(500):
            at = step * 100 % 1000
            terms = model(Batch.unlabelled(x[at : at + 100]))
            beta = 0.1 if step < 200 else 1.3  # cheap at first, so that neither starts collapsed
            adam.zero_grad()
            (terms.distortion + beta * terms.rate).mean().backward()
            adam.step()
        rate[window] = terms.rate.mean().item()
    assert rate[0] > rate[3] + 1


# ---- PixelVAE -------------------------------------------------------------------------------------------------------


def test_pixel_vae_sends_the_top_first_and_decodes_the_bottom_alone():
    model = new("pixel_vae")
    code = model.encode(seen())
    assert [(name, block.sample.shape[1]) for name, block in code.items()] == [("z2", 1), ("z1", 3)]
    nothing = code["z2"]._replace(sample=torch.nan * code["z2"].sample)
    close(model.distortion(seen(), {**code, "z2": nothing}), model.distortion(seen(), code))


def test_pixel_vae_reads_no_level_off_a_draw_of_another():
    model = new("pixel_vae")
    code = model.encode(seen())
    other = redraw(model, code, "z2")
    assert torch.equal(code["z1"].q.mean, other["z1"].q.mean)
    assert torch.equal(code["z1"].q.stddev, other["z1"].q.stddev)
    assert not torch.allclose(code["z1"].p.mean, other["z1"].p.mean)


def test_pixel_vae_expects_each_number_from_the_top_and_the_numbers_before_it():
    model = new("pixel_vae")
    code = model.encode(seen(1))

    def expected(z):
        with replay([z[:, :1], z[:, 1:]]):
            p = model.encode(seen(1))["z1"].p
        return torch.cat([p.mean, p.stddev], -1)[0]

    at = concatenate(code["z2"].drawn, code["z1"].drawn)
    slope = torch.stack([torch.func.jacrev(expected)(at + torch.randn_like(at))[:, 0] for _ in range(40)]).abs().sum(0)
    allowed = torch.cat([torch.ones(3, 1), torch.ones(3, 3).tril(-1)], 1).bool()
    assert torch.equal(slope != 0, allowed.repeat(2, 1))


def test_pixel_vae_pays_in_closed_form_what_the_joint_log_ratio_is_on_average():
    model, N = new("pixel_vae"), 20_000
    with torch.no_grad():
        code = model.encode(Batch.unlabelled(images(1).expand(N, -1, -1, -1)))
        q, p = code["z1"].q, code["z1"].p
        by_number = torch.log(p.stddev / q.stddev) + (q.variance + (q.mean - p.mean) ** 2) / (2 * p.variance) - 0.5
        close(code["z1"].rate, by_number.sum(-1), atol=1e-4)
        close(code["z2"].rate, gaussian_kl(code["z2"].q))
        difference = total_rate(code) - sum(block.log_ratio for block in code.values())
    assert abs(difference.mean()) < 4 * difference.std() / N**0.5
    assert code["z1"].rate.std() > 0.01  # it depends on what was drawn


def test_pixel_vae_of_one_level_has_the_rate_of_a_vae_and_a_decoder_that_has_not():
    model = new("pixel_vae", levels=1)
    code = model.encode(seen())
    assert list(code) == ["z1"] and not hasattr(model, "down")
    close(code["z1"].rate, gaussian_kl(code["z1"].q))
    assert model.row.encoder == "" and model.row.decoder == "A"
    with torch.no_grad():  # a pixel is told of another, not only of z
        x, y = images(), images()
        y[:, :, 0, 0] = 1 - y[:, :, 0, 0]
        p = model.decode(code)
        assert (p.conditional(x).mean - p.conditional(y).mean)[:, :, 0, 1].abs().min() > 0


def test_pixel_vae_lets_the_code_speak_from_the_first_pixel_on():
    model, code = new("pixel_vae"), new("pixel_vae").encode(seen())
    x, swapped = images(), code["z1"]._replace(sample=code["z1"].sample.flip(0))
    first = [model.decode(c).conditional(x).mean[:, 0, 0, 0] for c in (code, {**code, "z1": swapped})]
    assert (first[0] - first[1]).abs().max() > 0.01


MAP = Spec((1, 6, 6), examples=40, hidden=(16, 16), latent=10)


@pytest.mark.parametrize(("latent", "dims"), [(2, (1, 1)), (4, (1, 3)), (5, (1, 4)), (7, (3, 4)), (10, (2, 8))])
def test_pixel_vae_has_a_map_of_four_places_where_there_are_numbers_for_it(latent, dims):
    code = new("pixel_vae", MAP, latent=latent).encode(seen(3, (1, 6, 6)))
    assert tuple(block.sample.shape[1] for block in code.values()) == dims


def test_pixel_vae_reads_a_place_off_its_patch_and_the_top_off_all():
    model, x = new("pixel_vae", MAP), torch.rand(1, 1, 6, 6)

    def read(x, name):
        q = model.encode(Batch.unlabelled(x))[name].q
        return torch.stack([q.mean[0], q.stddev[0]])

    slope = torch.autograd.functional.jacobian(lambda x: read(x, "z1"), x)[:, :, 0, 0]  # (2, 8, H, W)
    row, column = torch.arange(6)[:, None] // 3, torch.arange(6) // 3
    for number in range(8):
        own = 2 * row + column == number // 2
        assert not slope[:, number, ~own].any() and (slope[:, number, own] != 0).float().mean() > 0.5
    top = torch.autograd.functional.jacobian(lambda x: read(x, "z2"), x)[:, :, 0, 0]
    assert (top.abs().sum((0, 1)) > 0).float().mean() > 0.9


def test_pixel_vae_reads_its_levels_off_one_path():
    model, given = new("pixel_vae", MAP), seen(5, (1, 6, 6))
    code, d = model.encode(given), model.up[0](given.x).relu()
    low, high = model.read[0](d), model.read[1](model.up[1](d.flatten(1)).relu())
    for name, q in (("z1", low), ("z2", high)):
        close(code[name].q.mean, q.mean.flatten(1))
        close(code[name].q.stddev, q.stddev.flatten(1))
    assert reaches(code["z2"].q.mean.sum(), model.up[0])


def test_pixel_vae_decodes_a_place_from_its_own_numbers_and_the_past():
    model, x = new("pixel_vae", MAP), torch.rand(1, 1, 6, 6)

    def logits(z):
        return model.decode({"z1": sent(z)}).conditional(x).base_dist.logits[0, 0]

    slope = torch.autograd.functional.jacobian(logits, torch.randn(1, 8))[:, :, 0]  # (H, W, 8)
    assert slope[0, 0, :2].all() and not slope[0, 0, 2:].any()  # the first pixel has no past
    assert not slope[:3, :, 4:].any()  # upper places are told nothing of lower ones


def priced(free):
    """Gradients of R in the head of z_2, and R_2 and R, where a share `free` of R is free."""
    model = new("pixel_vae", MAP, free=free)
    code = same_noise(model.encode, seen(32, (1, 6, 6)))
    return gradient(total_rate(code).mean(), model.read[1].parameters()), code["z2"].rate, total_rate(code)


def test_pixel_vae_of_no_free_share_charges_z2_in_full():
    model = new("pixel_vae", MAP, free=0.0)
    code = same_noise(model.encode, seen(32, (1, 6, 6)))
    whole = kl_divergence(code["z2"].q, model.prior()) + kl_divergence(code["z1"].q, code["z1"].p)
    for a, b in zip(priced(0.0)[0], gradient(whole.mean(), model.read[1].parameters()), strict=True):
        close(a, b)


def test_pixel_vae_gives_the_whole_rate_whatever_is_free():
    for free in (0.15, 0.99):
        for now, full in zip(priced(free)[1:], priced(0.0)[1:], strict=True):
            close(now, full)


def test_pixel_vae_has_a_price_for_z2_from_its_free_share_of_the_batch_on():
    full, top, whole = priced(0.0)
    share = float((top.mean() / whole.mean()).detach())
    below, above = priced(0.99 * share)[0], priced(1.01 * share)[0]
    for a, b, c in zip(full, below, above, strict=True):
        close(a, b)
        assert (a - c).abs().max() > 1e-3
    model = new("pixel_vae", MAP)
    code = same_noise(model.encode, seen(32, (1, 6, 6)))
    unpriced = gradient(kl_divergence(code["z1"].q, code["z1"].p).mean(), model.read[1].parameters())
    for a, b in zip(above, unpriced, strict=True):  # what z_2 does for z_1 still counts
        close(a, b)


def test_pixel_vae_has_one_level_or_two():
    with pytest.raises(ValueError, match="levels = 3"):
        new("pixel_vae", levels=3)


class Stripes(Data):
    """Upright stripes with noise, inverted from some row on, or never: what a pixel is, the one above tells."""

    def load(self, n: int = 2000) -> None:
        draw = torch.Generator().manual_seed(0)
        y = torch.randint(0, 4, (n,), generator=draw)
        stripes = torch.randint(0, 2, (n, 1, 8), generator=draw)
        inverted = torch.arange(8)[:, None] >= 2 * (y[:, None, None] + 1)
        noise = torch.rand(n, 8, 8, generator=draw) < 0.05
        x = ((stripes + inverted + noise) % 2).float()[:, None]
        self.name, self.shape, self.task, self.factors = "stripes", (1, 8, 8), ("y",), (Factor("y", 4),)
        parts = {"train": slice(0, n // 2), "val": slice(n // 2, 3 * n // 4), "test": slice(3 * n // 4, n)}
        self.splits = {part: Examples(x[at], {"y": y[at]}) for part, at in parts.items()}


@pytest.mark.effect
def test_what_a_pixel_cnn_sees_need_not_be_sent():
    """At 2 nats, with windows and without: 14.3 and 13.9 nats of D apart with two seeds."""
    data = Stripes()
    data.load()
    found = {}
    for radius in (2, 0):
        how = {"radius": radius, "depth": min(radius, 1), "steps": 400, "network": {"hidden": (64, 64), "latent": 4}}
        model, control = effects.trained("pixel_vae", data, 2.0, **how)
        assert control.R_train == pytest.approx(2, rel=0.05)
        found[radius] = lost(model, data)
    assert found[2] < found[0] - 8


# ---- PixelGAN-AE ----------------------------------------------------------------------------------------------------


def shaken(**params):
    """No weight at an initial zero."""
    model = new("pixelgan_ae", Spec((1, 6, 6), hidden=(16,), latent=3), **params)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return model


@pytest.mark.parametrize("depth", [0, 2])
def test_a_pixel_depends_on_those_before_it_and_with_depth_on_those_beyond_its_window(depth):
    model = shaken(window=1, depth=depth)
    p = model.decode({"z": sent(torch.randn(1, 3))})

    def logits(x):
        return p.conditional(x).base_dist.logits.flatten()

    slope = sum(torch.autograd.functional.jacobian(logits, torch.rand(1, 1, 6, 6)).view(36, 36).abs() for _ in range(8))
    assert not slope.triu().any()  # not on itself, not on what follows
    row, column = torch.arange(36) // 6, torch.arange(36) % 6
    up, right = row[:, None] - row, column - column[:, None]
    reach = (up >= 0) & (up <= 1 + depth) & (right >= -1 - depth) & (right <= up) & ((up > 0) | (right < 0))
    assert torch.equal(slope > 0, reach)  # each layer goes a step further, to the right only as it goes up
    assert ((up.abs() > 1) | (right.abs() > 1))[slope > 0].any() == (depth > 0)


def test_every_place_is_told_the_code():
    model, x = shaken(), torch.rand(1, 1, 6, 6)

    def logits(z):
        return model.decode({"z": sent(z)}).conditional(x).base_dist.logits.flatten()

    slope = torch.autograd.functional.jacobian(logits, torch.randn(1, 3)).abs().sum((1, 2))
    assert (slope > 0).all()


def test_without_strength_it_is_a_vae_whose_pixels_have_a_past():
    given, model = seen(), new("pixelgan_ae", strength=0.0)
    terms = same_noise(model, given)
    torch.manual_seed(7)
    code = model.encode(given)
    torch.testing.assert_close(terms.regularizer, -terms.rate.mean())  # R has no price but a target's
    mean, s = code["z"].q.mean, code["z"].q.stddev
    torch.testing.assert_close(terms.rate, 0.5 * (mean**2 + s**2 - 1 - 2 * s.log()).sum(-1))
    torch.testing.assert_close(terms.distortion, -model.decode(code).log_prob(given.x))


def test_a_categorical_code_costs_at_most_the_logarithm_of_its_symbols():
    model, given = new("pixelgan_ae", prior="categorical", clusters=7), seen()
    code = model.encode(given)["z"]
    q = model.encoder(given.x).softmax(-1)
    torch.testing.assert_close(code.rate, math.log(7) - torch.special.entr(q).sum(-1))
    with torch.no_grad():
        model.encoder.head[-1].weight.mul_(1e4)
    assert float(model(given).rate.detach().mean()) == pytest.approx(math.log(7), abs=0.05)


@pytest.mark.effect
def test_at_equal_rate_the_critic_leaves_less_of_it_to_mismatch_behind_a_pixelcnn():
    """R_own − R*, of two seeds 0.07 and 0.12 nats less."""
    digits, mismatch = registry.dataset("digits"), {}
    for strength in (0.0, 1.0):
        model, control = trained("pixelgan_ae", digits, 6.0, strength=strength)
        assert control.status == "ok"
        values = measured(model, digits).values
        mismatch[strength] = values["R_own"] - values["R_star"]
    assert mismatch[1.0] < mismatch[0.0] - 0.03
