"""Whether the receiver is held to the draw: all that it gets of x went through draws of a density that was charged.

A decoder that is handed the posterior's mean, a prior that has seen x, noise that is none, or a density that is not
that of the draws all give a rate and a distortion that no code has.  Each of these functions tries one of them on a
model as it stands, in whichever mode it is in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal

from ..model import Batch, Code, Model, replay
from .codes import log_density
from .draws import NOTHING, Off, density, noise, standard, worst
from .found import Found
from .study import Study

NAMES = ("replay_gap", "draws_z", "density_gap", "memory_gap", "pairs_gap")
MOST = 1e9  # what a record says of an infinite gap
POINTS, DRAWS = 64, 64  # test points and draws of each that a frozen model is held to
PAIRS = 12  # of pixels that are changed together
WHOLE = 2  # examples of which every pixel is changed


def receiver(study: Study) -> Found:
    """What the receiver of a frozen model gets beside the draws, on test points; all of it should be nothing.

    `replay_gap`, `memory_gap` and `pairs_gap` in nats, `draws_z` in standard errors, `density_gap` as a fraction.
    """
    batch = study.view("test").rows(slice(POINTS)).batch().to(study.device)
    half = len(batch.x) // 2
    gaps: dict[str, Off] = {}
    if half:
        gaps["replay_gap"] = replayed(study.model, batch.rows(slice(half)), batch.rows(slice(half, 2 * half)))
        gaps["draws_z"] = standard(study.model, batch, DRAWS)
        gaps["density_gap"] = density(study.model, batch.rows(slice(2)))
        if study.model.decodes:
            gaps["memory_gap"] = remembered(study.model, batch.rows(slice(half)), batch.rows(slice(half, 2 * half)))
            if "A" not in study.model.row.decoder:
                gaps["pairs_gap"] = entangled(study.model, batch.rows(slice(half)))
    finite = {name: min(off.by, MOST) for name, off in gaps.items()}
    nulls = {name: "there is no decoder of x, or none that factorises" for name in NAMES if name not in gaps}
    return Found({name: finite.get(name) for name in NAMES}, nulls=nulls)


def replayed(model: Model, batch: Batch, other: Batch) -> Off:
    """The largest change, in nats or in units of a sample, when draws of `batch` are sent again under `other`.

    Neither what arrives, nor what the receiver expected, nor what it makes of it may know which x was encoded.
    """
    with noise(1):
        code = model.encode(batch)
    with noise(2), replay([block.drawn for block in code.values()]):
        again = model.encode(other)
    off = []
    for (name, block), same in zip(code.items(), again.values(), strict=True):
        off.append(
            Off(_largest(block.sample, same.sample), f"the sample of block {name!r} depends on more than its draw")
        )
        nats = [log_density(p, block.drawn) for p in (block.p, same.p)]
        off.append(Off(_largest(*nats), f"what the receiver expects of block {name!r} depends on x"))
    if model.decodes:
        decoded = [_decoded(model, sent, batch.x) for sent in (code, again)]
        off.append(Off(_largest(*decoded), "what is decoded from one and the same draw depends on x"))
    return worst(off)


def remembered(model: Model, batch: Batch, other: Batch, fresh: Model | None = None) -> Off:
    """The largest change, in nats, of what is decoded from codes of `batch` once `other` has been encoded.

    With `fresh`, a model of the same weights that has encoded nothing, also of what that makes of them.
    """
    with noise(1):
        code = model.encode(batch)
    at_once = _decoded(model, code, batch.x)
    with noise(3):
        between = model.encode(other)
    _decoded(model, between, other.x)
    off = [Off(_largest(at_once, _decoded(model, code, batch.x)), "a decoder remembers what was encoded last")]
    if fresh is not None:
        elsewhere = _decoded(fresh, code, batch.x)
        off.append(Off(_largest(at_once, elsewhere), "the same weights, imported afresh, decode a code otherwise"))
    return worst(off)


def entangled(model: Model, batch: Batch) -> Off:
    """The largest gap, in nats, by which changing two pixels is not changing the one and the other, given the code.

    Or by which what is decoded is no product of densities, one a pixel, of all that it is to be of.
    """
    x = model.predicted(batch.x)
    if not torch.equal(x, Model.predicted(model, batch.x)):
        return Off(math.inf, "predicted changes what D is of")
    size, width = x[0].numel(), x.shape[-1]
    apart = []
    for one, two in _pairs(size, width):
        masks = torch.zeros(2, size, dtype=torch.bool, device=x.device)
        masks[0][one] = masks[1][two] = True
        apart.append((masks, f"pixels {one} and {two} depend on each other"))
    return worst([_together(model, batch, apart), _mass(model, batch.rows(slice(WHOLE)))])


def _mass(model: Model, batch: Batch) -> Off:
    """How far from 1, in nats, p(x|z) sums up over all binary pictures, if its pixels are independent given the code.

    That is p(x|z) Π_i (1 + p(x with pixel i changed|z) / p(x|z)), the ratio being that of any two pictures that differ
    there alone: each is of others, whose rounding is their own.  Of plain bits it is 1, and of reals it is not known.
    """
    x, p = _received(model, batch)
    if _in_double(p) is not p or not bool(((x == 0) | (x == 1)).all()):
        return NOTHING
    size, generator = x[0].numel(), torch.Generator().manual_seed(0)
    nats = partial(_nats, p)
    none = nats(x)
    log_mass = none.clone()
    for pixel in range(size):
        here = (torch.arange(size, device=x.device) == pixel).view(x.shape[1:])
        other = torch.randint(2, x.shape, generator=generator).to(x)
        odds = nats(torch.where(here, 1 - x, other)) - nats(torch.where(here, x, other))
        log_mass += torch.nn.functional.softplus(odds)
    rounding = 4 * torch.finfo(x.dtype).eps * none.abs() * math.sqrt(size)
    off = (log_mass.abs() - rounding).clamp(min=0)
    return Off(_largest(off, torch.zeros_like(off)), "over all pictures p(x|z) does not sum to 1")


def halved(model: Model, batch: Batch) -> Off:
    """As `entangled`, with random halves of the pixels for pairs: every two are in different ones half of the time."""
    size = model.predicted(batch.x)[0].numel()
    generator = torch.Generator().manual_seed(0)
    ones = [torch.rand(size, generator=generator).to(batch.x.device) < 0.5 for _ in range(PAIRS)]
    words = "pixels of one half of the picture depend on those of the other"
    return _together(model, batch, [(torch.stack([one, ~one]), words) for one in ones])


def followed(model: Model, batch: Batch) -> Off:
    """The largest change, in nats, of what is decoded if other random numbers than those encoding left come next.

    In training a decoder may have noise of its own, such as dropout, and is then not looked at.
    """
    with noise(1):
        code = model.encode(batch)
        at_once = model.receive(code).log_prob(model.predicted(batch.x))
    with noise(2):
        otherwise = model.receive(code).log_prob(model.predicted(batch.x))
    later = _decoded(model, code, batch.x)
    gap = 0.0 if model.training and not torch.equal(later, otherwise) else _largest(at_once, later)
    return Off(gap, "what is decoded depends on the random numbers that encoding left")


def _together(model: Model, batch: Batch, apart: list[tuple[Tensor, str]]) -> Off:
    """The largest gap of changing two sets of pixels, masks (2, size), from changing the one and the other."""
    x, p = _received(model, batch)
    binary = bool(((x == 0) | (x == 1)).all())
    changed = 1 - x if binary else x + 0.25 * x.std().clamp(min=1e-3)
    nats = partial(_nats, _in_double(p))
    off, none = [], nats(x)
    for masks, words in apart:
        three = (*masks, masks[0] | masks[1])
        first, second, both = (nats(torch.where(mask.view(x.shape[1:]), changed, x)) for mask in three)
        off.append(Off(_largest(none + both, first + second), words))
    return worst(off)


def _received(model: Model, batch: Batch) -> tuple[Tensor, Distribution]:
    """What D is of, and p(x|z) of it given a code of the batch, with the same noise every time."""
    with noise(1):
        code = model.encode(batch)
    x = model.predicted(batch.x)
    with noise(6):
        return x, model.receive(code)


def _nats(p: Distribution, x: Tensor) -> Tensor:
    """log p(x|z) in double; x stays in single, as every decoder's own density gets it."""
    with noise(6):
        return p.log_prob(x).double()


