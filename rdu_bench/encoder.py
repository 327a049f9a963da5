"""A trained encoder as a scikit-learn transformer."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from . import registry
from ._hash import named_seed
from .data import Card, Dataset, Examples, Factor
from .model import Batch, Code, Model, flatten
from .training import Training, train_at


class Encoder(TransformerMixin, BaseEstimator):
    """An autoencoder of the suite trained to send `sigma` nats about x, then frozen.

    Parameters
    ----------
    model : name of a model, as `rdu-bench models` lists them.
    sigma : target rate in nats; None trains the ELBO.
    latent, family, hidden : the networks; `family` is `mlp` (`hidden` are widths) or `conv`.
    likelihood : `bernoulli` for x in {0, 1}, `gaussian` for real x.
    output : `sample` draws z ~ q(z|x), the representation whose rate is `rate_`; `mean` gives the posterior mean,
        which is a function of x and has no finite rate.
    steps, batch, lr : of training.
    params : keyword arguments of the model.
    random_state : seed of weights, batches and noise, and of the draws in `transform`.

    Attributes
    ----------
    rate_ : R in nats on the training set, an upper bound on I(x; z).
    control_ : how training ended, a `rdu_bench.training.Control`.
    model_ : the frozen model.

    """

    def __init__(
        self,
        model: str = "vae",
        *,
        sigma: float | None = 8.0,
        latent: int = 10,
        family: str = "mlp",
        hidden: tuple[int, ...] = (256, 256),
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
        output: Literal["sample", "mean"] = "sample",
        steps: int = 2000,
        batch: int = 128,
        lr: float = 2e-3,
        params: dict[str, Any] | None = None,
        random_state: int = 0,
        device: str = "cpu",
    ):
        self.model = model
        self.sigma = sigma
        self.latent = latent
        self.family = family
        self.hidden = hidden
        self.likelihood = likelihood
        self.output = output
        self.steps = steps
        self.batch = batch
        self.lr = lr
        self.params = params
        self.random_state = random_state
        self.device = device

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Encoder:
        """Train on X (n, *shape); y (n,) are class labels from 0, −1 where unknown, for models that use them.

        Raises `ValueError` for x that the likelihood has no density for, `ArithmeticError` when training diverges.
        Warns `ConvergenceWarning` when the rate reached is not σ.
        """
        data = _Arrays(self.likelihood)
        data.load(X=X, y=y)
        spec = data.spec(family=self.family, hidden=tuple(self.hidden), latent=self.latent)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(named_seed("init", self.random_state))
            model: Model = registry.model(self.model, spec, **(self.params or {}))
        missing = set(model.row.needs) - data.provides
        if missing:
            raise ValueError(f"{self.model} needs {', '.join(sorted(missing))}, which these X and y do not have")
        training = Training(
            self.steps, self.batch, self.lr, seed=named_seed("train", self.random_state), device=self.device
        )
        found = train_at(model, data, self.sigma, training)
        model, control = found.model, found.control
        if control.status == "diverged":
            raise ArithmeticError(f"{self.model} diverged: {control.reason}")
        if control.status != "ok":
            warnings.warn(f"{self.model}: {control.reason}", ConvergenceWarning, stacklevel=2)
        self.model_, self.control_, self.rate_ = model.requires_grad_(False), control, control.R_train
        self.shape_ = data.shape
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Z (n, d) of X (n, *shape), the same at every call."""
        check_is_fitted(self)
        x = _tensor(X, self.likelihood)
        if x.shape[1:] != self.shape_:
            raise ValueError(f"X has examples of shape {tuple(x.shape[1:])}, but was fitted on {self.shape_}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(named_seed("transform", self.random_state))
            codes = [self.model_.encode(Batch.unlabelled(part.to(self.device))) for part in x.split(1024)]
            out = torch.cat([self._of(code) for code in codes])
        return out.cpu().numpy()

    def _of(self, code: Code) -> torch.Tensor:
        if self.output == "sample":
            return flatten(code)
        return torch.cat([block.q.mean.flatten(1) for block in code.values()], -1)


class _Arrays(Dataset):
    """Examples in memory, all of them for training."""

    card = Card(title="arrays", source="the caller", shape="", task="y")

    def __init__(self, likelihood: Literal["bernoulli", "gaussian"]):
        super().__init__(name="arrays", likelihood=likelihood)

    def load(self, **params: Any) -> None:
        x = _tensor(params["X"], self.likelihood)
        self.shape = tuple(x.shape[1:])
        factors = {}
        if params["y"] is not None:
            label = torch.as_tensor(np.asarray(params["y"]), dtype=torch.int64)
            if label.shape != (len(x),):
                raise ValueError(f"y has shape {tuple(label.shape)}, but X has {len(x)} examples")
            self.factors, self.task = (Factor("y", int(label.max()) + 1),), ("y",)
            factors["y"] = label
        self.splits = {"train": Examples(x, factors)}


def _tensor(X: ArrayLike, likelihood: str) -> torch.Tensor:
    x = torch.as_tensor(np.asarray(X), dtype=torch.float32)
    if x.dim() < 2 or len(x) == 0:
        raise ValueError(f"X has shape {tuple(x.shape)}; it must be (n, …) with n > 0")
    if not bool(x.isfinite().all()):
        raise ValueError("X holds NaN or infinity")
    if likelihood == "bernoulli" and not bool(((x == 0) | (x == 1)).all()):
        raise ValueError(
            f"X holds values other than 0 and 1 (from {x.min():g} to {x.max():g}), for which a Bernoulli likelihood is "
            "no density: binarise X, or set likelihood='gaussian'"
        )
    return x
