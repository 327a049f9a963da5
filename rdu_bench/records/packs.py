"""Archives of records, each of whose files is read by its name: `.zip`, and `.tar.xz`, which is read whole.

A `.tar.xz` packs thousands of records, which say much the same, into a third of what they take in a `.zip`.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import IO, Protocol, cast

from .schema import Damaged

SOLID, SINGLE = ".tar.xz", ".zip"
ARCHIVES = (f"records{SOLID}", f"records{SINGLE}")  # either holds the records of a folder that has none as files
UNPACKED = 2**35  # bytes that all files of a .zip may have together
WHOLE = 2**30  # bytes of a .tar.xz in memory; records of five seeds of every suite take a tenth
MEMBERS = 1_000_000  # files of an archive


class ArchiveError(ValueError):
    """An archive is not safe to read; the message names it, what in it is wrong, and what to do."""


class Pack(Protocol):
    """The files in an archive, by their names."""

    def sizes(self) -> list[tuple[str, int]]: ...
    def size(self, name: str) -> int: ...
    def unsafe(self) -> str | None: ...
    def read(self, name: str) -> bytes: ...


BROKEN = (
    OSError,
    EOFError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    KeyError,
    ValueError,
    NotImplementedError,
)


def is_archive(path: Path) -> bool:
    """Whether a file is an archive by its name."""
    return path.name.endswith((SOLID, SINGLE)) and path.is_file()


def packed(folder: Path) -> Path | None:
    """The archive that holds the records of a folder, if there is one."""
    return next((path for name in ARCHIVES if (path := folder / name).is_file()), None)


def archived(path: str | Path) -> tuple[Path, str] | None:
    """The archive and the name in it of a path such as `run/records.tar.xz/records/…` or `mine.zip/records/…`.

    None for any other.  A folder may be called so, too.
    """
    if SINGLE not in str(path) and SOLID not in str(path):
        return None
    parts = Path(path).parts
    for at in range(1, len(parts) + 1):
        if is_archive(place := Path(*parts[:at])):
            return place, "/".join(parts[at:])
    return None


def check_archive(archive: Path) -> None:
    """Refuses an archive whose names lead out of it or whose files are too many or too large to unpack.

    Raises `ArchiveError`.
    """
    try:
        opened = _opened(str(archive), archive.stat().st_mtime_ns)
    except ArchiveError:
        raise
    except BROKEN as error:
        raise ArchiveError(f"{archive} cannot be read as an archive ({error}); get it again") from None
    sizes, wrong = opened.sizes(), opened.unsafe()
    total = sum(size for _, size in sizes)
    if wrong is None and (len(sizes) > MEMBERS or total > UNPACKED):
        wrong = f"has {len(sizes)} files of {total / 1e9:.0f} GB, more than any run"
    if wrong is None:
        [(name, times)] = Counter(name for name, _ in sizes).most_common(1) or [("", 0)]
        wrong = f"has two files of one name, {name!r}" if times > 1 else None
    if wrong:
        raise _refused(archive, wrong)


def _refused(archive: Path, wrong: str) -> ArchiveError:
    return ArchiveError(f"{archive} {wrong}: do not unpack it, and ask for one that `rdu-bench submit` wrote")


def _leads_out(name: str) -> str | None:
    parts = name.replace("\\", "/").split("/")
    if not parts[0] or ":" in parts[0] or ".." in parts or not name.isprintable():
        return f"holds {name!r}, a name that leads out of it"
    return None


def names(archive: Path) -> list[str]:
    """Names of all files in an archive; none where it cannot be read."""
    try:
        return [name for name, _ in _opened(str(archive), archive.stat().st_mtime_ns).sizes()]
    except BROKEN:
        return []


def has(path: Path) -> bool:
    """Whether anything lies at a path, on the disk or in an archive."""
    inside = archived(path)
    if inside is None:
        return os.path.lexists(path)
    archive, name = inside
    try:
        _opened(str(archive), archive.stat().st_mtime_ns).size(name)
    except BROKEN:
        return False
    return True


def member(archive: Path, name: str, limit: int) -> bytes:
    """The bytes of a file in an archive.  Raises `Damaged` where it cannot be read or has more than `limit`."""
    try:
        opened = _opened(str(archive), archive.stat().st_mtime_ns)
        if opened.size(name) > limit:
            raise Damaged(f"it has {opened.size(name)} bytes, more than any record")
        return opened.read(name)
    except BROKEN as error:
        if isinstance(error, Damaged):
            raise
        raise Damaged(f"it cannot be read from {archive.name} ({error})") from None


@lru_cache(maxsize=4)
def _opened(path: str, _: int) -> Pack:
    return _Tar(path) if path.endswith(SOLID) else _Zip(path)


class _Zip:
    def __init__(self, path: str):
        self.file = zipfile.ZipFile(path)

    def sizes(self) -> list[tuple[str, int]]:
        return [(about.filename, about.file_size) for about in self.file.infolist()]

    def size(self, name: str) -> int:
        return self.file.getinfo(name).file_size

    def unsafe(self) -> str | None:
        return next((why for about in self.file.infolist() if (why := self._why(about))), None)

    @staticmethod
    def _why(about: zipfile.ZipInfo) -> str | None:
        if wrong := _leads_out(about.orig_filename):
            return wrong
        if stat.S_ISLNK(about.external_attr >> 16):
            return f"holds {about.orig_filename!r}, which is a link"
        return f"holds {about.orig_filename!r}, which is encrypted" if about.flag_bits & 1 else None

    def read(self, name: str) -> bytes:
        return self.file.read(name)


class _Tar:
    """Everything of a `.tar.xz`, which cannot be read but from its start.  Raises `ArchiveError` when too large."""

    def __init__(self, path: str):
        import lzma

        self.files: list[tuple[str, bytes]] = []
        self.wrong: str | None = None
        try:
            with lzma.open(path) as file:
                limited = _Limited(file, Path(path))
                with tarfile.open(fileobj=cast(IO[bytes], limited), mode="r|") as archive:
                    for about in archive:
                        self._take(about, archive)
                while limited.read(2**16):  # to its end, where the checks of what was read stand
                    pass
        except lzma.LZMAError as error:
            raise tarfile.ReadError(str(error)) from None
        self.at = dict(self.files)

    def _take(self, about: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        if about.isdir():
            return
        self.wrong = self.wrong or _leads_out(about.name)
        if not about.isfile() or about.issparse():  # a sparse file of a few bytes reads as any number of them
            self.wrong = self.wrong or f"holds {about.name!r}, which is a link, or no regular file"
            return
        handle = archive.extractfile(about)
        self.files.append((about.name, handle.read() if handle else b""))

    def sizes(self) -> list[tuple[str, int]]:
        return [(name, len(content)) for name, content in self.files]

    def size(self, name: str) -> int:
        return len(self.at[name])

    def unsafe(self) -> str | None:
        return self.wrong

    def read(self, name: str) -> bytes:
        return self.at[name]


class _Limited:
    """The bytes of a file, as far as there are no more than any run has.  Raises `ArchiveError` beyond."""

    def __init__(self, file: io.BufferedIOBase, path: Path):
        self.file, self.path, self.left = file, path, WHOLE

    def read(self, size: int = -1) -> bytes:
        got = self.file.read(size if size >= 0 else self.left + 1)
        self.left -= len(got)
        if self.left < 0:
            raise _refused(self.path, f"unpacks to more than {WHOLE / 1e9:.0f} GB, more than any run")
        return got
