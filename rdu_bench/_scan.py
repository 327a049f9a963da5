"""Which files of plug-in folders can be plug-ins, as far as their names tell; none is imported or read."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from . import _paths

LONGEST = 60  # characters of a plug-in's name, which names files and rows


class Found(NamedTuple):
    """What there is of one kind of plug-in, none of it imported."""

    files: dict[str, Path]  # by name
    trouble: dict[str, str]  # file name → why it cannot be used, in a sentence
    modules: dict[str, list[Path]]  # what plug-ins share: `_parts.py` and packages, by name, in every folder


def scan(kind: str) -> Found:
    """Every file of a kind (`models`, `probes`, `datasets`), ours and the user's; nothing is imported or read."""
    found = Found({}, {}, {})
    for folder in map(Path, _paths.search_path(kind)):
        try:
            paths = sorted(folder.iterdir())
        except OSError as error:
            found.trouble[str(folder)] = f"{folder} cannot be read: {error.strerror}."
            continue
        for path in paths:
            name = path.name.removesuffix(".py")
            if name.startswith(("__", ".")):
                continue
            if name.startswith("_") or (path / "__init__.py").is_file():
                found.modules.setdefault(name, []).append(path)
            elif path.suffix == ".py":
                _sort(found, path)
    return Found(dict(sorted(found.files.items())), found.trouble, found.modules)


def _sort(found: Found, path: Path) -> None:
    """Put a file among the plug-ins, or among those with trouble."""
    name, other = path.stem, found.files.get(path.stem)
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "a link that leads nowhere" if path.is_symlink() else "no regular file"
        found.trouble[name] = f"{path} is {kind}: a plug-in is a Python file; give it another name or remove it."
    elif not name.isidentifier():
        good = "".join(c if c.isalnum() else "_" for c in name)
        found.trouble[name] = f"{path} cannot be imported under its name: rename it, for example to {good}.py."
    elif len(name) > LONGEST:
        found.trouble[name] = f"{path.parent}: a plug-in's name has at most {LONGEST} letters; rename {name[:20]}….py."
    elif other is not None and other.parent == _paths.builtin(path.parent.name):
        found.trouble[name] = (
            f"{path} has the name of {other}: a file's name is its plug-in's name. "
            f"Rename yours, for example to my_{path.name}."
        )
    elif other is not None:
        found.trouble[name] = f"{path} has the name of {other}: rename one of the two, or leave out one of the folders."
    else:
        found.files[name] = path


def here(kind: str, name: str) -> str:
    """How to use the file of that name in a folder `kind` of the working folder, a sentence; "" where there is none."""
    file = Path(kind) / f"{name.replace('-', '_')}.py"
    if not file.stem.isidentifier() or len(name) > LONGEST or not file.is_file() or Path.cwd() in _paths.plugin_roots():
        return ""
    return f"{file} is in this folder: add --plugins . to use it."
