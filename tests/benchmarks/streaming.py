"""Training from a compressed file against training from memory, for several numbers of images compressed together.

    python tests/benchmarks/streaming.py                  # dSprites-like and 3D-Shapes-like, every second value
    python tests/benchmarks/streaming.py --data-dir DIR   # at full size, where `rdu-bench data make` has put them
    python tests/benchmarks/streaming.py --users          # files of users that are cut badly for this, by data set hdf5

Images a second of CPU of one thread, in turns so that all have the same machine: of reading shuffled batches alone, and
of training the VAE of the study on them.  `memory` is an array; ratios are to it.  The last column is the file.

With `--users` each file is read as it is, and (`hdf5`) as data set `hdf5` reads it, from a copy where it makes one; the
seconds that the copy took are printed.  Pixels have noise, so that they take as long to unpack as photographs do, and
`--ahead` makes the file so many times as large as what is read at once, as files are that do not fit into memory.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import torch

from rdu_bench import registry
from rdu_bench.api import Dequantised, Examples, HDF5Source
from rdu_bench.data import batches, examples, rechunked
from rdu_bench.nn import study

SIZE = 128
HELD = 40_000  # images that are held in memory
LAYOUTS = [(1, "gzip"), (4, "gzip"), (16, "gzip"), (64, "gzip"), (4, "lzf"), (1, "lzf")]
USERS = {"64 gzip": 64, "1024 gzip": 1024, "one chunk": None, "h5py's own": True}


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


def measured(data, sources, turns=3, quarter=4):
    """Images a CPU second by source: read, and trained on."""
    model = registry.model("vae", data.spec(family="study", hidden=study.HIDDEN, latent=10))
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    real = data.likelihood == "gaussian"
    spent = {name: [0.0, 0.0] for name in sources}
    done = {name: [0, 0] for name in sources}
    for turn in range(turns):
        for name, source in sources.items():
            examples = Examples(Dequantised(source, "x") if real else source, {})
            for kind, steps in ((0, 16 * quarter), (1, 4 * quarter)):
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


def noisy(source, n):
    """`n` images of a source with noise in the lower four bits of every pixel."""
    draw = np.random.default_rng(0)
    x = source[np.sort(draw.permutation(source.shape[0])[:n])] & 0xF0
    x |= draw.integers(0, 16, x.shape, dtype=np.uint8)
    return x


def users(place, held, ahead):
    """Files with the images `held` in the layouts of `USERS`, as they are and as data set hdf5 reads them; their MB."""
    examples.AHEAD = rechunked.__globals__["AHEAD"] = held.nbytes // ahead
    sources, sizes = {"memory": held}, {"memory": held.nbytes}
    for name, rows in USERS.items():
        path = Path(place) / f"{name.replace(' ', '-')}.h5"
        cut = rows if rows is True else (rows or len(held), *held.shape[1:])
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=held, chunks=cut, compression="gzip")
        sources[name], sizes[name] = HDF5Source(path, "x"), path.stat().st_size
        plain = registry.empty_dataset("hdf5")
        plain.about(file=str(path))  # so that what is known of it is kept
        start = time.process_time()
        plain.load(file=str(path))
        print(f"{name}: {time.process_time() - start:.1f} s; {'; '.join(plain.notes) or 'as it is'}", flush=True)
        sources[f"{name} hdf5"] = plain.splits["train"].source.levels
        sizes[f"{name} hdf5"] = sources[f"{name} hdf5"].path.stat().st_size
    return sources, sizes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", help="the data folder that holds both sets at full size")
    parser.add_argument("--only", help="one of the two")
    parser.add_argument("--users", action="store_true", help="files of users instead")
    parser.add_argument("--ahead", type=int, default=30, help="their size, in what is read at once [30: 1 GB]")
    parser.add_argument("--turns", type=int, default=3, help="of each, of 16 batches that are read and 4 trained on")
    parser.add_argument("--images", type=int, default=4_000, help="that they hold")
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
            if given.users:
                os.environ["XDG_CACHE_HOME"] = place
                sources, sizes = users(place, noisy(source, given.images), given.ahead)
                data.likelihood = "gaussian"
                show(f"{name}, {given.images:,} images", measured(data, sources, given.turns, 1), sizes)
                continue
            held = source[np.sort(np.random.default_rng(0).permutation(source.shape[0])[:HELD])]
            sources, sizes = {"memory": held}, {"memory": held.nbytes}
            for chunk, how in LAYOUTS:
                path = Path(place) / f"{name}-{chunk}-{how}.h5"
                sources[f"{chunk} {how}"] = written(path, source, chunk, how)
                sizes[f"{chunk} {how}"] = path.stat().st_size
            show(f"{name}, {source.shape[0]:,} images", measured(data, sources), sizes)


if __name__ == "__main__":
    main()
