"""What a model's file may reach: its batch, its code and its weights.  Read from the source, so no proof."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .. import _sources
from .model_subject import ModelSubject
from .plugin import Problems

OUTSIDE = {  # modules that lead to files, to other processes, to whoever calls, or to objects of others
    *("atexit", "builtins", "ctypes", "gc", "http", "importlib", "inspect", "io", "multiprocessing", "os", "pathlib"),
    *("pickle", "requests", "shutil", "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "traceback"),
    *("urllib", "weakref", "joblib", "h5py", "mmap", "glob", "signal"),
}
NOISE = {"random", "secrets", "time", "datetime", "uuid"}  # what no seed of torch decides
DATA = {
    "dataset",
    "data_file",
    "data_folder",
    "lost_file",
    "made_folders",
    "missing_files",
    "read_idx",
    "replacing",
    "write_file",
}
CALLED = {"open", "exec", "eval", "compile", "__import__", "globals", "breakpoint", "input"}
LOADING = {"torch.load", "torch.save", "torch.hub", "torch.set_rng_state", "torch.set_default_dtype"}
LOADING |= {"numpy.load", "np.load", "numpy.random", "np.random", "numpy.fromfile", "np.fromfile"}


def reaches_nothing_else(subject: ModelSubject) -> Problems:
    """Nothing in the file leads to files, test data, other processes, or noise that no seed decides."""
    yield from (f"line {line} {words}" for line, words in _reached(subject.tree))
    for path in _sources.imported(subject.path):
        if path.parent.name != "models" or path.name.startswith("_"):
            yield from (f"{path.name}, line {line} {words}" for line, words in _reached(_sources.parse(path)))


def _reached(tree: ast.Module) -> Iterator[tuple[int, str]]:
    only = "a model knows its batch, its code and its weights"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "rdu_bench.api":
            for name in sorted({alias.name for alias in node.names} & DATA):
                yield node.lineno, f"imports {name}: data come to a model in batches, and test data never; {only}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            for module in _modules(node):
                first = module.split(".")[0]
                if first in OUTSIDE:
                    yield node.lineno, f"imports {module}: {only}"
                elif first in NOISE or module in LOADING:
                    yield node.lineno, f"imports {module}: noise comes from torch.rand* alone, which the seed decides"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLED:
            yield node.lineno, f"calls {node.func.id}: {only}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node.lineno, "calls print, which a run does thousands of times in every worker: take it out"
        if isinstance(node, ast.Attribute) and ast.unparse(node) in LOADING:
            yield node.lineno, f"uses {ast.unparse(node)}: {only}, and noise comes from torch.rand* alone"


def _modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    """What an import names from outside the file's folder."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if not node.level else []
