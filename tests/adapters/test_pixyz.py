"""Models of Pixyz: its VAE is ours, its factors are blocks in their order, and its losses add what they say."""

import pytest
import torch
from small import close, gaussian_kl, lost, same_noise, seen, shaken
from torch import nn
from torch.nn.functional import softplus

from rdu_bench import Encoder, registry
from rdu_bench.api import Batch, Row, Spec, Trunk, Untrunk
from rdu_bench.conformance import check
from rdu_bench.training import Training, fit

pytest.importorskip("pixyz.distributions")
from pixyz.distributions import Bernoulli, Categorical, Normal, RelaxedCategorical
from pixyz.losses import AdversarialJensenShannon, KullbackLeibler

from rdu_bench.adapters.pixyz import _without_checks, from_pixyz

SPEC = Spec((1, 4, 4), examples=200, hidden=(16,), latent=3)
K = 5  # symbols
ROW = Row(paper="", title="of Pixyz", objective="D + R", needs=("binary",))


class Q(Normal):
    """q(z|x) with the networks of ours."""

    def __init__(self, data):
        super().__init__(var=["z"], cond_var=["x"], name="q")
        self.net = Trunk(data, 2 * data.latent)

    def forward(self, x):
        mean, raw = self.net(x).chunk(2, -1)
        return {"loc": mean, "scale": softplus(raw) + 1e-4}


class P(Bernoulli):
    """p(x|z) with the networks of ours."""

    def __init__(self, data):
        super().__init__(var=["x"], cond_var=["z"], name="p")
        self.net = Untrunk(data, data.latent)

    def forward(self, z):
        return {"probs": self.net(z).sigmoid()}


class Symbol(RelaxedCategorical):
    """q(c|x)."""

    def __init__(self, data):
        super().__init__(var=["c"], cond_var=["x"], name="q", temperature=torch.tensor(0.5))
        self.net = nn.Linear(data.size, K)

    def forward(self, x):
        return {"probs": self.net(x.flatten(1)).softmax(-1)}


class Within(Normal):
    """q(z|x, c)."""

    def __init__(self, data):
        super().__init__(var=["z"], cond_var=["x", "c"], name="q")
        self.net = nn.Linear(data.size + K, 2 * data.latent)

    def forward(self, x, c):
        mean, raw = self.net(torch.cat([x.flatten(1), c], -1)).chunk(2, -1)
        return {"loc": mean, "scale": softplus(raw) + 1e-4}


class OfSymbol(Normal):
    """p(z|c)."""

    def __init__(self, data):
        super().__init__(var=["z"], cond_var=["c"], name="p")
        self.mean = nn.Linear(K, data.latent)

    def forward(self, c):
        return {"loc": self.mean(c), "scale": torch.ones_like(self.mean(c))}


def unit(data):
    return Normal(loc=torch.tensor(0.0), scale=torch.tensor(1.0), var=["z"], features_shape=[data.latent], name="prior")


def mixture(data):
    return OfSymbol(data) * Categorical(probs=torch.tensor([0.4, 0.3, 0.1, 0.1, 0.1]), var=["c"], name="prior")


def half_more(q, p, prior):
    return 0.5 * KullbackLeibler(q, prior)


VAE = from_pixyz(Q, P, unit, images=True, row=ROW)
BETA = from_pixyz(Q, P, unit, loss=half_more, images=True, row=ROW)
MIXED = from_pixyz(lambda data: Within(data) * Symbol(data), P, mixture, images=True, row=ROW)


def built(kind, spec=SPEC, spread=0.3):
    torch.manual_seed(0)
    return shaken(kind(spec), spread)


def test_its_vae_is_ours_on_a_batch():
    torch.manual_seed(0)
    ours = shaken(registry.model("vae", SPEC))
    one, two = (same_noise(model, seen()) for model in (ours, built(VAE)))
    close(one.distortion, two.distortion)
    close(one.rate, two.rate)


def test_its_vae_trains_to_what_ours_does():
    data = registry.dataset("digits")
    spec, found = data.spec(hidden=(16,), latent=3), []
    for build in (lambda: registry.model("vae", spec), lambda: VAE(spec)):
        torch.manual_seed(0)
        trained = fit(build(), data, 4.0, Training(steps=40, batch=64))
        torch.manual_seed(1)
        found.append((trained.control.R_train, lost(trained.model, data)))
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_a_loss_is_what_the_objective_adds():
    model = built(BETA)
    code = same_noise(model.encode, seen())
    close(model.regularizer(seen(), code), 0.5 * gaussian_kl(code["z"].q).mean())
    close(built(VAE).regularizer(seen(), code), 0.0)


class Learned(Normal):
    """p(z) with a mean that is learned."""

    def __init__(self, data):
        super().__init__(var=["z"], name="prior")
        self.mean = nn.Parameter(torch.zeros(1, data.latent))

    def forward(self):
        return {"loc": self.mean, "scale": torch.ones_like(self.mean)}


