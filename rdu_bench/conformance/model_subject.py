"""A model file under examination: the batches, networks and weights that its laws try it on."""

from __future__ import annotations

import copy
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..model import Batch, Model, Row
from ..nn.networks import Spec
from .plugin import Subject

CHANNELS = {"native", "trained-noise", "posthoc-iso", "posthoc-learned", "multi-rate"}

B = 16  # examples in a batch
DRAWS = 200  # of the code, where an average is compared


class ModelSubject(Subject):
    """A model file under examination, and what it is tried on."""

    folder = "models"
    base = Model
    sigma: float | None = None  # nats that models are to be trained for

    @cached_property
    def row(self) -> Row:
        """The row with these hyper-parameters, which may narrow its class's; an empty one where there is none."""
        try:
            return self.new().row
        except Exception:  # that it cannot be built is a finding of its own
            return getattr(self.kind, "row", Row(""))

    @property
    def sequence(self) -> bool:
        """Whether it is a model of sequences; read from the class, since an instance is not there yet."""
        return "sequence" in getattr(self.kind, "row", Row("")).needs

    def afresh(self) -> ModelSubject:
        """The same file imported again."""
        again = ModelSubject(self.source, self.params)
        again.load()
        again.sigma = self.sigma
        return again

    def sized(self, sigma: float) -> ModelSubject:
        """The same file, of which models are those that a run trains for `sigma` nats."""
        made = copy.copy(self)
        vars(made).pop("row", None)
        made.sigma = sigma
        return made

    def spec(self, **changes: Any) -> Spec:
        """What a data set might ask for: 8×8 images, three of them where it needs a sequence, and small networks."""
        shape = (3, 1, 8, 8) if self.sequence else (1, 8, 8)
        small = Spec(shape, examples=1000, classes=4, groups=2, factors=2, hidden=(32, 32), latent=4)
        return small._replace(**changes)

    def new(self, spec: Spec | None = None, seed: int = 0) -> Model:
        """A model with the weights of a seed."""
        torch.manual_seed(seed)
        model: Model = self.kind(spec or self.spec(), **self.params)
        return model if self.sigma is None else model.for_rate(self.sigma)

    def used(self, spec: Spec | None = None, seed: int = 0) -> Model:
        """A model whose weights have left where they began, so that q and p are no longer nearly equal."""
        model = self.new(spec, seed)
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(1.5).add_(0.1 * torch.randn_like(weight))
        return model

    def batch(self, spec: Spec | None = None, seed: int = 1) -> Batch:
        """Random examples, every fourth of them without a label."""
        spec = spec or self.spec()
        torch.manual_seed(seed)
        x = torch.rand(B, *spec.shape)
        if spec.likelihood == "bernoulli":
            x = (x < 0.5).float()
        y, s = torch.randint(0, spec.classes, (B,)), torch.randint(0, spec.groups, (B,))
        y[::4] = -1
        return Batch(x, y, s, torch.tensor(0.5))

    def measured(self, x: Tensor) -> Batch:
        """What the model is given of x (n ≤ B, *shape) when it is measured."""
        return Batch.unlabelled(x, torch.arange(len(x)) % self.spec().groups if self.row.side else None)


class ClassSubject(ModelSubject):
    """A model's class under examination, which has no file of its own: a library's, or one that Python made."""

    def __init__(self, kind: type[Model], params: dict[str, Any]):
        self.kind, self.params, self.path = kind, params, Path(sys.modules[kind.__module__].__file__ or "")

    def afresh(self) -> ModelSubject:
        return self


def specs(subject: ModelSubject) -> list[Spec]:
    """The data and networks that the model says it takes."""
    likelihoods = ["bernoulli"] if "binary" in subject.row.needs else ["bernoulli", "gaussian"]
    families: dict[str, tuple[int, ...]] = {"mlp": (32, 32), "conv": (4, 8, 32)}
    return [subject.spec(family=f, hidden=h, likelihood=k) for f, h in families.items() for k in likelihoods]
