import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from rdu_bench.api import (
    About,
    Card,
    DataError,
    Dataset,
    Dequantised,
    Examples,
    Source,
    data_file,
    lost_file,
    named_seed,
    rechunked,
)

from ._hdf5_factors import LABELS, Column, column
from ._hdf5_file import NUMBERS, Known, check_size, dataset, opened
from ._hdf5_layout import PARTS, Layout, groups, layout, parts_of, with_val
from ._hdf5_params import check
from ._hdf5_pixels import Rows, likelihood_of, notes_on, shape_of


class HDF5(Dataset):
    """Any HDF5 file: x is one of its data sets, factors are others, and nothing of x is held in memory.

    `file` is a path, or a name in the data folder.  Of the rest, what is not told is looked for: x is the only data set
    with two dimensions or more, or the only one named images, imgs, x or data; factors are the vectors of whole numbers
    with a value for each row, and what is named as labels; `splits` are groups named train and test, or a data set
    `split` with the part of each row, or else 80, 10 and 10 percent by the named seed `seed`.  Images (N, H, W) have
    one channel, (N, H, W, C) are `channels` "last"; sequences are (N, T, C, H, W), or have their channels last too.
    The likelihood is Bernoulli if x holds 0 and 1 only, or bytes that are 0 and 255 only, which every pixel is asked
    once; else it is Gaussian.  x is multiplied by `scale`.  A large file whose chunks hold many examples is copied once
    into the user's cache, in small chunks; the notes say so.

    Classes are numbered from 0 in the order of their values, texts too; a label that is −1 is unknown, and D_y is of
    rows that have one, so such a file is refused; a table with one 1 a row is the class of its columns; floats are real
    factors.  A column of a table is `latents/classes:1`.  `splits` may be a table of groups
    that hold x and the factors, or of row numbers.  Where val is not told, it is a tenth of train by `seed`.  `limit`
    keeps that many examples at most of each split, drawn by `seed`.  `content` is the SHA-256 (16 digits) that the file
    must have; a run adds it, so that it is part of every record.

    Bytes under a Gaussian have uniform noise of one step added, drawn once, so that D is at least the nats that the
    bytes take, see `Dequantised`.  Other whole numbers have none, nor have bytes that were divided and stored as
    floats: their density has no bound unless `noise` is declared, which the notes say.  H(x) is unknown.
    """

    card = Card(
        title="Any HDF5 file",
        source="yours",
        shape="that of the file, channels first",
        task="its labels, or those in `task`",
        sensitive="none, or the one in `sensitive`",
        provides=("labels", "groups", "image", "sequence", "binary"),
        files="the HDF5 file that `file` names, a path or a name in the data folder",
    )

    def load(
        self,
        *,
        file: str = "",
        x: str | None = None,
        factors: Mapping[str, str] | None = None,
        task: Sequence[str] | None = None,
        sensitive: str | None = None,
        likelihood: str = "auto",
        noise: float | None = None,
        scale: float | None = None,
        channels: str = "auto",
        splits: Mapping[str, str] | str | None = None,
        seed: str = "hdf5",
        limit: int | None = None,
        content: str = "",
        data_dir: str | None = None,
    ) -> None:
        """`noise` is the declared variance of a Gaussian, which is learned otherwise."""
        told = {name: value for name, value in locals().items() if name in PARAMETERS and value is not None}
        check(told)
        if lost := self.missing(**told):
            raise DataError(lost)
        found, seen = looked_at(told)
        self.shape, self.likelihood, self.noise = seen.shape, found["likelihood"], noise
        self.factors = tuple(column.factor for column in seen.columns)
        self.task, self.sensitive = tuple(found["task"]), sensitive
        self.notes = seen.notes
        stored = {}
        for key in dict.fromkeys(key for key, _, _ in seen.parts.values()):
            plain = Rows(Path(found["file"]), key, seen.shape, last=found["channels"] == "last")
            most = max(len(rows) for of, rows, _ in seen.parts.values() if of == key)
            stored[key], copied = rechunked(plain, found["content"], most)
            self.notes += (copied,) if copied and copied not in self.notes else ()
        for part, (key, rows, first) in seen.parts.items():
            source: Source = stored[key]
            if self.likelihood == "gaussian" and source.dtype == np.uint8:
                source = Dequantised(source, f"hdf5 {seed} {seen.keys.index(key)}")  # whatever the file calls it
            y = {column.factor.name: column.values[first + rows] for column in seen.columns}
            self.splits[part] = Examples(source, y, scale=found["scale"], rows=rows)

    def about(self, **params: Any) -> About:
        check(params)
        if self.missing(**params):
            return About(params, frozenset(self.card.provides))
        found, seen = looked_at(params)
        kinds = {column.factor.name: column.factor.kind for column in seen.columns}
        has = {
            "labels": bool(found["task"]) and kinds[found["task"][0]] == "class",
            "groups": found.get("sensitive") is not None,
            "image": len(seen.shape) == 3,
            "sequence": len(seen.shape) == 4,
            "binary": found["likelihood"] == "bernoulli",
        }
        return About(found, frozenset(name for name, true in has.items() if true), seen.notes)

    def missing(self, *, file: str = "", data_dir: str | None = None, **params: object) -> str:
        lost = lost_file(file, data_dir) if file else ""
        return f"hdf5: {lost}; name a file that is there, or one in the data folder." if lost else ""


