"""Worlds where the truth is known, and models that are optimal in them."""

import math

import numpy as np
import torch

from rdu_bench import analytic
from rdu_bench.api import (
    Batch,
    Budget,
    Dataset,
    Entropy,
    Examples,
    Factor,
    Model,
    Row,
    bernoulli,
    gaussian,
    one_hot,
    transmit,
)
from rdu_bench.data import View
from rdu_bench.measure import Study

SPECTRUM = (2.0, 1.0, 0.5, 0.25)
READOUT = ((1.0, 0.0, 0.5, 0.0),)
BUDGET = Budget(
    steps=1,
    codes=4000,
    draws_fit=1,
    draws_test=4,
    mixtures=(),
    probe_steps=1,
    head_steps=5,
    score_groups=50,
    score_trees=False,
    test=4000,
)


def spent(**changed):
    """The budget of these tests with some of its fields changed."""
    return Budget.model_validate({**dict(BUDGET), **changed})


class Plane(Dataset):
    """x ~ N(0, diag λ) with η² = λ_d, so that D + R = h(x) at β = 1; y = C x + noise."""

    def load(self, n: int = 4000, seed: int = 0, noise: float = SPECTRUM[-1]) -> None:
        draw = np.random.default_rng(seed)
        self.name, self.shape, self.likelihood = "plane", (len(SPECTRUM),), "gaussian"
        self.noise = noise
        self.entropy = Entropy(analytic.entropy(SPECTRUM), "differential")
        self.factors = (Factor("y", 1, kind="real", entropy=analytic.World(SPECTRUM, READOUT, (0.1,)).entropy_y),)
        self.task = ("y",)
        self.splits = {}
        for part in ("train", "val", "test"):
            x = draw.normal(size=(n, len(SPECTRUM))) * np.sqrt(SPECTRUM)
            y = x @ np.array(READOUT).T + draw.normal(size=(n, 1)) * 0.1**0.5
            tensors = (torch.from_numpy(v.astype(np.float32)) for v in (x, y))
            self.splits[part] = Examples(next(tensors), {"y": next(tensors)})


class Optimal(Model):
    """The linear VAE of least D + βR, in closed form; `turn` (k, k) is applied to its code."""

    row = Row(paper="1911.02469", title="optimum")

    def __init__(self, beta: float = 1.0, turn: torch.Tensor | None = None, noise: float = SPECTRUM[-1]):
        super().__init__()
        self.noise = noise
        best = analytic.optimal_vae(SPECTRUM, noise, beta)
        self.A, self.W = (torch.from_numpy(m).float() for m in (best.A, best.W))
        self.scale = torch.from_numpy(best.variance).float().sqrt()
        self.turn = turn
        self.still = torch.nn.Parameter(torch.zeros(()))  # a model has something to train

    def encode(self, batch: Batch):
        mean = batch.x @ self.A.T
        q, p = gaussian(mean, self.scale.expand_as(mean)), gaussian(mean[0] * 0, torch.ones_like(mean[0]))
        block = transmit(q, p)
        return {"z": block if self.turn is None else block._replace(sample=block.sample @ self.turn)}

    def decode(self, code):
        z = code["z"].sample
        mean = (z if self.turn is None else z @ torch.linalg.inv(self.turn)) @ self.W.T
        return gaussian(mean + 0 * self.still, torch.full_like(mean, self.noise**0.5))


class Turned(Optimal):
    """The same code in other coordinates: an invertible map of z, with the densities that go with it."""

    def encode(self, batch: Batch):
        mean = batch.x @ self.A.T @ self.turn
        covariance = self.turn.T @ torch.diag(self.scale**2) @ self.turn
        q = torch.distributions.MultivariateNormal(mean, covariance)
        p = torch.distributions.MultivariateNormal(mean[0] * 0, self.turn.T @ self.turn)
        return {"z": transmit(q, p)}

    def decode(self, code):
        mean = code["z"].sample @ torch.linalg.inv(self.turn) @ self.W.T
        return gaussian(mean + 0 * self.still, torch.full_like(mean, self.noise**0.5))


