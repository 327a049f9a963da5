"""What a frozen model draws: reconstructions of test images, and what moving one latent does to them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..model import Code
from ..scores import Undefined
from .found import Found
from .study import Study

SHOWN = 8  # originals with their reconstructions
LATENTS = 6  # traversed, those that vary most with x
STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # standard deviations of the aggregate posterior around its mean


@torch.no_grad()
def pictures(study: Study) -> Found:
    """Means of p(x|z) at sampled codes of the first test images.

    Traversals start from the code of the first image and set one continuous latent at a time to its mean over test
    codes plus a multiple of its standard deviation there; later blocks stay as they were sent.  Raises `Undefined`
    for data that are no images and decoders without a mean.
    """
    model, data, test = study.model, study.data, study.codes.test
    if not model.decodes:
        raise Undefined("the model has no decoder of x")
    if len(data.shape) != 3:
        raise Undefined("x is no image")
    batch = study.view("test").rows(slice(SHOWN)).batch().to(study.device)
    with study.drawing:
        code, x = model.encode(batch), batch.x
    try:
        arrays = {"originals": _grey(x), "reconstructions": _grey(model.decode(code).mean)}
    except NotImplementedError:
        raise Undefined("p(x|z) has no mean in closed form, since its pixels depend on each other") from None
    about: dict[str, object] = {"latents": [], "at": list(STEPS)}
    nulls: dict[str, str] = {}
    try:
        chosen, rows = _traversals(study, code)
        about["latents"] = [test.names[j] for j in chosen]
        if rows:
            arrays["traversals"] = _grey(torch.stack(rows))
    except Exception as error:
        nulls["pictures.traversals"] = f"{type(error).__name__}: {error}"
    return Found(
        vectors={f"pictures/{name}": array for name, array in arrays.items()}, tables={"pictures": about}, nulls=nulls
    )


def _traversals(study: Study, code: Code) -> tuple[list[int], list[Tensor]]:
    test = study.codes.test
    z, c = test.continuous, test.continuous.shape[-1]
    if not c:
        return [], []
    mean, spread = z.flatten(0, 1).mean(0), z.flatten(0, 1).std(0)
    share = test.centre[:, :c].std(0) / spread.clamp(min=1e-12)
    chosen = share.argsort(descending=True)[:LATENTS].tolist()
    values = [(mean[j] + spread[j] * torch.tensor(STEPS)).to(study.device) for j in chosen]
    return chosen, [study.model.decode(_moved(code, j, v)).mean for j, v in zip(chosen, values, strict=True)]


def _moved(code: Code, j: int, values: Tensor) -> Code:
    """The first example's code len(values) times over, its j-th continuous latent set to each value."""
    out = {}
    for name, block in code.items():
        sample, drawn = (part[:1].expand(len(values), *part.shape[1:]).clone() for part in (block.sample, block.drawn))
        size = 0 if block.discrete else drawn[0].numel()
        if 0 <= j < size:
            before = drawn.flatten(1).clone()
            drawn.view(len(values), -1)[:, j] = values
            sample = sample + (drawn.flatten(1) - before) if sample.shape == before.shape else drawn.flatten(1)
        j -= size
        out[name] = block._replace(sample=sample, drawn=drawn)
    return out


def _grey(x: Tensor) -> np.ndarray:
    """Intensities in [0, 1] as uint8."""
    grey: np.ndarray = (x.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return grey