PARAMETERS = tuple(HDF5.load.__kwdefaults__ or ())


class Seen(NamedTuple):
    """All of a file but the pixels."""

    layout: Layout
    shape: tuple[int, ...]  # of one example, channels first
    channels: str
    keys: list[str]  # of x, one a group
    dtype: np.dtype
    columns: list[Column]
    parts: dict[str, tuple[str, np.ndarray, int]]  # key of x, rows, and where the rows of that key start in columns
    notes: tuple[str, ...]  # what was done to it, and what is left out, a sentence each


def looked_at(params: Mapping[str, Any]) -> tuple[dict[str, Any], Seen]:
    """Parameters with what is guessed of a file that is there, and all of it but the pixels.  Raises `DataError`."""
    path = data_file(params["file"], params.get("data_dir"))
    seen = read(path, params)
    found = {name: value for name, value in params.items() if name != "data_dir"}
    found |= {"file": str(path.absolute()), "x": seen.layout.x, "factors": seen.layout.factors}
    found |= {"channels": seen.channels, "task": task_of(path, seen, params)}
    if seen.layout.splits is not None:
        found["splits"] = seen.layout.splits
    check_roles(path, seen, found)
    known = Known(path)
    content = known.content()
    if (found.get("content") or content) != content:
        raise DataError(f"{path} has the content {content}, not {found['content']}; it is another file.")
    found |= {**likelihood_of(known, seen.keys, seen.dtype, params), "content": content}
    said = notes_on(known, seen.keys, seen.dtype, found, math.prod(seen.shape))
    known.keep()
    return found, seen._replace(notes=(*seen.notes, *said))


