"""R* where z is no vector of ℝⁿ: every component is a density by the measure of q, and I is known."""

import math

import pytest
import torch
from torch.distributions import (
    Beta,
    Dirichlet,
    Distribution,
    Geometric,
    Independent,
    LogNormal,
    Normal,
    Poisson,
    constraints,
)
from worlds import viewed

from rdu_bench.api import Batch, Model, Row, gaussian, sphere, transmit
from rdu_bench.measure.charts import chart, together
from rdu_bench.measure.codes import Splits, draw
from rdu_bench.measure.directions import log_area
from rdu_bench.measure.draws import density, standard
from rdu_bench.measure.marginals import Parts, _candidates, _of_space, refit
from rdu_bench.measure.posteriors import aggregates
from rdu_bench.records.laws import LIMITS
from rdu_bench.scores import Undefined


class Ball(Distribution):
    """Von Mises–Fisher on the sphere in three dimensions, a density by area; uniform where κ is 0."""

    arg_constraints = {}  # noqa: RUF012  torch declares it so
    support = sphere

    def __init__(self, axis, sharp):
        super().__init__(axis.shape[:-1], axis.shape[-1:], validate_args=False)
        self.axis, self.sharp = axis, sharp

    def rsample(self, sample_shape=()):
        shape = (*sample_shape, *self.batch_shape)
        u, k = torch.rand(shape), self.sharp
        w = 1 + torch.log(u + (1 - u) * math.exp(-2 * k)) / k if k else 2 * u - 1
        v = torch.randn(*shape, 3)
        v = v - (v * self.axis).sum(-1, keepdim=True) * self.axis
        v = v / v.norm(dim=-1, keepdim=True)
        z = w[..., None] * self.axis + (1 - w.square()).clamp(min=0).sqrt()[..., None] * v
        return z / z.norm(dim=-1, keepdim=True)

    def sample(self, sample_shape=()):
        return self.rsample(sample_shape)

    def log_prob(self, z):
        if not self.sharp:
            return torch.full(torch.broadcast_shapes(z.shape[:-1], self.batch_shape), -math.log(4 * math.pi))
        return self.sharp * ((z * self.axis).sum(-1) - 1) + math.log(
            self.sharp / (2 * math.pi * -math.expm1(-2 * self.sharp))
        )


class Counts(Poisson):
    def rsample(self, sample_shape=()):
        return self.sample(torch.Size(sample_shape))


class Waits(Geometric):
    def rsample(self, sample_shape=()):
        return self.sample(torch.Size(sample_shape))


class Channel(Model):
    """x (B, 1) is one of `K` numbers; `q` makes the density of its code, `p` that of the model's own marginal."""

    row = Row(paper="0000.00000", title="channel")

    def __init__(self, q, p):
        super().__init__()
        self.q, self.p = q, p

    def encode(self, batch: Batch):
        return {"z": transmit(self.q(batch.x[:, 0].long()), self.p())}


K, N = 4, 3000


def numbers(seed, n=N):
    return torch.randint(0, K, (n, 1), generator=torch.Generator().manual_seed(seed)).float()


def refitted(model, *, n=N, own=True):
    """The marginal of a channel, and the mean and error of log q(z|x) − log E_x q(z|x): I itself."""
    torch.manual_seed(0)
    views = [viewed(numbers(seed, n)) for seed in range(3)]
    codes = Splits(*(draw(model, view, 2, decode=False) for view in views))
    marginal = refit(codes, (8,), 0, {})
    z = codes.test.drawn[0].flatten(0, 1)
    each = torch.stack([model.q(torch.full((len(z),), k)).log_prob(z).reshape(len(z), -1).sum(-1) for k in range(K)])
    gain = codes.test.log_q.flatten() - each.logsumexp(0) + math.log(K)
    return marginal, float(marginal.rate.mean()), gain


AXES = torch.nn.functional.normalize(torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]), dim=-1)
FREE = Ball(AXES[0], 0.0)
SIMPLEX = 1 + 8 * torch.eye(4)[:, :3] + torch.tensor([0.0, 0, 0, 4])[:, None]
CHANNELS = {
    "sphere": (lambda k: Ball(AXES[k], 6.0), lambda: FREE),
    "sphere, one side": (lambda k: Ball(AXES[k * 0], 30.0), lambda: FREE),
    "positive": (
        lambda k: Independent(LogNormal(2.0 * k[:, None], 0.4), 1),
        lambda: Independent(LogNormal(torch.zeros(1), 3.0), 1),
    ),
    "interval": (
        lambda k: Independent(Beta(1 + 9.0 * (k[:, None] % 2), torch.full((len(k), 2), 4.0)), 1),
        lambda: Independent(Beta(torch.ones(2), torch.ones(2)), 1),
    ),
    "simplex": (lambda k: Dirichlet(SIMPLEX[k]), lambda: Dirichlet(torch.ones(3))),
    "counts": (
        lambda k: Independent(Counts((1 + 5.0 * k[:, None]).expand(-1, 2)), 1),
        lambda: Independent(Counts(torch.full((2,), 8.0)), 1),
    ),
    "geometric": (
        lambda k: Independent(Waits((0.9 / (1 + 3.0 * k))[:, None]), 1),
        lambda: Independent(Waits(torch.full((1,), 0.02)), 1),
    ),
}


