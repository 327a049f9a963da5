"""How much a code saves of labels: D_y from few of them, and the nats that it takes to send them all.

One learner throughout: softmax of a linear map of the code, whitened on the training codes, most likely under a prior
N(0, 1/λ) on weights and N(0, 1) on biases, for λ = 1, 10, 100, 1000.  Their predictions are averaged, each weighted by
the probability that it gave to the labels so far before it saw them.  So nothing is chosen on a test set, on labels
beyond the n that were asked for, or, when labels are sent, on those still to come; and an uninformative code costs
at most log 4 nats more than no code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from .._arrays import check_columns, check_rows
from ._given import array
from ._given import labels as any_labels
from ._inputs import Undefined, codes
from ._linear_head import Learner, fit, log_loss, with_bias
from ._whitening import whitening

START = 16  # labels before the first head
PER_CLASS = 10  # labels at the left end of a curve, times the number of classes
STEP = 2.0  # between neighbouring sizes of a curve


class LabelCurve(NamedTuple):
    """D_y as a function of the number of labels."""

    n: np.ndarray  # (G,) int64, increasing
    loss: np.ndarray  # (G,) nats, mean over test examples, draws and label seeds
    se: np.ndarray  # (G,) nats, over label seeds; 0 where all labels are used, for there is but one such set


class Codelength(NamedTuple):
    """What it takes to send labels to one who has the codes."""

    nats: float
    ratio: float  # to n H(y), what it would take without codes but with the frequencies of the labels


class SurplusLength(NamedTuple):
    """Nats above a tolerated loss, or a bound on them."""

    nats: float
    bound: Literal["=", ">"]  # ">": the loss is still above what is tolerated where the curve ends


def n_label_curve(
    z: Any,
    y: Any,
    z_test: Any,
    y_test: Any,
    *,
    sizes: Sequence[int] | None = None,
    seeds: int = 5,
    classes: int | None = None,
    most: int | None = None,
) -> LabelCurve:
    """D_y(n) in nats of heads that saw n labels.

    z (n, d) and y (n,) are for training, z_test (m, d) or draws (S, m, d) and y_test (m,) for scoring: a mean of
    logs, never a log of means.  Labels are the first n of a random order, one order a seed, so that smaller sets are
    nested in larger ones; the codes of all examples are known throughout.  `sizes` are by default 10 a class, on
    average, and doubled until all are used.  `most` keeps that many leading directions of z.  Raises `ValueError` for
    test codes of another shape and for fewer than two seeds.
    """
    seen, scored = _paired(z, y, "z", "y"), array(z_test, "z_test")
    check_columns(z, z_test, ("z", "z_test"))
    check_rows(z_test, y_test, ("z_test", "y_test"))
    y_seen, y_scored = _labels(y, "y"), _labels(y_test, "y_test")
    if scored.ndim not in (2, 3) or scored.shape[-1] != seen.shape[1] or scored.shape[-2] != len(y_scored):
        raise ValueError(
            f"z_test has shape {scored.shape}; it must be ({len(y_scored)}, {seen.shape[1]}) as y_test and z are, or "
            f"(S, {len(y_scored)}, {seen.shape[1]}) for S draws"
        )
    if seeds < 2:
        raise ValueError(f"seeds is {seeds}; an error needs at least 2")
    count = _count(np.concatenate([y_seen, y_scored]), classes)
    grid = _grid(len(seen), count) if sizes is None else _checked(sizes, len(seen))
    white = whitening(seen, most)
    x, x_test = with_bias(white(seen)), with_bias(white(codes(scored.reshape(-1, scored.shape[-1]), "z_test")))
    truth = np.tile(y_scored, len(x_test) // len(y_scored))
    losses = np.zeros((seeds, len(grid)))
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(x))
        learner = Learner(x[order], y_seen[order], count)
        for n in _growing(grid):
            at = np.flatnonzero(grid == n)
            if n == len(x) and seed > 0:  # the same labels in another order
                losses[seed, at] = losses[0, at]
                continue
            learner.learn(n)
            if len(at):
                losses[seed, at] = learner.log_loss(x_test, truth).mean()
    errors = np.where(grid == len(x), 0.0, losses.std(0, ddof=1) / np.sqrt(seeds))
    return LabelCurve(grid, losses.mean(0), errors)


def prequential_codelength(
    z: Any, y: Any, *, classes: int, start: int = START, growth: float = 1.3, seed: int = 0, most: int | None = None
) -> Codelength:
    """Nats to send the labels y (n,) to one who has the codes z (n, d), and their ratio to n H(y).

        MDL = n₁ log C − log mean_λ exp −L_λ        L_λ = Σ_i −log p(block i | head of the first nᵢ, λ)

    with n₁ = start and nᵢ₊₁ = growth · nᵢ.  A proper code: labels go in an order drawn by `seed`, each block under
    heads of those before it.  Voita & Titov (2020), arXiv:2003.12298, who take ten fixed fractions as blocks;
    geometric ones waste less.  Near 1 or above, a ratio says that z does not help to predict y from this many
    labels.  `most` keeps that many leading directions of z.  Raises `Undefined` when all labels are equal, `ValueError`
    for a start below 1 and a growth that is none.
    """
    checked, labels = _paired(z, y, "z", "y"), _labels(y, "y")
    count = _count(labels, classes)
    if start < 1:
        raise ValueError(f"start is {start}; at least one label must go before a head can be fitted")
    if not growth > 1:
        raise ValueError(f"growth is {growth}; blocks must grow, by 1.3 for example")
    n = len(labels)
    frequencies = np.bincount(labels) / n
    present = frequencies[frequencies > 0]
    if len(present) == 1:
        raise Undefined(f"y is {labels[0]} throughout, so there is nothing to send")
    order = np.random.default_rng(seed).permutation(n)
    x, labels = with_bias(whitening(checked, most)(checked))[order], labels[order]
    ends = [min(start, n)]
    while ends[-1] < n:
        ends.append(min(n, max(ends[-1] + 1, round(ends[-1] * growth))))
    learner = Learner(x, labels, count)
    for known in ends[:-1]:
        learner.learn(known)
    learner.predict(n)
    return Codelength(learner.nats, float(learner.nats / (-n * (present * np.log(present)).sum())))


def surplus_description_length(sizes: Any, losses: Any, eps: float) -> SurplusLength:
    """Σ_n [D_y(n) − eps]₊ in nats, from D_y at some sizes (G,): what is paid until a loss of `eps` is reached.

    Between two sizes the loss is taken to be that at the right one, and so before the first; a loss that falls with n
    makes this the least the sum can be.  Beyond the last size nothing is known: where the loss is still above `eps`,
    the value is a lower bound.  Whitney et al. (2020), arXiv:2009.07368.  Raises `ValueError` for losses that are not
    one finite number a size.
    """
    loss = np.asarray(losses, dtype=np.float64)
    n = _checked(sizes, None)
    if loss.shape != n.shape or not np.isfinite(loss).all():
        raise ValueError(f"losses must be {len(n)} finite numbers, one a size; their shape is {loss.shape}")
    if not np.isfinite(eps):
        raise ValueError(f"eps is {eps}; it must be a finite number of nats")
    widths = np.diff(n, prepend=0)
    return SurplusLength(float((widths * np.maximum(loss - eps, 0)).sum()), ">" if loss[-1] > eps else "=")


def least_loss(
    z: Any, y: Any, z_val: Any, y_val: Any, z_test: Any, y_test: Any, *, classes: int, most: int | None = None
) -> float:
    """D_y on test in nats of one linear head of all labels, its prior chosen on validation."""
    seen, labels = _paired(z, y, "z", "y"), _labels(y, "y")
    white, count = whitening(seen, most), _count(labels, classes)
    held = _paired(z_val, y_val, "z_val", "y_val"), codes(z_test, "z_test")
    x, x_val, x_test = (with_bias(white(part)) for part in (seen, *held))
    best, least, weights = np.inf, np.inf, None
    for prior in (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3):
        weights = fit(x, labels, count, start=weights, prior=prior)
        on_val = log_loss(weights, x_val, _labels(y_val, "y_val")).mean()
        if on_val >= best:
            break
        best, least = on_val, log_loss(weights, x_test, _labels(y_test, "y_test")).mean()
    return float(least)


def _grid(n: int, classes: int) -> np.ndarray:
    sizes = [PER_CLASS * classes]
    while sizes[-1] * STEP < n:
        sizes.append(round(sizes[-1] * STEP))
    return np.array([size for size in sizes if size < n] + [n])


def _growing(grid: np.ndarray) -> list[int]:
    """The sizes of a curve after smaller ones, on which the priors are weighted before the first."""
    early = [START]
    while early[-1] * STEP < grid[0]:
        early.append(round(early[-1] * STEP))
    return [n for n in early if n < grid[0]] + grid.tolist()


def _checked(sizes: Any, n: int | None) -> np.ndarray:
    grid = np.asarray(sizes)
    whole = grid.ndim == 1 and len(grid) > 0 and grid.dtype.kind in "iu"
    if not whole or (np.diff(grid, prepend=0) <= 0).any() or (n is not None and grid[-1] > n):
        most = "" if n is None else f" up to {n}, as many as there are labels"
        raise ValueError(f"sizes are {np.asarray(sizes).tolist()}; they must be increasing whole numbers{most}")
    return grid.astype(np.int64)


def _paired(z: Any, y: Any, of_z: str, of_y: str) -> np.ndarray:
    checked, n = codes(z, of_z), len(_labels(y, of_y))
    if len(checked) != n:
        raise ValueError(f"{of_z} has {len(checked)} rows and {of_y} has {n}; they must be the same examples")
    check_rows(z, y, (of_z, of_y))
    return checked


def _labels(y: Any, name: str) -> np.ndarray:
    found = any_labels(y, name)
    if found.dtype.kind == "U":
        fix = f"number its classes from 0, as numpy.unique({name}, return_inverse=True)[1]"
        raise ValueError(f"{name} holds texts, such as {str(found[0])!r}; {fix}")
    if len(found) and found.min() < 0:
        unknown = "; where -1 stands for unknown, leave these examples out" if found.min() == -1 else ""
        raise ValueError(f"{name} has the value {found.min()}; classes count from 0{unknown}")
    return found


def _count(labels: np.ndarray, classes: int | None) -> int:
    most = int(labels.max()) + 1
    if classes is not None and classes < most:
        raise ValueError(f"classes is {classes}, but a label is {most - 1}; there are at least {most}")
    return max(classes or most, 2)
