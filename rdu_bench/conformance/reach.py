"""What a file may reach: a model its batch, its code and its weights, a head codes and what it is to read of them.

Read from the source, so no proof.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .. import _sources
from .plugin import Problems, Subject

OUTSIDE = {  # modules that lead to files, to other processes, to whoever calls, or to objects of others
    *("atexit", "builtins", "ctypes", "gc", "http", "importlib", "inspect", "io", "multiprocessing", "os", "pathlib"),
    *("pickle", "requests", "shutil", "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "traceback"),
    *("urllib", "weakref", "joblib", "h5py", "mmap", "glob", "signal"),
    *("pandas", "pyarrow", "safetensors", "PIL", "cv2"),
    *("imageio", "torchvision", "datasets", "tensorflow_datasets"),
}
SHIPPED = ("sklearn.datasets", "scipy.datasets", "scipy.io")  # modules that bring data, or read them
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
NUMPY = ("load", "fromfile", "loadtxt", "genfromtxt", "memmap")  # functions of it that read files
LOADING = {"torch.load", "torch.save", "torch.hub", "torch.from_file", "torch.set_rng_state", "torch.set_default_dtype"}
LOADING |= {*SHIPPED, *(f"{name}.{function}" for name in ("numpy", "np") for function in NUMPY)}
UNSEEDED = {"numpy.random", "np.random"}  # which a head is handed a seed for
KNOWS = {
    "models": "a model knows its batch, its code and its weights",
    "probes": "a head knows the codes and the values that it is given, and those of test never",
}


def reaches_nothing_else(subject: Subject) -> Problems:
    """Nothing in the file leads to files, test data, other processes, or noise that no seed decides."""
    yield from (f"line {line} {words}" for line, words in _reached(subject.tree, subject.folder))
    for path in _sources.imported(subject.path):
        if path.parent.name != subject.folder or path.name.startswith("_"):
            found = _reached(_sources.parse(path), subject.folder)
            yield from (f"{path.name}, line {line} {words}" for line, words in found)


def _reached(tree: ast.Module, kind: str) -> Iterator[tuple[int, str]]:
    only = KNOWS[kind]
    noise, used = (NOISE | UNSEEDED, LOADING | UNSEEDED) if kind == "models" else (set[str](), LOADING)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "rdu_bench.api":
            for name in sorted({alias.name for alias in node.names} & DATA):
                yield node.lineno, f"imports {name}: data are handed to it, and test data never; {only}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            for module in _modules(node):
                first = module.split(".")[0]
                if first in OUTSIDE or f"{module}.".startswith(tuple(f"{name}." for name in SHIPPED)):
                    yield node.lineno, f"imports {module}: {only}"
                elif first in noise or module in noise | used:
                    yield node.lineno, f"imports {module}: noise comes from torch.rand* alone, which the seed decides"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLED:
            yield node.lineno, f"calls {node.func.id}: {only}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node.lineno, "calls print, which a run does thousands of times in every worker: take it out"
        if isinstance(node, ast.Attribute) and ast.unparse(node) in used:
            yield node.lineno, f"uses {ast.unparse(node)}: {only}, and noise comes from torch.rand* alone"


def _modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    """What an import names from outside the file's folder."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if node.level:
        return []
    within = [f"{node.module}.{alias.name}" for alias in node.names]
    return [node.module or "", *(name for name in within if name in LOADING | UNSEEDED)]
