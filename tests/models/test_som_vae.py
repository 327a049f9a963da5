"""SOM-VAE: symbols on a grid, and the chain that they are expected by."""

import itertools
import math

import pytest
import torch
from effects import trained
from small import close, gradient, images, maker, reaches, seen

from rdu_bench import registry
from rdu_bench.api import Batch, Spec

T = 4
SPEC = Spec((T, 1, 4, 4), examples=40, hidden=(16, 16), latent=3)
shaken = maker(SPEC, spread=0.3)


def new(name, spec=SPEC, **params):
    model = shaken(name, spec, **params)
    if name == "som_vae":
        with torch.no_grad():
            model.codebook.mul_(0.2)  # as near to each other as what is sent, so that many are used
            model.start.mul_(0.2)
            model.move.mul_(0.2)
    return model


def film(n=32, spec=SPEC):
    return seen(n, spec.shape)


def used(model, x):
    """(B, T) the symbols of frames, by distances written out."""
    return torch.cdist(model.encoder(x), model.vectors().expand(len(x), -1, -1)).argmin(-1)


@pytest.mark.parametrize(("side", "most"), [(2, 2), (3, 4), (4, 4)])
def test_neighbours_are_two_to_four_and_one_step_away(side, most):
    near = new("som_vae", side=side).near
    for i, j in itertools.product(range(side**2), repeat=2):
        step = abs(i // side - j // side) + abs(i % side - j % side)
        assert near[i, j] == (step == 1)
    count = near.sum(1)
    assert count.min() == 2 and count.max() == most and torch.equal(near, near.T)
    assert (count == 2).sum() == 4  # the corners


def test_vectors_start_as_wide_as_those_of_vq_vae():
    torch.manual_seed(0)
    assert registry.model("som_vae", SPEC, side=16).vectors().std().item() == pytest.approx(0.7, rel=0.05)


def test_a_frame_is_sent_as_the_nearest_vector():
    model, batch = new("som_vae"), film()
    block, k = model.encode(batch)["k"], used(new("som_vae"), film().x)
    assert torch.equal(block.drawn.argmax(-1), k) and len(k.unique()) > 3 and block.discrete
    assert torch.equal(block.sample.view(32, T, 4), model.vectors()[k])
    assert torch.equal(model.encode(batch)["k"].drawn, block.drawn)  # x decides it


def test_a_chain_charges_for_the_first_symbol_and_every_step():
    model, batch = new("som_vae"), film()
    k, block = used(model, batch.x), model.encode(batch)["k"]
    start, move = (20 * model.start).log_softmax(0), (20 * model.move).log_softmax(1)
    paid = [-start[i] - sum(move[a, b] for a, b in itertools.pairwise(row)) for row in k.tolist() for i in row[:1]]
    close(block.rate, torch.stack(paid), atol=1e-3)
    close(model(batch).rate, block.rate)
    uniform = new("som_vae", spread=0).encode(batch)["k"].rate
    close(uniform, torch.full((32,), T * math.log(16)), atol=1e-3)


def test_at_the_optimum_the_chain_is_the_counts_of_starts_and_of_steps():
    """There the gradient of R, which is convex in the logits, is zero; and R is the entropy of those counts."""
    model = new("som_vae", side=2)
    k = torch.randint(4, (300, 5), generator=torch.Generator().manual_seed(2))
    k[:, 1:] = torch.where(k[:, 1:] == 3, k[:, :-1], k[:, 1:])  # a symbol likes to stay
    steps, starts = torch.zeros(4, 4), torch.bincount(k[:, 0], minlength=4).float()
    for a, b in zip(k[:, :-1].flatten().tolist(), k[:, 1:].flatten().tolist(), strict=True):
        steps[a, b] += 1
    with torch.no_grad():
        model.start.copy_(starts.log() / 20)
        model.move.copy_(steps.log() / 20)
    hot = torch.nn.functional.one_hot(k, 4).float()
    p = model.chain(hot)
    rate = -p.log_prob(hot).mean()
    for slope in torch.autograd.grad(rate, [model.start, model.move]):
        close(slope, torch.zeros_like(slope), atol=1e-5)
    expected = -(starts * (starts / 300).log()).sum() - (steps * (steps / steps.sum(1, keepdim=True)).log()).sum()
    close(rate, expected / 300)
    close(p.base_dist.probs[0, 1], steps[k[0, 0]] / steps[k[0, 0]].sum())


@pytest.mark.parametrize("a", [0.0, 0.25])
def test_one_frame_without_a_grid_is_vq_vae(a):
    """R, D, what is added to them, and the gradient of their sum, with the weights of one in the other."""
    spec = SPEC._replace(shape=(1, 1, 4, 4))
    som = new("som_vae", spec, a=a, b=0.0)
    vq = new("vq_vae", SPEC._replace(shape=(1, 4, 4)), positions=1, codes=16, b=a, spread=0)
    vq.encoder.load_state_dict(som.encoder.net.state_dict())
    vq.decoder.net.load_state_dict(som.decoder.net.state_dict())
    with torch.no_grad():
        vq.codebook.copy_(som.vectors())
        vq.prior.base.copy_(4 * som.start[None])
    x = images(32)
    ours, theirs = som(Batch.unlabelled(x[:, None])), vq(Batch.unlabelled(x))
    for name in ("distortion", "rate", "regularizer"):
        close(getattr(ours, name), getattr(theirs, name), rtol=1e-3)
    for pull in (0.0, 1.0):  # at a price of R of 1, and of 1 + pull
        sums = [one.distortion.mean() + (1 + pull) * one.rate.mean() + one.regularizer for one in (ours, theirs)]
        for weights in ((som.encoder.net, vq.encoder), (som.decoder.net, vq.decoder.net)):
            found, expected = (gradient(s, part.parameters()) for s, part in zip(sums, weights, strict=True))
            for g, e in zip(found, expected, strict=True):
                close(g, e, atol=1e-4, rtol=1e-3)
        moved = gradient(sums[0], [som.codebook])[0] / 10
        close(moved, gradient(sums[1], [vq.codebook])[0], atol=1e-4, rtol=1e-3)


def test_neighbours_of_a_symbol_are_pulled_to_what_chose_it():
    """b Σ_t Σ_j ‖e_t − c_j‖², j next to k_t, which moves the codebook and not the encoder."""
    b = 0.7
    model, bare, batch = new("som_vae", b=b), new("som_vae", b=0.0), film(6)
    e, k = model.encoder(batch.x), used(model, batch.x)
    pulled = torch.zeros(())
    for i, t in itertools.product(range(6), range(T)):
        for j in model.near[k[i, t]].nonzero().flatten():
            pulled = pulled + (e[i, t].detach() - model.vectors()[j]).square().sum() / 6
    code = model.encode(batch)
    added = model.regularizer(batch, code) - bare.regularizer(batch, bare.encode(batch)).detach()
    close(added, b * pulled, rtol=1e-3)
    plain = gradient(bare.regularizer(batch, bare.encode(batch)), [bare.codebook])[0]
    close(gradient(added, [model.codebook])[0] - plain, b * gradient(pulled, [model.codebook])[0], atol=1e-4, rtol=1e-3)
    ours, theirs = (gradient(m.regularizer(batch, m.encode(batch)), m.encoder.parameters()) for m in (model, bare))
    for x, y in zip(ours, theirs, strict=True):
        close(x, y)


def test_codebook_and_encoder_follow_each_other_frame_by_frame():
    """Σ_t ‖sg[e] − c‖² + a ‖e − sg[c]‖², which is all that is added without a grid."""
    model, batch = new("som_vae", a=0.4, b=0.0), film(6)
    away = (model.encoder(batch.x) - model.vectors()[used(model, batch.x)]).square().sum((1, 2)).mean()
    found = model.regularizer(batch, model.encode(batch))
    close(found, 1.4 * away)
    close(gradient(found, [model.codebook])[0], gradient(away, [model.codebook])[0])


def test_codebook_has_no_gradient_of_distortion_or_rate():
    model = new("som_vae")
    terms = model(film())
    for term in (terms.distortion.mean(), terms.rate.mean()):
        assert not gradient(term, [model.codebook])[0].any()
        assert reaches(term, model.encoder)
    assert not reaches(terms.rate.mean() + terms.regularizer - model(film()).regularizer, model.decoder)


def test_without_a_target_the_encoder_pays_nothing_for_its_symbols():
    model = new("som_vae", a=0.0)
    terms = model(film())
    plain = gradient(terms.rate.mean() + terms.regularizer, model.encoder.parameters())
    assert all(g.abs().max() < 1e-6 for g in plain)
    assert reaches(terms.rate.mean(), model.encoder)
    found = gradient(terms.rate.mean() + terms.regularizer, [model.start, model.move])
    assert all(g.any() for g in found)


def test_a_frame_is_decoded_from_its_own_vector():
    model, one = new("som_vae"), torch.eye(T, dtype=torch.bool)
    code = model.encode(film(3))
    plain = model.receive(code).mean
    for t in range(T):
        z = code["k"].sample.detach().unflatten(1, (T, -1)).clone()
        close(plain[:, t], model.decoder.net(z[:, t]).sigmoid())
        z[:, t] += 1
        moved = model.receive({"k": code["k"]._replace(sample=z.flatten(1))}).mean
        assert torch.equal((moved != plain).flatten(2).any(-1), one[t].expand(3, -1))


def apart(model):
    """Mean distance of vectors next to each other on the grid, over that of the others."""
    with torch.no_grad():
        distance = torch.cdist(model.vectors(), model.vectors())
        far = 1 - model.near - torch.eye(len(distance))
        return float((distance * model.near).sum() / model.near.sum() / ((distance * far).sum() / far.sum()))


@pytest.mark.slow
@pytest.mark.effect
def test_neighbours_on_the_grid_are_alike():
    data = registry.dataset("bouncing_ball", frames=5, places=8, directions=8, n_train=1000, n_val=100, n_test=300)
    found, symbols = {}, {}
    for b in (0.0, 0.25):
        model, _ = trained("som_vae", data, None, steps=300, network={"hidden": (64,), "latent": 4}, b=b)
        found[b] = apart(model)
        symbols[b] = len(used(model, data.splits["test"].take()).unique())
    assert found[0.25] < 0.8 and found[0.25] < found[0.0] - 0.1
    assert symbols[0.25] >= 8 and symbols[0.25] > symbols[0.0]  # neighbours are brought to where frames are
