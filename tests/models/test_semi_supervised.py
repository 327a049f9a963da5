"""M2 and M1+M2: classes summed over, the labels that are known, and what they buy."""

import math

import pytest
import torch
from effects import trained
from small import close, equal_on_average, gaussian_kl, gradient, images, labelled, maker, reaches, same_noise
from torch.nn.functional import cross_entropy

from rdu_bench import registry
from rdu_bench.api import Batch, Spec, mlp, total_rate
from rdu_bench.model import replay
from rdu_bench.training.loop import labelled as hide_labels

SPEC = Spec((1, 4, 4), examples=40, classes=3, groups=2, hidden=(16, 16), latent=3)
new = maker(SPEC, spread=0.3)


# ---- M2 -------------------------------------------------------------------------------------------------------------


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
    ours = list(model.classifier.parameters())
    for term, expected in ((terms.distortion, q * D), (terms.rate, q * (q.log() + R))):
        pulls = zip(gradient(term.mean(), ours), gradient(expected.sum(-1).mean(), ours), strict=True)
        assert all(torch.allclose(a, b, atol=1e-5) and b.any() for a, b in pulls)  # which class explains x


def test_m2_with_labels_takes_the_class_it_is_told():
    model, batch = (
        new("m2"),
        labelled(
            y=(
                0,
                2,
                1,
            )
        ),
    )
    terms, D, R = enumerated(model, batch)
    told = batch.y[:, None]
    close(terms.distortion, D.gather(1, told)[:, 0])
    log_q = model.classifier(batch.x).log_softmax(-1)
    bill = math.log(SPEC.classes) + (log_q.exp() * log_q).sum(-1)
    close(terms.rate, R.gather(1, told)[:, 0] + bill)


def test_m2_labels_reach_the_classifier_through_its_own_term_only():
    model, batch = (
        new("m2"),
        labelled(
            y=(
                0,
                2,
                1,
            )
        ),
    )
    terms, *_ = enumerated(model, batch)
    ours = list(model.classifier.parameters())
    for term in (terms.distortion.mean(), terms.rate.mean()):
        grads = torch.autograd.grad(term, ours, retain_graph=True, allow_unused=True)
        assert all(g is None or not g.any() for g in grads)
    assert all(g.any() for g in torch.autograd.grad(terms.regularizer, ours))


def test_m2_rows_are_labelled_one_by_one():
    """A batch that mixes both kinds gives each row what it gets in a batch of its own kind."""
    x, model = images(), new("m2")
    terms, D, _ = enumerated(
        model,
        labelled(
            y=(
                1,
                -1,
            )
        ),
    )
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
    given = model.encode(
        labelled(
            y=(
                0,
                1,
            )
        )
    )
    assert all(torch.equal(without[name].sample, given[name].sample) for name in without)


# ---- M1+M2 ----------------------------------------------------------------------------------------------------------


def first(model):
    return [*model.encoder.parameters(), *model.decoder.parameters()]


def second(model):
    return [w for part in (model.classifier, model.up, model.down) for w in part.parameters()]


def test_m1_m2_rate_is_the_brute_force_sum_over_classes():
    model, batch = new("m1_m2"), labelled(48, y=(-1, 0, 2))
    z1, z2 = torch.randn(48, 3), torch.randn(48, 3, 3)
    with replay([z1, z2.flatten(0, 1)]):
        terms = model(batch)
    q1, standard = model.encoder(batch.x), model.prior()
    log_q = model.classifier(z1).log_softmax(-1)
    cost = []
    for k in range(3):
        y = torch.eye(3)[k].expand(48, -1)
        q2 = model.up(z1, y)
        KL = 0.5 * (q2.mean**2 + q2.variance - 1 - q2.variance.log()).sum(-1)
        cost.append(KL - model.down(y, z2[:, k]).log_prob(z1))
    above = (log_q.exp() * (torch.stack(cost, 1) + log_q)).sum(-1) + math.log(3)  # labelled or not
    KL = 0.5 * (q1.mean**2 + q1.variance - 1 - q1.variance.log()).sum(-1)
    close(terms.rate, KL + standard.log_prob(z1) + above)
    close(terms.distortion, -model.decoder(z1).log_prob(batch.x))


