"""D_y from n labels, and the nats it takes to send all labels to one who has z."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from .._hash import named_seed
from ..scores import Undefined
from ..scores._whitening import whitening
from ..scores.codelength import least_loss, n_label_curve, prequential_codelength, surplus_description_length
from .codes import CHUNK
from .found import Found
from .study import Study

DIRECTIONS = 64  # of x that the linear head behind `sdl_eps` is given
LARGE = 2**24  # numbers, of which more are held in single precision
TOLERATED = 0.1  # nats above that head, at which a code is as good as x


def efficiency(study: Study) -> Found:
    """Of every class of the task, from one draw for each training example.

    Raises `Undefined` where the task has no class.
    """
    factors = [f for f in study.task if f.kind == "class"]
    if not factors:
        raise Undefined("no factor of the task is a class")
    z, z_test = study.codes.train.z[0].double().numpy(), study.codes.test.z.double().numpy()
    x, x_val, x_test = _leading_pixels(study)
    out: dict[str, Any] = {}
    nulls: dict[str, str] = {}
    for factor in factors:
        y, y_val, y_test = (y.numpy() for y in study.labels[factor.name].values)
        curve = n_label_curve(z, y, z_test, y_test, classes=factor.size)
        raw = least_loss(x, y, x_val, y_val, x_test, y_test, classes=factor.size)
        surplus = surplus_description_length(curve.n, curve.loss, raw + TOLERATED)
        about = {"n": curve.n.tolist(), "Dy": curve.loss.tolist(), "Dy_se": curve.se.tolist()}
        about |= {"sdl": surplus.nats, "sdl_eps": raw + TOLERATED, "sdl_bound": surplus.bound}
        try:
            sent = prequential_codelength(z, y, classes=factor.size, seed=named_seed("order", study.seed, factor.name))
            about |= {"mdl": sent.nats, "mdl_ratio": sent.ratio}
        except Undefined as reason:
            about |= {"mdl": None, "mdl_ratio": None}
            nulls[f"structure.efficiency.{factor.name}.mdl"] = str(reason)
        out[factor.name] = about
    return Found(tables={"structure": {"efficiency": out}}, nulls=nulls)


def _leading_pixels(study: Study) -> list[np.ndarray]:
    """(N, ≤ 64) x at the examples that have codes, in the leading directions of training.

    Only the training examples that have codes are held whole, as many as the budget says.
    """
    fit = study.view("train").batch().x.flatten(1).numpy()
    white = whitening(fit if fit.size > LARGE else fit.astype(np.float64), DIRECTIONS)

    def leading(part: Literal["train", "val", "test"]) -> np.ndarray:
        chunks = study.view(part).chunks(CHUNK)
        return np.concatenate([white(batch.x.flatten(1).double().numpy()) for batch in chunks])

    return [leading("train"), leading("val"), leading("test")]
