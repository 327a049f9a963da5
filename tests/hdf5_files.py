"""HDF5 files like those of others, small; `put` writes one."""

import h5py
import numpy as np

N = 60
DRAW = np.random.default_rng(0)
BITS = DRAW.integers(0, 2, (N, 4, 5)).astype(np.uint8)
GREY = DRAW.integers(0, 256, (N, 4, 5)).astype(np.uint8)
LABELS = np.arange(N) % 3


def put(path, **contents):
    """Write data sets by their keys, `__` for /; a dictionary is the keywords of `create_dataset`."""
    with h5py.File(path, "w") as file:
        for key, value in contents.items():
            how = value if isinstance(value, dict) else {"data": value}
            file.create_dataset(key.replace("__", "/"), **how)
    return path
