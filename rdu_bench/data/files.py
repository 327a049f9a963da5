"""The data folder, and what is kept beside a data file so that it need not be worked out again."""

from __future__ import annotations

import json
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import _files, _paths
from .error import DataError

BESIDE = ".known.json"  # the end of the name of what is kept beside a data file
PREFIXES = ("/usr", "/usr/local")  # where the system installs files
KEPT = 64  # values kept beside one file


def data_folder(given: str | None, name: str, needs: str) -> Path:
    """The data folder: `given`, else what the environment names.  Raises `DataError` that says what `name` needs."""
    folder = os.path.expanduser(given) if given else named_folder()
    if not folder:
        ways = f"--data-dir, {_paths.DATA[0]} or {_paths.DATA[1]}"
        raise DataError(f"{name} needs {needs}; name the folder that holds them with {ways}.")
    if not os.path.isdir(folder):
        raise DataError(f"{name}: the data folder {folder} does not exist; create it and put there {needs}.")
    return Path(folder)


def named_folder() -> str | None:
    """The data folder that the environment names: RDU_BENCH_DATA, else DISENTANGLEMENT_LIB_DATA."""
    named = _paths.data_folder()
    return named[1] if named else None


def data_file(file: str, folder: str | None = None) -> Path:
    """A file that a user names, from here or in the data folder; where it would be, if there is none.

    `folder` is the data folder, by default the one that the environment names.  Raises `DataError` where two files of
    that name may be meant.
    """
    here, home = Path(file).expanduser(), os.path.expanduser(folder) if folder else named_folder()
    if here.is_absolute() or not home:
        return here
    there = Path(home) / file
    if os.path.lexists(here) and os.path.lexists(there):
        with suppress(OSError):
            if not here.samefile(there):
                raise DataError(f"{file} is both {here.absolute()} and {there}; give the whole path of one.")
    return here if os.path.lexists(here) else there


def lost_file(file: str, folder: str | None = None) -> str:
    """Where a file that a user names was looked for, in words; "" where it is there.  Raises as `data_file`."""
    if os.path.lexists(data_file(file, folder)):
        return ""
    home = os.path.expanduser(folder) if folder else named_folder()
    named = Path(file).expanduser()
    if named.is_absolute():
        return f"there is no {named}"
    return f"there is no {file} in {Path.cwd()}" + (f", nor in the data folder, {home}" if home else "")


def made_folders(name: str) -> list[Path]:
    """Where files of the data set `name` that can be made again may lie: the data folder if one is named, the cache.

    The cache is that of the user, XDG_CACHE_HOME or ~/.cache.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rdu-bench"
    given = named_folder()
    return [Path(folder) / name for folder in ((given, cache) if given else (cache,))]


def system_folders() -> list[Path]:
    """Where packages install data sets, `share/datasets` under each prefix, Python's own first."""
    return [Path(prefix) / "share" / "datasets" for prefix in dict.fromkeys([sys.prefix, *PREFIXES])]


def regular(path: Path) -> Path:
    """`path`, if it is a file that can be read.  Raises `DataError` that says what it is instead."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise DataError(f"{path} is {'a folder' if stat.S_ISDIR(mode) else 'no regular file'}; a file is needed.")
        with path.open("rb"):
            return path
    except (OSError, RuntimeError) as error:  # the latter for a loop of links
        said = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path} cannot be read: {said}; get the file again, or mend that.") from error


def stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change in nanoseconds of a file, by which a change of its content is known.

    Raises `DataError` where there is none.
    """
    try:
        about = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); is it still there?") from error
    return about.st_size, about.st_mtime_ns


class Beside:
    """What was worked out from a data file, kept in `.NAME.known.json` beside it until the file changes.

    A folder that cannot be written costs nothing but the work again, and what is no longer readable is not believed.
    """

    def __init__(self, path: Path):
        self.path = path.with_name(f".{path.name[-200:]}{BESIDE}")
        self.size, self.changed = stamp(path)

    def get(self, key: str) -> Any:
        """What is kept under `key`; None for nothing."""
        return self._kept().get(key)

    def put(self, key: str, value: Any) -> None:
        """Keep a value that JSON can say."""
        kept = {**self._kept(), key: value}
        text = {"size": self.size, "mtime_ns": self.changed, "known": dict(list(kept.items())[-KEPT:])}
        with suppress(OSError):
            _files.write(self.path, json.dumps(text, indent=1))

    def _kept(self) -> dict[str, Any]:
        try:
            told = json.loads(self.path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(told, dict) or (told.get("size"), told.get("mtime_ns")) != (self.size, self.changed):
            return {}
        return known if isinstance(known := told.get("known"), dict) else {}
