"""Ladders: what each level costs, knows and is decoded from."""

import copy
import itertools

import effects
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from small import close, gaussian_kl, images, labelled, lost, maker, reaches, seen
from torch.distributions import kl_divergence

from rdu_bench import registry
from rdu_bench.api import (
    Batch,
    Spec,
    UnitGaussian,
    flatten,
    gaussian,
    total_rate,
)
from rdu_bench.model import replay

SPEC = Spec((1, 4, 4), examples=40, hidden=(16, 16), latent=4)
CONV = SPEC._replace(shape=(1, 8, 8), family="conv", hidden=(4, 8, 16))
new = maker(SPEC, spread=0.3)


def redraw(model, code, name):
    """The code of the same examples with every block as it was but `name`, which is drawn from N(0, I)."""
    drawn = [torch.randn_like(b.drawn) if block == name else b.drawn for block, b in code.items()]
    with replay(drawn):
        return model.encode(seen(len(drawn[0])))


# ---- the latent of the suite ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("latent", [2, 3, 10])
@pytest.mark.parametrize(("name", "levels"), [("ladder_vae", 2), ("vlae_ladder", 3), ("pixel_vae", 2)])
def test_levels_share_the_latent_of_the_suite(name, levels, latent):
    code = new(name, SPEC._replace(latent=latent)).encode(seen())
    assert flatten(code).shape == (64, latent)
    assert len(code) == min(levels, latent) and all(block.sample.shape[1] for block in code.values())


@pytest.mark.parametrize("name", ["ladder_vae", "vlae_ladder"])
def test_a_latent_of_one_dimension_is_one_level(name):
    code = new(name, SPEC._replace(latent=1)).encode(seen())
    assert {level: block.sample.shape for level, block in code.items()} == {"z1": (64, 1)}


SYMBOLS = ("c", "k", "s", "specified", "y")  # blocks as wide as a label or a symbol has values
CODEBOOKS = ("gumbel_vq", "vq_vae")  # codes of symbols alone
SEQUENTIAL = {n for n in registry.files("models") if "sequence" in registry.card("models", n).get("needs", ())}
NUMBERED = [name for name in registry.files("models") if name not in CODEBOOKS and name not in SEQUENTIAL]


@pytest.mark.parametrize("name", NUMBERED)
def test_a_code_has_as_many_numbers_as_the_suite_says(name):
    """M1 + M2 sends two codes, of as many each."""
    spec = SPEC._replace(shape=(1, 8, 8), classes=4, groups=2, factors=2, latent=7)
    code = new(name, spec).encode(labelled(8, y=(0, 1, 2, 3), s=(0, 1), shape=(1, 8, 8)))
    numbers = sum(block.sample.shape[1] for part, block in code.items() if part not in SYMBOLS)
    assert numbers == (14 if name == "m1_m2" else 7)


# ---- Ladder VAE -----------------------------------------------------------------------------------------------------


def test_ladder_merges_by_multiplying_densities():
    """log q = log q̂ + log p + constant, on a grid of points: the product and nothing else."""
    model = new("ladder_vae", dims=(2, 2))
    x = images(5)
    code = model.encode(Batch.unlabelled(x))
    evidence = model.evidence[0](model.up[0](x).relu())
    z = torch.randn(50, 1, 2)
    excess = code["z1"].q.log_prob(z) - evidence.log_prob(z) - code["z1"].p.log_prob(z)  # (50, 5)
    assert excess.std(0).max() < 1e-4
    assert (code["z1"].q.variance < torch.minimum(evidence.variance, code["z1"].p.variance)).all()


