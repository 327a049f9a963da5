"""What else a frozen code has, each part only where it means something: clusters, levels, invariance, thrift, calm.

clusters     whether classes are clusters of z, found without labels
levels       what the first blocks of a code cost and tell before the next are sent
leakage      what the strongest head finds of s: a lower bound on I(s; z)
efficiency   D_y from n labels, and the nats it takes to send all labels to one who has z
noise        D_y when x is corrupted and nothing is fitted anew
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from .. import registry
from .._hash import named_seed
from ..budget import Budget
from ..data import Dataset, Factor
from ..model import Batch, Code, Model
from ..nn.whitening import principal, whitening
from ..probe import Probe, Target
from ..scores import Undefined
from ..scores._whitening import whitening as directions
from ..scores.clustering import Agreement, clustering, fit_clusters
from ..scores.codelength import least_loss, n_label_curve, prequential_codelength, surplus_description_length
from .codes import Codes, Posteriors, draw
from .rate import stack
from .usefulness import _calibrated, _constant, _log_prob

ADVERSARIES = ("linear", "mlp", "knn")  # against s, those that there are
DEEPEST = 6  # blocks of a code that are looked at one after the other
DIRECTIONS = 64  # of x that the linear head behind `sdl_eps` is given, and of z that clusters are sought in
SYMBOLS = 100  # most values of a symbol that may stand for a cluster
TOLERATED = 0.1  # nats above that head, at which a code is as good as x
FLIPS = (0.0, 0.02, 0.05, 0.1, 0.2)  # probability that a pixel of binary x is the other one
BLURS = (0.0, 0.1, 0.25, 0.5, 1.0)  # standard deviation of noise added to real x, in that of x

Found = dict[str, Any]


class Prefix(Model):
    """A model that stops sending after its first `blocks` blocks, side information aside."""

    def __init__(self, model: Model, blocks: int):
        super().__init__()
        self.model, self.blocks, self.row = model, blocks, model.row

    def encode(self, batch: Batch) -> Code:
        code = self.model.encode(batch)
        kept = [name for name, block in code.items() if not block.side][: self.blocks]
        return {name: block for name, block in code.items() if block.side or name in kept}


class Fitted(NamedTuple):
    """A head on codes as they come."""

    predict: Callable[[Tensor], Distribution]  # z (S, N, d) → p(y|z), calibrated on validation
    val: float  # nats, its loss there


@torch.no_grad()
def structure(
    model: Model,
    data: Dataset,
    train: Codes,
    val: Codes,
    test: Codes,
    *,
    at: Tensor,
    budget: Budget,
    seed: int,
    device: str = "cpu",
    heads: Sequence[str] = (),
    rate: tuple[float, float] | None = None,
) -> tuple[Found, dict[str, str]]:
    """The parts by name, and why the others are missing by `structure.<part>`.

    `train`, `val` and `test` are codes of the training examples `at`, of validation and of the first test examples.
    `rate` is R* of the whole code with its error, where it is known.  The same for the same seed.
    """
    cuda = [torch.device(device)] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(named_seed("structure", seed))
        about = _Structure(model, data, train, val, test, at, budget, seed, device, heads, rate)
        found: Found = {}
        nulls: dict[str, str] = {}
        for part in ("clusters", "levels", "leakage", "efficiency", "noise"):
            try:
                found[part] = getattr(about, part)()
            except Undefined as reason:
                nulls[f"structure.{part}"] = str(reason)
    return found, nulls | about.nulls


class _Structure:
    """One call of `structure`; each part raises `Undefined` where it means nothing."""

    def __init__(
        self,
        model: Model,
        data: Dataset,
        train: Codes,
        val: Codes,
        test: Codes,
        at: Tensor,
        budget: Budget,
        seed: int,
        device: str,
        heads: Sequence[str],
        rate: tuple[float, float] | None,
    ):
        self.model, self.data, self.budget, self.heads = model, data, budget, heads
        self.train, self.val, self.test, self.at = train, val, test, at
        self.seed, self.device, self.rate = seed, device, rate
        self.task = [data.factor(name) for name in data.task]
        self.nulls: dict[str, str] = {}
        self.fitted: dict[str, Fitted] = {}  # linear heads on the whole code, by factor

    def clusters(self) -> Found:
        """Agreement with the first class of the task, the clusters chosen by likelihood on validation."""
        factor = next((f for f in self.task if f.kind == "class"), None)
        if factor is None:
            raise Undefined("no factor of the task is a class")
        y = self._truth(factor, "test").numpy()
        each: dict[str, Found] = {}
        likelihood: dict[str, float] = {}
        if self.test.own == 1 and 2 <= self.test.sizes[0] <= SYMBOLS:
            each["own classes"] = _mean(self.test.sizes[0], [clustering(k[:, 0].numpy(), y) for k in self.test.symbols])
            likelihood["own classes"] = math.inf
        fit, held, scored = (z.double().numpy() for z in _leading([c.z for c in (self.train, self.val, self.test)]))
        seed = named_seed("clusters", self.seed)
        try:
            for method in ("k-means", "mixture"):
                found = fit_clusters(fit[0], factor.size, method=method, seed=seed)  # type: ignore[arg-type]
                likelihood[method] = found.log_likelihood(held[0])
                each[method] = _mean(factor.size, [clustering(found.assign(z), y) for z in scored])
        except Undefined:
            if not each:
                raise
        best = max(likelihood, key=lambda name: likelihood[name])
        return {"from": best, "factor": factor.name, **each[best], **each}

    def levels(self) -> Found:
        """R* and D_y of z₁, of z₁ and z₂, and so on, in the order in which blocks are sent."""
        few = self.data.seen("test", self.model.row, slice(2)).to(self.device)
        names = [name for name, block in self.model.encode(few).items() if not block.side]
        if not 2 <= len(names) <= DEEPEST:
            raise Undefined(f"the code has {len(names)} block{'s' * (len(names) > 1)}; levels are 2 to {DEEPEST}")
        factors = [f for f in self.data.factors if f.kind == "class"]
        out: Found = {}
        for blocks, name in enumerate(names, 1):
            whole = blocks == len(names)
            model = self.model if whole else Prefix(self.model, blocks)
            codes = (self.train, self.val, self.test) if whole else self._codes(model)
            rate, error = self.rate if whole and self.rate else self._rate(model, *codes)
            fitted = self._linear(factors) if whole else self._fit("linear", factors, *codes[:2])
            about = {f.name: self._useful(f, head, codes[2]) for f, head in zip(factors, fitted, strict=True)}
            out[name] = {"R_star": rate, "R_star_se": error, "factors": about}
        return out

    def leakage(self) -> Found:
        """The head that finds most of s on validation; "null", which finds nothing, is one of them."""
        if self.data.sensitive is None:
            raise Undefined("no factor is sensitive")
        s = self.data.factor(self.data.sensitive)
        known = registry.files("probes")
        names = [name for name in dict.fromkeys([*ADVERSARIES, *self.heads]) if name.replace("-", "_") in known]
        each = {name: self._fit(name, [s], self.train, self.val)[0] for name in names} | {"null": self._nothing(s)}
        best = min(each, key=lambda name: each[name].val)
        found = self._useful(s, each[best], self.test)
        return {"s": s.name, "head": best, "Ds": found["Dy"], "Ds_se": found["Dy_se"]} | {
            name: found[name] for name in ("IV", "IV_se")
        }

    def efficiency(self) -> Found:
        """Of every class of the task, from one draw for each training example."""
        factors = [f for f in self.task if f.kind == "class"]
        if not factors:
            raise Undefined("no factor of the task is a class")
        z, z_test = self.train.z[0].double().numpy(), self.test.z.double().numpy()
        x, x_val, x_test = self._pixels()
        out: Found = {}
        for factor in factors:
            y, y_val, y_test = (self._truth(factor, part).numpy() for part in ("train", "val", "test"))
            curve = n_label_curve(z, y, z_test, y_test, classes=factor.size)
            raw = least_loss(x, y, x_val, y_val, x_test, y_test, classes=factor.size)
            surplus = surplus_description_length(curve.n, curve.loss, raw + TOLERATED)
            about = {"n": curve.n.tolist(), "Dy": curve.loss.tolist(), "Dy_se": curve.se.tolist()}
            about |= {"sdl": surplus.nats, "sdl_eps": raw + TOLERATED, "sdl_bound": surplus.bound}
            try:
                sent = prequential_codelength(
                    z, y, classes=factor.size, seed=named_seed("order", self.seed, factor.name)
                )
                about |= {"mdl": sent.nats, "mdl_ratio": sent.ratio}
            except Undefined as reason:
                about |= {"mdl": None, "mdl_ratio": None}
                self.nulls[f"structure.efficiency.{factor.name}.mdl"] = str(reason)
            out[factor.name] = about
        return out

    def noise(self, levels: Sequence[float] | None = None) -> Found:
        """Encoder and linear heads as they are, test examples corrupted; never below H(y|z′)."""
        if not self.task:
            raise Undefined("the data set has no task")
        flips = self.data.likelihood == "bernoulli"
        levels = (FLIPS if flips else BLURS) if levels is None else levels
        x = self.data.splits["test"].x[: len(self.test)]
        scale = float(self.data.splits["train"].x.std())
        heads = self._linear(self.task)
        loss: dict[str, list[float]] = {f.name: [] for f in self.task}
        error: dict[str, list[float]] = {f.name: [] for f in self.task}
        for level in levels:
            codes = self.test
            if level:
                worse = corrupted(x, level, flips, scale, named_seed("noise", self.data.name, level))
                seen = self.data.seen("test", self.model.row, slice(len(worse)))._replace(x=worse)
                codes = draw(self.model, seen, min(len(self.test.z), 2), device=self.device, decode=False)
            for factor, head in zip(self.task, heads, strict=True):
                found = self._useful(factor, head, codes)
                loss[factor.name].append(found["Dy"])
                error[factor.name].append(found["Dy_se"])
        return {"kind": "flip" if flips else "gaussian", "levels": list(levels), "Dy": loss, "Dy_se": error}

    def _truth(self, factor: Factor, part: str) -> Tensor:
        """Values at the examples that have codes."""
        y = self.data.splits[part].factors[factor.name]
        return y[self.at] if part == "train" else y[: len(self.test)] if part == "test" else y

    def _pixels(self) -> list[np.ndarray]:
        """(N, ≤ 64) x at the examples that have codes, in the leading directions of training."""
        x = {part: split.x.flatten(1).double().numpy() for part, split in self.data.splits.items()}
        fit = x["train"][self.at.numpy()]
        white = directions(fit, DIRECTIONS)
        return [white(part) for part in (fit, x["val"], x["test"][: len(self.test)])]

    def _codes(self, model: Model) -> tuple[Codes, Codes, Codes]:
        fit, score = len(self.train.z), len(self.test.z)
        parts = (("train", self.at, fit), ("val", slice(None), fit), ("test", slice(len(self.test)), score))
        train, val, test = (
            draw(model, self.data.seen(part, model.row, at), n, device=self.device, decode=False)
            for part, at, n in parts
        )
        return train, val, test

    def _rate(self, model: Model, train: Codes, val: Codes, test: Codes) -> tuple[float, float]:
        """R* and its error, with the same components as for the whole code."""
        seen, population = self.data.seen("train", model.row, self.at), self.data.population
        aggregates = {"train aggregate": Posteriors(model, seen, self.device)}
        if population is not None and aggregates["train aggregate"].flat and not model.row.side:
            aggregates["population"] = Posteriors(model, population.take(), self.device)
        aggregates = {name: posteriors for name, posteriors in aggregates.items() if posteriors.flat}
        mixtures = list(self.budget.mixtures)
        return _mean_se(stack(train, val, test, mixtures=mixtures, seed=self.seed, aggregates=aggregates).rate.mean(0))

    def _linear(self, factors: Sequence[Factor]) -> list[Fitted]:
        """Linear heads on the whole code, each fitted once."""
        missing = [f for f in factors if f.name not in self.fitted]
        if missing:
            heads = self._fit("linear", missing, self.train, self.val)
            self.fitted |= {f.name: head for f, head in zip(missing, heads, strict=True)}
        return [self.fitted[f.name] for f in factors]

    def _fit(self, name: str, factors: Sequence[Factor], train: Codes, val: Codes) -> list[Fitted]:
        white = whitening(train.z)
        z, z_val = white(train.z), white(val.z)
        targets = [Target(f, self._truth(f, "train"), self._truth(f, "val")) for f in factors]
        probe: Probe = registry.load("probes", name)()
        heads = probe.fit(z, z_val, targets, seed=named_seed(self.seed, name) % 2**63, budget=self.budget)
        out = []
        for target, head in zip(targets, heads, strict=True):
            calibrated, _ = _calibrated(head, z_val, target.val, target.factor)
            loss = -float(_log_prob(calibrated(z_val), target.val).mean())
            out.append(Fitted(lambda z, calibrated=calibrated: calibrated(white(z)), loss))  # type: ignore[misc]
        return out

    def _nothing(self, factor: Factor) -> Fitted:
        """The best head of a constant code."""
        constant = _constant(Target(factor, self._truth(factor, "train"), self._truth(factor, "val")))
        return Fitted(lambda z: constant, -float(_log_prob(constant, self._truth(factor, "val")).mean()))

    def _useful(self, factor: Factor, head: Fitted, test: Codes) -> Found:
        """D_y on test, mean of logs over draws, and what that is below a constant code."""
        y = self._truth(factor, "test")
        loss = -_log_prob(head.predict(test.z), y).double()
        loss = loss if loss.dim() == 1 else loss.mean(0)
        nothing = -_log_prob(self._nothing(factor).predict(test.z), y).double()
        (dy, dy_se), (gain, gain_se) = _mean_se(loss), _mean_se(nothing - loss)
        return {"Dy": dy, "Dy_se": dy_se, "Hy_V": float(nothing.mean()), "IV": gain, "IV_se": gain_se}


def corrupted(x: Tensor, level: float, flips: bool, scale: float, seed: int) -> Tensor:
    """x with every pixel flipped with probability `level`, or with noise of `level` times `scale` added."""
    generator = torch.Generator().manual_seed(seed)
    if flips:
        return torch.where(torch.rand(x.shape, generator=generator) < level, 1 - x, x)
    return x + level * scale * torch.randn(x.shape, generator=generator)


def _leading(parts: list[Tensor]) -> list[Tensor]:
    """Codes (S, N, d) turned, and cut to their leading directions where there are many."""
    if parts[0].shape[-1] <= DIRECTIONS:
        return parts
    leading = principal(parts[0], DIRECTIONS)
    return [leading.turned(part) for part in parts]


def _mean(k: int, found: list[Agreement]) -> Found:
    """Over draws."""
    mean = np.mean(found, axis=0).tolist()
    return {"k": k, **dict(zip(Agreement._fields, mean, strict=True))}


def _mean_se(per_point: Tensor) -> tuple[float, float]:
    return float(per_point.mean()), float(per_point.std() / math.sqrt(len(per_point)))
