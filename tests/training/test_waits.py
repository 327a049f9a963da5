"""Between two looks nothing in a training waits for the device: every number that Python reads would."""

import traceback
from collections import Counter

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from rdu_bench import registry
from rdu_bench.data import Dataset, Examples, Factor
from rdu_bench.training import Training
from rdu_bench.training import loop as training_loop
from rdu_bench.training.stack import Single, Stack

READS = {  # what gives Python a number, or a tensor whose shape depends on numbers
    *("item", "tolist", "numpy", "cpu", "nonzero", "argwhere", "masked_select", "unique", "equal", "allclose"),
    *("is_nonzero", "__bool__", "__float__", "__int__", "__index__", "__array__", "__contains__", "bincount"),
}
OPERATIONS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal", "is_nonzero"}


def masked(args):
    """Whether rows are picked by a mask of booleans, however many those are."""
    at = args[1] if len(args) > 1 else ()
    return any(
        isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8)
        for i in (at if isinstance(at, tuple | list) else (at,))
    )


class Reads(TorchFunctionMode):
    """Notes where the methods of `READS` are called."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in READS or (name in ("__getitem__", "__setitem__", "index_put_") and masked(args)):
            note(self.found, name)
        return func(*args, **kwargs or {})


class Operations(TorchDispatchMode):
    """Notes the same one floor below, wherever it comes from."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    @classmethod
    def _should_skip_dynamo(cls):
        return False  # which would import it

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in OPERATIONS or (name in ("index", "index_put", "index_put_") and masked(args)):
            note(self.found, name)
        return func(*args, **kwargs or {})


def note(found, name):
    """Count a call by its name and the last line of ours that led to it."""
    ours = [f for f in traceback.extract_stack() if "site-packages" not in f.filename and f.filename != __file__]
    found[f"{name} at {ours[-1].filename}:{ours[-1].lineno}" if ours else name] += 1


class Marks(Dataset):
    """Images of a row or a column, whose label says which, and a colour that is sensitive."""

    def load(self):
        generator = torch.Generator().manual_seed(0)
        y, s, at = (torch.randint(n, (240,), generator=generator) for n in (2, 2, 4))
        rows = torch.nn.functional.one_hot(at, 4).float()[:, None, :, None].expand(-1, 1, 4, 4)
        x = torch.where(y[:, None, None, None] == 1, rows.mT, rows)
        self.name, self.shape, self.task, self.sensitive = "marks", (1, 4, 4), ("kind",), "colour"
        self.factors = (Factor("kind", 2), Factor("colour", 2))
        cut = {"train": slice(0, 120), "val": slice(120, 180), "test": slice(180, 240)}
        self.splits = {part: Examples(x[rows], {"kind": y[rows], "colour": s[rows]}) for part, rows in cut.items()}


@pytest.fixture(scope="module")
def data():
    made = Marks()
    made.load()
    return made


STREAM = training_loop.stream


def trained(monkeypatch, data, runner, steps):
    """Reads in a training that is looked at in its first and its last step; those of the data loader are the host's."""
    found = Counter()

    def between(*args):
        batches = STREAM(*args)
        while True:
            with torch._C.DisableTorchFunction(), torch.utils._python_dispatch._disable_current_modes():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    monkeypatch.setattr(training_loop, "LOOK", 10_000)
    monkeypatch.setattr(training_loop, "stream", between)
    sigmas = [1.0] * getattr(runner, "cells", 1)
    with Operations(found), Reads(found):
        training_loop.run(runner, data, sigmas, Training(steps=steps, batch=30))
    return found


MODELS = ["vae", "factor_vae", "vq_vae", "gumbel_vq", "ladder_vae", "joint_vae", "m2", "svae", "fader", "wae"]


@pytest.mark.parametrize("name", MODELS)
def test_a_training_reads_nothing_between_looks(monkeypatch, data, name):
    torch.manual_seed(0)
    runners = [Single(registry.model(name, data.spec(hidden=(16,), latent=4))) for _ in range(2)]
    few, many = (trained(monkeypatch, data, r, steps) for r, steps in zip(runners, (3, 9), strict=True))
    assert few, "the looks themselves are reads"
    assert many - few == Counter()


def test_nor_does_a_stack_of_models(monkeypatch, data):
    stacks = [Stack(registry.model("factor_vae", data.spec(hidden=(16,), latent=4)), 2) for _ in range(2)]
    few, many = (trained(monkeypatch, data, s, steps) for s, steps in zip(stacks, (3, 9), strict=True))
    assert few and many - few == Counter()


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (lambda x: x.sum().item(), "item"),
        (lambda x: float(x[0]), "__float__"),
        (lambda x: bool(x[0] > 0), "__bool__"),
        (lambda x: x.tolist(), "tolist"),
        (lambda x: x.cpu(), "cpu"),
        (lambda x: x[x > 0], "__getitem__"),
        (lambda x: x.masked_select(x > 0), "masked_select"),
        (lambda x: torch.nn.functional.one_hot((x > 0).long(), 3), "_local_scalar_dense"),
    ],
)
def test_a_read_is_seen(read, name):
    """So that the tests above can fail."""
    found = Counter()
    with Operations(found), Reads(found):
        read(torch.arange(3.0))
    assert any(key.startswith(f"{name} ") for key in found), found


class Moves(TorchFunctionMode):
    """Notes moves of tensors to other devices, and leaves them where they are."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") == "to":
            self.seen.append((str(args[1]), (kwargs or {}).get("non_blocking", False)))
            return args[0]
        return func(*args, **kwargs or {})


def test_a_batch_is_sent_ahead_to_a_gpu_and_waited_for_by_memory(data):
    batch = data.view("train", registry.model("vae", data.spec()).row).batch()
    away = batch.to("meta")
    with Moves() as moves:
        batch.to("cuda:0")
        away.to("cpu")
    assert moves.seen == [("cuda:0", True)] * len(batch) + [("cpu", False)] * len(batch)