def silence(model, level):
    """Evidence at this level with a standard deviation of 10⁴."""
    bias = model.evidence[level - 1].net.bias
    with torch.no_grad():
        bias[len(bias) // 2 :] = 1e4
    return model


def test_a_ladder_level_without_evidence_costs_nothing_and_is_the_prior():
    code = silence(new("ladder_vae"), 1).encode(Batch.unlabelled(images()))
    close(code["z1"].q.mean, code["z1"].p.mean, atol=1e-4)
    close(code["z1"].q.stddev, code["z1"].p.stddev)
    assert code["z1"].rate.abs().max() < 1e-5 < code["z2"].rate.min()


def test_ladder_evidence_far_surer_than_the_prior_is_the_posterior():
    model = new("ladder_vae")
    x = images()
    with torch.no_grad():
        head = model.evidence[0].net
        head.weight[3:], head.bias[3:] = 0, -20  # a standard deviation of 10⁻⁴
    close(model.encode(Batch.unlabelled(x))["z1"].q.mean, head(model.up[0](x).relu())[:, :3], atol=1e-4)


def test_a_ladder_predicts_from_what_was_drawn_above_and_learns_all_the_way_up():
    model = new("ladder_vae", dims=(3, 2, 2))
    code = model.encode(seen())
    for name, above in (("z2", "z3"), ("z1", "z2")):
        block = code[name]
        close(block.p.mean, model.down[int(name[1]) - 1](code[above].sample).mean)
        assert reaches(block.q.mean.sum(), model.evidence[int(name[1]) - 1])
    assert all(reaches(code["z3"].q.mean.sum(), up) for up in model.up)
    d = images()
    for up in model.up:
        d = up(d).clamp(min=0)
    close(code["z3"].q.mean, model.evidence[2](d).mean)


def test_ladder_sends_from_the_top_and_decodes_the_bottom():
    model = new("ladder_vae", dims=(4, 3, 2))
    code = model.encode(Batch.unlabelled(images()))
    assert [(name, block.sample.shape[1]) for name, block in code.items()] == [("z3", 2), ("z2", 3), ("z1", 4)]
    without = {name: block._replace(sample=torch.nan * block.sample) for name, block in code.items() if name != "z1"}
    close(model.decode({**code, **without}).mean, model.decode(code).mean)


def test_ladder_levels_sum_to_the_joint_rate():
    """Σ_l KL_l equals E log q(z_1, z_2|x) − log p(z_1, z_2), each joint from its own densities."""
    model, N = new("ladder_vae"), 20_000
    x = images(1).expand(N, -1, -1, -1)
    with torch.no_grad():
        code = model.encode(Batch.unlabelled(x))
        up = model.up[0](x).relu()
        top, bottom = code["z2"].drawn, code["z1"].drawn
        below = model.down[0](top)
        seen = model.evidence[0](up)
        precision = 1 / seen.variance + 1 / below.variance
        q = gaussian((seen.mean / seen.variance + below.mean / below.variance) / precision, precision.rsqrt())
        log_q = model.evidence[1](model.up[1](up).relu()).log_prob(top) + q.log_prob(bottom)
        log_p = UnitGaussian(top.shape[1])().log_prob(top) + below.log_prob(bottom)
    difference = total_rate(code) - (log_q - log_p)
    assert abs(difference.mean()) < 4 * difference.std() / N**0.5
    assert code["z1"].rate.std() > 0.01  # the rate of the lower level depends on what was drawn above


def test_a_ladder_of_one_level_is_a_vae():
    model = new("ladder_vae", dims=(3,))
    block = model.encode(Batch.unlabelled(images()))["z1"]
    mean, s = block.q.mean, block.q.stddev
    close(block.rate, 0.5 * (mean**2 + s**2 - 1 - 2 * s.log()).sum(-1))


# ---- Ladder VAE, with and without one way down ----------------------------------------------------------------------


def test_a_ladder_level_without_evidence_is_free_only_if_q_and_p_share_the_way_down():
    shared = silence(new("ladder_vae"), 1).encode(seen())
    assert shared["z1"].rate.abs().max() < 1e-5
    model = silence(new("ladder_vae", share=False), 1)
    apart = model.encode(seen())
    close(apart["z1"].rate, kl_divergence(model.own[0](apart["z2"].sample), apart["z1"].p), atol=1e-3)
    assert apart["z1"].rate.min() > 0.01


def test_an_unshared_ladder_merges_the_evidence_with_its_own_guess_and_pays_against_p():
    model, x = new("ladder_vae", share=False), images(5)
    code = model.encode(Batch.unlabelled(x))
    above, z = code["z2"].sample, torch.randn(50, 1, 3)
    evidence, guess = model.evidence[0](model.up[0](x).relu()), model.own[0](above)
    excess = code["z1"].q.log_prob(z) - evidence.log_prob(z) - guess.log_prob(z)  # (50, 5)
    assert excess.std(0).max() < 1e-4
    close(code["z1"].p.mean, model.down[0](above).mean)


def test_every_level_of_an_unshared_ladder_has_a_guess_of_its_own():
    model = silence(silence(new("ladder_vae", dims=(2, 2, 2), share=False), 1), 2)
    code = model.encode(seen())
    for level in (1, 2):
        above, block = code[f"z{level + 1}"].sample, code[f"z{level}"]
        close(block.q.mean, model.own[level - 1](above).mean, atol=1e-4)
        close(block.p.mean, model.down[level - 1](above).mean)


def test_only_in_a_shared_ladder_does_distortion_train_the_prior():
    for share in (True, False):
        model = new("ladder_vae", share=share)
        terms = model(seen())
        assert reaches(terms.rate.sum(), model.down)
        assert reaches(terms.distortion.sum(), model.down) == share
    assert reaches(terms.distortion.sum(), model.own)


def test_a_ladder_is_shared_where_its_own_guess_is_the_prior():
    shared, apart = new("ladder_vae"), new("ladder_vae", share=False)
    apart.load_state_dict(shared.state_dict(), strict=False)
    apart.own = copy.deepcopy(apart.down)
    for model in (shared, apart):
        torch.manual_seed(3)
        model.terms = model(seen())
    for a, b in zip(shared.terms, apart.terms, strict=True):
        assert torch.equal(a, b)


# ---- variational ladder ---------------------------------------------------------------------------------------------


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
    x = images(2, spec.shape).requires_grad_()
    code = {
        name: block._replace(sample=block.sample.detach()) for name, block in model.encode(seen(2, spec.shape)).items()
    }
    for block in code.values():
        block.sample.requires_grad_()
    drawn = model.decode(code).base_dist.logits
    down = {name: depth(drawn, block.sample) for name, block in code.items()}
    up = {name: depth(block.q.mean, x) for name, block in model.encode(Batch.unlabelled(x)).items()}
    for way in (down, up):
        assert all(fewest == most for fewest, most in way.values())  # no way round
        assert way["z1"] < way["z2"] < way["z3"]


def test_a_variational_ladder_adds_one_layer_a_level_to_the_two_and_the_one_of_its_lowest():
    """Of fully connected networks: up to q(z_l|x), and down to x, the top as deep there as a decoder of the suite."""
    model, x = new("vlae_ladder", dims=(2, 1, 1)), images(2).requires_grad_()
    up = {name: depth(block.q.mean, x) for name, block in model.encode(Batch.unlabelled(x)).items()}
    assert up == {"z1": (2, 2), "z2": (3, 3), "z3": (4, 4)}
    code = {name: block._replace(sample=block.sample.detach()) for name, block in model.encode(seen(2)).items()}
    for block in code.values():
        block.sample.requires_grad_()
    drawn = model.decode(code).base_dist.logits
    down = {name: depth(drawn, block.sample) for name, block in code.items()}
    assert down == {"z1": (1, 1), "z2": (2, 2), "z3": (3, 3)}
    z = torch.randn(2, 4, requires_grad=True)
    assert depth(new("vae").decoder(z).base_dist.logits, z) == down["z3"]


def test_a_variational_ladder_expects_the_same_of_every_level_whatever_was_sent():
    model = new("vlae_ladder")
    code = model.encode(seen())
    assert [(name, block.sample.shape[1]) for name, block in code.items()] == [("z3", 1), ("z2", 1), ("z1", 2)]
    for block in code.values():
        assert not block.p.mean.any() and torch.equal(block.p.stddev, torch.ones_like(block.p.stddev))
    assert not list(model.priors.parameters())
    for part in (model.down, model.decoder):  # in a Ladder VAE the way down is the prior
        assert not reaches(total_rate(code).sum(), part)
        assert reaches(model.distortion(seen(), code).sum(), part)


def test_a_variational_ladder_is_rectified_on_every_way_between_levels():
    model = new("vlae_ladder")
    code = model.encode(seen())
    h = images()
    for level, (up, read) in enumerate(zip(model.up, model.read, strict=True), 1):
        h = up(h).clamp(min=0)
        close(code[f"z{level}"].q.mean, read(h).mean)
    above = model.down[1](code["z3"].sample).clamp(min=0)
    above = model.down[0](torch.cat([code["z2"].sample, above], 1)).clamp(min=0)
    close(model.decode(code).mean, model.decoder(code["z1"].sample, above).mean)


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
    assert flatten(code).shape == (64, 4)


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
    codes = {part: model.encode(data.view(part, model.row).batch()) for part in ("train", "test")}
    y, y_test = (data.splits[part].factors["digit"].numpy() for part in ("train", "test"))
    heads = {name: LogisticRegression(max_iter=300).fit(b.sample.numpy(), y) for name, b in codes["train"].items()}
    return {name: log_loss(y_test, h.predict_proba(codes["test"][name].sample.numpy())) for name, h in heads.items()}


@pytest.mark.effect
def test_depth_sorts_what_a_variational_ladder_sends_and_saves_distortion():
    """At 9 nats: D 2.9 and 3.1 nats below that of the lowest level alone, as wide as all, with two seeds; z_3 tells
    .29 to .40 nats more about the digit than z_1, with three."""
    data = registry.dataset("digits")
    found = {}
    for dims in ((4, 4, 4), (12,)):
        model, control = effects.trained("vlae_ladder", data, 9.0, dims=dims)
        assert control.R_train == pytest.approx(9, rel=0.02)
        found[dims] = lost(model, data)
        if len(dims) == 3:
            wrong = mistaken(model, data)
            assert wrong["z3"] < wrong["z1"] - 0.1
    assert found[4, 4, 4] < found[(12,)] - 1.5
