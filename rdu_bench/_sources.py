"""What a plug-in is made of: its file, and the files of its own folder that it imports, found without running any."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from . import _libraries, _paths
from ._hash import digest


class PluginError(Exception):
    """A plug-in file cannot be used; the message says why and what to do."""


MOST = 1_000_000  # bytes of a plug-in's file; one that is longer is no source text of a person


def parse(path: Path) -> ast.Module:
    """The syntax tree of a plug-in's file.  Raises `PluginError` with what is wrong and where."""
    try:
        if path.stat().st_size > MOST:
            size = f"{path.stat().st_size / 1e6:.0f} MB"
            raise PluginError(f"{path} has {size}: a plug-in is a source text of at most {MOST // 10**6} MB.")
        return _parsed(path.read_bytes(), str(path))
    except OSError as error:
        raise PluginError(f"{path} cannot be read: {error.strerror}.") from error
    except SyntaxError as error:
        if "codec can't decode" in (error.msg or ""):
            raise PluginError(f"{path} is not UTF-8 text: save it as UTF-8.") from error
        at = f", line {error.lineno}" if error.lineno else ""
        raise PluginError(f"{path}{at}: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes, a thousand brackets
        raise PluginError(f"{path} does not parse: {error or type(error).__name__}") from error


@lru_cache(maxsize=1024)
def _parsed(source: bytes, name: str) -> ast.Module:
    return ast.parse(source, name)  # not to be changed by those who read it


def source_digest(path: Path, within: Path | None = None) -> str:
    """Hash of a plug-in, 16 hex digits: of what its file does, and all that it imports from its own folder if any.

    With `within`, a folder of plug-ins, only of files that lie there, whatever else has their names.

    Found by static analysis of every form of import, also inside functions, and through the files it finds: modules
    and packages beside the file (`from . import _parts`), in its plug-in folder, and other plug-ins
    (`from rdu_bench.models.vae import VAE`).  An adapter that one of them imports counts with its library.  Raises
    `OSError` when a file cannot be read.
    """
    own = digest_of(path)
    theirs = [other for other in imported(path) if within is None or within in other.parents]
    others = {_label(other): digest_of(other) for other in theirs}
    others |= {f"adapters/{library}": _libraries.digest(library) for library in libraries(path)}
    return digest({"": own, **others}) if others else own


def libraries(path: Path) -> list[str]:
    """The libraries whose adapters `path` imports, directly or through the files of its folder."""
    home = tuple(_libraries.PACKAGE.split("."))
    named: set[str] = set()
    for file in (path, *imported(path)):
        for level, name, members in _imports(file.read_bytes()):
            whole = (*name, *members) if name == home else name
            named |= set(whole[len(home) :]) if not level and whole[: len(home)] == home else set()
    return sorted(named & _libraries.TITLES.keys())


def digest_of(path: Path) -> str:
    """Hash of what a file does, 16 hex digits: layout, comments, docstrings and a model's claim are no part of it.

    That of its bytes where it does not parse.
    """
    return _digest(path.read_bytes())


@lru_cache(maxsize=1024)
def _digest(source: bytes) -> str:
    try:
        return digest(_form(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return hashlib.sha256(source).hexdigest()[:16]


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _form(node: object) -> Any:
    """A syntax tree as JSON can say it, the same in all versions of Python: what is empty is left out."""
    if isinstance(node, list):
        return [_form(part) for part in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value is not None and value != []}
    if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        fields["body"] = node.body[1:]
    elif isinstance(node, ast.JoinedStr):  # Python 3.12 ends some with an empty text
        fields["values"] = [part for part in node.values if getattr(part, "value", None) != ""]
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Row":
        fields["keywords"] = [given for given in node.keywords if given.arg != "claim"]
    return {"": type(node).__name__, **{name: _form(value) for name, value in fields.items()}}


def _label(path: Path) -> str:
    """How a plug-in's hash names a file: `models/_parts.py`, the same wherever its folder lies."""
    kind = next((folder for folder in path.parents if folder.name in _paths.KINDS), path.parent)
    return path.relative_to(kind.parent).as_posix()


def imported(path: Path) -> list[Path]:
    """The files in plug-in folders that `path` imports, directly or through others, in order."""
    root, seen, left = path.parent.parent, {path: None}, [path]
    while left:
        here = left.pop()
        for other in _direct(here, root):
            if other not in seen:
                seen[other] = None
                left.append(other)
    return sorted(other for other in seen if other != path)


def _direct(path: Path, root: Path) -> Iterator[Path]:
    """Files that one file imports, as far as they lie in plug-in folders; `root` is that of the plug-in."""
    for level, name, members in _imports(path.read_bytes()):
        for base, parts in _bases(path, root, level, name):
            yield from _modules(base, parts, members)


def _bases(path: Path, root: Path, level: int, name: tuple[str, ...]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Folders that a module's name may start from, with the rest of the name."""
    above = path.parents[min(level, len(path.parents)) - 1] if level else path.parent
    kind = name[1] if name[:1] == ("rdu_bench",) and name[1:] else name[0] if level and name and above == root else ""
    if kind in _paths.KINDS:  # rdu_bench.models.…, or ..models.… from a file of another kind
        rest = name[2:] if not level else name[1:]
        yield from ((Path(folder), rest) for folder in _paths.search_path(kind))
    elif level:
        folders = _siblings(above) if above.parent == root else [above]
        yield from ((folder, name) for folder in folders)
    elif root not in (_paths.HERE, _paths.HERE.parent) and name[:1] != ("rdu_bench",):
        yield path.parent, name  # for a plug-in that puts its own folder on Python's path
        yield root, name
        if name[0] == root.name:  # of an installed package
            yield root, name[1:]


def _siblings(folder: Path) -> list[Path]:
    """All folders of a kind are one package: a relative import reaches each of them."""
    return [folder, *(Path(f) for f in _paths.search_path(folder.name) if Path(f) != folder)]


def _modules(base: Path, parts: tuple[str, ...], members: tuple[str, ...]) -> Iterator[Path]:
    """Files behind `from parts import members` below a folder: each package on the way, and members that are files."""
    folder = base
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        if (folder / part / "__init__.py").is_file():
            yield folder / part / "__init__.py"
        elif last and (folder / f"{part}.py").is_file():
            yield folder / f"{part}.py"
            return
        folder = folder / part
        if not folder.is_dir():
            return
    for member in members:
        if (folder / member / "__init__.py").is_file():
            yield folder / member / "__init__.py"
        elif (folder / f"{member}.py").is_file():
            yield folder / f"{member}.py"


@lru_cache(maxsize=1024)
def _imports(source: bytes) -> tuple[tuple[int, tuple[str, ...], tuple[str, ...]], ...]:
    """Level, module and members of every import in a source text; none in one that does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    found: list[tuple[int, tuple[str, ...], tuple[str, ...]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(0, tuple(alias.name.split(".")), ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            name = tuple(node.module.split(".")) if node.module else ()
            found.append((node.level, name, tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Call) and (given := _asked(node)):
            bare = given.lstrip(".")
            found.append((len(given) - len(bare), tuple(filter(None, bare.split("."))), ()))
    return tuple((level, name, members) for level, name, members in found if level or name)


def _asked(call: ast.Call) -> str:
    """The literal name in `import_module("…")` and `__import__("…")`; nothing for any other call."""
    func, given = call.func, call.args[0] if call.args else None
    name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
    literal = isinstance(given, ast.Constant) and isinstance(given.value, str)
    return str(given.value) if literal and name in ("import_module", "__import__") else ""  # type: ignore[union-attr]


@contextmanager
def staying(name: str) -> Iterator[None]:
    """A plug-in that asks for the end of the process is a `PluginError`."""
    try:
        yield
    except SystemExit as error:
        raise PluginError(f"{name} called sys.exit, which would end the process: let it raise an error.") from error
