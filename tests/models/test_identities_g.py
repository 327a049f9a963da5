"""What makes PixelVAE, the variational ladder, unshared Ladder VAEs and codebooks that are averages themselves."""

import copy
import itertools

import effects
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from torch.distributions import kl_divergence

from rdu_bench import registry
from rdu_bench.api import Batch, Examples, Factor, Spec, WindowedDecoder, beside, flatten, gaussian, made, total_rate
from rdu_bench.api import Dataset as Data
from rdu_bench.model import replay
from rdu_bench.training.train import Single

SPEC = Spec((1, 4, 4), examples=40, classes=3, hidden=(16, 16), latent=4)
CONV = SPEC._replace(shape=(1, 8, 8), family="conv", hidden=(4, 8, 16))


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def new(name, spec=SPEC, spread=0.3, **params):
    """A model none of whose weights is at an initial zero."""
    torch.manual_seed(0)
    model = registry.model(name, spec, **params)
    return stirred(model, spread)


def stirred(module, spread=0.3):
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(spread * torch.randn_like(weight))
    return module


def images(n=64, spec=SPEC):
    return torch.rand(n, *spec.shape, generator=torch.Generator().manual_seed(1)).round()


def seen(n=64, spec=SPEC):
    return Batch.unlabelled(images(n, spec))


def close(a, b, **tolerance):
    assert torch.allclose(a, b, **({"atol": 1e-5, "rtol": 1e-4} | tolerance)), (a - b).abs().max()


def reached(loss, module):
    """Whether a loss has a gradient in any weight of a module."""
    grads = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True, allow_unused=True)
    return any(g is not None and bool(g.any()) for g in grads)


def gaussian_kl(q):
    """(B,) KL(q ‖ N(0, I)), written out."""
    return 0.5 * (q.mean**2 + q.variance - 1 - q.variance.log()).sum(-1)


def redraw(model, code, name):
    """The code of the same examples with every block as it was but `name`, which is drawn from N(0, I)."""
    drawn = [torch.randn_like(b.drawn) if block == name else b.drawn for block, b in code.items()]
    with replay(drawn):
        return model.encode(seen(len(drawn[0])))


# ---- what may not look ahead ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dim", "given"), [(1, 1), (2, 3), (5, 2)])
def test_every_output_of_a_made_sees_what_is_given_and_of_the_rest_only_what_came_before(dim, given):
    net = stirred(made(dim, 8 * dim, 2, given=given), 0.5)
    slope = torch.stack([torch.func.jacrev(net)(z) for z in torch.randn(40, given + dim)]).abs().sum(0)
    allowed = torch.cat([torch.ones(dim, given), torch.ones(dim, dim).tril(-1)], 1).bool()
    assert torch.equal(slope != 0, allowed.repeat(2, 1))


def pixel_cnn(shape, radius, depth):
    return stirred(WindowedDecoder(Spec(shape, hidden=(8,)), 3, radius, depth=depth), 0.5)


@pytest.mark.parametrize("depth", [1, 3])
def test_the_probabilities_a_pixel_cnn_gives_to_all_images_sum_to_one(depth):
    net = pixel_cnn((1, 2, 2), 1, depth)
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))).view(-1, 1, 2, 2)
    with torch.no_grad():
        for z in torch.randn(5, 1, 3):
            mass = net(z.expand(16, 3)).log_prob(x).exp()
            assert mass.sum().item() == pytest.approx(1, abs=1e-5)
            assert mass.max() > 2 / 16  # not the uniform one, which would sum to one as well


def test_depth_widens_a_pixel_cnn_and_never_lets_it_look_ahead():
    for depth in (0, 1, 2):
        net, z = pixel_cnn((1, 4, 9), 1, depth), torch.randn(1, 3)
        slope = torch.func.jacrev(lambda x, net=net, z=z: net(z).conditional(x).base_dist.logits[0, 0])
        seen = torch.stack([slope(x) for x in torch.rand(20, 1, 1, 4, 9)]).abs().sum(0)[:, :, 0, 0] != 0
        order = torch.arange(36).view(4, 9)
        assert not seen[order[:, :, None, None] <= order].any()
        assert seen[3, 4, 3].nonzero().flatten().tolist() == list(range(4 - depth - 1, 4))


# ---- PixelVAE ------------------------------------------------------------------------------------------------------


