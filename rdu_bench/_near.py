"""What may have been meant by the name of a plug-in that there is not."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from . import _cards, _paths, _scan
from ._sources import PluginError

HDF5 = b"\x89HDF\r\n\x1a\n"  # how such a file begins


def near(kind: str, name: str) -> str:
    """A sentence behind a space: the file that the name is of, or the nearest name or title of a plug-in; else ""."""
    if there := a_file(kind, name):
        return there
    if kind == "datasets":
        for sign in ":=":  # h5:usps.h5, hdf5=usps.h5
            if (rest := name.partition(sign)[2]) and (file := _there(rest)):
                shown = " `rdu-bench data verify` shows what is in it." if name.startswith("hdf5:") else ""
                return f"{shown or f' Say hdf5:{file}.'}"
    close = closest(kind, name)
    return f" Did you mean {close!r}?" if close else ""


def a_file(kind: str, name: str) -> str:
    """How to use the file of the working folder that a name is of, a sentence behind a space; "" for none."""
    if there := _scan.here(kind, name):
        return f" {there}"
    file = _there(name) or (_there(f"{name}.py") if name.isidentifier() else None)
    if file is None and kind == "datasets" and name not in _scan.scan(kind).files and _there(name, Path.is_dir):
        return f" {name} is a folder here: write its pictures into one HDF5 file, see 'Your own data' in CONTRIBUTING."
    return f" {_of_file(kind, file)}" if file else ""


def closest(kind: str, name: str) -> str:
    """The plug-in whose name is nearest, or the one with that title; "" for none."""
    found = _scan.scan(kind)
    usable = {fold(known): known for known in found.files if known not in found.trouble}
    wanted = fold(name[: _scan.LONGEST].removesuffix(".py"))
    if wanted in usable:
        return usable[wanted]
    for known in usable.values():
        with suppress(PluginError):
            if wanted and fold(str(_cards.card(kind, found.files[known]).get("title", ""))) == wanted:
                return known
    return next((usable[word] for word in difflib.get_close_matches(wanted, usable, n=1)), "")


def fold(name: str) -> str:
    """A name or title without what people write differently: capitals, dashes, Greek."""
    plain = name.lower().replace("β", "beta").replace("σ", "sigma")
    return "".join(c for c in plain if c.isalnum())


def several(option: str, text: str, names: Sequence[str]) -> str:
    """How to give several names that were written with commas between them; "" where they are none."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) < 2 or not all(fold(part) in {fold(name) for name in names} for part in parts):
        return ""
    return f" Give the option again for each: {' '.join(f'{option} {part}' for part in parts)}."


def _there(text: str, kind: Callable[[Path], bool] = Path.is_file) -> Path | None:
    """The regular file of a name, or what is there of another kind; None where nothing is."""
    with suppress(OSError, ValueError):
        if text.strip() and kind(Path(text)):
            return Path(text)
    return None


def _of_file(kind: str, file: Path) -> str:
    """How to use a file that was given in the place of a plug-in's name."""
    known = _scan.scan(kind).files.get(file.stem)
    if known is not None and known.resolve() == file.resolve():
        return f"Give the name of that file, {file.stem!r}."
    if file.suffix == ".py":
        return f"{file} is a file here: put it into FOLDER/{kind}/ and add --plugins FOLDER."
    if kind != "datasets":
        return ""
    with suppress(OSError), file.open("rb") as opened:
        if opened.read(len(HDF5)) == HDF5:
            return f"Say hdf5:{file}."
    return f"{file} is no HDF5 file, which hdf5:FILE reads: write its arrays into one, or `rdu-bench new dataset NAME`."


def of_all(name: str) -> str:
    """Where the plug-in of that name is, whatever its kind, for who named it in the place of its file; else ""."""
    for kind in _paths.KINDS:
        if path := _scan.scan(kind).files.get(name.replace("-", "_")):
            return f" The {kind[:-1]} {path.stem} is in {path}."
    return ""
