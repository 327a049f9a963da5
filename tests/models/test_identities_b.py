"""One law a model: Ladder VAE, VQ-VAE, M2 and the lossy VAE in the limits where what they must be is known."""

import itertools
import math

import pytest
import torch
from torch.distributions import kl_divergence

from rdu_bench import registry
from rdu_bench.api import Batch, Spec, UnitGaussian, gaussian, total_rate
from rdu_bench.model import replay
from rdu_bench.training.train import fit

SPEC = Spec((1, 4, 4), examples=40, classes=3, hidden=(16, 16), latent=3)


def new(name, spread=0.3, **params):
    """A model none of whose weights is at an initial zero."""
    torch.manual_seed(0)
    model = registry.model(name, SPEC, **params)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(spread * torch.randn_like(weight))
    return model


def images(n=64, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, *SPEC.shape, generator=generator).round()


def close(a, b, **tolerance):
    assert torch.allclose(a, b, **({"atol": 1e-5, "rtol": 1e-4} | tolerance)), (a - b).abs().max()


# ---- Ladder VAE ----------------------------------------------------------------------------------------------------


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


# ---- M2 ------------------------------------------------------------------------------------------------------------


def labels(model, x, pattern):
    """A batch whose labels follow `pattern`, over and over."""
    y = torch.tensor(pattern).repeat(len(x))[: len(x)]
    return Batch(x, y, torch.full_like(y, -1), torch.ones(()))


def class_by_class(model, x, z):
    """D and KL of z, (B, K) each, by a loop over classes; z (B, K, d) are the draws."""
    D, R = [], []
    for k in range(SPEC.classes):
        y = torch.eye(SPEC.classes)[k].expand(len(x), -1)
        q = model.encoder(x, y)
        logits = model.decoder(y, z[:, k]).base_dist.logits
        D.append((torch.nn.functional.softplus(logits) - x * logits).sum((1, 2, 3)))
        R.append(0.5 * (q.mean**2 + q.variance - 1 - q.variance.log()).sum(-1))
    return torch.stack(D, 1), torch.stack(R, 1)


def enumerated(model, batch):
    """Terms of the model, and of the loop, at the same draws."""
    z = torch.randn(len(batch.x), SPEC.classes, SPEC.latent)
    with replay([z.flatten(0, 1)]):
        terms = model(batch)
    return terms, *class_by_class(model, batch.x, z)


def test_m2_without_labels_is_the_brute_force_sum():
    model, batch = new("m2"), Batch.unlabelled(images())
    terms, D, R = enumerated(model, batch)
    q = model.classifier(batch.x).softmax(-1)
    assert (q.max(-1).values < 0.99).any()  # several classes count
    close(terms.distortion, (q * D).sum(-1))
    close(terms.rate, (q * R).sum(-1) - torch.special.entr(q).sum(-1) + math.log(SPEC.classes))
    assert terms.regularizer == 0


def test_m2_with_labels_takes_the_class_it_is_told():
    model, batch = new("m2"), labels(None, images(), [0, 2, 1])
    terms, D, R = enumerated(model, batch)
    told = batch.y[:, None]
    close(terms.distortion, D.gather(1, told)[:, 0])
    log_q = model.classifier(batch.x).log_softmax(-1)
    bill = math.log(SPEC.classes) + (log_q.exp() * log_q).sum(-1)
    close(terms.rate, R.gather(1, told)[:, 0] + bill)


def test_m2_labels_reach_the_classifier_through_its_own_term_only():
    model, batch = new("m2"), labels(None, images(), [0, 2, 1])
    terms, *_ = enumerated(model, batch)
    ours = list(model.classifier.parameters())
    for term in (terms.distortion.mean(), terms.rate.mean()):
        grads = torch.autograd.grad(term, ours, retain_graph=True, allow_unused=True)
        assert all(g is None or not g.any() for g in grads)
    assert all(g.any() for g in torch.autograd.grad(terms.regularizer, ours))


def test_m2_rows_are_labelled_one_by_one():
    """A batch that mixes both kinds gives each row what it gets in a batch of its own kind."""
    x, model = images(), new("m2")
    terms, D, _ = enumerated(model, labels(None, x, [1, -1]))
    q = model.classifier(x).softmax(-1)
    weight = torch.where(torch.arange(len(x))[:, None] % 2 == 0, torch.eye(3)[1], q)
    close(terms.distortion, (weight * D).sum(-1))


