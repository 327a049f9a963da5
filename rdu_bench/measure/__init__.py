"""A frozen model in, numbers out: bounds with a direction, scored on points that nothing was fitted on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._hash import named_seed
from ..budget import Budget
from ..data import Dataset
from ..model import Model
from ..nn.networks import Spec
from . import distortion
from . import total_correlation as dependence
from .codes import Posteriors, draw
from .pictures import pictures
from .rate import Marginal, information_low, stack
from .scores import scored
from .structure import structure
from .usefulness import usefulness

REFERENCES = 2000  # test points that I_low is contrasted with
REPLAYED = 128  # the same, where every pair needs the encoder
COMPARED = 500  # test points whose latents are stored

__all__ = ["Measured", "measure"]


class Measured(NamedTuple):
    """What a record says of a model."""

    values: dict[str, Any]
    factors: dict[str, dict[str, Any]]
    vectors: dict[str, np.ndarray]  # float32, one number a test point; and arrays, under pictures/ and latents/
    nulls: dict[str, str]  # field → why it has no number
    scores: dict[str, float | None]  # by score, protocol and representation
    mi: dict[str, Any]  # I(z_j; y_k), nats
    pictures: dict[str, Any]  # what the arrays under pictures/ show
    structure: dict[str, Any]  # clusters, levels, leakage, efficiency, noise: those that mean something


@torch.no_grad()
def measure(
    model: Model,
    data: Dataset,
    budget: Budget,
    heads: Sequence[str],
    *,
    seed: int = 0,
    device: str = "cpu",
    spec: Spec,
) -> Measured:
    """Rate, distortion and usefulness of a frozen model, the same for the same seed."""
    model = model.to(device).eval()
    cuda = [torch.device(device)] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(named_seed("measure", seed))
        return _Measurement(model, data, budget, heads, seed, device, spec).run()


class _Measurement:
    """One call of `measure`, so that its parts need not pass a dozen things around."""

    def __init__(
        self,
        model: Model,
        data: Dataset,
        budget: Budget,
        heads: Sequence[str],
        seed: int,
        device: str,
        spec: Spec,
    ):
        self.model, self.data, self.budget, self.heads = model, data, budget, heads
        self.seed, self.device, self.spec = seed, device, spec
        x = data.splits["train"].x
        self.at = torch.randperm(len(x), generator=torch.Generator().manual_seed(named_seed("codes", seed)))
        self.at = self.at[: budget.codes]
        fit, score = budget.draws_fit, budget.draws_test
        self.seen = data.seen("train", model.row, self.at)
        self.train = draw(model, self.seen, fit, device=device)
        self.val = draw(model, data.seen("val", model.row), fit, device=device)
        self.tested = data.seen("test", model.row, slice(budget.test))
        self.test = draw(model, self.tested, score, device=device)
        self.values: dict[str, Any] = {}
        self.nulls: dict[str, str] = {}
        self.vectors: dict[str, Tensor] = {}

    def run(self) -> Measured:
        self._rate()
        self._information()
        self._distortion()
        self._gap()
        factors = self._usefulness()
        scores = scored(
            self.data,
            self.train,
            self.val,
            self.test,
            at=self.at,
            budget=self.budget,
            seed=named_seed("scores", self.seed),
        )
        self.nulls |= scores.nulls
        rate = self.values["R_star"], self.values["R_star_se"]
        how: dict[str, Any] = {"at": self.at, "budget": self.budget, "seed": self.seed, "device": self.device}
        parts, missing = structure(
            self.model, self.data, self.train, self.val, self.test, heads=self.heads, rate=rate, **how
        )
        self.nulls |= missing
        shown = pictures(self.model, self.data, self.test, device=self.device)
        if shown.reason:
            self.nulls["pictures"] = shown.reason
        values = {name: self._number(name, value) for name, value in self.values.items()}
        for factor, found in factors.items():
            factors[factor] = {name: self._number(f"{name}[{factor}]", value) for name, value in found.items()}
        vectors = {name: vector.float().numpy().copy() for name, vector in self.vectors.items()}
        vectors |= {f"pictures/{name}": array for name, array in shown.arrays.items()} | self._latents()
        found = {name: self._number(name, value) for name, value in scores.scores.items()}
        return Measured(values, factors, vectors, self.nulls, found, scores.mi, shown.about, parts)

    def _latents(self) -> dict[str, np.ndarray]:
        """Posterior means of the first test points, and what each latent tells of x: for comparing seeds."""
        z = self.train.continuous.double()
        if self.test.own or len(z) < 2 or not z.shape[-1]:
            return {}
        within, total = z.var(0).mean(0), z.flatten(0, 1).var(0)
        rate = 0.5 * (total / within.clamp(min=1e-12 * total.clamp(min=1e-12))).clamp(min=1).log()
        return {
            "latents/mean": self.test.centre[:COMPARED].half().numpy(),
            "latents/rate": rate.float().numpy(),
        }

    def _number(self, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._number(f"{name}.{key}", v) for key, v in value.items()}
        if isinstance(value, float) and not math.isfinite(value):
            self.nulls[name] = "not finite"
            return None
        return value

    def _mean(self, name: str, per_draw: Tensor, vector: str | None = None) -> None:
        """Store mean and standard error of (S, N) nats, over test points."""
        per_point = per_draw.double().mean(0)
        self.values[name] = float(per_point.mean())
        self.values[f"{name}_se"] = float(per_point.std() / math.sqrt(len(per_point)))
        if vector:
            self.vectors[vector] = per_point

    def _rate(self) -> None:
        test = self.test
        self._mean("R_own", torch.stack(list(test.rate.values())).sum(0), "R_i")
        self._mean("R_own_mc", test.log_q - test.log_p)
        self.values["R_own_train"] = float(torch.stack(list(self.train.rate.values())).sum(0).mean())
        self.values["R_parts"] = {name: float(rate.double().mean()) for name, rate in test.rate.items()}
        aggregates = {}
        posteriors = Posteriors(self.model, self.seen, self.device)
        if posteriors.flat:
            aggregates["train aggregate"] = posteriors
        if posteriors.flat and self.data.population is not None and not self.model.row.side:
            aggregates["population"] = Posteriors(self.model, self.data.population.take(), self.device)
        marginal = stack(
            self.train, self.val, test, mixtures=list(self.budget.mixtures), seed=self.seed, aggregates=aggregates
        )
        self._mean("R_star", marginal.rate, "R_star_i")
        self.values["R_star_parts"] = {name: float(rate.mean()) for name, rate in marginal.parts.items()}
        self.values["R_star_w"] = marginal.weights
        self.values["I_exact"] = None
        self._dependence(marginal, aggregates.get("population"))
        if "population" in marginal.parts:
            self._mean("I_exact", marginal.parts["population"])
        elif self.data.population is None:
            self.nulls["I_exact"] = "the population is not finite and known"
        else:
            self.nulls["I_exact"] = "blocks depend on each other's draws: the aggregate has no closed form"

    def _dependence(self, marginal: Marginal, population: Posteriors | None) -> None:
        """Total correlation over single latents: a lower bound, and the value where the population is known."""
        self.values |= {"TC_low": None, "TC": None}
        if self.test.own or marginal.mixture is None or self.test.continuous.shape[-1] < 2:
            self.nulls["TC_low"] = "it needs two continuous latents, no symbols, and codes enough for a mixture"
        else:
            told, shuffled = dependence.low(self.test, marginal.mixture, named_seed("shuffled", self.seed))
            self._mean("TC_low", told - shuffled)
        if population is None:
            self.nulls["TC"] = "the population is not finite and known, or blocks depend on each other's draws"
        else:
            self._mean("TC", dependence.exact(self.test, population)[None])

    def _information(self) -> None:
        flat = Posteriors(self.model, self.tested.rows(slice(2)), self.device).flat
        references = Posteriors(self.model, self.tested.rows(slice(REFERENCES if flat else REPLAYED)), self.device)
        try:
            low, log_n = information_low(self.test, references)
        except (ValueError, StopIteration, RuntimeError) as error:
            self.values |= {"I_low": None, "log_N": None, "saturated": None}
            self.nulls["I_low"] = str(error) or "the model's code cannot be replayed"
            return
        self.values |= {"I_low": low, "log_N": log_n, "saturated": low > log_n - 1}

    def _distortion(self) -> None:
        data, budget, n = self.data, self.budget, len(self.test)
        nothing = distortion.null(data, n)
        self._mean("D_null", nothing.test)
        candidates = {"null": nothing}
        if self.val.distortion is not None and self.test.distortion is not None and self.train.distortion is not None:
            candidates["own"] = distortion.Decoded(self.val.distortion, self.test.distortion)
            self._mean("D_own", self.test.distortion, "D_own_i")
            self.values["D_train"] = float(self.train.distortion.double().mean())
        else:
            self.values |= {"D_own": None, "D_own_se": None, "D_train": None}
            self.nulls |= dict.fromkeys(("D_own", "D_train"), "the model has no decoder of x")
        how: dict[str, Any] = {
            "steps": budget.probe_steps,
            "seed": named_seed("probe", self.seed) % 2**62,
            "device": self.device,
        }
        probes = {"scratch": distortion.probe(data, self.train, self.val, self.test, at=self.at, spec=self.spec, **how)}
        if "own" in candidates and "A" not in self.model.row.decoder:
            probes["tuned"] = distortion.tuned(self.model, data, n, budget.draws_test, **how)
        kind = min(probes, key=lambda name: float(probes[name].val.mean()))
        self._mean("D_star", probes[kind].test)
        self.values["D_star_kind"] = kind
        candidates["probe"] = probes[kind]
        source = min(candidates, key=lambda name: float(candidates[name].val.mean()))
        best = candidates[source].test
        self._mean("D", best.expand(self.test.log_q.shape[0], -1) if source == "null" else best, "D_i")
        size = self.spec.size
        self.values |= {
            "D_source": source,
            "D_per_dim": self.values["D"] / size,
            "D_bits_per_dim": self.values["D"] / (size * math.log(2)),
            "likelihood": data.likelihood,
        }
        own = self.values["D_own"]
        self.values["elbo_gen_D"] = None if own is None else own - self.values["D_train"]
        self.values["elbo_gen_R"] = self.values["R_own"] - self.values["R_own_train"]

    def _gap(self) -> None:
        nats, kind = self.data.entropy
        self.values |= {"H_x": nats, "H_x_kind": kind}
        if nats is None:
            self.values |= {"gap_RD": None, "gap_RD_se": None}
            self.nulls["gap_RD"] = "H(x) is not known"
            return
        both = self.vectors["D_i"] + self.vectors["R_star_i"]
        self._mean("gap_RD", both[None] - nats)

    def _usefulness(self) -> dict[str, dict[str, Any]]:
        data = self.data
        found = usefulness(
            data, self.train, self.val, self.test, at=self.at, heads=self.heads, budget=self.budget, seed=self.seed
        )
        for name, loss in found.losses.items():
            self.vectors[f"Dy_i/{name}"] = loss
        if not data.task:
            return found.factors
        task = [found.factors[name] for name in data.task]
        summed = torch.stack([found.losses[name].double() for name in data.task]).sum(0)
        known = [f["H_y"] for f in task]
        iv = sum(f["Hy_V"] for f in task) - float(summed.mean())
        self.values |= {
            "Dy": float(summed.mean()),
            "Dy_se": float(summed.std() / math.sqrt(len(summed))),
            "Hy_V": sum(f["Hy_V"] for f in task),
            "H_y": None if None in known else sum(known),
            "IV": iv,
            "IV_se": math.sqrt(sum(f["IV_se"] ** 2 for f in task)),
            "Dy_sum": sum(f["Dy"] for f in found.factors.values()),
        }
        if self.values["H_y"] is None:
            self.nulls["H_y"] = "H(y) is not known"
        classes = [found.factors[f.name] for f in data.factors if f.kind == "class"]
        self.values["U"] = sum(f["IV"] / f["Hy_V"] for f in classes) / len(classes) if classes else None
        if not classes:
            self.nulls["U"] = "no factor is a class"
        if data.sensitive:
            s = found.factors[data.sensitive]
            self.values |= {"Ds": s["Dy"], "leakage_s": s["IV"]}
        return found.factors
