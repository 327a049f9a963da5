"""What the receiver of a frozen model gets beside the draws: nothing, and what it does get is found."""

import math
from typing import ClassVar

import pytest
import torch
from torch.distributions import Beta, Categorical, Dirichlet, Independent, LogNormal, MixtureSameFamily, Normal
from worlds import Coins, Optimal, Plane, Symbols, Wires, study

from rdu_bench.api import Batch, Model, Row, bernoulli, gaussian, one_hot, transmit
from rdu_bench.measure.draws import density, standard
from rdu_bench.measure.receiver import entangled, receiver, remembered, replayed
from rdu_bench.records.laws import LIMITS, check, missing


class Sender(Model):
    """Draws of a given density, whatever x is."""

    row = Row(paper="0000.00000", title="sender")

    def __init__(self, q):
        super().__init__()
        self.q = q

    def encode(self, batch):
        q = self.q.expand((len(batch.x),))
        return {"z": transmit(q, q)}


def batch(n=4, seed=0):
    torch.manual_seed(seed)
    return Batch.unlabelled((torch.rand(n, 1, 1, 3) < 0.5).float())


@pytest.fixture(scope="module")
def coins():
    made = Coins()
    made.load(400)
    return made


def test_an_honest_receiver_gets_nothing_beside_the_draws(coins):
    for model in (Symbols(), Wires()):
        values = receiver(study(model, coins)).values
        assert values.keys() == LIMITS.keys()
        assert all(values[name] < limit for name, limit in LIMITS.items())


def several(maker, *parameters):
    return Independent(maker(*(torch.tensor([p] * 3) for p in parameters)), 1)


class Apart(MixtureSameFamily):
    """Ten numbers near one of eight corners, far from all others: between them a single Gaussian has its mass."""

    has_rsample = True

    def rsample(self, sample_shape=()):
        return self.sample(sample_shape)

    @classmethod
    def corners(cls):
        means = torch.randn(8, 10, generator=torch.Generator().manual_seed(0))
        return cls(Categorical(logits=torch.zeros(1, 8)), Independent(Normal(means[None], 0.1), 1))


@pytest.mark.parametrize(
    "q",
    [
        gaussian(torch.zeros(1, 3), torch.full((1, 3), 0.01)),
        several(LogNormal, 0.3, 0.5),
        several(Beta, 2.0, 3.0),
        Dirichlet(torch.tensor([2.0, 3.0, 4.0])),
        torch.distributions.MultivariateNormal(torch.zeros(3), torch.tensor([[1.0, 0.9, 0], [0.9, 1, 0], [0, 0, 2]])),
        Apart.corners(),
    ],
    ids=["narrow", "positive", "bounded", "simplex", "correlated", "apart"],
)
def test_densities_of_any_support_are_told_from_wrong_ones(q):
    assert density(Sender(q), batch(2)).by <= 0.05

    class Doubled(type(q)):
        def log_prob(self, value):
            return super().log_prob(value) + math.log(2)

    q.__class__ = Doubled
    assert density(Sender(q), batch(2)).by == pytest.approx(0.5, abs=0.1)


def test_a_density_on_a_sphere_is_none_of_three_dimensions():
    class Sphere(torch.distributions.Distribution):
        arg_constraints: ClassVar = {}
        support = torch.distributions.constraints.real_vector

        def expand(self, shape):
            return Sphere(shape, torch.Size([3]), validate_args=False)

        def rsample(self, shape=()):
            z = torch.randn(*self.batch_shape, 3)
            return z / z.norm(dim=-1, keepdim=True)

        def log_prob(self, value):
            return torch.full(value.shape[:-1], -math.log(4 * math.pi))

    assert (
        density(Sender(Sphere(torch.Size([1]), torch.Size([3]), validate_args=False)), batch(2)).by
        > LIMITS["density_gap"]
    )


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (lambda z: 0 * z, "variance"),
        (lambda z: 0.7 * z, "variance"),
        (lambda z: z + 0.3, "share"),
        (lambda z: z.sign(), "not Gaussian"),
        (lambda z: z[:, :1].expand_as(z), "dimensions share"),
        (lambda z: z[:1].expand_as(z), "examples share"),
        (lambda z: torch.randn(z.shape, generator=torch.Generator().manual_seed(3)), "successive draws share"),
    ],
)
def test_noise_that_is_not_plain_is_found(noise, words):
    class Bent(Sender):
        def encode(self, batch):
            q = self.q.expand((len(batch.x),))
            block = transmit(q, q)
            z = q.mean + q.stddev * noise((block.drawn - q.mean) / q.stddev)
            return {"z": block._replace(sample=z, drawn=z)}

    q = gaussian(torch.ones(1, 3), torch.full((1, 3), 2.0))
    assert standard(Sender(q), batch(16), 100).by < LIMITS["draws_z"]
    found = standard(Bent(q), batch(16), 100)
    assert found.by > LIMITS["draws_z"] and words in found.what


@pytest.mark.parametrize("cheat", ["soft", "jitter", "likeliest"])
def test_symbols_that_are_not_drawn_are_found(cheat):
    class Bent(Symbols):
        def encode(self, batch):
            block = super().encode(batch)["k"]
            bent = {
                "soft": block.q.mean,
                "jitter": block.drawn + 1e-6 * batch.x.flatten(1).sum(1, keepdim=True),
                "likeliest": one_hot(1e3 * block.q.mean).sample(),
            }[cheat]
            return {"k": block._replace(sample=bent, drawn=bent)}

    assert standard(Symbols(), batch(16), 200).by < LIMITS["draws_z"] < standard(Bent(), batch(16), 200).by


