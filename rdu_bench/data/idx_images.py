"""MNIST and its drop-in replacements: ten classes of 28×28 grey images in four IDX files of the same names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import numpy as np

from .._hash import named_seed
from .dataset import Factor
from .dequantised import Dequantised
from .error import DataError
from .examples import Examples
from .files import data_folder, named_folder, system_folders
from .ground_truth import GroundTruth
from .idx import idx_hash, read_idx
from .splits import assign_splits, binarise, check_counts

SIDE, CLASSES = 28, 10
PARTS = {"t10k": ("t10k",), "all": ("t10k", "train")}  # what `images` may be, and the files that it reads
KINDS = ("images-idx3", "labels-idx1")


class IDXImages(GroundTruth):
    """Base of a data set in the four files of MNIST; a file of datasets/ gives a card, and what is said below."""

    called: ClassVar[str] = ""  # such as MNIST
    factor_name: ClassVar[str] = "class"
    folders: ClassVar[tuple[str, ...]] = ()  # of the data folder, where the files may lie
    installed: ClassVar[str] = ""  # below share/ of a system prefix, where a package installs them
    known: ClassVar[dict[str, str]] = {}  # name without -ubyte -> SHA-256 of the original file, unpacked
    _others: list[str]  # what is not an original, a sentence each

    def fill(self, images: str, pixels: str, limit: int | None, data_dir: str | None) -> None:
        """What `load` does: `images` t10k or all, `pixels` binary or grey, at most `limit` examples of a split.

        Raises `DataError`.
        """
        self._check(images, pixels)
        if limit is not None:
            check_counts(self.name, limit=limit)
        files = self._files(images, data_dir)
        self._others = []
        x, y = self._read(*files["t10k"])
        if images == "t10k":
            parts = assign_splits(len(x), self.name)
        else:
            train_x, train_y = self._read(*files["train"])
            order = np.random.default_rng(named_seed("split", self.name, "all")).permutation(len(train_x))
            val, n = len(train_x) // 10, len(train_x)
            parts = {"train": order[val:], "val": order[:val], "test": np.arange(n, n + len(x))}
            x, y = np.concatenate([train_x, x]), np.concatenate([train_y, y])
        if not all(map(len, parts.values())):
            few = f"{len(x)} images are too few; its files should hold 10,000 or 60,000 each"
            raise DataError(f"{self.name}: {few}.")
        levels, drawn, grey = x[:, None], f"{self.name} {images}", pixels == "grey"
        stored = Dequantised(levels, drawn) if grey else binarise(levels, 255, drawn)
        self.shape, self.likelihood = (1, SIDE, SIDE), "gaussian" if grey else "bernoulli"
        self.factors, self.task = (Factor(self.factor_name, CLASSES),), (self.factor_name,)
        for part, rows in parts.items():
            some = rows[:limit]
            self.splits[part] = Examples(stored, {self.factor_name: y[some]}, rows=some)

    def lacking(self, images: str, pixels: str, data_dir: str | None) -> str:
        """What `missing` says of these parameters of `load`."""
        self._check(images, pixels)
        try:
            self._files(images, data_dir)
        except DataError as error:
            return str(error)
        return ""

    def verify(self) -> list[str]:
        return super().verify() + self._others

    def _check(self, images: str, pixels: str) -> None:
        """Raises `DataError` for what they cannot be."""
        for key, value, allowed in (("images", images, tuple(PARTS)), ("pixels", pixels, ("binary", "grey"))):
            if value not in allowed:
                raise DataError(f"{self.name}: {key} is {value!r}; it must be {allowed[0]!r} or {allowed[1]!r}.")

    def _files(self, images: str, data_dir: str | None) -> dict[str, tuple[Path, Path]]:
        """Images and labels of each part: all of them from the first place that has all."""
        lost: dict[Path, list[str]] = {}
        for place in self._places(data_dir):
            names = [f"{part}-{kind}" for part in PARTS[images] for kind in KINDS]
            found = {name: path for name in names if (path := _file(place, name))}
            if len(found) == len(names):
                return {part: (found[f"{part}-{KINDS[0]}"], found[f"{part}-{KINDS[1]}"]) for part in PARTS[images]}
            lost[place] = [name for name in names if name not in found]
        place = min(lost, key=lambda place: len(lost[place]))
        name = f"{lost[place][0]}-ubyte"
        raise DataError(
            f"{self.name}: there is no {name} or {name}.gz in {place}; put {self.called}'s IDX files there."
        )

    def _places(self, data_dir: str | None) -> list[Path]:
        """Folders where the files may lie; those of the system need no data folder."""
        shares = system_folders() if self.installed else []
        installed = [path for share in shares if os.path.isdir(path := share / self.installed)]
        if installed and not (data_dir or named_folder()):
            return installed
        folder = data_folder(data_dir, self.name, self.card.files)
        return [folder / name for name in self.folders] + installed

    def _read(self, images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
        """Images (N, 28, 28) and labels (N,), uint8."""
        x, y = read_idx(images, (None, SIDE, SIDE)), read_idx(labels, (None,))
        if len(x) != len(y):
            raise DataError(f"{images} has {len(x)} images, but {labels} has {len(y)} labels; they must be of one set.")
        if len(y) and y.max() >= CLASSES:
            raise DataError(f"{labels} holds the label {y.max()}; {self.called}'s are 0 to {CLASSES - 1}.")
        for path, array in ((images, x), (labels, y)):
            name = path.name.replace(".idx", "-idx").partition("-ubyte")[0]
            if idx_hash(array) != self.known.get(name):
                self._others.append(
                    f"{path} is not {self.called}'s (another set of that format?); see where it is from"
                )
        return x, y


def _file(place: Path, name: str) -> Path | None:
    """The file of a name under any of its spellings; what is no file only where nothing else is there."""
    spelt = [place / f"{stem}-ubyte{end}" for stem in (name, name.replace("-idx", ".idx")) for end in ("", ".gz")]
    something = [path for path in spelt if _there(path)]
    return next((path for path in something if os.path.isfile(path)), next(iter(something), None))


def _there(path: Path) -> bool:
    """Whether anything may be there: also what may not be looked at, so that reading it says why."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