def _in_double(p: Distribution) -> Distribution:
    """The same independent normals or bits with their numbers in double; any other density as it is.

    In single precision the sum over the pixels of a large image is rounded by more than a law allows.
    """
    if type(p) is not Independent or "log_prob" in {**vars(p), **vars(p.base_dist)}:
        return p
    numbers = {Normal: ("loc", "scale"), Bernoulli: ("logits",)}.get(type(p.base_dist))
    if numbers is None:
        return p
    doubled = {name: getattr(p.base_dist, name).double() for name in numbers}
    base = type(p.base_dist)(**doubled, validate_args=False)
    return Independent(base, p.reinterpreted_batch_ndims, validate_args=False)


def _pairs(size: int, width: int) -> Iterator[tuple[int, int]]:
    """Pixels that are neighbours, and others."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(PAIRS if size > 1 else 0):
        i = int(torch.randint(size, (1,), generator=generator))
        far = int(torch.randint(1, size, (1,), generator=generator))
        for step in (1, width, far):
            if 0 < step < size:
                yield i, (i + step) % size


def _decoded(model: Model, code: Code, x: Tensor) -> Tensor:
    """(B,) nats, log p(x|z), with the same noise in every call."""
    with noise(6):
        return model.receive(code).log_prob(model.predicted(x))


def _largest(a: Tensor, b: Tensor) -> float:
    """The largest difference; infinite between what is a number and what is none."""
    if a.shape != b.shape:
        return math.inf
    apart = torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, (a - b).abs().double())
    return float(apart.nan_to_num(nan=math.inf).max()) if apart.numel() else 0.0