def test_m1_is_trained_as_a_vae_that_knows_of_no_m2():
    model, batch = new("m1_m2"), labelled(48, y=(-1, 0, 2))
    vae = registry.model("vae", SPEC)
    vae.encoder.load_state_dict(model.encoder.state_dict())
    vae.decoder.load_state_dict(model.decoder.state_dict())
    terms, plain = same_noise(model, batch), same_noise(vae, batch)
    close(terms.distortion, plain.distortion)
    assert not torch.allclose(terms.rate, plain.rate, atol=0.1)
    for a, b in zip(terms[:2], plain[:2], strict=True):
        for mine, its in zip(gradient(a.mean(), first(model)), gradient(b.mean(), first(vae)), strict=True):
            close(mine, its)
    assert not reaches(terms.regularizer, model.encoder)


def test_m2_is_trained_on_codes_that_it_does_not_move():
    """Its gradient is that of an M2 whose data are the draws of z_1."""
    model, batch = new("m1_m2"), labelled(48, y=(-1, 0, 2))
    terms = same_noise(model, batch)
    for part in (model.classifier, model.up, model.down):
        assert reaches(terms.rate.mean(), part) and not reaches(terms.distortion.mean(), part)
    assert reaches(terms.regularizer, model.classifier)
    m2 = registry.model("m2", Spec((3,), examples=40, classes=3, hidden=(16,), latent=3, likelihood="gaussian"))
    m2.classifier, m2.encoder, m2.decoder = model.classifier, model.up, model.down
    torch.manual_seed(7)
    z1 = model.encoder(batch.x).rsample().detach()
    alone = m2(batch._replace(x=z1))
    ours = second(model)
    pairs = zip(gradient(terms.rate.mean(), ours), gradient((alone.rate + alone.distortion).mean(), ours), strict=True)
    for mine, its in pairs:
        close(mine, its)
    close(terms.regularizer, alone.regularizer)


def test_m1_m2_whose_second_half_says_nothing_costs_what_a_vae_does():
    """p(z_1|y, z_2) = N(0, I), q(y|z_1) = 1/K and q(z_2|z_1, y) = N(0, I): R is M1's KL, draw by draw."""
    model, batch = new("m1_m2"), labelled(48)
    with torch.no_grad():
        for net in (model.classifier[-1], model.up.net[-1], model.down.net[-1]):
            net.weight.zero_()
            net.bias.zero_()
        for part in (model.up, model.down):
            part.net[-1].bias[3:] = math.log(math.expm1(1 - 1e-4))  # a standard deviation of 1
    q = model.encoder(batch.x)
    KL = 0.5 * (q.mean**2 + q.variance - 1 - q.variance.log()).sum(-1)
    close(model(batch).rate, KL, atol=1e-4)


def test_m1_m2_code_costs_on_average_what_the_sum_and_the_joint_log_ratio_say():
    model, N = new("m1_m2"), 20_000
    batch = Batch.unlabelled(labelled(1).x.expand(N, -1, -1, -1))
    with torch.no_grad():
        code = model.encode(batch)
        equal_on_average(model(batch).rate, total_rate(code))
        equal_on_average(sum(block.log_ratio for block in code.values()), total_rate(code))
        without = {name: b._replace(sample=math.nan * b.sample) for name, b in code.items() if name != "z1"}
        assert torch.equal(model.decode({**code, **without}).mean, model.decode(code).mean)


@pytest.mark.parametrize("name", ["m2", "m1_m2"])
def test_labels_weigh_as_many_examples_as_each_stands_for(name):
    few, all_of_them = new(name, labelled=10, alpha=0.3), new(name, labelled=400, alpha=0.3)
    assert (few.alpha, all_of_them.alpha) == (pytest.approx(1.2), 0.3)
    assert (few.labelled, all_of_them.labelled) == (10, 400)


def test_m1_m2_sends_as_many_dimensions_of_z_2_as_are_asked_for():
    for above, d in ((None, 3), (2, 2)):
        assert new("m1_m2", above=above).encode(labelled(4))["z2"].sample.shape == (4, d)


