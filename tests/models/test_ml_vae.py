"""ML-VAE: what the members of a group share, and what each has of its own."""

import pytest
import torch
from effects import trained
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from small import close, equal_on_average, gaussian_kl, images, maker, same_noise, seen

from rdu_bench import registry
from rdu_bench.api import Batch, Spec, flatten

G = 4
SPEC = Spec((G, 1, 4, 4), examples=40, hidden=(16, 16), latent=3)
CONV = SPEC._replace(shape=(G, 1, 8, 8), family="conv", hidden=(4, 8, 16))
new = maker(SPEC, spread=0.3)


def group(n=8, spec=SPEC):
    return seen(n, spec.shape)


def encoded(model, x, seed=5):
    torch.manual_seed(seed)
    return model.encode(Batch.unlabelled(x))


def test_content_is_the_normalised_product_of_the_densities_of_the_members():
    """log q(c|x) − Σ_g log q(c|x_g) is the same at every c."""
    model, batch = new("ml_vae"), group()
    q, each = model.encode(batch)["content"].q, model.content(batch.x).base_dist
    at = 2 * torch.randn(20, 8, 3)
    apart = torch.stack([q.log_prob(c) - each.log_prob(c[:, None]).sum((1, 2)) for c in at])
    close(apart, apart[:1].expand(20, -1), atol=1e-3)
    assert q.mean.shape == (8, 3) and each.mean.shape == (8, G, 3)
    assert (each.scale.amax(1) > 1.05 * each.scale.amin(1)).any()  # members are not equally certain
    assert (q.stddev < each.scale.amin(1)).all()


def test_blocks_pay_against_the_unit_gaussian():
    model, batch = new("ml_vae", style=2), group(64)
    code = model.encode(batch)
    assert {name: tuple(block.drawn.shape) for name, block in code.items()} == {
        "content": (64, 3),
        "style": (64, G, 2),
    }
    close(code["content"].rate, gaussian_kl(code["content"].q))
    close(code["style"].rate, gaussian_kl(code["style"].q).sum(1))
    for block in code.values():
        equal_on_average(block.rate, block.log_ratio)
    close(same_noise(model, batch).rate, code["content"].rate + code["style"].rate)
    close(code["style"].q.mean[:, 1], model.style.net.net(batch.x[:, 1])[:, :2])
    assert new("ml_vae", content=5).encode(batch)["content"].sample.shape == (64, 5)


def test_a_group_of_one_is_a_vae_of_two_groups():
    """Each posterior that of the one member, D of the decoder at both draws side by side."""
    spec = SPEC._replace(shape=(1, 1, 4, 4))
    model, batch = new("ml_vae", spec), group(8, spec)
    x = batch.x[:, 0]
    code = encoded(model, batch.x)
    vae = {}
    for name, net in (("content", model.content.net.net), ("style", model.style.net.net)):
        mean, raw = net(x).chunk(2, -1)
        q = code[name].q
        vae[name] = mean, torch.nn.functional.softplus(raw) + 1e-4
        close(q.mean.flatten(1), mean)
        close(q.stddev.flatten(1), vae[name][1])
        close(code[name].rate, 0.5 * (mean**2 + vae[name][1] ** 2 - 1 - 2 * vae[name][1].log()).sum(-1))
    logits = model.decoder.net(code["style"].sample, code["content"].sample)
    lost = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum((1, 2, 3))
    close(model.distortion(batch, code), lost)
    assert flatten(code).shape == (8, 6)


def test_permuting_members_permutes_style_and_leaves_content():
    model, x, order = new("ml_vae"), group().x, [2, 0, 3, 1]
    code, other = encoded(model, x), encoded(model, x[:, order])
    close(other["content"].q.mean, code["content"].q.mean)
    close(other["content"].q.variance, code["content"].q.variance)
    close(other["style"].q.mean, code["style"].q.mean[:, order])
    moved = code["style"].drawn[:, order].flatten(1)
    found = model.receive({**code, "style": code["style"]._replace(sample=moved)})
    close(found.mean, model.receive(code).mean[:, order])


@pytest.mark.parametrize("spec", [SPEC, CONV], ids=["mlp", "conv"])
def test_content_is_of_all_members_and_style_of_one(spec):
    model, x, one = new("ml_vae", spec), images(2, spec.shape), torch.eye(G, dtype=torch.bool)
    code = encoded(model, x)
    plain = model.receive(code).mean
    for g in range(G):
        changed = x.clone()
        changed[:, g] = 1 - changed[:, g]
        other = encoded(model, changed)
        assert torch.equal((other["style"].q.mean != code["style"].q.mean).any(-1), one[g].expand(2, -1))
        assert (other["content"].q.mean != code["content"].q.mean).any(-1).all()
        style = code["style"].drawn.clone()
        style[:, g] += 1
        moved = model.receive({**code, "style": code["style"]._replace(sample=style.flatten(1))}).mean
        assert torch.equal((moved != plain).flatten(2).any(-1), one[g].expand(2, -1))
    shared = code["content"]._replace(sample=code["content"].sample + 1)
    assert (model.receive({**code, "content": shared}).mean != plain).flatten(2).any(-1).all()


@torch.no_grad()
def told(model, data):
    """Nats that a linear head loses of the digit: by content, by the style of one member, and by that of all."""
    codes = {}
    for part in ("train", "test"):
        split = data.splits[part]
        torch.manual_seed(0)
        code = model.encode(Batch.unlabelled(split.take()))
        style = code["style"].drawn
        codes[part] = {"content": code["content"].sample, "one": style[:, 0], "all": style.flatten(1)}, split.factors
    (seen_, y), (judged, truth) = (
        (each, factors["digit"].numpy()) for each, factors in (codes["train"], codes["test"])
    )
    heads = {name: LogisticRegression(max_iter=300).fit(z.numpy(), y) for name, z in seen_.items()}
    return {name: log_loss(truth, head.predict_proba(judged[name].numpy())) for name, head in heads.items()}


@pytest.mark.slow
@pytest.mark.effect
def test_content_tells_the_digit_and_style_does_not():
    data = registry.dataset("digit_groups", members=4, n_train=1500, n_val=200, n_test=500)
    model, control = trained("ml_vae", data, 12.0, steps=600, network={"hidden": (64, 64), "latent": 6}, style=2)
    lost = told(model, data)
    assert control.R_train == pytest.approx(12, rel=0.05)
    assert lost["content"] < 1.2 and lost["one"] > 1.9 and lost["all"] > lost["content"] + 0.5  # log 10 is 2.3
