"""What a frozen model draws: reconstructions of test images, and what moving one latent does to them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..data import Dataset
from ..model import Code, Model
from .codes import Codes

SHOWN = 8  # originals with their reconstructions
LATENTS = 6  # traversed, those that vary most with x
STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # standard deviations of the aggregate posterior around its mean


class Pictures(NamedTuple):
    """Arrays of grey levels 0 to 255 and what they show; nothing for data that are no images."""

    arrays: dict[str, np.ndarray]  # uint8: (n, C, H, W), and traversals (latents, steps, C, H, W)
    about: dict[str, object]
    reason: str = ""  # why there are none


@torch.no_grad()
def pictures(model: Model, data: Dataset, test: Codes, *, device: str) -> Pictures:
    """Means of p(x|z) at sampled codes of the first test images.

    Traversals start from the code of the first image and set one continuous latent at a time to its mean over test
    codes plus a multiple of its standard deviation there; later blocks stay as they were sent.
    """
    if len(data.shape) != 3 or not model.decodes:
        return Pictures({}, {}, "x is no image" if model.decodes else "the model has no decoder of x")
    batch = data.seen("test", model.row, slice(SHOWN)).to(device)
    code, x = model.encode(batch), batch.x
    try:
        reconstructed = model.decode(code).mean
    except NotImplementedError:
        return Pictures({}, {}, "p(x|z) has no mean in closed form, since its pixels depend on each other")
    z, c = test.continuous, test.continuous.shape[-1]
    rows, chosen = [], []
    if c:
        mean, spread = z.flatten(0, 1).mean(0), z.flatten(0, 1).std(0)
        share = test.centre[:, :c].std(0) / spread.clamp(min=1e-12)
        chosen = share.argsort(descending=True)[:LATENTS].tolist()
        for j in chosen:
            values = mean[j] + spread[j] * torch.tensor(STEPS)
            rows.append(model.decode(_moved(code, j, values.to(device))).mean)
    arrays = {"originals": _grey(x), "reconstructions": _grey(reconstructed)}
    if rows:
        arrays["traversals"] = _grey(torch.stack(rows))
    return Pictures(arrays, {"latents": [test.names[j] for j in chosen], "at": list(STEPS)})


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
