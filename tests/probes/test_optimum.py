"""D_y of our heads is no worse than what scikit-learn's get from the same codes: the optimum, and no worse luck."""

import math
import warnings

import numpy as np
import pytest
import torch
from effects import trained
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

from rdu_bench import registry
from rdu_bench.budget import find
from rdu_bench.data import Factor
from rdu_bench.measure import Study
from rdu_bench.measure.heads import Drawn, Readers, read
from rdu_bench.measure.labels import Labels

TRAIN, VAL, TEST = 1200, 400, 6000


def made(draw, seed=0):
    """Codes and labels of a world that `draw` (n, generator) → z, y makes up."""
    generator = torch.Generator().manual_seed(seed)
    parts = [draw(n, generator) for n in (TRAIN, VAL, TEST)]
    return tuple(z[None] for z, _ in parts), tuple(y for _, y in parts)


def tossed(probability, generator):
    return (torch.rand(len(probability), generator=generator) < probability).long()


def product(n, generator):
    z = torch.randn(n, 10, generator=generator)
    return z, tossed((3 * z[:, 0] * z[:, 1]).sigmoid(), generator)


def plane(n, generator):
    z = torch.randn(n, 4, generator=generator)
    return z, tossed((2 * z[:, 0] - z[:, 1]).sigmoid(), generator)


def rings(n, generator):
    z = 1.5 * torch.randn(n, 2, generator=generator)
    return z, z.norm(dim=1).floor().clamp(max=3).long()


def spirals(n, generator):
    y, t = torch.randint(2, (n,), generator=generator), 3 * torch.rand(n, generator=generator) + 0.5
    angle = 2 * t + math.pi * y
    return torch.stack([t * angle.cos(), t * angle.sin()], 1) + 0.15 * torch.randn(n, 2, generator=generator), y


def wide(n, generator):
    z = torch.randn(n, 60, generator=generator)
    return z, tossed((z[:, :6].sum(1)).sigmoid(), generator)


def noisy(n, generator):
    z, y = plane(n, generator)
    return z, torch.where(torch.rand(n, generator=generator) < 0.3, 1 - y, y)


def symbols(n, generator):
    k = torch.randint(8, (n,), generator=generator)
    y = torch.where(torch.rand(n, generator=generator) < 0.2, torch.randint(3, (n,), generator=generator), k % 3)
    return torch.eye(8)[k], y


def nothing(n, generator):
    return torch.randn(n, 6, generator=generator), torch.randint(4, (n,), generator=generator)


def skewed(n, generator):
    z = torch.randn(n, 3, generator=generator)
    return z.exp(), tossed((3 * z[:, 0]).sigmoid() * 0.2, generator)


def of_digits(name, sigma):
    def codes():
        data = registry.dataset("digits")
        model, _ = trained(name, data, sigma)
        spec = data.spec(hidden=(128, 128), latent=10)
        study = Study(model.requires_grad_(False), data, find("laptop"), ("linear",), spec)
        labels = study.labels["digit"]
        return tuple(part.z for part in study.codes), (labels.train, labels.val, labels.test)

    return codes


FAST = {f.__name__: (lambda f=f: made(f)) for f in (product, plane, symbols)}
SLOW = {f.__name__: (lambda f=f: made(f)) for f in (rings, spirals, wide, noisy, nothing, skewed)}
SLOW |= {
    "VAE, 6 nats": of_digits("vae", 6.0),
    "VAE, 18 nats": of_digits("vae", 18.0),
    "VIB, 2 nats": of_digits("vib", 2.0),
}


def ours(z, y):
    """Test nats of each of our heads, (L,), and of the better on validation."""
    labels = Labels(Factor("y", int(y[0].max()) + 1), *y)
    [[reading]] = read([Drawn(*z)], [labels], Readers(("linear", "mlp"), find("laptop"), 0))
    return reading.loss, {name: head.loss for name, head in reading.heads.items()}


def theirs(z, y):
    """Test nats (L,) of scikit-learn's head that is best on validation, among several of each kind."""
    fit, val, test = (part.flatten(0, 1).double().numpy() for part in z)
    of_fit, of_val, of_test = (np.tile(label.numpy(), len(part)) for part, label in zip(z, y, strict=True))
    mean, scale = fit.mean(0), fit.std(0) + 1e-9
    fit, val, test = ((part - mean) / scale for part in (fit, val, test))
    models = [LogisticRegression(C=10.0**-i, max_iter=500) for i in range(-1, 4)]
    models += [
        MLPClassifier(hidden, alpha=alpha, early_stopping=True, max_iter=300, n_iter_no_change=15, random_state=0)
        for hidden in ((64,), (200,), (100, 100))
        for alpha in (1e-4, 1e-2, 1.0)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = [model.fit(fit, of_fit) for model in models]
    known = np.unique(of_fit)
    best = min(fitted, key=lambda model: log_loss(of_val, model.predict_proba(val), labels=known))
    lost = -np.log(np.clip(best.predict_proba(test)[np.arange(len(test)), of_test], 1e-6, 1))
    return torch.from_numpy(lost.reshape(len(z[2]), -1).mean(0))


def compared(name):
    z, y = (FAST | SLOW)[name]()
    (chosen, heads), other = ours(z, y), theirs(z, y)
    difference = chosen.double() - other
    error = float(difference.std()) / math.sqrt(len(difference))
    mean, told = float(difference.mean()), ", ".join(f"{head} {float(loss.mean()):.3f}" for head, loss in heads.items())
    print(f"{name}: {told}, scikit-learn {float(other.mean()):.3f}, difference {mean:+.4f} ± {error:.4f}")
    return mean, error


@pytest.mark.parametrize("name", FAST)
def test_a_head_is_no_worse_than_scikit_learns(name):
    difference, error = compared(name)
    assert difference <= 2 * error + 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_heads_of_many_kinds_of_codes_are_no_worse_than_scikit_learns(name):
    difference, error = compared(name)
    assert difference <= 2 * error + 0.01


def test_what_is_known_to_be_left_is_all_that_is_left():
    z, y = made(product)
    truth = (3 * z[2][0, :, 0] * z[2][0, :, 1]).sigmoid()
    floor = -torch.where(y[2] == 1, truth, 1 - truth).log().mean()  # E −log p(y|z) on these examples
    loss, heads = ours(z, y)
    assert float(floor) <= float(heads["mlp"].mean()) + 0.01
    assert float(loss.mean()) <= float(floor) + 0.05 < float(heads["linear"].mean())
