import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np

from rdu_bench.api import (
    Card,
    DataError,
    Examples,
    Factor,
    GroundTruth,
    assign_splits,
    binarise,
    check_counts,
    data_folder,
    named_seed,
)

FILES = "MNIST's IDX files, plain or gzipped (t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz, …), in mnist/"
TEST_IMAGES = "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161"  # SHA-256 of their 7,840,000 pixels


class MNIST(GroundTruth):
    """MNIST: 70,000 handwritten digits of 28×28 pixels, binarised.

    The 256 grey levels are binarised once by a fixed named seed, each pixel 1 with probability level/255.
    `images` is "t10k", the 10,000 test images alone with a fixed split of 7,000, 1,000 and 2,000, or "all", where test
    is the official one and a tenth of the 60,000 validates.  It is asked for and never guessed from the files there
    are, so that the same settings mean the same data everywhere.  `limit` keeps that many examples at most of each
    split.  H(x) is unknown.
    """

    card = Card(
        title="MNIST",
        source="LeCun, Cortes & Burges (1998)",
        shape="1×28×28, binary",
        task="digit",
        provides=("labels", "image", "binary"),
        files="MNIST's IDX files, plain or gzipped, in mnist/",
    )

    def load(self, *, images: str = "t10k", limit: int | None = None, data_dir: str | None = None) -> None:
        """`data_dir` is the data folder, by default the one that the command line or the environment names."""
        if images not in ("t10k", "all"):
            raise DataError(f"mnist: images is {images!r}; it must be 't10k' or 'all'.")
        if limit is not None:
            check_counts("mnist", limit=limit)
        folder = data_folder(data_dir, "mnist", FILES)
        x, y = read_pair(folder, "t10k")
        self.original = hashlib.sha256(x.data).hexdigest() == TEST_IMAGES
        if images == "t10k":
            parts = assign_splits(len(x), "mnist")
        else:
            train_x, train_y = read_pair(folder, "train")
            order = np.random.default_rng(named_seed("split", "mnist", "all")).permutation(len(train_x))
            val = len(train_x) // 10
            test = np.arange(len(train_x), len(train_x) + len(x))
            parts = {"train": order[val:], "val": order[:val], "test": test}
            x, y = np.concatenate([train_x, x]), np.concatenate([train_y, y])
        for part, rows in parts.items():
            if not len(rows):
                raise DataError(f"mnist: {len(x)} images are too few; its files should hold 10,000 or 60,000 each.")
            parts[part] = rows[:limit]
        binary = binarise(x[:, None], 255, f"mnist {images}")
        self.shape, self.likelihood = (1, 28, 28), "bernoulli"
        self.factors, self.task = (Factor("digit", 10),), ("digit",)
        self.splits = {part: Examples(binary, {"digit": y[rows]}, rows=rows) for part, rows in parts.items()}

    def missing(self, *, images: str = "t10k", data_dir: str | None = None, **params: object) -> str:
        try:
            folder = data_folder(data_dir, "mnist", FILES)
            for part in ("t10k", "train")[: 1 + (images == "all")]:
                find(folder, part, "images", 3), find(folder, part, "labels", 1)
        except DataError as error:
            return str(error)
        return ""

    def verify(self) -> list[str]:
        other = "the test images are not MNIST's (another set of that format?); see where the files came from"
        return super().verify() + ([] if self.original else [other])


def read_pair(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 28, 28) and labels (N,), uint8, of `t10k` or `train`."""
    images, labels = find(folder, part, "images", 3), find(folder, part, "labels", 1)
    x, y = read_idx(images, 3), read_idx(labels, 1)
    if x.shape[1:] != (28, 28):
        raise DataError(f"{images} holds images of {x.shape[1]}×{x.shape[2]} pixels; MNIST's are 28×28.")
    if len(x) != len(y):
        raise DataError(f"{images} has {len(x)} images, but {labels} has {len(y)} labels; they must be of one set.")
    if len(y) and y.max() > 9:
        raise DataError(f"{labels} holds the label {y.max()}; MNIST's are 0 to 9.")
    return x, y


def find(folder: Path, part: str, what: str, dims: int) -> Path:
    """The file of that part, under any of the names and in any of the folders that are in use."""
    for place in (folder / "mnist", folder / "MNIST" / "raw", folder):
        for dash in "-.":
            for end in ("", ".gz"):
                path = place / f"{part}-{what}{dash}idx{dims}-ubyte{end}"
                if path.is_file():
                    return path
    name = f"{part}-{what}-idx{dims}-ubyte"
    raise DataError(f"mnist: there is no {name} or {name}.gz in {folder / 'mnist'}; put MNIST's IDX files there.")


def read_idx(path: Path, dims: int) -> np.ndarray:
    """An IDX file of unsigned bytes with `dims` dimensions, plain or gzipped whatever its name.

    Raises `DataError` with one sentence for every way in which it may be bad.
    """
    again = "get the file again"
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path} does not unpack ({error}); {again}.") from error
    elif path.suffix == ".gz":
        raise DataError(f"{path} is named .gz but is not gzipped; {again}, or rename it if it is unpacked.")
    head = 4 + 4 * dims
    if len(raw) < head:
        raise DataError(f"{path} is truncated: {len(raw)} bytes do not even hold the header of {head}; {again}.")
    if raw[:2] != b"\0\0":
        raise DataError(f"{path} starts with {raw[:4].hex()}, not with 000008{dims:02x}: it is no IDX file; {again}.")
    if raw[2] != 8:
        raise DataError(f"{path} holds numbers of IDX type {raw[2]:#04x}; expected unsigned bytes, type 0x08.")
    if raw[3] != dims:
        raise DataError(f"{path} has {raw[3]} dimensions; expected {dims}: are images and labels mixed up?")
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", dims, 4))
    want = head + math.prod(shape)
    if len(raw) != want:
        state = "is truncated" if len(raw) < want else "is too long"
        raise DataError(f"{path} {state}: {len(raw)} bytes where its header says {want}; {again}.")
    return np.frombuffer(raw, np.uint8, offset=head).reshape(shape)