def test_parameters_are_those_of_the_weights_as_they_are_now():
    """Of the same tensor x, of none at all, and inside a loss."""
    twice = lambda q, p, prior: KullbackLeibler(q, prior) + KullbackLeibler(q, prior)  # noqa: E731
    model, batch = built(from_pixyz(Q, P, Learned, loss=twice, images=True)), seen()
    for _ in range(2):
        code = same_noise(model.encode, batch)
        q, mean = code["z"].q, model.prior[0].mean
        rate = 0.5 * ((q.mean - mean) ** 2 + q.variance - 1 - q.variance.log()).sum(-1)
        close(q.mean, model.q[0].net(batch.x).chunk(2, -1)[0])
        close(code["z"].rate, rate)
        close(model.regularizer(batch, code), 2 * rate.mean())
        shaken(model, 1.0)


def test_factors_are_blocks_in_the_order_in_which_they_are_drawn():
    model = built(MIXED)
    code = same_noise(model.encode, seen())
    assert list(code) == ["c", "z"] and code["c"].discrete and not code["z"].discrete
    c = code["c"].drawn
    assert torch.equal(c.sum(-1), torch.ones(len(c))) and bool(((c == 0) | (c == 1)).all())
    symbols = model.q[0].net(seen().x.flatten(1)).log_softmax(-1)
    prior = torch.tensor([0.4, 0.3, 0.1, 0.1, 0.1]).log()
    close(code["c"].rate, (symbols.exp() * (symbols - prior)).sum(-1))
    q, mean = code["z"].q, model.prior[1].mean(c)
    close(code["z"].rate, 0.5 * ((q.mean - mean) ** 2 + q.variance - 1 - q.variance.log()).sum(-1))


def test_a_decoder_of_probabilities_is_that_of_its_logits():
    model = built(VAE)
    code = same_noise(model.encode, seen())
    close(model.receive(code).base_dist.logits, model.p.net(code["z"].sample), atol=1e-3)


@pytest.mark.parametrize("kind", [VAE, BETA, MIXED], ids=["VAE", "loss", "mixture"])
def test_laws_that_need_no_training_hold(kind):
    wanted = ("per example", "pure", "no branches", "stack", "decoder is normalised", "rate is paid")
    assert [finding.words for finding in check(kind, only=wanted) if not finding.ok] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", [VAE, BETA, MIXED], ids=["VAE", "loss", "mixture"])
def test_a_model_passes_its_check(kind):
    assert [finding.words for finding in check(kind) if not finding.ok] == []


def test_distributions_that_are_there_start_anew_with_every_seed_and_stay_as_they_were():
    q, p, prior = Q(SPEC), P(SPEC), unit(SPEC)
    before = [weight.clone() for weight in (*q.parameters(), *p.parameters())]
    kind = from_pixyz(q, p, prior, loss=KullbackLeibler(q, prior), images=True)
    assert kind.row.needs == ("binary",)
    models = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        models.append(kind(SPEC))
    one, same, other = (torch.cat([w.flatten() for w in model.parameters()]) for model in models)
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert all(torch.equal(a, b) for a, b in zip(before, (*q.parameters(), *p.parameters()), strict=True))
    code = models[0].encode(seen())
    close(models[0].regularizer(seen(), code), code["z"].rate.mean())  # the loss is of the copy's q


def test_torch_checks_arguments_again_after_a_loss():
    from torch.distributions import Distribution

    assert Distribution._validate_args
    with pytest.raises(KeyError), _without_checks(), _without_checks():
        assert not Distribution._validate_args
        raise KeyError
    assert Distribution._validate_args


def real(data):
    return Normal(var=["x"], cond_var=["z"], loc="z", scale=torch.tensor(1.0), name="p")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (
            (Q, P, lambda data: Normal(loc=torch.tensor(0.0), scale=torch.tensor(1.0), var=["w"])),
            "q is of z, prior of w",
        ),
        ((Q, real, unit), "p is Normal, which is no density of bernoulli data"),
        ((Q, P, lambda data: nn.Linear(2, 2)), "prior = Linear.*: give a distribution of Pixyz's"),
    ],
)
def test_parts_that_make_no_model_get_one_sentence(parts, words):
    with pytest.raises(ValueError, match=words) as caught:
        from_pixyz(*parts)(SPEC)
    assert "\n" not in str(caught.value)


def test_a_loss_with_weights_of_its_own_cannot_come():
    from pixyz.distributions import Deterministic

    class Judge(Deterministic):
        def __init__(self):
            super().__init__(var=["t"], cond_var=["z"], name="d")
            self.net = nn.Linear(3, 1)

        def forward(self, z):
            return {"t": self.net(z).sigmoid()}

    kind = from_pixyz(Q, P, unit, loss=lambda q, p, prior: AdversarialJensenShannon(q, prior, Judge()), images=True)
    with pytest.raises(ValueError, match="weights that are not those of q, p and prior: an adversary cannot come"):
        kind(SPEC)


def test_an_encoder_takes_such_a_class():
    x = torch.rand(64, 1, 4, 4).round().numpy()
    made = Encoder(VAE, latent=3, hidden=(16,), steps=5, batch=16, sigma=None)
    assert made.fit_transform(x).shape == (64, 3) and made.reconstruct(x).shape == x.shape


def test_x_is_flat_unless_images_are_asked_for():
    class Flat(Q):
        def forward(self, x):
            assert x.dim() == 2
            return super().forward(x.view(-1, 1, 4, 4))

    torch.manual_seed(0)
    model = from_pixyz(Flat, P, unit)(SPEC)
    assert model(Batch.unlabelled(seen().x)).distortion.shape == (64,)
