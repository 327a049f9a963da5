"""Data sets that are small enough for tests, and files like those of others."""

import os
import struct
from pathlib import Path

import numpy as np

from rdu_bench import registry

GRID = {"size": 8, "scales": 2, "orientations": 4, "positions": 3}
MANY = {"n_train": 300, "n_val": 50, "n_test": 100}


def sprites(**params):
    return registry.dataset("sprites", **{**GRID, **MANY, **params})


def small_gaussian(**params):
    return registry.dataset("linear_gaussian", **{**MANY, **params})


def idx(array, kind=8):
    """The bytes of an IDX file."""
    head = struct.pack(">HBB", 0, kind, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


IMAGES = np.random.default_rng(0).integers(0, 256, (40, 28, 28))
LABELS = np.arange(40) % 10


def put(folder, part="t10k", images=IMAGES, labels=LABELS, pack=bytes, end="", place="mnist"):
    """Write a pair of files as MNIST has them; `images` and `labels` may also be bytes."""
    place = folder / place
    place.mkdir(parents=True, exist_ok=True)
    for name, content in {"images-idx3": images, "labels-idx1": labels}.items():
        content = content if isinstance(content, bytes) else idx(content)
        (place / f"{part}-{name}-ubyte{end}").write_bytes(pack(content))


def mnist(folder, **params):
    return registry.dataset("mnist", data_dir=str(folder), **params)


def put_fashion(folder, **how):
    """All four files of Fashion-MNIST, of 40 images in each part."""
    for part, seed in (("t10k", 1), ("train", 2)):
        images = np.random.default_rng(seed).integers(0, 256, (40, 28, 28))
        put(folder, part=part, images=images, **{"place": "fashion-mnist", **how})


def fashion(folder=None, **params):
    return registry.dataset("fashion_mnist", data_dir=folder and str(folder), **params)


def mnist_folder() -> Path | None:
    """Where MNIST is on this machine, if anywhere."""
    folder = os.environ.get("RDU_BENCH_DATA")
    return Path(folder) if folder and (Path(folder) / "mnist" / "t10k-images-idx3-ubyte.gz").is_file() else None