def test_m2_classifier_term_is_alpha_times_a_mean_over_all_labelled():
    """Summed over the batches of an epoch, whatever the share of labelled examples in each."""
    model, x = new("m2", labelled=10, alpha=0.1), images(SPEC.examples)
    y = torch.full((SPEC.examples,), -1)
    y[[0, 1, 2, 3, 4, 5, 6, 7, 20, 39]] = torch.arange(10) % 3
    parts = [model(Batch(x[i], y[i], y[i], torch.ones(()))).regularizer for i in torch.arange(40).split(8)]
    expected = torch.nn.functional.cross_entropy(model.classifier(x[y >= 0]), y[y >= 0])
    close(torch.stack(parts).mean(), 0.1 * expected)
    assert model.labelled == 10


def test_m2_is_best_where_its_classifier_is_the_posterior():
    """min over q(y|x) of D + R is −log Σ_y exp(−D_y − R_y)/K, at q(y|x) ∝ exp(−D_y − R_y)."""

    class Fixed(torch.nn.Module):
        def __init__(self, logits):
            super().__init__()
            self.logits = logits

        def forward(self, x):
            return self.logits

    model, x = new("m2"), images()
    z = torch.randn(len(x), SPEC.classes, SPEC.latent)
    D, R = class_by_class(model, x, z)
    bound = math.log(SPEC.classes) - (-D - R).logsumexp(-1)

    def loss(logits):
        model.classifier = Fixed(logits)
        with replay([z.flatten(0, 1)]):
            terms = model(Batch.unlabelled(x))
        return terms.distortion + terms.rate

    close(loss(-D - R), bound, atol=1e-4)
    for _ in range(5):
        assert (loss(-D - R + torch.randn_like(D)) >= bound - 1e-4).all()


def test_m2_code_costs_and_loses_on_average_what_the_sum_says():
    model, N = new("m2"), 20_000
    x = images(1).expand(N, -1, -1, -1)
    batch = Batch.unlabelled(x)
    with torch.no_grad():
        exact, code = model(batch), model.encode(batch)
        for exact_term, drawn in ((exact.rate, total_rate(code)), (exact.distortion, model.distortion(batch, code))):
            difference = drawn - exact_term
            assert abs(difference.mean()) < 4 * difference.std() / N**0.5
    assert list(code) == ["y", "z"] and code["y"].discrete
    assert torch.equal(code["y"].sample.sum(-1), torch.ones(N))


def test_m2_code_does_not_look_at_labels():
    model, x = new("m2"), images()
    torch.manual_seed(5)
    without = model.encode(Batch.unlabelled(x))
    torch.manual_seed(5)
    given = model.encode(labels(None, x, [0, 1]))
    assert all(torch.equal(without[name].sample, given[name].sample) for name in without)


# ---- VQ-VAE --------------------------------------------------------------------------------------------------------


def heated(model, T):
    """The model at this temperature."""
    with torch.no_grad():
        model.log_T.fill_(math.log(T) / 10)
    return model


def test_vq_sends_vectors_of_the_codebook_and_no_others():
    model = heated(new("vq_vae", positions=5, codes=7, dim=3), 1)
    block = model.encode(Batch.unlabelled(images()))["z"]
    sent, symbols = block.sample.view(64, 5, 3), block.drawn.argmax(-1)
    close(sent, model.codebook[symbols], atol=1e-6)
    assert torch.equal(block.drawn.detach().sum(-1), torch.ones(64, 5)) and block.discrete
    assert len(symbols.unique()) > 3


def test_vq_is_the_arg_min_where_it_is_cold():
    model, batch = heated(new("vq_vae"), 1e-7), Batch.unlabelled(images())
    block = model.encode(batch)["z"]
    nearest = torch.cdist(model.embed(batch.x), model.codebook.expand(64, -1, -1)).argmin(-1)
    assert torch.equal(block.drawn.argmax(-1), nearest)
    price = -model.prior(block.drawn).log_prob(block.drawn)  # of a symbol that x decides
    close(block.rate, price, atol=1e-3)


def test_vq_posterior_is_a_softmax_of_distances():
    model, batch = heated(new("vq_vae"), 0.8), Batch.unlabelled(images())
    e = model.embed(batch.x)
    weight = torch.stack([(-(e - c).square().sum(-1) / 0.8).exp() for c in model.codebook], -1)
    close(model.encode(batch)["z"].q.mean, weight / weight.sum(-1, keepdim=True))