def test_a_prior_that_has_seen_x_is_found():
    class Told(Wires):
        def encode(self, batch):
            block = super().encode(batch)["z"]
            return {"z": transmit(block.q, gaussian(0.9 * block.q.mean, torch.ones_like(block.sample)))}

    assert replayed(Wires(), batch(), batch(seed=1)).by == 0
    found = replayed(Told(), batch(), batch(seed=1))
    assert found.by > 1 and "expects" in found.what


def test_a_decoder_that_remembers_is_found():
    class Remembering(Wires):
        def encode(self, batch):
            Remembering.x = batch.x
            return super().encode(batch)

        def decode(self, code):
            return gaussian(self.x, torch.ones_like(self.x))

    assert remembered(Wires(), batch(), batch(seed=1)).by == 0
    assert remembered(Remembering(), batch(), batch(seed=1)).by > 0.1


def test_a_decoder_that_does_not_factorise_is_found():
    class Chained(Wires):
        def decode(self, code):
            p = super().decode(code)

            class Chain:
                def log_prob(self, x):
                    return p.log_prob(x) - 0.5 * (x[..., 0] != x[..., 1]).flatten(1).sum(1)

            return Chain()

    assert entangled(Wires(), batch()).by < 1e-4
    assert entangled(Chained(), batch()).by == pytest.approx(1.0, abs=1e-3)


class Wide(Model):
    """Photographs of 3×64×64 behind a narrow Gaussian, a density of thousands of nats; `tie` is put on top of it."""

    row = Row(paper="0000.00000", title="wide")

    def __init__(self, tie=None):
        super().__init__()
        self.tie = tie

    def encode(self, batch):
        q = gaussian(torch.zeros(len(batch.x), 1), torch.ones(len(batch.x), 1))
        return {"z": transmit(q, q)}

    def decode(self, code):
        torch.manual_seed(3)
        p = gaussian(torch.rand(len(code["z"].sample), 3, 64, 64), torch.tensor(0.02).expand(1, 3, 64, 64))
        if self.tie is not None:
            honest = p.log_prob
            p.log_prob = lambda x: honest(x) + self.tie(x)
        return p


def test_rounding_of_a_large_density_is_no_dependence_and_dependence_is_no_rounding():
    torch.manual_seed(0)
    photographs = Batch.unlabelled(torch.rand(8, 3, 64, 64))
    assert entangled(Wide(), photographs).by < 1e-6
    neighbours = entangled(Wide(lambda x: 5 * x[..., :-1].mul(x[..., 1:]).flatten(1).sum(1)), photographs)
    assert neighbours.by > 10 * LIMITS["pairs_gap"]


class Bits(Wide):
    """Decodes 64 × 64 bits to no plain density, with nats added."""

    def __init__(self, more=0.0):
        super().__init__()
        self.more = more

    def decode(self, code):
        torch.manual_seed(3)
        p = bernoulli(3 * torch.randn(len(code["z"].sample), 1, 64, 64))
        honest = p.log_prob
        p.log_prob = lambda x: honest(x) + self.more
        return p


def test_the_mass_of_a_large_picture_is_found_and_its_rounding_is_none():
    torch.manual_seed(0)
    pictures = Batch.unlabelled((torch.rand(3, 1, 64, 64) < 0.5).float())
    assert entangled(Bits(), pictures).by < LIMITS["pairs_gap"]
    for more in (1.0, -1.0):
        assert entangled(Bits(more), pictures).by == pytest.approx(1.0, abs=0.3)


def test_all_that_is_to_be_decoded_is():
    class Blind(Bits):
        def predicted(self, x):
            return torch.zeros_like(x)

    assert entangled(Blind(), Batch.unlabelled(torch.ones(3, 1, 64, 64))).by == math.inf


@pytest.mark.parametrize("name", LIMITS)
def test_a_record_that_breaks_one_of_these_laws_says_so(name):
    record = {"values": {name: 2 * LIMITS[name]}, "factors": {}, "data": {}, "control": {}, "status": "ok"}
    [words] = check(record)
    assert words
    assert check(record | {"values": {name: LIMITS[name] / 2}}) == []


def test_a_record_of_this_protocol_says_what_the_receiver_got():
    record = {"values": {"D": 1, "D_null": 1}, "factors": {}, "data": {"shape": [1]}, "status": "ok", "spec": {}}
    for protocol, said in {2: False, 3: True}.items():
        words = " ".join(missing(record | {"spec": {"protocol": protocol}}))
        assert ("replay_gap" in words) == said


def test_only_a_decoder_that_says_so_may_lack_the_gap_of_pairs():
    got = {name: 0.0 for name in LIMITS if name != "pairs_gap"} | {"D": 1, "D_null": 1, "D_own": 1}
    record = {"values": got, "factors": {}, "data": {"shape": [1]}, "status": "ok", "spec": {"protocol": 3}}
    for decoder, said in {"A": False, "HA": False, "": True, "H": True}.items():
        words = " ".join(missing(record | {"model": {"decoder": decoder}, "nulls": {"pairs_gap": "there is none"}}))
        assert ("pairs_gap" in words) == said
    lost = {"values": got | {"D_own": None}, "nulls": {"pairs_gap": "no decoder", "D_own": "no decoder"}}
    assert "pairs_gap" not in " ".join(missing(record | {"model": {"decoder": ""}} | lost))


def test_the_optimum_of_a_world_passes():
    plane = Plane()
    plane.load()
    values = receiver(study(Optimal(2.0), plane)).values
    assert all(values[name] < limit for name, limit in LIMITS.items())