def test_pixel_vae_sends_the_top_first_and_decodes_the_bottom_alone():
    model = new("pixel_vae")
    code = model.encode(seen())
    assert [(name, block.sample.shape[1]) for name, block in code.items()] == [("z2", 2), ("z1", 4)]
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
        with replay([z[:, :2], z[:, 2:]]):
            p = model.encode(seen(1))["z1"].p
        return torch.cat([p.mean, p.stddev], -1)[0]

    at = beside(code["z2"].drawn, code["z1"].drawn)
    slope = torch.stack([torch.func.jacrev(expected)(at + torch.randn_like(at))[:, 0] for _ in range(40)]).abs().sum(0)
    allowed = torch.cat([torch.ones(4, 2), torch.ones(4, 4).tril(-1)], 1).bool()
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


@torch.no_grad()
def distortion(model, data):
    batch = data.seen("test", model.row)
    return model.distortion(batch, model.encode(batch)).mean().item()


@pytest.mark.slow
def test_what_a_pixel_cnn_sees_need_not_be_sent():
    """At 2 nats, with windows and without: 14.3 and 13.9 nats of D apart with two seeds."""
    data = Stripes()
    data.load()
    lost = {}
    for radius in (2, 0):
        how = {"radius": radius, "depth": min(radius, 1), "steps": 400, "network": {"hidden": (64, 64), "latent": 4}}
        model, control = effects.trained("pixel_vae", data, 2.0, **how)
        assert control.R_train == pytest.approx(2, rel=0.05)
        lost[radius] = distortion(model, data)
    assert lost[2] < lost[0] - 8


# ---- variational ladder --------------------------------------------------------------------------------------------


def depth(output, leaf):
    """Layers with weights between a leaf and what was made of it: fewest and most, over all paths."""
    layers = ("Addmm", "Convolution", "ConvolutionBackward")

    def walk(node):
        if node is None:
            return set()
        if getattr(node, "variable", None) is leaf:
            return {0}
        below = set().union(*(walk(parent) for parent, _ in node.next_functions))
        return {d + node.name().startswith(layers) for d in below}

    found = walk(output.grad_fn)
    return min(found), max(found)


@pytest.mark.parametrize("spec", [SPEC, CONV], ids=["mlp", "conv"])
def test_a_variational_ladder_is_deeper_where_it_is_higher(spec):
    model = new("vlae_ladder", spec, dims=(3, 2, 1))
    x = images(2, spec).requires_grad_()
    code = {name: block._replace(sample=block.sample.detach()) for name, block in model.encode(seen(2, spec)).items()}
    for block in code.values():
        block.sample.requires_grad_()
    drawn = model.decode(code).base_dist.logits
    down = {name: depth(drawn, block.sample) for name, block in code.items()}
    up = {name: depth(block.q.mean, x) for name, block in model.encode(Batch.unlabelled(x)).items()}
    for way in (down, up):
        assert all(fewest == most for fewest, most in way.values())  # no way round
        assert way["z1"] < way["z2"] < way["z3"]


def test_a_variational_ladder_expects_the_same_of_every_level_whatever_was_sent():
    model = new("vlae_ladder")
    code = model.encode(seen())
    assert [(name, block.sample.shape[1]) for name, block in code.items()] == [("z3", 2), ("z2", 2), ("z1", 2)]
    for block in code.values():
        assert not block.p.mean.any() and torch.equal(block.p.stddev, torch.ones(2))
    assert not list(model.priors.parameters())
    for part in (model.down, model.decoder):  # in a Ladder VAE the way down is the prior
        assert not reached(total_rate(code).sum(), part)
        assert reached(model.distortion(seen(), code).sum(), part)


def test_a_variational_ladder_pays_for_its_levels_one_by_one():
    model = new("vlae_ladder", dims=(3, 2, 1))
    code = model.encode(seen())
    close(total_rate(code), sum(gaussian_kl(block.q) for block in code.values()))
    mean, scale = (torch.cat([getattr(b.q, part) for b in code.values()], -1) for part in ("mean", "stddev"))
    close(model(seen()).rate, gaussian_kl(gaussian(mean, scale)))  # as one flat code


