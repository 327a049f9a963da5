"""Training from a compressed file against training from memory, for several numbers of images compressed together.

    python tests/benchmarks/streaming.py                  # dSprites-like and 3D-Shapes-like, every second value
    python tests/benchmarks/streaming.py --data-dir DIR   # at full size, where `rdu-bench data make` has put them

Images a second of CPU of one thread, in turns so that all have the same machine: of reading shuffled batches alone, and
of training the VAE of the study on them.  `memory` is an array; ratios are to it.  The last column is the file.
"""

import argparse
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import torch

from rdu_bench import registry
from rdu_bench.api import Dequantised, Examples, HDF5Source
from rdu_bench.data import batches
from rdu_bench.nn import study

SIZE, TURNS, STEPS = 128, 3, 4
HELD = 40_000  # images that are held in memory
LAYOUTS = [(1, "gzip"), (4, "gzip"), (16, "gzip"), (64, "gzip"), (4, "lzf"), (1, "lzf")]


def written(path, stored, chunk, how):
    """The images of a source, compressed `chunk` at a time."""
    n, *shape = stored.shape
    options = {"compression_opts": 1} if how == "gzip" else {}
    with h5py.File(path, "w", libver="latest") as file:
        x = file.create_dataset("x", stored.shape, stored.dtype, chunks=(chunk, *shape), compression=how, **options)
        for i in range(0, n, 4096):
            x[i : i + 4096] = stored[np.arange(i, min(i + 4096, n))]
    return HDF5Source(path, "x")


def step(model, optimizer, batch):
    terms = model(batch)
    optimizer.zero_grad(set_to_none=True)
    (terms.distortion + terms.rate).mean().backward()
    optimizer.step()


def measured(data, sources):
    """Images a CPU second by source: read, and trained on."""
    model = registry.model("vae", data.spec(family="study", hidden=study.HIDDEN, latent=10))
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    real = data.likelihood == "gaussian"
    spent = {name: [0.0, 0.0] for name in sources}
    done = {name: [0, 0] for name in sources}
    for turn in range(TURNS):
        for name, source in sources.items():
            examples = Examples(Dequantised(source, "x") if real else source, {})
            for kind, steps in ((0, 16 * STEPS), (1, STEPS * 4)):
                start = time.process_time()
                for batch in batches(examples, SIZE, steps, label=None, sensitive=None, seed=turn):
                    if kind:
                        step(model, optimizer, batch)
                spent[name][kind] += time.process_time() - start
                done[name][kind] += SIZE * steps
    return {name: [n / s for n, s in zip(done[name], spent[name], strict=True)] for name in sources}


def show(title, rates, sizes):
    print(f"\n{title}\n{'':12}{'read/s':>10}{'ratio':>8}{'train/s':>10}{'ratio':>8}{'MB':>9}")
    for name, (read, train) in rates.items():
        a, b = rates["memory"]
        print(f"{name:12}{read:10.0f}{read / a:8.2f}{train:10.0f}{train / b:8.2f}{sizes[name] / 1e6:9.1f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", help="the data folder that holds both sets at full size")
    parser.add_argument("--only", help="one of the two")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        for name in ("dsprites_like", "shapes3d_like"):
            if given.only not in (None, name):
                continue
            params = {"data_dir": given.data_dir} if given.data_dir else {"data_dir": place, "stride": 2}
            if not given.data_dir:
                registry.empty_dataset(name).make(Path(place), stride=2)
            data = registry.dataset(name, **params)
            source = data.pool.source if data.likelihood == "bernoulli" else data.pool.source.levels
            held = source[np.sort(np.random.default_rng(0).permutation(source.shape[0])[:HELD])]
            sources, sizes = {"memory": held}, {"memory": held.nbytes}
            for chunk, how in LAYOUTS:
                path = Path(place) / f"{name}-{chunk}-{how}.h5"
                sources[f"{chunk} {how}"] = written(path, source, chunk, how)
                sizes[f"{chunk} {how}"] = path.stat().st_size
            show(f"{name}, {source.shape[0]:,} images", measured(data, sources), sizes)


if __name__ == "__main__":
    main()
