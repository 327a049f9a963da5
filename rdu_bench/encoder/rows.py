"""Codes whose noise depends on the row alone: on what is in it, and on a stated draw, never on its place in a call.

A row's bytes are hashed to a seed, and every number that the model draws for it comes from that seed, the number of
the call and its place in the row.  All rows of a chunk are so drawn at once, where the random operations of a model are
known and keep rows apart; else each row goes through the model by itself.  Chunks are computed in double precision and
rounded, because the last digits of a product of matrices depend on how many rows it has.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .. import _lean
from .._hash import named_seed
from ..model import Batch, Code, Model

CHUNK = 1024
Of = Callable[[Code], Tensor]  # what is wanted of a code, one row an example


class UnknownDraw(RuntimeError):
    """A model draws random numbers in a way that cannot be told apart by rows."""


class RowCodes:
    """The codes of a frozen model, row by row."""

    def __init__(self, model: Model, seed: int, sample: Tensor, device: str):
        self.model, self.seed, self.device = model, seed, device
        self.together: Model | None = copy.deepcopy(model).double()
        if not self._agrees(sample):
            self.together = None

    def __call__(self, x: Tensor, of: Of, draw: int = 0) -> Tensor:
        """`of` the code of x (n, *shape), float32, for draw number `draw`."""
        seeds = self._seeds(x, draw)
        return torch.cat(list(self._parts(x, of, seeds)))

    def _parts(self, x: Tensor, of: Of, seeds: np.ndarray) -> Iterator[Tensor]:
        if self.together is not None:
            for i in range(0, len(x), CHUNK):
                yield self._all(self.together, x[i : i + CHUNK], of, seeds[i : i + CHUNK])
            return
        cuda = [torch.device(self.device)] if self.device.startswith("cuda") else []
        with torch.random.fork_rng(devices=cuda):
            for one, seed in zip(x.split(1), seeds.tolist(), strict=True):
                torch.manual_seed(seed >> 1)
                yield self._out(self.model, one, of)

    def _all(self, model: Model, x: Tensor, of: Of, seeds: np.ndarray) -> Tensor:
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            with RowNoise(seeds):
                return self._out(model, x.double(), of)
        finally:
            torch.set_default_dtype(before)

    @torch.no_grad()
    def _out(self, model: Model, x: Tensor, of: Of) -> Tensor:
        return of(model.encode(Batch.unlabelled(x.to(self.device)))).cpu().float()

    def _agrees(self, sample: Tensor) -> bool:
        """Whether a chunk of rows gives what each of its rows gives alone."""
        assert self.together is not None
        seeds = self._seeds(sample, 0)
        try:
            whole = self._all(self.together, sample, _everything, seeds)
            alone = [self._all(self.together, sample[[i]], _everything, seeds[[i]]) for i in range(len(sample))]
        except (RuntimeError, TypeError, ValueError, NotImplementedError):  # float32 made inside, or a draw not known
            return False
        return torch.allclose(whole, torch.cat(alone), rtol=1e-5, atol=1e-6)

    def _seeds(self, x: Tensor, draw: int) -> np.ndarray:
        """(n,) uint64, of the bytes of each row."""
        salt = named_seed("transform", self.seed, draw).to_bytes(8, "little")
        rows = np.ascontiguousarray(x.numpy() + 0.0).reshape(len(x), -1)  # −0 is 0
        found = (hashlib.blake2b(row.tobytes(), digest_size=8, key=salt).digest() for row in rows)
        return np.frombuffer(b"".join(found), dtype="<u8").astype(np.uint64)


def _everything(code: Code) -> Tensor:
    return torch.cat([block.sample for block in code.values()], -1)


class RowNoise(TorchDispatchMode):
    """Inside, random numbers of tensors whose first axis goes over rows come from the rows' own seeds (n,) uint64."""

    def __init__(self, seeds: np.ndarray):
        super().__init__()
        self.seeds, self.calls = seeds, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        kwargs.pop("generator", None)
        known = getattr(self, f"_{func.overloadpacket.__name__}", None)
        if known is None:
            raise UnknownDraw(f"{func} is not known to draw by rows")
        try:
            return known(*args, **kwargs)
        except TypeError as error:  # a form of the operation with other arguments
            raise UnknownDraw(f"{func} is not known to draw by rows") from error

    def uniform(self, like: Tensor) -> Tensor:
        """As `like`, in (0, 1).  Raises `UnknownDraw` where its first axis does not go over rows."""
        n, size = len(self.seeds), like.numel()
        if like.dim() == 0 or size % max(n, 1) or (size and like.shape[0] % n):
            raise UnknownDraw(f"a draw of shape {tuple(like.shape)} has no row for each of {n}")
        self.calls += 1
        with np.errstate(over="ignore"):
            place = np.arange(1, size // n + 1, dtype=np.uint64) * GOLDEN
            bits = _mixed(_mixed(self.seeds + np.uint64(self.calls) * GOLDEN)[:, None] + place)
        found = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        return torch.from_numpy(found).to(like.device, like.dtype).clamp(1e-30, 1 - 2.0**-24).view(like.shape)

    def normal(self, like: Tensor) -> Tensor:
        """As `like`, standard normal."""
        return torch.special.ndtri(self.uniform(like))

    def _uniform_(self, out: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
        return out.copy_(low + (high - low) * self.uniform(out))

    def _exponential_(self, out: Tensor, rate: float = 1.0) -> Tensor:
        return out.copy_(-self.uniform(out).log() / rate)

    def _normal_(self, out: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
        return out.copy_(mean + std * self.normal(out))

    def _normal(self, mean: Tensor | float, std: Tensor | float = 1.0) -> Tensor:
        return mean + std * self.normal(torch.as_tensor(mean) + torch.as_tensor(std))

    def _rand(self, size: Sequence[int], **kwargs: Any) -> Tensor:
        return self.uniform(torch.empty(size, **kwargs))

    def _randn(self, size: Sequence[int], **kwargs: Any) -> Tensor:
        return self.normal(torch.empty(size, **kwargs))

    def _rand_like(self, like: Tensor, **kwargs: Any) -> Tensor:
        return self.uniform(torch.empty_like(like, **kwargs))

    def _randn_like(self, like: Tensor, **kwargs: Any) -> Tensor:
        return self.normal(torch.empty_like(like, **kwargs))

    def _bernoulli(self, p: Tensor) -> Tensor:
        return (self.uniform(p) < p).to(p.dtype)

    def _bernoulli_(self, out: Tensor, p: Tensor | float = 0.5) -> Tensor:
        return out.copy_(self.uniform(out.double()) < p)

    def _multinomial(self, weights: Tensor, num_samples: int, replacement: bool = False) -> Tensor:
        if num_samples != 1:
            raise UnknownDraw("more than one draw of symbols at a time")
        return (weights / -self.uniform(weights).log()).argmax(-1, keepdim=True)


RowNoise.__torch_dispatch__ = _lean.of(RowNoise.__torch_dispatch__)  # type: ignore[method-assign]
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mixed(bits: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele, Lea & Flood 2014): every bit of the result depends on every bit given."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = bits ^ (bits >> np.uint64(31))
    return mixed
