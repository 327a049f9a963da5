"""D: the model's own decoder, a decoder probe on frozen codes, and the best decoder of no code at all."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..data import Dataset
from ..model import Model
from ..nn.densities import bernoulli, gaussian
from ..nn.networks import Decoder, Spec
from .codes import CHUNK, Codes

LOOKS = 6  # times a probe is looked at on validation


class Decoded(NamedTuple):
    """One way to decode: what it loses on validation and on test, (S, N) nats."""

    val: Tensor
    test: Tensor


def null(data: Dataset, n_test: int) -> Decoded:
    """The best constant of the decoder's family, from training data: D at a rate of zero.  (1, N)."""
    train = data.splits["train"].x
    if data.likelihood == "bernoulli":
        p = (train.sum(0) + 0.5) / (len(train) + 1)
        density = bernoulli(p.logit()[None])
    else:
        mean = train.mean(0)
        variance = (train - mean).square().mean() if data.noise is None else torch.tensor(data.noise)
        density = gaussian(mean[None], variance.sqrt().expand_as(mean)[None])
    return Decoded(*(-density.log_prob(x)[None] for x in (data.splits["val"].x, data.splits["test"].x[:n_test])))


def probe(
    data: Dataset, train: Codes, val: Codes, test: Codes, *, at: Tensor, spec: Spec, steps: int, seed: int, device: str
) -> Decoded:
    """A standard decoder of the suite's family on frozen draws, from scratch; `at` are the training examples drawn."""
    torch.manual_seed(seed)
    flat = train.sent.flatten(0, 1)
    mean, scale = flat.mean(0), flat.std(0).clamp(min=1e-6)
    decoder = Decoder(spec, flat.shape[-1]).to(device)
    x = data.splits["train"].x[at].to(device)
    z = ((train.sent - mean) / scale).to(device)
    given = {part: ((codes.sent - mean) / scale).to(device) for part, codes in (("val", val), ("test", test))}
    truth = {"val": data.splits["val"].x.to(device), "test": data.splits["test"].x[: len(test)].to(device)}

    def losses() -> Iterator[Tensor]:
        for s, pick in _order(z.shape[0], len(x), steps):
            yield -decoder(z[s, pick]).log_prob(x[pick]).mean()

    def score(part: str) -> Tensor:
        return torch.stack([_in_chunks(decoder, one, truth[part]) for one in given[part]]).cpu()

    _train(decoder, losses(), steps, lambda: float(score("val").mean()))
    with torch.no_grad():
        return Decoded(score("val"), score("test"))


def tuned(model: Model, data: Dataset, n_test: int, draws: int, *, steps: int, seed: int, device: str) -> Decoded:
    """The model's own decoder, trained on with the encoder frozen.

    Codes come from the model and are decoded by its copy: a weight that both halves share must not change the code.
    """
    torch.manual_seed(seed)
    copied = copy.deepcopy(model).requires_grad_(True)
    train = data.seen("train", model.row).to(device)

    def losses() -> Iterator[Tensor]:
        for _, pick in _order(1, len(train.x), steps):
            batch = train.rows(pick)
            with torch.no_grad():
                code = model.encode(batch)
            yield -copied.decode(code).log_prob(batch.x).mean()

    @torch.no_grad()
    def score(part: str, n: int) -> Tensor:
        torch.manual_seed(seed + 1)
        out = []
        for _ in range(draws):
            chunks = data.seen(part, model.row, slice(n)).to(device).chunks(CHUNK)
            out.append(torch.cat([-copied.decode(model.encode(c)).log_prob(c.x) for c in chunks]))
        return torch.stack(out).cpu()

    n_val = len(data.splits["val"])
    _train(copied, losses(), steps, lambda: float(score("val", n_val).mean()))
    return Decoded(score("val", n_val), score("test", n_test))


def _order(draws: int, n: int, steps: int, size: int = 128) -> Iterator[tuple[int, Tensor]]:
    """`steps` pairs of a draw and a batch of examples."""
    size = min(size, n)
    order = torch.empty(0, dtype=torch.int64)
    epoch = -1
    for _ in range(steps):
        if len(order) < size:
            order, epoch = torch.randperm(n), epoch + 1
        pick, order = order[:size], order[size:]
        yield epoch % draws, pick


def _in_chunks(decoder: nn.Module, z: Tensor, x: Tensor) -> Tensor:
    with torch.no_grad():
        pairs = zip(z.split(CHUNK), x.split(CHUNK), strict=True)
        return torch.cat([-decoder(part).log_prob(truth) for part, truth in pairs])


def _train(module: nn.Module, losses: Iterator[Tensor], steps: int, look) -> None:  # type: ignore[no-untyped-def]
    """Adam with a cosine; afterwards `module` is as it was at the best of `LOOKS` looks at validation."""
    weights = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=2e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best, kept = look(), [p.detach().clone() for p in weights]
    every = max(1, steps // LOOKS)
    with torch.enable_grad():
        for step, loss in enumerate(losses, 1):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if step % every == 0 or step == steps:
                found = look()
                if found < best:
                    best, kept = found, [p.detach().clone() for p in weights]
    with torch.no_grad():
        for p, value in zip(weights, kept, strict=True):
            p.copy_(value)