@pytest.mark.parametrize("space", CHANNELS)
def test_r_star_is_the_information_of_a_known_channel(space):
    q, p = CHANNELS[space]
    marginal, rate, gain = refitted(Channel(q, p))
    information, error = float(gain.mean()), float((marginal.rate.flatten() - gain).std() / len(gain) ** 0.5)
    assert not marginal.left_out
    assert information - 4 * error - 1e-3 <= rate <= information + 0.06, (rate, information, marginal.weights)


def test_what_is_uniform_on_a_sphere_says_nothing_whatever_stands_beside_it():
    """Gaussians of ℝ³ are no densities there: their values on the sphere would make this a rate below zero."""
    normal = gaussian(torch.zeros(3), torch.full((3,), 0.1))
    for p in (lambda: FREE, lambda: normal):
        marginal, rate, _ = refitted(Channel(lambda k: Ball(AXES[k], 0.0), p))
        assert rate == pytest.approx(0, abs=0.02)
        assert ("own" in marginal.left_out) == (p() is normal)
    assert "area of a sphere" in marginal.left_out["own"]


def test_where_the_space_is_not_known_only_own_and_aggregate_stand():
    class Odd(Normal):
        support = constraints.lower_triangular

    q, p = (lambda k: Independent(Odd(k[:, None].float(), 1.0), 1)), (lambda: Independent(Odd(torch.zeros(1), 3.0), 1))
    model = Channel(q, p)
    torch.manual_seed(0)
    views = [viewed(numbers(seed)) for seed in range(3)]
    codes = Splits(*(draw(model, view, 2, decode=False) for view in views))
    marginal = refit(codes, (8,), 0, aggregates(model, views[0], None, "cpu"))
    assert set(marginal.weights) == {"own", "train aggregate"} and "not known" in marginal.left_out["fitted"]


def test_an_aggregate_of_counts_is_the_average_of_their_densities():
    q, p = CHANNELS["counts"]
    model, view = Channel(q, p), viewed(numbers(0, 50))
    codes = draw(model, viewed(numbers(1, 20)), 1, decode=False)
    [found] = aggregates(model, view, None, "cpu").values()
    each = [model.q(numbers(0, 50)[i].long()).log_prob(codes.drawn[0][0]) for i in range(50)]
    expected = torch.stack(each).logsumexp(0) - math.log(50)
    torch.testing.assert_close(found.aggregate(codes)[0], expected.double(), rtol=1e-5, atol=1e-4)
    assert not found.closed


def test_draws_on_a_line_have_no_density_of_the_plane():
    class Line(Normal):
        def rsample(self, sample_shape=()):
            z = super().rsample(sample_shape)
            return z[..., :1] * torch.tensor([1.0, 2.0])

    model = Channel(
        lambda k: Independent(Line(torch.zeros(len(k), 2), 1.0), 1), lambda: gaussian(torch.zeros(2), torch.ones(2))
    )
    with pytest.raises(Undefined, match="fewer dimensions"):
        refitted(model)


def test_draws_that_repeat_each_other_get_no_density_that_is_fitted():
    class Rounded(Normal):
        def rsample(self, sample_shape=()):
            return super().rsample(sample_shape).round()

    model = Channel(
        lambda k: Independent(Rounded(k[:, None].float(), 1.0), 1), lambda: gaussian(torch.zeros(1), torch.ones(1) * 2)
    )
    marginal, _, _ = refitted(model)
    assert set(marginal.weights) == {"own"} and "repeat" in marginal.left_out["fitted"]


def everywhere(space, n=200_000):
    """Points (1, n, …) of a space, each worth its weight: sums over them are integrals."""
    torch.manual_seed(1)
    if space == "sphere":
        z = torch.nn.functional.normalize(torch.randn(1, n, 4, dtype=torch.float64), dim=-1)
        return z, log_area(4) - math.log(n)
    if space == "simplex":
        return Dirichlet(torch.ones(3, dtype=torch.float64)).sample((1, n)), -math.log(2) - math.log(n)
    if space == "integers":
        return torch.arange(-3000, 6000)[None, :, None], 0.0
    low, high = {"positive": (0, 400), "interval": (0, 1), "real": (-100, 100)}[space]
    step = (high - low) / n
    return (low + step * (torch.arange(n, dtype=torch.float64) + 0.5))[None, :, None], math.log(step)


