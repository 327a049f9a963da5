"""Libraries whose models have an adapter here: where they are installed, and what of them makes numbers."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pathlib import Path

from ._hash import digest as digest_of
from ._hash import file_digest

HOME = Path(__file__).resolve().parent / "adapters"
TITLES = {"pythae": "Pythae", "pixyz": "Pixyz"}  # by package
PACKAGE = "rdu_bench.adapters"


def missing(library: str) -> str:
    """Why a library cannot be used, in a sentence; "" where it is installed.  It is not imported."""
    if _root(library) is not None:
        return ""
    return f'{TITLES[library]} is not installed: pip install "rdu-bench[{library}]", or pip install {library}.'


def version(library: str) -> str | None:
    """Of an installed library; None where it says none."""
    try:
        return installed_version(library)
    except PackageNotFoundError:
        return None


@cache
def digest(library: str) -> str:
    """Hash of an adapter and of its library: the version and every source file, so that an edited model is another.

    Taken once a process, which does not see edits of what it has imported.
    """
    root = _root(library)
    sources = (
        {path.relative_to(root).as_posix(): file_digest(path) for path in sorted(root.rglob("*.py"))} if root else {}
    )
    ours = {
        path.name: file_digest(path) for path in sorted(HOME.glob(f"{library}.*")) if path.suffix in (".py", ".toml")
    }
    return digest_of({"adapter": ours, "version": version(library), "sources": sources})


@cache
def _root(library: str) -> Path | None:
    """The folder of an installed library; a folder of that name without an __init__.py is none."""
    found = find_spec(library)
    return Path(found.origin).parent if found is not None and found.origin else None
