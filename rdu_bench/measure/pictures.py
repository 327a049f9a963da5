"""What a frozen model draws: test images again, others that it expects, and what lies between and beside them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from ..data import Dataset
from ..model import Block, Code
from ..scores import Undefined
from .found import Found
from .prefixes import DEEPEST
from .prior_draws import from_own_marginal
from .spaces import is_one_hot
from .streams import seeded
from .study import Study

SHOWN = 8  # originals with their reconstructions, and draws of the prior
LATENTS = 6  # traversed, those that vary most with x
STEPS = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)  # standard deviations of the aggregate around its mean
PAIRS = ((0, 1), (2, 3))  # test images between whose codes is interpolated
BETWEEN = 7  # steps from one to the other, both included


class Part(NamedTuple):
    """Some pictures, and what the record holds of them beside."""

    images: Tensor  # (…, C, H, W), as x is stored
    about: dict[str, Any]


@torch.no_grad()
def pictures(study: Study) -> Found:
    """Means of p(x|z) as uint8 arrays (…, C, H, W) under `pictures/`, 0 to 255 for `range`, the least and greatest x.

    originals, reconstructions  (8, …) test images, and from one sampled code each
    traversals  (6, 9, …) from the first image's code one latent at a time set to −2 … 2 standard deviations
    prior  (8, …) of codes that the receiver expects: of the model's own marginal, else of a refitted Gaussian
    interpolations  (2, 7, …) between the sampled codes of two test images, linear in z; symbols change halfway
    swaps/BLOCK  (8, …) the reconstructions, with that block of the code of the example before it

    Of a sequence all frames are shown, (…, T, C, H, W), but of traversals and interpolations the frame that changes
    most; of a model that predicts, the frames to come.
    A part that fails is absent, its reason in `nulls` under `pictures.<part>`.  Raises `Undefined` for data that are no
    images and decoders without a mean.
    """
    model, data = study.model, study.data
    if not model.decodes:
        raise Undefined("the model has no decoder of x")
    if len(data.shape) not in (3, 4):
        raise Undefined("x is no image")
    batch = study.view("test").rows(slice(SHOWN)).batch().to(study.device)
    with study.drawing:
        code = model.encode(batch)
    parts: dict[str, Callable[[], Part]] = {
        "originals": lambda: Part(model.predicted(batch.x), {}),
        "reconstructions": lambda: Part(_mean(study, code), {}),
        "traversals": lambda: _traversals(study, code),
        "prior": lambda: _prior(study, code),
        "interpolations": lambda: _interpolations(study, code),
        **{f"swaps/{name}": partial(_swapped, study, code, name) for name in swappable(code)},
    }
    low, high = _range(study, data)
    vectors: dict[str, np.ndarray] = {}
    about: dict[str, Any] = {"latents": [], "at": list(STEPS), "range": [low, high]}
    nulls: dict[str, str] = {}
    for name, part in parts.items():
        try:
            images, more = part()
        except NotImplementedError:
            raise Undefined("p(x|z) has no mean in closed form, since its pixels depend on each other") from None
        except Undefined as reason:
            nulls[f"pictures.{name}"] = str(reason)
        except Exception as error:
            nulls[f"pictures.{name}"] = f"{type(error).__name__}: {error}"
        else:
            vectors[f"pictures/{name}"], about = _grey(images, low, high), about | more
    return Found(vectors=vectors, tables={"pictures": about}, nulls=nulls)


def _mean(study: Study, code: Code) -> Tensor:
    mean: Tensor = study.model.receive(code).mean
    return mean


def _traversals(study: Study, code: Code) -> Part:
    """Around the mean of test codes, in their standard deviations; later blocks stay as they were sent."""
    test = study.codes.test
    z, c = test.continuous, test.continuous.shape[-1]
    movable = _movable(code)
    if not any(movable):
        raise Undefined("the code has no continuous latent that the decoder gets as it was drawn")
    mean, spread = z.flatten(0, 1).mean(0), z.flatten(0, 1).std(0)
    share = test.centre[:, :c].std(0) / spread.clamp(min=1e-12)
    chosen = [j for j in share.argsort(descending=True).tolist() if movable[j]][:LATENTS]
    values = [(mean[j] + spread[j] * torch.tensor(STEPS)).to(study.device) for j in chosen]
    rows = [_mean(study, moved(code, j, v)) for j, v in zip(chosen, values, strict=True)]
    return Part(_changing(study, rows), {"latents": [test.names[j] for j in chosen]})


def _changing(study: Study, rows: list[Tensor]) -> Tensor:
    """Rows of images (…, C, H, W) as they are; of rows of sequences the frame of each that changes most."""
    if len(study.data.shape) == 4:
        rows = [row[:, int(row.var(0).flatten(1).sum(1).argmax())] for row in rows]
    return torch.stack(rows)


def swappable(code: Code) -> list[str]:
    """Blocks that another example may lend: of a code of 2 to 6, side information aside."""
    own = [name for name, block in code.items() if not block.side]
    return own if 2 <= len(own) <= DEEPEST else []


def _swapped(study: Study, code: Code, name: str) -> Part:
    """Every example's code, but this block is that of the example before it."""
    block = code[name]
    lent = block._replace(sample=block.sample.roll(1, 0), drawn=block.drawn.roll(1, 0))
    return Part(_mean(study, {**code, name: lent}), {})


