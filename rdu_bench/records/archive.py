"""A run in one file, and what is published of it: tables, points, the archive, and a manifest with their hashes."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from .. import _files
from . import asked
from .laws import judged
from .packs import ARCHIVES, SOLID, names
from .raw import read_file
from .schema import PROTOCOL, SCHEMA, Damaged
from .store import Store

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "manifest.json"
LARGEST = 2**34  # bytes of the vectors of a record
EPOCH = (1980, 1, 1, 0, 0, 0)  # the date of every file in an archive, so that equal records make equal archives


def pack(store: Store, path: Path, *, vectors: bool = False) -> int:
    """Put the whole records of a store into one archive, with their vectors if asked; returns how many they are.

    The same records make the same bytes.  Raises `WriteError`.
    """
    hashes = write_archive(path, members(store, vectors=vectors))
    return sum(name.startswith("records/") and name.endswith(".json") for name in hashes)


def members(store: Store, *, vectors: bool, keys: Collection[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """Name in an archive and bytes of what was asked of a store, of its whole records, and of their vectors.

    Of all records, or of these keys.
    """
    if (wanted := asked.packed(store.root.parent)) is not None:
        yield asked.NAME, wanted
    for place, found in store.each():
        if isinstance(found, Damaged) or (keys is not None and found["key"] not in keys):
            continue
        yield f"records/{place.relative_to(store.root).as_posix()}", read_file(place)
        beside = place.with_suffix(".safetensors")
        if vectors and store.vectors(found):
            yield f"records/{beside.relative_to(store.root).as_posix()}", read_file(beside, limit=LARGEST)


def write_archive(
    path: Path, files: Iterable[tuple[str, bytes]], about: Callable[[dict[str, str]], dict[str, Any]] | None = None
) -> dict[str, str]:
    """Write an archive of files, the same bytes for the same files; gives the SHA-256 of each by its name.

    `about` makes of these what a manifest at its end says beside them.  Raises `WriteError`.
    """
    hashes: dict[str, str] = {}
    with _files.replacing(path) as file, (_tar if path.name.endswith(SOLID) else _zip)(file) as add:
        for name, content in files:
            add(name, content)
            hashes[name] = hashlib.sha256(content).hexdigest()
        if about is not None:
            add(MANIFEST, _json({**about(hashes), "files": hashes}).encode())
    return hashes


@contextmanager
def _zip(file: BinaryIO) -> Iterator[Callable[[str, bytes], None]]:
    def add(name: str, content: bytes) -> None:
        about = zipfile.ZipInfo(name, EPOCH)
        about.compress_type, about.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
        archive.writestr(about, content)

    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        yield add


@contextmanager
def _tar(file: BinaryIO) -> Iterator[Callable[[str, bytes], None]]:
    def add(name: str, content: bytes) -> None:
        about = tarfile.TarInfo(name)
        about.size = len(content)
        archive.addfile(about, io.BytesIO(content))

    with tarfile.open(fileobj=file, mode="w:xz", preset=9) as archive:
        yield add


def _json(manifest: Mapping[str, Any]) -> str:
    return json.dumps(manifest, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def publish(
    run: str | Path,
    points: pd.DataFrame,
    tables: Mapping[str, str],
    out: Path,
    *,
    vectors: bool = False,
    figures: Iterable[Path] = (),
) -> Path:
    """Write the tables by their files' names, the points as Parquet, the archive and the manifest into `out`.

    The manifest says which suites, versions and commits the records are of, how many there are by status, and the
    SHA-256 of these files and of `figures`, which lie in `out`; `manifest_faults` checks them.  Returns the manifest.
    Raises `WriteError`.
    """
    with _files.replacing(out / "points.parquet") as file:
        kept = points.drop(columns=["path", "published"], errors="ignore")
        # numbers that never repeat take less without a dictionary of them, and statistics would be a tenth of it all
        how: dict[str, Any] = {"compression_level": 19, "use_dictionary": False, "write_statistics": False}
        kept.to_parquet(file, index=False, compression="zstd", **how)
    for name, text in tables.items():
        _files.write(out / name, text)
    solid, single = ARCHIVES
    name, other = (single, solid) if vectors else (solid, single)  # vectors are large, and read one by one
    count = pack(Store(run), out / name, vectors=vectors)
    with _files.explained(out / other):
        (out / other).unlink(missing_ok=True)  # of what was published here before: a folder has one archive
    drawn = [path.relative_to(out).as_posix() for path in figures]
    files = {name: sha256(out / name) for name in sorted({"points.parquet", *tables, *drawn, name})}
    _files.write(out / MANIFEST, _json({**described(points, count), "archive": name, "files": files}))
    return out / MANIFEST


def described(points: pd.DataFrame, count: int) -> dict[str, Any]:
    """What a manifest says of the records of these points: forms, suites, versions, commits, and counts."""
    return {
        "schema": SCHEMA,
        "protocol": PROTOCOL,
        "suites": _values(points, "suite"),
        "versions": _values(points, "provenance.version"),
        "commits": _values(points, "provenance.git"),
        "records": count,
        "statuses": {str(name): int(n) for name, n in points["status"].value_counts().sort_index().items()},
    }


def _values(points: pd.DataFrame, column: str) -> list[str]:
    return sorted({str(value) for value in points[column] if value}) if column in points else []


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    made = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            made.update(block)
    return made.hexdigest()


def manifest(folder: Path) -> dict[str, Any]:
    """What the manifest of a published folder or an archive says; nothing where there is none that can be read."""
    try:
        said = json.loads(read_file(folder / MANIFEST))
        return said if isinstance(said, dict) else {}
    except (Damaged, ValueError, RecursionError):
        return {}


def manifest_faults(folder: Path) -> Iterator[str]:
    """What of a published folder, or of an archive with a manifest, is not as that says, one sentence each.

    Nothing where there is none.  An archive holds no file that its manifest does not name.
    """
    path = folder / MANIFEST
    held = set(names(folder)) if folder.is_file() else None
    if not path.exists() if held is None else MANIFEST not in held:
        return
    said = manifest(folder)
    try:
        named = {str(name): str(known) for name, known in said["files"].items()}
    except (LookupError, TypeError, AttributeError):
        yield f"{MANIFEST} is damaged; publish again"
        return
    for name, known in named.items():
        place = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            yield f"{MANIFEST} names {name!r}, which is no file of its folder"
        elif not place.is_file() if held is None else name not in held:
            yield f"{name} is missing, which {MANIFEST} names"
        elif (sha256(place) if held is None else _inside(place)) != known:
            yield f"{name} was changed: its SHA-256 is not the one in {MANIFEST}"
    for name in sorted((held or set()) - {MANIFEST, *named}):
        if not name.endswith("/"):  # a folder, which other programs write down
            yield f"{name} is there, and {MANIFEST} does not name it"
    yield from _unlike(said, Store(folder))


def _unlike(said: Mapping[str, Any], store: Store) -> Iterator[str]:
    """What a manifest says of its records that is not so, one sentence each; nothing where there are none."""
    records, statuses = 0, Counter[str]()
    found: dict[str, set[str]] = {"suites": set(), "versions": set(), "commits": set()}
    made_by: set[tuple[str, str]] = set()
    for record in store.records():
        records, made = records + 1, record["provenance"]
        statuses[judged(record)[0]] += 1
        for name, value in (
            ("suites", record["spec"]["suite"]),
            ("versions", made.get("version")),
            ("commits", made.get("git")),
        ):
            found[name] |= {str(value)} if value else set()
        made_by |= set(record["spec"].get("plugins", {}).items())
    if not records:
        return
    there: dict[str, Any] = {"records": records, "statuses": dict(sorted(statuses.items()))}
    there |= {name: sorted(values) for name, values in found.items()}
    if "plugins" in said:
        there["plugins"] = dict(sorted(made_by))
    for name, value in there.items():
        if name in said and said[name] != value:
            yield f"{MANIFEST} says {name} {_short(said[name])}, and the records say {_short(value)}"


def _short(value: Any) -> str:
    """A value as JSON, in at most 200 letters."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _inside(place: Path) -> str:
    """SHA-256 of a file in an archive, in hex; "" of one that cannot be read."""
    try:
        return hashlib.sha256(read_file(place, limit=LARGEST)).hexdigest()
    except Damaged:
        return ""