def test_a_variational_ladder_reads_no_level_off_a_draw_of_another():
    model = new("vlae_ladder")
    code = model.encode(seen())
    for name, other in itertools.permutations(code, 2):
        assert torch.equal(code[other].q.mean, redraw(model, code, name)[other].q.mean)
    assert flatten(code).shape == (64, 6)


def test_every_level_of_a_variational_ladder_is_heard_of():
    model = new("vlae_ladder")
    code = model.encode(seen())
    for name in code:
        moved = {**code, name: code[name]._replace(sample=code[name].sample.flip(0))}
        assert (model.decode(moved).mean - model.decode(code).mean).abs().max() > 0.01


def test_a_variational_ladder_of_one_level_is_a_vae():
    torch.manual_seed(0)
    ladder = registry.model("vlae_ladder", SPEC, dims=(4,))
    code = ladder.encode(seen())
    assert list(code) == ["z1"]
    close(code["z1"].rate, gaussian_kl(code["z1"].q))
    close(ladder.decode(code).mean, ladder.decoder(code["z1"].sample).mean)


@torch.no_grad()
def mistaken(model, data):
    """Log-loss of a linear head on each block alone, nats on the test set."""
    codes = {part: model.encode(data.seen(part, model.row)) for part in ("train", "test")}
    y, y_test = (data.splits[part].factors["digit"].numpy() for part in ("train", "test"))
    heads = {name: LogisticRegression(max_iter=300).fit(b.sample.numpy(), y) for name, b in codes["train"].items()}
    return {name: log_loss(y_test, h.predict_proba(codes["test"][name].sample.numpy())) for name, h in heads.items()}


@pytest.mark.slow
def test_depth_sorts_what_a_variational_ladder_sends_and_saves_distortion():
    """At 9 nats: D 2.9 and 3.1 nats below that of the lowest level alone, as wide as all, with two seeds; z_3 tells
    .29 to .40 nats more about the digit than z_1, with three."""
    data = registry.dataset("digits")
    lost = {}
    for dims in ((4, 4, 4), (12,)):
        model, control = effects.trained("vlae_ladder", data, 9.0, dims=dims)
        assert control.R_train == pytest.approx(9, rel=0.02)
        lost[dims] = distortion(model, data)
        if len(dims) == 3:
            wrong = mistaken(model, data)
            assert wrong["z3"] < wrong["z1"] - 0.1
    assert lost[4, 4, 4] < lost[(12,)] - 1.5


# ---- Ladder VAE, with and without one way down ---------------------------------------------------------------------


