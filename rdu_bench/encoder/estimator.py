"""A trained encoder as a scikit-learn transformer."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from .._alone import alone
from .._arrays import check_rows
from .._hash import named_seed
from ..model import Batch, Code, Model, flatten
from ..training import Control, Training, train_at
from ..training.keep import Recipe, keep, read, rebuilt
from .arrays import array_of, check_finite
from .decoding import code_of, from_marginal, mean_of_x
from .inputs import Arrays, check_arguments, check_images, check_model, check_range, floats, seed_of
from .labels import Labels, kept, labels, restored
from .rows import CHUNK, RowCodes

PROBED = 4  # rows that show whether rows of a chunk stay apart
KEPT = ("likelihood_", "shape_", "sizes_", "seed_", "rate_", "_n_features_out", "n_features_in_")


class Encoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """An autoencoder of the suite trained to send `sigma` nats about x, then frozen.

    Parameters
    ----------
    model : name of a model, as `rdu-bench models` lists them; or its file, or its class.
    sigma : target rate in nats; None trains the ELBO.
    latent, family, hidden : the networks; `family` is `mlp` (`hidden` are widths) or `conv`, for images X (n, c, h, w)
        (`hidden` are the channels of layers that halve an image, then one width).
    likelihood : `bernoulli` for x in {0, 1}, `gaussian` for real x; `auto` is the first where X holds 0 and 1 only.
        X is taken as it is: bytes of 0 and 255 are real, and have none of the noise that data set `hdf5` adds.
    output : `sample` draws z ~ q(z|x), the representation whose rate is `rate_`; `mean` gives the posterior mean,
        which is a function of x and has no finite rate.
    steps, batch, lr : of training.
    params : keyword arguments of the model.
    random_state : seed of weights, batches and noise, and of the draws in `transform`.  With None or a `RandomState`
        one is drawn at every `fit`.
    device : `cpu`, `cuda` or `cuda:N`.

    Attributes
    ----------
    rate_ : R in nats on the training set, an upper bound on I(x; z).
    control_ : how training ended, a `rdu_bench.training.Control`.
    learning_ : D, R and β as training went, lists by name.
    model_ : the frozen model.
    likelihood_ : `bernoulli` or `gaussian`.
    classes_ : labels that y held, where the model looks at y; those that are −1, None or NaN are unknown.
    n_features_in_, feature_names_in_ : as of any scikit-learn estimator; of images the former is their channels.

    """

    def __init__(
        self,
        model: str | Path | type[Model] = "vae",
        *,
        sigma: float | None = 8.0,
        latent: int = 10,
        family: str = "mlp",
        hidden: tuple[int, ...] = (256, 256),
        likelihood: Literal["auto", "bernoulli", "gaussian"] = "auto",
        output: Literal["sample", "mean"] = "sample",
        steps: int = 2000,
        batch: int = 128,
        lr: float = 2e-3,
        params: dict[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = 0,
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

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]  # codes are float32 whatever X is
        return tags

    @alone
    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Encoder:
        """Train on X (n, *shape); y (n,) are class labels, for models that use them, and ignored by all others.

        Labels may be anything that can be sorted; −1, None and NaN stand for unknown.  Raises `ValueError` in a
        sentence for arguments, X or y that mean nothing, `TypeError` for a parameter that the model does not take, and
        `ArithmeticError` when training diverges.  Warns `ConvergenceWarning` when the rate reached is not σ.
        """
        check_arguments(self.get_params(deep=False))
        given = self._array(X, reset=True)
        x, likelihood = floats(given, self.likelihood)
        check_range(given)
        check_images(tuple(x.shape[1:]), self.family, self.hidden)
        kind = check_model(self.model)
        known = None
        if y is not None and kind.row.labels:
            check_rows(X, y, ("X", "y"))
            known = labels(y, len(x))
        data = Arrays(x, known, likelihood)
        self.seed_ = seed_of(self.random_state)
        hidden = tuple(map(int, self.hidden))
        spec = data.spec(family=self.family, hidden=hidden, latent=int(self.latent))
        self._recipe = Recipe.of(self.model, self.params or {}, spec, named_seed("init", self.seed_))
        model = self._recipe.build(self.model)
        if missing := set(model.row.needs) - data.provides:
            raise ValueError(f"{kind.__name__} needs {', '.join(sorted(missing))}, which these X and y do not have")
        training = Training(self.steps, self.batch, self.lr, seed=named_seed("train", self.seed_), device=self.device)
        found = train_at(model, data, self.sigma, training)
        if found.control.status == "diverged":
            raise ArithmeticError(f"{kind.__name__} diverged: {found.control.reason}")
        if found.control.status != "ok":
            warnings.warn(f"{kind.__name__}: {found.control.reason}", ConvergenceWarning, stacklevel=3)  # past the lock
        self.control_, self.rate_ = found.control, found.control.R_train
        self.learning_ = found.learning.table()
        self.shape_, self.likelihood_ = tuple(x.shape[1:]), likelihood
        return self._frozen(found.model.requires_grad_(False), x[:PROBED], known)

    @alone  # on its own where an encoder is loaded
    def _frozen(self, model: Model, sample: torch.Tensor, known: Labels | None) -> Encoder:
        """With what `transform` needs."""
        self.model_, self._sample = model, sample
        self.__dict__.pop("classes_", None)
        if known is not None:
            self.classes_ = known.classes
        self._codes = RowCodes(model, self.seed_, sample, self.device)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            code = model.encode(Batch.unlabelled(sample.to(self.device)))
        self.sizes_ = {name: block.sample.shape[1] for name, block in code.items() if not block.side}
        self._n_features_out = sum(self.sizes_.values())
        return self

    @alone
    def transform(self, X: ArrayLike, draw: int = 0) -> NDArray[np.float32]:
        """Z (n, d) of X (n, *shape), the same at every call.

        The noise of a row depends on what is in the row and on `draw`, a whole number, and never on the other rows:
        equal rows have equal codes, and `transform(X)[i]` is `transform(X[i:i+1])[0]`.
        """
        check_is_fitted(self)
        out: NDArray[np.float32] = self._codes(self._given(X), self._of, self._whole("draw", draw)).numpy()
        return out

    @alone
    def reconstruct(self, X: ArrayLike, draw: int = 0) -> NDArray[np.float32]:
        """(n, *shape) the mean of p(x|z) for the z that `transform` draws; probabilities where x is binary.

        Raises `NotImplementedError` in a sentence for a model without a decoder of x, or without a mean of it.
        """
        check_is_fitted(self)
        x, draw = self._given(X), self._whole("draw", draw)
        return self._decoded(self._codes(x, flatten, draw))

    def inverse_transform(self, Z: ArrayLike) -> NDArray[np.float32]:
        """(n, *shape) the mean of p(x|z) for codes Z (n, d); probabilities where x is binary.  Raises as above."""
        check_is_fitted(self)
        z = np.asarray(array_of(Z, "Z"), dtype=np.float32)
        if z.ndim != 2 or z.shape[1] != self._n_features_out or not np.isfinite(z).all():
            raise ValueError(f"Z has shape {z.shape}; it must be (n, {self._n_features_out}) of finite numbers")
        return self._decoded(torch.from_numpy(np.ascontiguousarray(z)))

    def sample(self, n: int = 1, draw: int = 0) -> NDArray[np.float32]:
        """(n, *shape) the mean of p(x|z) for n codes z from the model's own marginal, the same for the same `draw`.

        Raises `NotImplementedError` in a sentence for a model without a decoder or a marginal to draw from.
        """
        check_is_fitted(self)
        n, draw = self._whole("n", n, least=1), self._whole("draw", draw)
        some = self._sample[:1].expand(n, *self.shape_).to(self.device)

        def made() -> torch.Tensor:
            return mean_of_x(self.model_, from_marginal(self.model_, Batch.unlabelled(some), seed))

        seed = named_seed("sample", self.seed_, draw)
        return self._quietly(made)

    def save(self, path: str | Path) -> Path:
        """Write the fitted encoder as one safetensors file, without pickle; returns its path.

        Raises `ValueError` where JSON cannot say a parameter or a class.
        """
        check_is_fitted(self)
        given = self.get_params(deep=False) | {"model": self._recipe.model, "random_state": self.seed_}
        given["hidden"] = list(map(int, self.hidden))
        fitted = {name: getattr(self, name) for name in KEPT}
        about = {"encoder": given, "fitted": fitted, "control": asdict(self.control_), "learning": self.learning_}
        about["sample"] = self._sample.flatten(1).tolist()
        about["classes_"] = kept(self.classes_) if hasattr(self, "classes_") else None
        about["feature_names_in_"] = self.feature_names_in_.tolist() if hasattr(self, "feature_names_in_") else None
        keep(Path(path), self.model_, self._recipe, about)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path, model: str | Path | type[Model] | None = None) -> Encoder:
        """What `save` wrote, which transforms as it did; `model` where the model's class or file lies elsewhere now.

        Raises `FileNotFoundError`, and `ValueError` for a file that `save` did not write or that fits no longer.
        """
        stored = read(Path(path))
        about = stored.about
        if "encoder" not in about:
            raise ValueError(f"{path} holds a model of a run, not an encoder; rdu_bench.load_model reads it")
        made = cls(**{**about["encoder"], "hidden": tuple(about["encoder"]["hidden"])})
        made._recipe = stored.recipe
        for name, value in about["fitted"].items():
            setattr(made, name, tuple(value) if name == "shape_" else value)
        made.control_, made.learning_ = Control(**about["control"]), about["learning"]
        if about["feature_names_in_"]:
            made.feature_names_in_ = np.array(about["feature_names_in_"], dtype=object)
        known = None if about["classes_"] is None else Labels(restored(about["classes_"]), np.empty(0, np.int64))
        sample = torch.tensor(about["sample"], dtype=torch.float32).view(-1, *made.shape_)
        if model is not None:
            made.model = model
        return made._frozen(rebuilt(stored, model).to(made.device), sample, known)

    def _array(self, X: ArrayLike, *, reset: bool) -> np.ndarray:
        X = array_of(X)
        kinds = [np.float32, np.float64]
        found = validate_data(self, X, reset=reset, dtype=kinds, allow_nd=True, ensure_all_finite=False)
        check_finite(found)
        return np.asarray(found)

    def _given(self, X: ArrayLike) -> torch.Tensor:
        """X of the shape that it was fitted on, float32."""
        x, _ = floats(self._array(X, reset=False), self.likelihood_)
        if tuple(x.shape[1:]) != self.shape_:
            raise ValueError(f"X has examples of shape {tuple(x.shape[1:])}, but was fitted on {self.shape_}")
        return x

    def _of(self, code: Code) -> torch.Tensor:
        if self.output == "sample":
            return flatten(code)
        try:
            return torch.cat([block.q.mean.flatten(1) for block in code.values() if not block.side], -1)
        except NotImplementedError as error:
            raise ValueError(f"output='mean': q(z|x) of {self.model} has no mean; take 'sample'") from error

    def _decoded(self, z: torch.Tensor) -> NDArray[np.float32]:
        def made() -> torch.Tensor:
            parts = [
                mean_of_x(self.model_, code_of(part.to(self.device), self.sizes_)).cpu() for part in z.split(CHUNK)
            ]
            return torch.cat(parts)

        return self._quietly(made)

    @alone
    def _quietly(self, work: Callable[[], torch.Tensor]) -> NDArray[np.float32]:
        """`work` without gradients, and with the caller's random numbers left alone."""
        cuda = [torch.device(self.device)] if self.device.startswith("cuda") else []
        with torch.random.fork_rng(devices=cuda), torch.no_grad():
            out: NDArray[np.float32] = work().cpu().float().numpy()
        return out

    @staticmethod
    def _whole(name: str, value: Any, least: int = 0) -> int:
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name} = {value!r}: give a whole number of at least {least}")
        return int(value)