def _movable(code: Code) -> list[bool]:
    """For every continuous latent, whether its block's sample has the size of what was drawn."""
    smooth = [block for block in code.values() if not is_one_hot(block)]
    return [_as_drawn(block) for block in smooth for _ in range(block.drawn[0].numel())]


def _as_drawn(block: Block) -> bool:
    return block.sample.shape == block.drawn.flatten(1).shape


def moved(code: Code, j: int, values: Tensor) -> Code:
    """The first example's code len(values) times over, its j-th continuous latent set to each value."""
    out = {}
    for name, block in code.items():
        sample, drawn = (part[:1].expand(len(values), *part.shape[1:]).clone() for part in (block.sample, block.drawn))
        size = 0 if is_one_hot(block) else drawn[0].numel()
        if 0 <= j < size:
            before = drawn.flatten(1).clone()
            drawn.view(len(values), -1)[:, j] = values
            sample = sample + (drawn.flatten(1) - before)
        j -= size
        out[name] = block._replace(sample=sample, drawn=drawn)
    return out


def _prior(study: Study, code: Code) -> Part:
    seed = study.seeded("prior")
    batch = study.view("test").rows(slice(SHOWN)).batch().to(study.device)
    try:
        drawn, source = from_own_marginal(study.model, batch, seed, study.device), "own"
    except Undefined as reason:
        drawn, source = _refitted(study, code, seed, str(reason)), "refitted"
    return Part(_mean(study, drawn), {"prior": source})


def _refitted(study: Study, code: Code, seed: int, reason: str) -> Code:
    """Continuous latents drawn from one full Gaussian of the training codes, side information as it was sent."""
    if any(is_one_hot(block) and not block.side for block in code.values()) or not all(_movable(code)):
        raise Undefined(f"{reason}; and no Gaussian is fitted to codes with symbols, or drawn otherwise than sent")
    if any(sent.space not in ("real", "one-hot") for sent in study.codes.train.sent_blocks):
        raise Undefined(f"{reason}; and no Gaussian is fitted to codes that are no real numbers")
    z = study.codes.train.continuous.flatten(0, 1).double()
    covariance = torch.cov(z.T).reshape(z.shape[1], z.shape[1])
    covariance.diagonal().add_(1e-6 * covariance.diagonal().mean() + 1e-12)
    with seeded(seed, "cpu"):
        fresh = MultivariateNormal(z.mean(0), covariance).sample(torch.Size([SHOWN])).float().to(study.device)
    out, first = dict(code), 0
    for name, block in code.items():
        if not is_one_hot(block):
            size = block.drawn[0].numel()
            part, first = fresh[: len(block.drawn), first : first + size], first + size
            out[name] = block._replace(sample=part, drawn=part.reshape(block.drawn.shape))
    return out


def _interpolations(study: Study, code: Code) -> Part:
    if all(is_one_hot(block) for block in code.values()):
        raise Undefined("the code has symbols only, between which there is nothing")
    pairs = [(a, b) for a, b in PAIRS if b < len(next(iter(code.values())).sample)]
    if not pairs:
        raise Undefined("there is only one test image")
    rows = [_mean(study, {name: _between(block, a, b) for name, block in code.items()}) for a, b in pairs]
    return Part(_changing(study, rows), {})


def _between(block: Block, a: int, b: int) -> Block:
    """From example a to example b; symbols change halfway, side information does not."""
    weight = torch.linspace(0, 1, BETWEEN, device=block.sample.device)
    if block.side:
        weight = torch.zeros_like(weight)
    elif is_one_hot(block):
        weight = (weight > 0.5).to(weight)

    def mixed(part: Tensor) -> Tensor:
        w = weight.reshape(-1, *[1] * (part.dim() - 1)).to(part)
        return (1 - w) * part[a] + w * part[b]

    return block._replace(sample=mixed(block.sample), drawn=mixed(block.drawn))


def _range(study: Study, data: Dataset) -> tuple[float, float]:
    """What black and white stand for: 0 and 1 of binary images, else the least and the greatest training pixel."""
    return (0.0, 1.0) if data.likelihood == "bernoulli" else (study.pixels.low, study.pixels.high)


def _grey(x: Tensor, low: float, high: float) -> np.ndarray:
    """Intensities from `low` to `high` as uint8; what lies outside is cut."""
    share = (x - low) / max(high - low, 1e-12)
    if not bool(share.isfinite().all()):
        raise ValueError("some pixels are not finite")
    grey: np.ndarray = (share.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return grey
