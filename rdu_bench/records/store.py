"""Where records lie: one JSON file a point and its vectors beside it, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _files
from .._hash import digest
from . import asked, packs
from .raw import read_ends, read_file
from .sayable import sayable
from .schema import HEAD, HEX, Damaged, parse, parse_head

if TYPE_CHECKING:
    import numpy as np

WEIGHTS = ".weights.safetensors"  # the end of the name of a kept model's file, beside its record
LONGEST = 100  # bytes of a name in UTF-8; file systems take 255
Spec = Mapping[str, Any]


class VectorsError(ValueError):
    """The vectors of a record are damaged; the message names their file and says what to do."""


class Store:
    """The records of one run, under `folder/records/<data set>/<model>/`; an archive of these is read as a folder.

    `outdated` are records that `has` passes over, by the SHA-256 of their files, see `retrying`.
    """

    def __init__(self, folder: str | Path, outdated: Collection[str] = ()):
        self.folder, self.outdated = Path(folder), frozenset(outdated)
        self.root = self.folder / "records"
        if not self.root.is_dir() and (archive := packs.packed(self.folder)):
            self.root = archive / "records"  # read as if it were a folder

    def path(self, spec: Spec, key: str) -> Path:
        """Where the record of a spec lies."""
        row = f"{spec['model']}-{spec['variant']}" if spec.get("variant") else spec["model"]
        at = "elbo" if spec["sigma"] is None else f"{spec['sigma']:g}"
        return self.root / _safe(spec["dataset_label"]) / _safe(row) / f"s{spec['seed']}-{at}-{key}.json"

    def has(self, spec: Spec) -> bool:
        """Whether a whole record of that spec is there, and no outdated one; reads its one file only."""
        return self.of(spec) is not None and not (self.outdated and self._mark(spec) in self.outdated)

    def of(self, spec: Spec) -> dict[str, Any] | None:
        """The record of a spec; None where its file is not there, not whole, or holds that of another spec."""
        key = digest(spec)
        record = read_record(self.path(spec, key))
        return record if record is not None and record["key"] == key else None

    def read(self, key: str) -> dict[str, Any]:
        """The record of a key; raises `KeyError`."""
        for path in self._of(key):
            record = read_record(path)
            if record is not None:
                return record
        raise KeyError(f"no record {key} in {self.folder}")

    def write(self, record: Mapping[str, Any], vectors: Mapping[str, np.ndarray] | None = None) -> Path:
        """Write a record and its vectors, atomically and in an order that leaves no record without its vectors.

        A record that is there stays until this one takes its place; what lay beside that one alone goes afterwards.
        What JSON or the form of a record cannot say becomes null, with the reason in `nulls`.  Raises `ValueError`
        when that is the spec, the key or the status, `WriteError` when the disk is full.
        """
        said = sayable(record)
        ordered = {name: said[name] for name in HEAD if name in said} | said
        path = self.path(said["spec"], said["key"])
        beside = path.with_suffix(".safetensors")
        text = json.dumps(ordered, allow_nan=False, ensure_ascii=False, separators=(",", ":")) + "\n"
        try:
            with _files.replacing(path) as file:
                file.write(text.encode("utf-8"))
                file.flush()  # a disk that is full says so here, before the vectors of an older record are gone
                if vectors:
                    from safetensors.numpy import save

                    _files.write(beside, save(dict(vectors)))
        except OSError:
            if not path.exists():
                beside.unlink(missing_ok=True)
            raise
        weights = (said.get("model") or {}).get("weights")
        for older in [beside] * (not vectors) + [path.with_suffix(WEIGHTS)] * (not weights):
            with _files.explained(older):
                older.unlink(missing_ok=True)
        return path

    def vectors(self, record: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The per-test-point vectors of a record and its pictures and latents, empty where there are none.

        Raises `VectorsError` when their file is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = self.path(record["spec"], record["key"]).with_suffix(".safetensors")
        if not packs.has(path):
            return {}
        try:
            return load(read_file(path, limit=2**34))
        except (Damaged, SafetensorError, ValueError, KeyError) as error:
            raise VectorsError(f"{path} is damaged ({error}); delete it and its record, and run again") from error

    @property
    def without_vectors(self) -> bool:
        """Whether these are records in an archive that was packed without any vectors."""
        inside = packs.archived(self.root)
        return inside is not None and not any(name.endswith(".safetensors") for name in packs.names(inside[0]))

    def retrying(self, specs: Iterable[Spec]) -> Store:
        """This store, in which the records of `specs`, as they lie there now, count as missing.

        They are found and read as before, and each stays until another takes its place.
        """
        return Store(self.folder, {*map(self._mark, specs)})

    def _mark(self, spec: Spec) -> str:
        """SHA-256 of the file of a spec's record, in hex; "" where it cannot be read."""
        with suppress(Damaged):
            return hashlib.sha256(read_file(self.path(spec, digest(spec)))).hexdigest()
        return ""

    def sweep(self) -> None:
        """Remove temporary files that a killed run left behind; those of a run that still writes are younger."""
        _files.sweep(self.folder, f".*{_files.PART}")
        _files.sweep(self.root, f"*/*/.*{_files.PART}")

    def paths(self) -> list[Path]:
        """Files of all records, whole or not, in a fixed order."""
        return [Path(path) for path in sorted(self._names())]

    def _names(self) -> Iterator[str]:
        inside = packs.archived(self.root)
        if inside is None:
            return _walk(str(self.root), 2)
        kept = f"{inside[1]}/"  # what else an archive has is no record
        return (
            str(inside[0] / name) for name in packs.names(inside[0]) if name.startswith(kept) and name.endswith(".json")
        )

    def each(self) -> Iterator[tuple[Path, dict[str, Any] | Damaged]]:
        """Every record, one at a time, or what is wrong with its file.

        A record has the `path` of its file and, where a run said what it asked for, whether it was `asked`.
        """
        wanted = self.asked()
        for path in self.paths():
            try:
                record = load_record(path)
            except Damaged as damaged:
                yield path, damaged
                continue
            yield path, record | {"path": str(path)} | ({} if wanted is None else {"asked": record["key"] in wanted})

    def records(self) -> list[dict[str, Any]]:
        """All whole records, see `each`."""
        return [record for record in self.found() if not isinstance(record, Damaged)]

    def found(self) -> list[dict[str, Any] | Damaged]:
        """All records, see `each`; one that is not whole is a `Damaged`, whose sentence starts with its file."""
        return [Damaged(f"{path}: {one}") if isinstance(one, Damaged) else one for path, one in self.each()]

    def heads(self) -> Iterator[tuple[str, dict[str, Any] | Damaged]]:
        """Key, status, reason, spec and, where they stand at the end, times of every record, one at a time.

        Or what is wrong with its file.
        Reads the first and the last bytes of a file, and the whole of it only where these do not tell: damage in
        the middle is for `audit` to find.
        """
        for path in sorted(self._names()):
            try:
                head: dict[str, Any] | Damaged = load_head(path)
            except Damaged as damaged:
                head = damaged
            yield path, head

    def keys(self) -> set[str]:
        """Keys of all records by the names of their files, which are not read."""
        return {key for path in self._names() if (key := key_of(path)) is not None}

    def ask(self, specs: Iterable[Spec], seconds: Callable[[Spec], float] | None = None) -> None:
        """Note the points that a run is about to make, so that boards know which rows are current, and their seconds.

        A row that is asked for with another recipe than before forgets what was asked of it; other rows stay as
        they are.  Raises `WriteError`.
        """
        with self.lock("asked"):
            asked.write(self.folder, specs, seconds)

    def asked(self) -> set[str] | None:
        """Keys of the points that runs asked for last, row by row; None where nothing says so."""
        return asked.read(self.root.parent)

    def expected(self) -> dict[str, float]:
        """CPU seconds that points were expected to take when they were asked for, by key; of those known."""
        return asked.expected(self.root.parent)

    def _of(self, key: str) -> list[Path]:
        return [Path(path) for path in sorted(self._names()) if key_of(path) == key]

    @contextmanager
    def lock(self, name: str, *, wait: bool = True) -> Iterator[None]:
        """Held while one process works on a curve, so that two runs on one folder share the work.

        Raises `filelock.Timeout` at once when another holds it and `wait` is not set.  Dies with its process.
        """
        from filelock import FileLock

        path = self.folder / ".locks" / f"{_safe(name)}.lock"
        lock = FileLock(path, timeout=-1 if wait else 0)
        with _files.explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