def test_vq_gradient_passes_the_draw_as_if_it_were_relaxed():
    """dz/de is that of the vectors averaged with the weights softmax(logits + Gumbel), whatever was drawn."""
    model, x = heated(new("vq_vae", positions=2, codes=5, dim=2), 3), images(8)
    weight = torch.randn(8, 4)
    ours = list(model.encoder.parameters())
    torch.manual_seed(3)
    block = model.encode(Batch.unlabelled(x))["z"]
    straight = torch.autograd.grad((weight * block.sample).sum(), ours)
    torch.manual_seed(3)
    logits = model.encode(Batch.unlabelled(x))["z"].q.base_dist.logits
    torch.manual_seed(3)
    gumbel = -torch.log(-torch.log(torch.rand_like(logits).clamp(1e-7, 1 - 1e-7)))
    soft = ((logits + gumbel).softmax(-1) @ model.codebook).flatten(1)
    for a, b in zip(straight, torch.autograd.grad((weight * soft).sum(), ours), strict=True):
        close(a, b)
        assert a.any()


def test_vq_codebook_follows_the_encoder_and_nothing_else():
    model, batch = new("vq_vae"), Batch.unlabelled(images())
    terms = model(batch)
    for term in (terms.distortion.mean(), terms.rate.mean()):
        (found,) = torch.autograd.grad(term, [model.codebook], retain_graph=True, allow_unused=True)
        assert found is None or not found.any()
    e = model.embed(batch.x)
    nearest = torch.cdist(e, model.codebook.expand(64, -1, -1)).argmin(-1)
    expected = torch.zeros_like(model.codebook)  # d/dc Σ ‖e − c‖² / B, symbol by symbol
    expected.index_add_(0, nearest.flatten(), (2 / 64 * (model.codebook[nearest] - e)).detach().flatten(0, 1))
    (found,) = torch.autograd.grad(terms.regularizer, [model.codebook], retain_graph=True)
    close(found, expected)
    pull = torch.autograd.grad(terms.regularizer, list(model.encoder.parameters()))
    commit = model.b * (e - model.codebook[nearest].detach()).square().sum((1, 2)).mean()
    for a, b in zip(pull, torch.autograd.grad(commit, list(model.encoder.parameters())), strict=True):
        close(a, b)


def test_vq_rate_of_a_uniform_prior_is_p_log_k_less_the_entropy():
    """So never above P log K, and P log K exactly where x decides every symbol."""
    torch.manual_seed(0)
    model, batch = registry.model("vq_vae", SPEC, positions=6, codes=8), Batch.unlabelled(images())
    block = model.encode(batch)["z"]
    close(block.rate, 6 * math.log(8) - block.q.entropy(), atol=1e-4)
    assert block.rate.max() <= 6 * math.log(8)
    close(heated(model, 1e-8).encode(batch)["z"].rate, torch.tensor(6 * math.log(8)), atol=1e-2)


def test_vq_rate_is_the_joint_log_ratio_on_average():
    """Conditional KLs at one draw against log q(k|x) − log m(k) of whole strings."""
    model, N = heated(new("vq_vae", positions=3, codes=4), 10), 20_000
    with torch.no_grad():
        block = model.encode(Batch.unlabelled(images(1).expand(N, -1, -1, -1)))["z"]
        difference = block.rate - block.log_ratio
        assert abs(difference.mean()) < 4 * difference.std() / N**0.5
        q, k = block.q.mean[0], torch.eye(4)[list(itertools.product(range(4), repeat=3))]
        log_q = (k * q.log()).sum((1, 2))
        exact = (log_q.exp() * (log_q - model.prior(k).log_prob(k))).sum()
        assert abs(block.rate.mean() - exact) < 4 * block.rate.std() / N**0.5
    assert block.rate.std() > 0.01  # it depends on what was sent before


@pytest.mark.slow
def test_vq_meets_rates_on_both_sides_of_the_elbo():
    data = registry.dataset("digits")
    lost = []
    for sigma in (4.0, 9.0):
        torch.manual_seed(0)
        model = registry.model("vq_vae", data.spec(hidden=(128, 128), latent=10))
        control = fit(model, data, sigma, steps=800)
        assert control.R_train == pytest.approx(sigma, rel=0.1)
        batch = Batch.unlabelled(data.splits["test"].x)
        with torch.no_grad():
            lost.append(model.distortion(batch, model.encode(batch)).mean().item())
    assert lost[1] < lost[0] - 2 and lost[1] < 18


# ---- VLAE (lossy) --------------------------------------------------------------------------------------------------


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
        raw.bias.copy_(torch.tensor([0.0] * 3 + [math.log(math.e - 1 - 1e-4)] * 3))
        torch.manual_seed(1)
        code = model.encode(Batch.unlabelled(x))
        one = {"z": code["z"]._replace(sample=code["z"].sample[:1].expand(16, -1))}
        mass = (-model.distortion(Batch.unlabelled(x), one)).exp()
    assert code["z"].rate.abs().max() < 1e-3
    assert mass.sum().item() == pytest.approx(1, abs=1e-5) and mass.max() > 2 / 16


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
