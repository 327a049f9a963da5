"""Records: one JSON file a point and its vectors beside it, written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SCHEMA = 1
STATUSES = ("ok", "rate_missed", "unreachable", "collapsed", "diverged", "error")
FAILED = ("diverged", "error")
TABLES = ("spec", "model", "data", "control", "values", "factors", "times", "provenance")
REQUIRED = ("schema", "key", "status", *TABLES)
NAMED = ("suite", "model", "variant", "dataset_label", "seed", "sigma", "strategy")  # what every spec says
STALE = 3600.0  # seconds after which a temporary file belongs to nobody


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
        return any(read_record(path) is not None for path in self.root.glob(f"*/*/*-{key}.json"))

    def read(self, key: str) -> dict[str, Any]:
        """The record of a key; raises `KeyError`."""
        for path in self.root.glob(f"*/*/*-{key}.json"):
            record = read_record(path)
            if record is not None:
                return record
        raise KeyError(f"no record {key} in {self.folder}")

    def write(self, record: dict[str, Any], vectors: Mapping[str, np.ndarray] | None = None) -> Path:
        """Write a record and its vectors, atomically and in an order that leaves no record without its vectors.

        Raises `ValueError` for NaN or infinity anywhere in the record, `StoreError` when the disk is full.
        """
        path = self.path(record["spec"], record["key"])
        beside = path.with_suffix(".safetensors")
        text = json.dumps(record, allow_nan=False, ensure_ascii=False, indent=1)
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if vectors:
                from safetensors.numpy import save

                _replace(beside, save(dict(vectors)))
            try:
                _replace(path, text.encode())
            except OSError:
                if not path.exists():
                    beside.unlink(missing_ok=True)
                raise
        return path

    def vectors(self, record: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The per-test-point vectors of a record and its pictures and latents, empty where there are none.

        Raises `ValueError` when their file is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = self.path(record["spec"], record["key"]).with_suffix(".safetensors")
        try:
            return load(path.read_bytes()) if path.is_file() else {}
        except SafetensorError as error:
            raise ValueError(f"{path} is damaged ({error}); delete it and its record, and run again") from error

    def forget(self, key: str) -> None:
        """Remove a record and its vectors, so that its point is computed again."""
        for path in self.root.glob(f"*/*/*-{key}.json"):
            path.unlink(missing_ok=True)
            path.with_suffix(".safetensors").unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove temporary files that a killed run left behind; those of a run that still writes are younger."""
        for path in self.root.glob("*/*/.*.part"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > STALE:
                    path.unlink()

    def paths(self) -> list[Path]:
        """Files of all records, in a fixed order."""
        return sorted(self.root.glob("*/*/*.json"))

    def records(self) -> list[dict[str, Any]]:
        """All whole records; `broken` lists the others."""
        return [record for path in self.paths() if (record := read_record(path)) is not None]

    def broken(self) -> list[Path]:
        """Files that are no whole record."""
        return [path for path in self.paths() if read_record(path) is None]

    def keys(self) -> set[str]:
        """Keys of all whole records."""
        return {record["key"] for record in self.records()}

    @contextmanager
    def lock(self, name: str, *, wait: bool = True) -> Iterator[None]:
        """Held while one process works on a curve, so that two runs on one folder share the work.

        Raises `filelock.Timeout` at once when another holds it and `wait` is not set.  Dies with its process.
        """
        from filelock import FileLock

        path = self.folder / ".locks" / f"{_safe(name)}.lock"
        lock = FileLock(path, timeout=-1 if wait else 0)
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Inside, trouble of the disk is a `StoreError` that names the file."""
    try:
        yield
    except TimeoutError:  # of a lock: nobody's fault
        raise
    except OSError as error:
        fix = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "mend that"
        raise StoreError(error.errno, f"cannot write {path}: {error.strerror or error}; {fix} and run again") from error


def _replace(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step, on the disk before it is seen."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # so that the name, too, outlives a power cut
    finally:
        os.close(folder)


def read_record(path: Path) -> dict[str, Any] | None:
    """The record in a file, or None when it is not a whole one."""
    try:
        record = json.loads(path.read_text(), parse_constant=_refuse)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or any(name not in record for name in REQUIRED):
        return None
    if not all(isinstance(record[name], dict) for name in TABLES) or any(n not in record["spec"] for n in NAMED):
        return None
    return record if all(isinstance(f, dict) for f in record["factors"].values()) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)


def load_results(*paths: str | Path | Iterable[str | Path]) -> pd.DataFrame:
    """All records under one folder or several, one row a point; raises `FileNotFoundError` when there is none.

    Columns are the scalars of the record, with `data.` and `model.` in front of what describes those,
    `Dy_linear[digit]` for what belongs to a factor, and `path` of the file.
    """
    import pandas as pd

    folders = [Path(p) for given in paths for p in ([given] if isinstance(given, str | Path) else given)]
    found: dict[str, dict[str, Any]] = {}  # each key once
    for path in (path for folder in folders for path in Store(folder).paths()):
        record = read_record(path)
        if record is not None:
            found.setdefault(record["key"], flat(record) | {"path": str(path)})
    if not found:
        raise FileNotFoundError(f"no records in {', '.join(map(str, folders))}; `rdu-bench run` makes some")
    return pd.DataFrame(list(found.values()))


def flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as one row."""
    spec, model, data = record["spec"], record["model"], record["data"]
    row: dict[str, Any] = {"key": record["key"], "status": record["status"], "reason": record.get("reason")}
    row |= {name: spec[name] for name in ("suite", "model", "variant", "seed", "sigma", "strategy")}
    row |= {"dataset": spec["dataset_label"]}
    row |= {name: model.get(name) for name in ("title", "labels", "decoder")}
    row |= _scalars(record["control"]) | {"sigma": spec["sigma"], "strategy": spec["strategy"]}
    row |= _scalars(record["values"]) | _scalars(record.get("scores", {}))
    row |= {f"data.{name}": value for name, value in _scalars(data).items()}
    row |= {f"model.{name}": value for name, value in _scalars(model).items()}
    for factor, values in record["factors"].items():
        row |= {f"{name}[{factor}]": value for name, value in _scalars(values).items()}
    return row | _scalars(record["times"])


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not isinstance(value, dict | list)}