def lacking(place: Any) -> str:
    """Why there is no record at a place, a folder, a file or a Store, and where there are some: a sentence."""
    path = place.folder if isinstance(place, Store) else Path(place)
    if not str(place).strip():
        return f"{str(place)!r} does not exist"
    if not path.exists():
        return f"{path} does not exist"
    if path.is_file():
        return (
            f"{path} is a file without records; give the folder of a run, its archive, or a .csv or .parquet of points"
        )
    above = [folder for folder in (path, *path.parents) if folder.name == "records"]
    if above and any(_walk(str(above[0]), 2)):
        return f"{path} is a part of a run; give its folder, {above[0].parent}"
    below = sorted(str(inside) for inside in path.glob("*") if any(Store(inside)._names()))[:3]
    some = f"; there are some in {', '.join(below)}" if below else "; `rdu-bench run` makes some"
    return f"no records in {path}{some}"


def _walk(folder: str, depth: int) -> Iterator[str]:
    """Names that end in `.json`, so many folders below `folder`; what cannot be listed holds none."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if depth:
                with suppress(OSError):
                    if entry.is_dir():
                        yield from _walk(entry.path, depth - 1)
            elif entry.name.endswith(".json"):
                yield entry.path


def key_of(path: str | Path) -> str | None:
    """The key that the name of a record's file ends in, None where it ends in none."""
    key = os.path.basename(path).removesuffix(".json").rpartition("-")[2]
    return key if HEX.fullmatch(key) else None


def load_record(path: Path) -> dict[str, Any]:
    """The record in a file.  Raises `Damaged`, in one sentence that says why it is not a whole one."""
    return parse(read_file(path))


def load_head(path: str | Path) -> dict[str, Any]:
    """Key, status, reason, spec and times of the record in a file, as `Store.heads` reads them.  Raises `Damaged`."""
    head = parse_head(*read_ends(path))
    if head is not None:
        return head
    record = load_record(Path(path))
    return {name: record.get(name) for name in (*HEAD, "times")}


def read_record(path: Path) -> dict[str, Any] | None:
    """The record in a file, or None when it is not a whole one."""
    try:
        return load_record(path)
    except Damaged:
        return None


def _safe(name: str) -> str:
    """A file's name for any text: never empty, never `.` or `..`, and short enough for any file system."""
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in name)
    if not safe.strip("."):
        safe = safe.replace(".", "_") or "_"
    data = safe.encode("utf-8", "replace")
    if len(data) > LONGEST:
        known = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
        safe = f"{data[: LONGEST - 9].decode('utf-8', 'ignore')}~{known}"
    return safe
