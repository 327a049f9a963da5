"""Files that run, to be changed: one for each kind of plug-in, and a suite."""

from __future__ import annotations

MODEL = '''\
from torch import Tensor

from rdu_bench.api import Autoencoder, Batch, Code, Row, Spec


class {title}(Autoencoder):
    """One line: what sets this model apart.

        L = D + R + penalty · E ‖μ(x)‖²        replace this by your objective

    Authors year (arXiv:0000.00000), eq. 1.
    """

    row = Row(
        paper="0000.00000",
        title="{title}",
        objective="D + R + penalty · E ‖μ(x)‖²",
        R1="penalty · E ‖μ(x)‖²",
        claim="D_y, lower than vae, on digits",
    )

    def __init__(self, data: Spec, *, penalty: float = 0.01):
        super().__init__(data)
        self.penalty = penalty

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        return self.penalty * code["z"].q.mean.square().sum(-1).mean()
'''

DATASET = '''\
import numpy as np

from rdu_bench.api import Card, Dataset, Examples, Factor, assign_splits, check_counts, named_seed


class {title}(Dataset):
    """{title}: one line that says what the data are.

    Replace the drawing below by reading your file: `data_folder` finds it, `HDF5Source` reads rows of it when they are
    asked for.  Say how the splits were made, and what is known of H(x).
    """

    card = Card(
        title="{title}",
        source="who made it, where it is described",
        shape="1×8×8, binary",
        task="bar",
        provides=("labels", "image", "binary"),
    )

    def load(self, *, examples: int = 2000) -> None:
        """`examples` in all."""
        check_counts("{stem}", examples=examples)
        draw = np.random.default_rng(named_seed("{stem}"))
        bar = draw.integers(0, 8, examples)  # which row is lit
        x = (draw.random((examples, 1, 8, 8)) < 0.05).astype(np.uint8)
        x[np.arange(examples), 0, bar] = 1
        self.shape, self.likelihood = (1, 8, 8), "bernoulli"
        self.factors, self.task = (Factor("bar", 8),), ("bar",)
        parts = assign_splits(examples, "{stem}")
        self.splits = {{part: Examples(x, {{"bar": bar[rows]}}, rows=rows) for part, rows in parts.items()}}
'''

PROBE = '''\
import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MultivariateNormal

from rdu_bench.api import Budget, Head, Probe, ProbeCard, Target


class {title}(Probe):
    """A Gaussian of z for each class, all with one covariance; of reals, the plane of least squares.

        p(y|z) ∝ π_y N(z; μ_y, Σ)        replace this by your head

    Every draw of every code counts as an example of its own, in `fit` and in what is predicted.
    """

    card = ProbeCard(title="{title}", family="π_y N(z; μ_y, Σ), N(W z + b, Σ)")

    def fit(self, fit: Tensor, val: Tensor, targets: list[Target], *, seed: int, budget: Budget) -> list[Head]:
        return [(classes if t.factor.kind == "class" else reals)(fit.double(), t) for t in targets]


def classes(z: Tensor, target: Target) -> Head:
    z, y = z.flatten(0, 1), target.fit.repeat(len(z))
    hot = torch.nn.functional.one_hot(y, target.factor.size).double()
    counts = hot.sum(0) + 0.5
    mean = hot.T @ z / counts[:, None]
    spread = covariance(z - mean[y])

    def predict(z: Tensor) -> Distribution:
        near = MultivariateNormal(mean, spread).log_prob(z.double()[..., None, :])
        return Categorical(logits=near + counts.log())

    return Head(predict, {{}})


def reals(z: Tensor, target: Target) -> Head:
    plane = torch.linalg.pinv(with_ones(z.flatten(0, 1))) @ target.fit.double().repeat(len(z), 1)
    spread = covariance(target.fit.double().repeat(len(z), 1) - with_ones(z.flatten(0, 1)) @ plane)
    return Head(lambda z: MultivariateNormal(with_ones(z.double()) @ plane, spread), {{}})


def with_ones(z: Tensor) -> Tensor:
    """(…, d + 1)."""
    return torch.cat([z, torch.ones_like(z[..., :1])], -1)


def covariance(residual: Tensor) -> Tensor:
    """Of residuals (n, d), with a little on the diagonal."""
    return residual.T @ residual / len(residual) + 1e-6 * torch.eye(residual.shape[1], dtype=residual.dtype)
'''

SUITE = """\
title = "{title}"
budget = "smoke"  # or laptop, trained, paper
seeds = 1
models = [
  "vae",
  # {{ name = "beta_vae", sweep = {{ beta = [0.5, 1, 2] }} }},
]

[[datasets]]
name = "digits"
hidden = [64]
latent = 6
sigmas = [3, 8]  # target rates in nats; the ELBO comes with them
"""

TEXTS = {"model": MODEL, "probe": PROBE, "dataset": DATASET, "suite": SUITE}
