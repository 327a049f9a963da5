"""A run in one file, and what is published of it: tables, points, the archive, and a manifest with their hashes."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _files
from .raw import ARCHIVE, read_file
from .schema import PROTOCOL, SCHEMA, Damaged
from .store import Store

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "manifest.json"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the date of every file in an archive, so that equal records make equal archives


def pack(store: Store, path: Path, *, vectors: bool = False) -> int:
    """Put the whole records of a store into one archive, with their vectors if asked; returns how many they are.

    The same records make the same bytes.  Raises `WriteError`.
    """
    packed = 0
    with _files.replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for place, found in store.each():
            if isinstance(found, Damaged):
                continue
            packed += 1
            _add(archive, f"records/{place.relative_to(store.root).as_posix()}", read_file(place))
            beside = place.with_suffix(".safetensors")
            if vectors and store.vectors(found):
                _add(archive, f"records/{beside.relative_to(store.root).as_posix()}", read_file(beside, limit=2**34))
    return packed


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    about = zipfile.ZipInfo(name, EPOCH)
    about.compress_type, about.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    archive.writestr(about, content)


def publish(
    run: str | Path, points: pd.DataFrame, tables: Mapping[str, str], out: Path, *, vectors: bool = False
) -> Path:
    """Write the tables by their files' names, the points as Parquet, the archive and the manifest into `out`.

    The manifest says which suites, versions and commits the records are of, how many there are by status, and the
    SHA-256 of these files and of the figures that are there; `manifest_faults` checks them.  Returns the manifest.
    Raises `WriteError`.
    """
    with _files.replacing(out / "points.parquet") as file:
        points.drop(columns=["path"], errors="ignore").to_parquet(file, index=False, compression="zstd")
    for name, text in tables.items():
        _files.write(out / name, text)
    count = pack(Store(run), out / ARCHIVE, vectors=vectors)
    figures = [path.relative_to(out).as_posix() for path in (out / "figures").glob("*") if path.is_file()]
    about = {
        "schema": SCHEMA,
        "protocol": PROTOCOL,
        "suites": _values(points, "suite"),
        "versions": _values(points, "provenance.version"),
        "commits": _values(points, "provenance.git"),
        "records": count,
        "statuses": {str(name): int(n) for name, n in points["status"].value_counts().sort_index().items()},
        "archive": ARCHIVE,
        "files": {name: sha256(out / name) for name in sorted({"points.parquet", *tables, *figures, ARCHIVE})},
    }
    _files.write(out / MANIFEST, json.dumps(about, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    return out / MANIFEST


def _values(points: pd.DataFrame, column: str) -> list[str]:
    return sorted({str(value) for value in points[column] if value}) if column in points else []


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    made = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            made.update(block)
    return made.hexdigest()


def manifest_faults(folder: Path) -> Iterator[str]:
    """What of a published folder is not as its manifest says, one sentence each; nothing where there is none."""
    path = folder / MANIFEST
    if not path.exists():
        return
    try:
        files: Any = json.loads(read_file(path))["files"]
        named = {str(name): str(known) for name, known in files.items()}
    except (Damaged, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        yield f"{MANIFEST} is damaged; publish again"
        return
    for name, known in named.items():
        place = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            yield f"{MANIFEST} names {name!r}, which is no file of its folder"
        elif not place.is_file():
            yield f"{name} is missing, which {MANIFEST} names"
        elif sha256(place) != known:
            yield f"{name} was changed: its SHA-256 is not the one in {MANIFEST}"