def some(space):
    """Draws (2, 500, …) of a space, to one side of it."""
    torch.manual_seed(0)
    n = (2, 500)
    return {
        "sphere": lambda: torch.nn.functional.normalize(torch.randn(*n, 4) + torch.tensor([1.0, 0, 0.5, 0]), dim=-1),
        "simplex": lambda: Dirichlet(torch.tensor([2.0, 3.0, 6.0])).sample(n),
        "positive": lambda: LogNormal(1.0, 0.7).sample((*n, 1)),
        "interval": lambda: Beta(2.0, 3.0).sample((*n, 1)),
        "integers": lambda: Poisson(60.0).sample((*n, 1)) * 2,
        "real": lambda: Normal(3.0, 2.0).sample((*n, 1)),
    }[space]()


@pytest.mark.parametrize("space", ["sphere", "simplex", "positive", "interval", "integers", "real"])
def test_every_component_has_mass_one_in_its_space(space):
    drawn = some(space)
    place, (z, weight) = chart(space, drawn), everywhere(space)
    train, there = place(drawn), place(z)
    parts = Parts(train, place(some(space)[:1]), there)
    judged = {**_candidates(parts, (3,), 0)[0], **_of_space(parts, space, drawn.shape[2:], (3,), 0)}
    assert len(judged) > 2 and ("uniform" in judged) == (space in ("sphere", "simplex", "interval", "integers"))
    for name, found in judged.items():
        assert float((found.test.double() + weight).logsumexp(1).exp()) == pytest.approx(1, abs=0.02), name


def test_whole_numbers_without_a_symbol_share_one_by_a_geometric_law():
    place = chart("integers", some("integers"))
    far = place(torch.arange(-5000, 6000)[None, :, None])
    outside = far.symbols[..., 0] == far.sizes[0] - 1
    assert float(far.volume[outside].exp().sum()) == pytest.approx(1, abs=1e-3) and not far.volume[~outside].any()


def test_blocks_of_several_spaces_cost_their_information_together():
    """Three blocks that each know the same x, in an order that mixes spaces; two of them are of one kind."""

    class Three(Channel):
        def __init__(self):
            super().__init__(*CHANNELS["sphere"])

        def encode(self, batch):
            k = batch.x[:, 0].long()
            made = {
                name: transmit(CHANNELS[name][0](k), CHANNELS[name][1]()) for name in ("counts", "sphere", "positive")
            }
            return made

    torch.manual_seed(0)
    codes = Splits(*(draw(Three(), viewed(numbers(seed)), 2, decode=False) for seed in range(3)))
    each = []
    for k in range(K):
        at = torch.full((codes.test.log_q.numel(),), k)
        drawn = (part.flatten(0, 1) for part in codes.test.drawn)
        each.append(
            sum(CHANNELS[n][0](at).log_prob(z) for n, z in zip(("counts", "sphere", "positive"), drawn, strict=True))
        )
    gain = codes.test.log_q.flatten() - torch.stack(each).logsumexp(0) + math.log(K)
    marginal = refit(codes, (8,), 0, aggregates(Three(), viewed(numbers(0, 500)), None, "cpu"))
    assert float(marginal.rate.mean()) == pytest.approx(float(gain.mean()), abs=0.05)
    assert not marginal.left_out and "by block" in marginal.weights


def test_blocks_side_by_side_keep_their_volumes():
    a, b = (chart(space, some(space))(some(space)) for space in ("positive", "interval"))
    both = together([a, b])
    torch.testing.assert_close(both.volume, a.volume + b.volume)
    assert both.real.shape[-1] == 2


@pytest.mark.parametrize("space", CHANNELS)
def test_draws_and_densities_of_every_space_keep_the_laws_of_the_receiver(space):
    model, batch = Channel(*CHANNELS[space]), Batch.unlabelled(numbers(0, 32))
    assert density(model, batch.rows(slice(2))).by <= LIMITS["density_gap"]
    assert standard(model, batch, 64).by <= LIMITS["draws_z"]


def test_a_density_of_a_sphere_that_is_half_of_itself_is_found():
    class Half(Ball):
        def log_prob(self, z):
            return super().log_prob(z) - math.log(2)

    model = Channel(lambda k: Half(AXES[k], 6.0), lambda: FREE)
    assert density(model, Batch.unlabelled(numbers(0, 2))).by == pytest.approx(1, abs=0.2)