def without_evidence(model, level=1):
    """Evidence at this level with a standard deviation of 10⁴."""
    bias = model.evidence[level - 1].net.bias
    with torch.no_grad():
        bias[len(bias) // 2 :] = 1e4
    return model


def test_a_ladder_level_without_evidence_is_free_only_if_q_and_p_share_the_way_down():
    shared = without_evidence(new("ladder_vae")).encode(seen())
    assert shared["z1"].rate.abs().max() < 1e-5
    model = without_evidence(new("ladder_vae", share=False))
    apart = model.encode(seen())
    close(apart["z1"].rate, kl_divergence(model.own[0](apart["z2"].sample), apart["z1"].p), atol=1e-3)
    assert apart["z1"].rate.min() > 0.01


def test_an_unshared_ladder_merges_the_evidence_with_its_own_guess_and_pays_against_p():
    model, x = new("ladder_vae", share=False), images(5)
    code = model.encode(Batch.unlabelled(x))
    above, z = code["z2"].sample, torch.randn(50, 1, 4)
    evidence, guess = model.evidence[0](model.up[0](x).relu()), model.own[0](above)
    excess = code["z1"].q.log_prob(z) - evidence.log_prob(z) - guess.log_prob(z)  # (50, 5)
    assert excess.std(0).max() < 1e-4
    close(code["z1"].p.mean, model.down[0](above).mean)


def test_only_in_a_shared_ladder_does_distortion_train_the_prior():
    for share in (True, False):
        model = new("ladder_vae", share=share)
        terms = model(seen())
        assert reached(terms.rate.sum(), model.down)
        assert reached(terms.distortion.sum(), model.down) == share
    assert reached(terms.distortion.sum(), model.own)


def test_a_ladder_is_shared_where_its_own_guess_is_the_prior():
    shared, apart = new("ladder_vae"), new("ladder_vae", share=False)
    apart.load_state_dict(shared.state_dict(), strict=False)
    apart.own = copy.deepcopy(apart.down)
    for model in (shared, apart):
        torch.manual_seed(3)
        model.terms = model(seen())
    for a, b in zip(shared.terms, apart.terms, strict=True):
        assert torch.equal(a, b)


# ---- VQ-VAE whose codebook is an average ---------------------------------------------------------------------------


def averaged(**params):
    return new("vq_vae", spread=0.0, codebook="ema", positions=5, codes=6, dim=2, **params)


def step(model, batch):
    """One step of the averages, as the trainer takes it."""
    _, follow = Single(model).optimizers(1e-3)
    follow.zero_grad()
    model.critic_loss(batch, {}).backward()
    follow.step()


def test_one_step_of_the_codebook_is_an_exponential_moving_average():
    model, batch = averaged(), seen()
    e = model.embed(batch.x).detach().flatten(0, 1)
    c = model.vectors().clone()
    nearest = torch.cdist(e, c).argmin(-1)
    used, total = model.used().clone(), model.total().clone()
    step(model, batch)
    for k in range(6):
        n, sent = (nearest == k).sum() / 64, e[nearest == k].sum(0) / 64  # an example
        close(model.used()[k, 0], 0.99 * used[k, 0] + 0.01 * n)
        close(model.total()[k], 0.99 * total[k] + 0.01 * sent)
    smoothed = (model.used() + 1e-5) / (model.used().sum() + 6e-5) * model.used().sum()
    close(model.vectors(), model.total() / smoothed)
    assert len(nearest.unique()) > 1 and not torch.allclose(model.vectors(), c, atol=1e-4)


def test_an_averaged_codebook_starts_where_it_was_drawn():
    torch.manual_seed(0)
    model = registry.model("vq_vae", SPEC, codebook="ema", codes=6, dim=2)
    torch.manual_seed(0)
    close(model.vectors(), registry.model("vq_vae", SPEC, codes=6, dim=2).codebook)


def test_an_averaged_codebook_comes_to_rest_in_the_middle_of_what_it_stands_for(monkeypatch):
    """With e at rest: the mean of each cell, once all of where it began, 1 away, is forgotten but .99⁷⁰⁰ < 10⁻³."""
    model = averaged()
    c = 10 * torch.arange(12.0).view(6, 2)
    with torch.no_grad():
        model.total.value.copy_(c * model.used.value)
    cell = torch.randint(0, 6, (64, 5))
    e = c[cell] + 1 + 0.3 * torch.randn(64, 5, 2)
    monkeypatch.setattr(model, "embed", lambda x: e)
    for _ in range(700):
        step(model, seen())
    for k in range(6):
        close(model.vectors()[k], e[cell == k].mean(0), atol=2e-3)


def test_a_vector_that_falls_out_of_use_fades_and_never_blows_up():
    model = averaged()
    with torch.no_grad():
        far = torch.tensor([50.0, -50.0])
        model.total.value[0] = far * model.used.value[0]
    close(model.vectors()[0], far, rtol=1e-3)
    for steps in (100, 5000):
        for _ in range(steps):
            with torch.no_grad():  # what `step` does to the share of a vector that nothing is near to
                model.used.value[0] *= 0.99
                model.total.value[0] *= 0.99
        assert model.vectors().isfinite().all() and (model.vectors()[0].abs() <= 50.1).all()
    assert model.vectors()[0].abs().max() < 1  # the smoothing wins in the end


def test_an_averaged_codebook_is_moved_by_no_gradient_of_the_loss():
    model, batch = averaged(), seen()
    terms = model(batch)
    ours = terms.distortion.sum() + terms.rate.sum() + terms.regularizer
    e = model.embed(batch.x)
    nearest = torch.cdist(e, model.vectors().expand(64, -1, -1)).argmin(-1)
    close(terms.regularizer, model.b * (e - model.vectors()[nearest]).square().sum((1, 2)).mean())
    for average in (model.used, model.total):
        assert not reached(ours, average) and reached(terms.critic_loss, average)
    assert not reached(terms.critic_loss, model.encoder)
    assert model.row.R1 == "b ‖e − sg[c]‖²" and not hasattr(model, "codebook")


def test_a_codebook_there_is_not_is_refused():
    with pytest.raises(ValueError, match="'ema'"):
        new("vq_vae", codebook="kmeans")
