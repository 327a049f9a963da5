"""Who imports whom, read from the source, and what of it the architecture does not allow."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PLUGINS = ("models", "probes", "datasets")
# lower layers first; a module may import ours from lower layers and from its own
LAYERS: dict[str, tuple[str, ...]] = {
    "package": ("rdu_bench",),  # its names are loaded when they are first used
    "ground": ("_[a-z]*", "budget", "analytic", *PLUGINS),
    "networks": ("nn", "nn.*", "model", "autoencoder"),
    "data": ("data", "data.*"),
    "scores": ("scores", "scores.*"),
    "records": ("records", "records.*"),
    "probe": ("probe",),
    "registry": ("registry",),  # it loads plug-ins by name, and plug-ins may ask it for one another
    "api": ("api",),
    "plug-ins": tuple(f"{kind}.*" for kind in PLUGINS),
    "adapters": ("adapters", "adapters.*"),
    "training": ("training", "training.*"),
    "measure": ("measure", "measure.*"),
    "analysis": ("analysis", "analysis.*"),
    "report": ("report", "report.*"),
    "engine": ("progress", "engine", "engine.*"),
    "tools": ("conformance", "conformance.*", "encoder", "encoder.*"),
    "command line": ("cli", "cli.*", "doctor", "__main__"),
}
TABLES = ("analysis", "report")  # records in, tables and pictures out: these see no model, data set or trainer
BELOW_TABLES = ("ground", "scores", "records", *TABLES)
ADAPTED = ("pythae", "pixyz")  # which adapters alone import
WITHOUT = {  # other people's packages that a layer never imports, not even inside a function
    "records": {"torch", "safetensors.torch"},
    "analysis": {"torch", "safetensors.torch"},
    "report": {"torch", "safetensors.torch"},
    "scores": {"torch", "pandas"},
    "data": {"pandas", "matplotlib"},
}


def modules(root: Path) -> dict[str, Path]:
    """Every module of ours under its importable name."""
    found = {}
    for path in sorted((root / "rdu_bench").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    for kind in PLUGINS:  # plain folders at the top of the checkout
        found |= {f"rdu_bench.{kind}.{path.stem}": path for path in sorted((root / kind).glob("*.py"))}
    return found


def layer(module: str) -> str | None:
    """The first layer that names the module; None where none does."""
    short = module.removeprefix("rdu_bench.")
    return next((name for name, globs in LAYERS.items() if any(fnmatchcase(short, g) for g in globs)), None)


class Imports(ast.NodeVisitor):
    """All modules of ours that a source imports, wherever in it and in whatever form, with the line.

    What stands under `if TYPE_CHECKING:` never runs and is left out, but for plug-ins, whose files are read apart.
    """

    def __init__(self, module: str, is_package: bool, known: Mapping[str, object], types: bool = False):
        self.package = module if is_package else module.rpartition(".")[0]
        self.known, self.types = known, types
        self.found: list[tuple[str, int]] = []
        self.foreign: list[tuple[str, int]] = []

    def visit_If(self, node: ast.If) -> None:
        """Both branches, unless the first is for type checkers alone."""
        name = node.test.attr if isinstance(node.test, ast.Attribute) else getattr(node.test, "id", "")
        for child in (
            node.orelse if name == "TYPE_CHECKING" and not self.types else [node.test, *node.body, *node.orelse]
        ):
            self.visit(child)

    def visit_Import(self, node: ast.Import) -> None:
        """`import a.b`, `import a.b as c`."""
        for alias in node.names:
            self._add(alias.name, node.lineno)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """`from a import b`, `from . import b`, `from ..a import b`; b may be a module."""
        base = self._absolute("." * node.level + (node.module or ""))
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            self._add(inner if inner in self.known else base, node.lineno)

    def visit_Call(self, node: ast.Call) -> None:
        """`import_module("a.b")`, `import_module(".b", __package__)`, `__import__("a.b")`."""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
            self._add(self._absolute(str(node.args[0].value)), node.lineno)
        self.generic_visit(node)

    def _absolute(self, name: str) -> str:
        level = len(name) - len(name.lstrip("."))
        if not level:
            return name
        parts = self.package.split(".")
        return ".".join([*parts[: len(parts) - level + 1], *filter(None, [name[level:]])])

    def _add(self, name: str, line: int) -> None:
        full = name
        while name and name not in self.known:  # a name in a module is that module
            name = name.rpartition(".")[0]
        (self.found if name else self.foreign).append((name or full, line))


def read(source: str, module: str, is_package: bool, known: Mapping[str, object]) -> Imports:
    """What `source`, the text of `module`, imports."""
    visitor = Imports(module, is_package, known, types=layer(module) == "plug-ins")
    visitor.visit(ast.parse(source))
    return visitor


@cache
def read_all(root: Path) -> dict[str, tuple[bool, Imports]]:
    """By module, whether it is a package, and what its file imports."""
    known = modules(root)
    packages = {module: path.name == "__init__.py" for module, path in known.items()}
    return {
        m: (packages[m], read(path.read_text(encoding="utf-8"), m, packages[m], known)) for m, path in known.items()
    }


def faults(root: Path, planted: Mapping[str, str] | None = None) -> Iterator[str]:
    """What the architecture does not allow, a sentence each; `planted` adds lines to modules, or whole modules."""
    planted, files = dict(planted or {}), read_all(root)
    known = dict.fromkeys([*files, *planted])
    graph: dict[str, set[str]] = {}
    for module in known:
        if layer(module) is None:
            yield f"{module} has no layer; give it one in tests/layers.py"
            continue
        package, seen = files.get(module, (False, None))
        more = read(planted.get(module, ""), module, package, known)
        found, foreign = ([*(getattr(seen, part, [])), *getattr(more, part)] for part in ("found", "foreign"))
        yield from _strangers(module, foreign)
        yield from _neighbours(module, found)
        graph[module] = {other for other, _ in found if other not in (module, "rdu_bench")}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield "a circle of imports: " + " -> ".join(error.args[1])


def _strangers(module: str, foreign: list[tuple[str, int]]) -> Iterator[str]:
    mine = layer(module)
    for name, line in foreign:
        without = (*WITHOUT.get(str(mine), ()), *(ADAPTED if mine != "adapters" else ()))
        if any(f"{name}.".startswith(f"{banned}.") for banned in without):
            yield f"{module}, line {line}, imports {name}: {mine} does without it"


def _neighbours(module: str, found: list[tuple[str, int]]) -> Iterator[str]:
    order, mine = list(LAYERS), str(layer(module))
    for other, line in found:
        theirs, at = layer(other), f"{module}, line {line}, imports {other}"
        if other in (module, "rdu_bench") or theirs is None:
            continue
        if mine == "plug-ins":
            if other != "rdu_bench.api" and not other.startswith(module.rpartition(".")[0] + "."):
                yield f"{at}; a plug-in imports rdu_bench.api alone"
        elif mine == "adapters" and other not in ("rdu_bench.api", "rdu_bench.adapters"):
            yield f"{at}; an adapter imports rdu_bench.api alone"
        elif order.index(theirs) > order.index(mine):
            yield f"{at}: {mine} is below {theirs}"
        elif mine in TABLES and theirs not in BELOW_TABLES:
            yield f"{at}: {mine} sees records and tables, never {theirs}"