class Coins(Dataset):
    """Three fair bits as an image, the whole population known; with `twice`, each picture is there twice."""

    def load(self, n: int = 4000, twice: bool = False) -> None:
        bits = torch.tensor([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)]).float()[:, None, None]
        self.name, self.shape = "coins", (1, 1, 3)
        self.population = Examples(bits.repeat(2, 1, 1, 1) if twice else bits, {})
        self.entropy = Entropy(math.log(8), "exact")
        self.factors = tuple(Factor(f"bit{i}", 2, independent=True, entropy=math.log(2)) for i in range(3))
        self.task = ("bit0",)
        generator = torch.Generator().manual_seed(3)
        self.splits = {}
        for part in ("train", "val", "test"):
            x = bits[torch.randint(8, (n,), generator=generator)]
            self.splits[part] = Examples(x, {f"bit{i}": x[:, 0, 0, i].long() for i in range(3)})


class Symbols(Model):
    """A symbol of 8 that names the picture with probability 1 − e and is any other one otherwise."""

    row = Row(paper="0000.00000", title="symbols")

    def __init__(self, e: float = 0.2):
        super().__init__()
        self.e = e
        self.table = torch.nn.Parameter(torch.tensor([[4.0, 2.0, 1.0]]))

    def truth(self, x):
        k = (x.flatten(1) * self.table.detach()).sum(1).long()
        return torch.full((len(x), 8), math.log(self.e / 7)).scatter(1, k[:, None], math.log(1 - self.e))

    def encode(self, batch: Batch):
        q = one_hot(self.truth(batch.x))
        return {"k": transmit(q, one_hot(torch.zeros(len(batch.x), 8)))}

    def decode(self, code):
        bits = torch.tensor([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)]).float()
        flip = self.e * 4 / 7  # of the 7 wrong pictures, 4 have a given bit wrong
        return bernoulli(
            ((code["k"].sample @ bits) * 2 - 1).view(-1, 1, 1, 3) * math.log((1 - flip) / flip) + 0 * self.table.sum()
        )


class Wires(Model):
    """Three bits on three wires, z_j = ±gain + noise, mixed by `turn`; the decoder reads the wires back."""

    row = Row(paper="0000.00000", title="wires")

    def __init__(self, gain: float = 2.0, turn: torch.Tensor | None = None):
        super().__init__()
        self.gain, self.turn = gain, torch.eye(3) if turn is None else turn
        self.still = torch.nn.Parameter(torch.zeros(()))

    def encode(self, batch: Batch):
        mean = self.gain * (2 * batch.x.flatten(1) - 1) @ self.turn
        return {"z": transmit(gaussian(mean, torch.ones_like(mean)), gaussian(0 * mean, torch.ones_like(mean)))}

    def decode(self, code):
        z = code["z"].sample @ self.turn.T
        return bernoulli((2 * self.gain * z).view(-1, 1, 1, 3) + 0 * self.still)


def channel_information(e: float, k: int = 8) -> float:
    """I(x; z) of the symmetric channel over k equally likely symbols."""
    return math.log(k) + (1 - e) * math.log(1 - e) + e * math.log(e / (k - 1))


def study(model, data, heads=("linear",), *, seed=0, **budget):
    """Of a frozen model in one of these worlds, with the decoder probe linear."""
    return Study(model.requires_grad_(False), data, spent(**budget), heads, data.spec(hidden=(), latent=4), seed=seed)


def viewed(x):
    """Examples (N, *shape) alone, as a model is given them."""
    return View(Examples(x, {}))


def as_record(found, data, status="ok"):
    """What `curve` would store of a measurement, as far as the laws are concerned."""
    factors = {f.name: {"independent": f.independent} for f in data.factors}
    return {
        "values": found.values,
        "factors": found.factors,
        "status": status,
        "data": {"shape": list(data.shape), "factors": factors},
        "control": {},
    }


class Corners(Dataset):
    """Four equally likely patterns with noise, named by their label: H(y) = log 4."""

    def load(self, n: int = 2000) -> None:
        generator = torch.Generator().manual_seed(0)
        y = torch.randint(0, 4, (n,), generator=generator)
        patterns = torch.rand(4, 1, 4, 4, generator=generator).round()
        flips = (torch.rand(n, 1, 4, 4, generator=generator) < 0.1).float()
        x = (patterns[y] + flips) % 2
        self.name, self.shape, self.task, self.factors = "corners", (1, 4, 4), ("y",), (Factor("y", 4),)
        thirds = {"train": slice(0, n // 2), "val": slice(n // 2, 3 * n // 4), "test": slice(3 * n // 4, n)}
        self.splits = {part: Examples(x[at], {"y": y[at]}) for part, at in thirds.items()}


def whole(data, part="train"):
    """All examples of a split as one batch, with the labels of its task."""
    split = data.splits[part]
    unknown = torch.full((len(split),), -1)
    return Batch(split.take(), split.factors[data.task[0]], unknown, torch.ones(()))