def read(path: Path, params: Mapping[str, Any]) -> Seen:
    """What a file holds of what is told and guessed.  Raises `DataError` in one sentence for whatever is wrong."""
    with opened(path) as file:
        found = layout(file, params.get("x"), params.get("factors"), params.get("splits"))
        homes = groups(file, found.splits)
        keys = [f"{homes[part]}/{found.x}" for part in homes] or [found.x]
        stored = [dataset(file, key, "x") for key in keys]
        for one in stored:
            check_size(one, "x")
            if one.dtype.kind not in NUMBERS or one.dtype.itemsize > 8:
                raise DataError(f"{path}: {one.name[1:]}, which is to be x, holds {one.dtype}; it must hold numbers.")
            if one.ndim < 2 or one.shape[1:] != stored[0].shape[1:] or one.dtype != stored[0].dtype:
                other = "" if one is stored[0] else f", and {keys[0]} has {stored[0].shape} of {stored[0].dtype}"
                raise DataError(f"{path}: {one.name[1:]} has shape {one.shape} of {one.dtype}{other}; x is (N, …).")
        counts = [one.shape[0] for one in stored]
        columns = []
        for name, key in found.factors.items():
            columns.append(column(file, name, [f"{homes[part]}/{key}" for part in homes] or [key]))
            if (n := len(columns[-1].values)) != sum(counts):
                raise DataError(
                    f"{path}: {key}, factor {name!r}, has {n} values for {sum(counts)} examples in {keys[0]}."
                )
        channels, shape = shape_of(path, stored[0].shape[1:], params.get("channels", "auto"))
        if len(stored) > len({one.id for one in stored}):
            raise DataError(f"{path}: {' and '.join(keys)} are one and the same; name another for each part.")
        parts = divided(file, found.splits, homes, keys, counts, params)
        notes = (*found.notes, *(column.note for column in columns if column.note))
        return Seen(found, shape, channels, keys, np.dtype(stored[0].dtype), columns, parts, notes)


def divided(
    file: h5py.File,
    splits: Any,
    homes: dict[str, str],
    keys: list[str],
    counts: list[int],
    params: Mapping[str, Any],
) -> dict[str, tuple[str, np.ndarray, int]]:
    """Part → key of x, rows, and where the rows of that key start among all."""
    seed, limit = params.get("seed", "hdf5"), params.get("limit")
    if homes:
        whole = with_val({part: np.arange(n) for part, n in zip(homes, counts, strict=True)}, seed)
        place = {part: (key, sum(counts[:i])) for i, (part, key) in enumerate(zip(homes, keys, strict=True))}
    else:
        whole, place = parts_of(file, counts[0], splits, seed), {}
    for part in PARTS:
        if not len(whole[part]):
            raise DataError(f"{file.filename}: {sum(counts)} examples are too few, {part} has none; give 10 or more.")
    first = {part: place.get(part, place.get("train", (keys[0], 0))) for part in PARTS}
    told = splits is not None  # rows are in the order of the file, perhaps class by class
    kept = {part: some(rows, limit, f"{seed}, {part}") if told else rows[:limit] for part, rows in whole.items()}
    return {part: (first[part][0], kept[part], first[part][1]) for part in PARTS}


def some(rows: np.ndarray, limit: int | None, name: str) -> np.ndarray:
    """`limit` of the rows, drawn by the named seed of `name`; all of them where there are no more."""
    if limit is None or len(rows) <= limit:
        return rows
    return np.sort(np.random.default_rng(named_seed("limit", name)).permutation(rows)[:limit])


def task_of(path: Path, seen: Seen, params: Mapping[str, Any]) -> list[str]:
    """The factors that are y: those told, else what is named as labels, else the first class, else the first."""
    if params.get("task") is not None:
        return list(params["task"])
    known = [column.factor for column in seen.columns]
    names = [f.name for f in known]
    labels = [name for name in LABELS if name in names]
    return [*labels, *(f.name for f in known if f.kind == "class"), *names][:1]


def check_roles(path: Path, seen: Seen, found: Mapping[str, Any]) -> None:
    """Raises `DataError` unless task and sensitive name factors that can be these, and are known of every row."""
    kinds = {column.factor.name: column.factor.kind for column in seen.columns}
    unknown = {column.factor.name: column.unknown for column in seen.columns}
    task, sensitive = found["task"], found.get("sensitive")
    for name in [*task, *([sensitive] if sensitive is not None else [])]:
        if name not in kinds:
            raise DataError(f"{path}: there is no factor {name!r}; there are {', '.join(kinds) or 'none'}.")
        if unknown[name]:
            raise DataError(
                f"{path}: factor {name!r} is -1 in {unknown[name]} rows, which stands for unknown; leave them out, "
                "or number the classes from 0 if -1 is one of them."
            )
    if sensitive is not None and (sensitive in task or kinds[sensitive] != "class"):
        raise DataError(f"{path}: sensitive is {sensitive!r}; it must be a class that is not in task.")