def test_m1_m2_pays_for_z_1_by_what_m2_tells_of_it():
    """KL(q(z_1|x) ‖ N(0, I)) + log N(z_1; 0, I) − log p(z_1|y, z_2), of each draw."""
    model = new("m1_m2")
    code = model.encode(labelled())
    told, z1 = model.down(code["y"].sample, code["z2"].sample), code["z1"].drawn
    away = 0.5 * (z1.square() + math.log(2 * math.pi)).sum(-1)
    close(code["z1"].rate, gaussian_kl(code["z1"].q) - away - told.log_prob(z1), atol=1e-3)


def test_what_follows_a_class_is_found_in_the_class_that_was_drawn():
    """And in M1+M2 the class in the z_1 that was drawn."""
    for name, part in (("m2", "z"), ("m1_m2", "z2")):
        model, given = new(name), labelled()
        code = model.encode(given)
        y = code["y"].sample
        if name == "m2":
            expected = model.encoder(given.x, y)
        else:
            expected = model.up(code["z1"].sample, y)
            close(code["y"].q.mean, model.classifier(code["z1"].sample).softmax(-1))
        close(code[part].q.mean, expected.mean)


def test_m1_m2_labels_reach_the_classifier_through_its_own_term_only():
    model = new("m1_m2")
    terms = model(labelled(48, y=(0, 2, 1)))
    assert not reaches(terms.rate.mean(), model.classifier) and reaches(terms.regularizer, model.classifier)


@pytest.mark.parametrize("name", ["m1_m2", "structured_dgm", "information_dropout"])
def test_code_does_not_look_at_labels(name):
    model = new(name)
    codes = []
    for batch in (labelled(48), labelled(48, y=(0, 1), s=(1, 0))):
        torch.manual_seed(5)
        codes.append(model.encode(batch))
    assert all(torch.equal(codes[0][block].sample, codes[1][block].sample) for block in codes[0])


# ---- what labels buy ------------------------------------------------------------------------------------------------


def known(data, model):
    """The images of which the model was shown the label, and their labels."""
    split = hide_labels(data, model, 0)
    y = split.factors[data.label.name]
    return split.take(y >= 0), y[y >= 0]


def taught(net, x, y, steps=400, lr=5e-3, decay=0.01):
    """`net` after learning y; `x` draws the inputs anew each step."""
    adam = torch.optim.AdamW(net.parameters(), lr, weight_decay=decay)
    for _ in range(steps):
        adam.zero_grad()
        cross_entropy(net(x()), y).backward()
        adam.step()
    return net


@pytest.mark.effect
def test_m2_knows_more_of_y_than_heads_that_saw_the_same_labels():
    """30 labels: D_y at least 0.1 nats and accuracy 3 points better than the best head's (0.12 to 0.54, 5 to 11)."""
    data = registry.dataset("digits")
    model, _ = trained("m2", data, 2.0, labelled=30)
    x, y = known(data, model)
    test, true = data.splits["test"].take(), data.splits["test"].factors["digit"]
    heads = [taught(mlp(64, *hidden, 10), lambda: x.flatten(1), y) for hidden in ((), (128,), (128, 128))]
    with torch.no_grad():
        ours, theirs = model.classifier(test), [head(test.flatten(1)) for head in heads]
    assert cross_entropy(ours, true) < min(cross_entropy(logits, true) for logits in theirs) - 0.1
    right = [float((logits.argmax(-1) == true).float().mean()) for logits in (ours, *theirs)]
    assert right[0] > max(right[1:]) + 0.03


@pytest.mark.effect
def test_m1_m2_knows_more_of_y_than_a_head_on_the_same_features():
    """Its D_y against that of its like on the same z_1 and labels, decayed as suits it best (0.17 to 0.21 nats)."""
    data = registry.dataset("digits")
    model, control = trained("m1_m2", data, 18.0, labelled=30)
    assert abs(control.rate_err) < 0.02
    x, y = known(data, model)
    test, true = data.splits["test"].take(), data.splits["test"].factors["digit"].repeat(8)
    with torch.no_grad():
        q, z = model.encoder(x), model.encoder(test.repeat(8, 1, 1, 1)).rsample()
    heads = [taught(mlp(10, 128, 10), q.rsample, y, 800, 2e-3, decay) for decay in (1.0, 3.0, 10.0)]
    with torch.no_grad():
        ours, theirs = cross_entropy(model.classifier(z), true), [cross_entropy(head(z), true) for head in heads]
    assert ours < min(theirs) - 0.08
