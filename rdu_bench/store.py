"""Records: one JSON file a point and its vectors beside it, written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._hash import canonical, digest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SCHEMA = 1
STATUSES = ("ok", "rate_missed", "unreachable", "collapsed", "diverged", "error")
FAILED = ("diverged", "error")
REQUIRED = ("schema", "key", "spec", "status", "model", "data", "control", "values", "factors", "times", "provenance")


class StoreError(OSError):
    """A record could not be written; what was there before is untouched."""


class Store:
    """The records of one run, under `folder/records/<data set>/<model>/`."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.root = self.folder / "records"

    def path(self, spec: Mapping[str, Any], key: str) -> Path:
        """Where the record of a spec lies."""
        row = f"{spec['model']}-{spec['variant']}" if spec.get("variant") else spec["model"]
        at = "elbo" if spec["sigma"] is None else f"{spec['sigma']:g}"
        return self.root / _safe(spec["dataset_label"]) / _safe(row) / f"s{spec['seed']}-{at}-{key}.json"

    def has(self, key: str) -> bool:
        """Whether a whole record of that key is there."""
        return any(_read(path) is not None for path in self.root.glob(f"*/*/*-{key}.json"))

    def read(self, key: str) -> dict[str, Any]:
        """The record of a key; raises `KeyError`."""
        for path in self.root.glob(f"*/*/*-{key}.json"):
            record = _read(path)
            if record is not None:
                return record
        raise KeyError(f"no record {key} in {self.folder}")

    def write(self, record: dict[str, Any], vectors: Mapping[str, np.ndarray] | None = None) -> Path:
        """Write a record and its vectors, atomically and in an order that leaves no record without its vectors.

        Raises `ValueError` for NaN or infinity anywhere in the record, `StoreError` when the disk is full.
        """
        path = self.path(record["spec"], record["key"])
        text = json.dumps(record, allow_nan=False, ensure_ascii=False, indent=1)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if vectors:
                from safetensors.numpy import save

                _replace(path.with_suffix(".safetensors"), save(dict(vectors)))
            _replace(path, text.encode())
        except OSError as error:
            raise StoreError(
                error.errno, f"{error.strerror}: cannot write {path}; free some space and run again"
            ) from error
        return path

    def vectors(self, record: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The per-test-point vectors of a record, empty where there are none."""
        from safetensors.numpy import load

        path = self.path(record["spec"], record["key"]).with_suffix(".safetensors")
        return load(path.read_bytes()) if path.is_file() else {}

    def forget(self, key: str) -> None:
        """Remove a record, so that its point is computed again."""
        for path in self.root.glob(f"*/*/*-{key}.json"):
            path.unlink(missing_ok=True)

    def paths(self) -> list[Path]:
        """Files of all records, in a fixed order."""
        return sorted(self.root.glob("*/*/*.json"))

    def records(self) -> list[dict[str, Any]]:
        """All whole records; `broken` lists the others."""
        return [record for path in self.paths() if (record := _read(path)) is not None]

    def broken(self) -> list[Path]:
        """Files that are no whole record."""
        return [path for path in self.paths() if _read(path) is None]

    def keys(self) -> set[str]:
        """Keys of all whole records."""
        return {record["key"] for record in self.records()}

    @contextmanager
    def lock(self, name: str, *, wait: bool = True) -> Iterator[None]:
        """Held while one process works on a curve, so that two runs on one folder share the work.

        Raises `filelock.Timeout` at once when another holds it and `wait` is not set.  Dies with its process.
        """
        from filelock import FileLock

        folder = self.folder / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{_safe(name)}.lock", timeout=-1 if wait else 0):
            yield


def _replace(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step, on the disk before it is seen."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> dict[str, Any] | None:
    """The record in a file, or None when it is not a whole one."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and all(name in record for name in REQUIRED) else None


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)


def faults(record: Mapping[str, Any]) -> list[str]:
    """What is wrong with the form of a record, one sentence each."""
    found = [f"field {name!r} is missing" for name in REQUIRED if name not in record]
    if found:
        return found
    if record["schema"] != SCHEMA:
        found.append(f"schema is {record['schema']}, this version reads {SCHEMA}")
    if record["status"] not in STATUSES:
        found.append(f"status {record['status']!r} is none of {', '.join(STATUSES)}")
    if digest(record["spec"]) != record["key"]:
        found.append(f"key {record['key']} is not the hash of its spec, {digest(record['spec'])}")
    try:
        canonical(record)
    except ValueError:
        found.append("it holds NaN or infinity")
    if record["status"] in FAILED and not record.get("reason"):
        found.append("it failed without a reason")
    return found


def load_results(*paths: str | Path) -> pd.DataFrame:
    """All records under the folders, one row a point; raises `FileNotFoundError` when there is none.

    Columns are the scalars of the record, with `data.` and `model.` in front of what describes those, and
    `Dy_linear[digit]` for what belongs to a factor.
    """
    import pandas as pd

    records = [record for path in paths for record in Store(path).records()]
    if not records:
        raise FileNotFoundError(f"no records in {', '.join(map(str, paths))}; `rdu-bench run` makes some")
    return pd.DataFrame([flat(record) for record in records])


def flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as one row."""
    spec, model, data = record["spec"], record["model"], record["data"]
    row: dict[str, Any] = {"key": record["key"], "status": record["status"], "reason": record.get("reason")}
    row |= {name: spec[name] for name in ("suite", "model", "variant", "seed", "sigma", "strategy")}
    row |= {"dataset": spec["dataset_label"]}
    row |= {name: model.get(name) for name in ("title", "labels", "decoder")}
    row |= _scalars(record["control"]) | {"sigma": spec["sigma"], "strategy": spec["strategy"]}
    row |= _scalars(record["values"])
    row |= {f"data.{name}": value for name, value in _scalars(data).items()}
    row |= {f"model.{name}": value for name, value in _scalars(model).items()}
    for factor, values in record["factors"].items():
        row |= {f"{name}[{factor}]": value for name, value in _scalars(values).items()}
    return row | _scalars(record["times"])


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not isinstance(value, dict | list)}


def merge(folders: Iterable[str | Path]) -> list[dict[str, Any]]:
    """Records of several runs, each key once."""
    found = {record["key"]: record for folder in folders for record in Store(folder).records()}
    return list(found.values())
