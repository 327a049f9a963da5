"""What a bug report needs: versions, machine, encodings, folders, and plug-ins with trouble."""

from __future__ import annotations

import locale
import os
import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from . import __version__, _paths, registry
from .engine import machine, provenance

ASKED = (*_paths.DATA, _paths.PLUGINS, "RDU_BENCH_DEBUG", "OMP_NUM_THREADS", "MPLBACKEND", "PYTHONIOENCODING")


def facts() -> Iterator[tuple[str, str]]:
    """Name and value of everything that may matter, and `trouble` for what stands in the way of a run."""
    git = provenance.git()
    commit = f" at {git['git']}{', changed since' if git['git_dirty'] else ''}" if git["git"] else ""
    yield "rdu-bench", f"{__version__}{commit}, in {_paths.HERE}"
    yield "python", f"{platform.python_version()} at {sys.executable}"
    yield from _packages()
    yield "platform", platform.platform()
    yield "cores", f"{machine.cores()} of {os.cpu_count()}"
    yield "memory", _memory()
    yield "cuda", _cuda()
    stream = getattr(sys.stdout, "encoding", None)
    yield (
        "encodings",
        f"output {stream}, files {locale.getpreferredencoding(False)}, names {sys.getfilesystemencoding()}",
    )
    yield "folder", os.getcwd()
    for name in ASKED:
        if name in os.environ:
            yield name, os.environ[name]
    yield from _troubles()


def _packages() -> Iterator[tuple[str, str]]:
    """Every package that this one depends on, with its version."""
    try:
        needed = [line for line in requires("rdu-bench") or () if "extra ==" not in line]
    except PackageNotFoundError:  # run from a folder that is not installed
        needed = list(provenance.PACKAGES.values())
    for name in sorted({re.split(r"[^\w.-]", line)[0] for line in needed}, key=str.lower):
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, "not installed"


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB"
    except (AttributeError, ValueError, OSError):  # not on every platform
        return "unknown"


def _cuda() -> str:
    try:
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return ", ".join(torch.cuda.get_device_name(i) for i in range(count)) or "none"
    except Exception as error:  # a broken installation is what a doctor is asked about
        return f"torch does not load: {type(error).__name__}: {error}"


def _troubles() -> Iterator[tuple[str, str]]:
    named = _paths.data_folder()
    if named and not os.path.isdir(named[1]):
        yield "trouble", f"{named[0]}={named[1]} is not a folder"
    for sentence in dict.fromkeys(sentence for kind in _paths.KINDS for sentence in registry.trouble(kind)):
        yield "trouble", sentence
