"""A data set that is larger than a stated memory is verified, hashed, trained on and encoded within it."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

MB = 2**20
EXAMPLES, SIDE = 75_000, 64  # 307 MB as uint8, 1.2 GB as floats
ALLOWED = 120  # MB beyond what the program takes for 3,000 examples

PLUGIN = '''
import numpy as np

from rdu_bench.api import Card, Dataset, Examples, Factor, HDF5Source


class Big(Dataset):
    """Many pictures in a file."""

    card = Card(title="Big", source="made here", shape="1×64×64, binary", task="y")

    def load(self, *, path: str, n: int | None = None) -> None:
        """`path` of the file, of which `n` are used."""
        source = HDF5Source(path, "x", shape=(1, 64, 64))
        n = n or source.shape[0]
        self.shape, self.factors, self.task = (1, 64, 64), (Factor("y", 4),), ("y",)
        parts = {"train": slice(n * 8 // 10), "val": slice(n * 8 // 10, n * 9 // 10), "test": slice(n * 9 // 10, n)}
        every = Examples(source, {"y": np.arange(source.shape[0]) % 4})
        self.splits = {part: every.subset(at) for part, at in parts.items()}
'''

SCRIPT = """
import resource, sys
import torch
from rdu_bench import registry
from rdu_bench.data import batches

def verified(data, model):
    assert data.verify() == []

def hashed(data, model):
    assert len(data.hash) == 16

def trained(data, model):
    for batch in batches(data.splits["train"], 128, 20, label="y", sensitive=None, seed=0):
        terms = model(batch)
        (terms.distortion + terms.rate).mean().backward()

@torch.no_grad()
def encoded(data, model):
    for batch in data.view("train", model.row, slice(10000)).chunks():
        model.encode(batch)

def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

for n in (3000, None):  # the first to see what the program itself takes
    data = registry.dataset("big", path=sys.argv[1], n=n)
    model = registry.model("vae", data.spec(hidden=(16,), latent=2))
    for work in (verified, hashed, trained, encoded):
        before = most()
        work(data, model)
        if n is None:
            print(work.__name__, most() - before)
"""


COPIED = """
import resource, sys
from rdu_bench import registry
from rdu_bench.data import batches

def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

for name in sys.argv[1:]:  # a small file, to see what the program itself takes, and two that are copied
    before = most()
    data = registry.dataset("hdf5", file=name)
    for batch in batches(data.splits["train"], 128, 3, label=None, sensitive=None, seed=0):
        batch.x.sum()
    print(name.rpartition("/")[2].partition(".")[0], most() - before, len(data.notes))
"""


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    folder = tmp_path_factory.mktemp("big")
    (folder / "datasets").mkdir()
    (folder / "datasets" / "big.py").write_text(PLUGIN, encoding="utf-8")
    draw = np.random.default_rng(0)
    with h5py.File(folder / "big.h5", "w") as file:
        x = file.create_dataset("x", (EXAMPLES, SIDE, SIDE), np.uint8, chunks=(64, SIDE, SIDE))
        piece = draw.integers(0, 2, (5000, SIDE, SIDE), dtype=np.uint8)
        for i in range(0, EXAMPLES, len(piece)):
            x[i : i + len(piece)] = piece
    return folder


def run(script, *given, **env):
    """What a script prints, in a process whose memory is limited."""
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [sys.executable, "-c", script, *map(str, given)],
        env={**os.environ, "PYTHONPATH": paths, **env},
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (3000 * MB, 3000 * MB)),
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return [line.split() for line in ran.stdout.splitlines()]


def test_work_on_a_large_file_takes_little_memory(big):
    grown = {name: int(kb) / 1024 for name, kb in run(SCRIPT, big / "big.h5", RDU_BENCH_PLUGINS=str(big))}
    assert set(grown) == {"verified", "hashed", "trained", "encoded"}
    assert all(mb < ALLOWED for mb in grown.values()), grown


@pytest.mark.slow
def test_a_large_file_is_copied_in_little_memory_beside_its_largest_chunk(tmp_path):
    """Of chunks of 4 and of 123 MB: what is held of them is one, once or twice."""
    x = np.zeros((30_000, SIDE, SIDE), np.uint8)
    x[:, ::8] = np.arange(30_000)[:, None, None] % 251
    for name, n, rows in (("small", 3000, 1000), ("cut", 30_000, 1000), ("whole", 30_000, 30_000)):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_dataset("x", data=x[:n], chunks=(rows, SIDE, SIDE), compression="gzip", compression_opts=1)
    script = COPIED.replace("import resource", "from rdu_bench.data import rechunked\nimport resource", 1)
    script = script.replace("def most", "rechunked.__globals__['AHEAD'] = 2**20\n\ndef most", 1)
    paths = [tmp_path / f"{name}.h5" for name in ("small", "cut", "whole")]
    grown = {name: (int(kb) / 1024, int(n)) for name, kb, n in run(script, *paths, XDG_CACHE_HOME=str(tmp_path))}
    assert grown["cut"][1] == grown["whole"][1] == 1
    assert grown["cut"][0] < ALLOWED and grown["whole"][0] < ALLOWED + 2 * x.nbytes / MB, grown
