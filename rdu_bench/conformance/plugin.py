"""A plug-in's file under examination, and the laws that hold for plug-ins of every kind.

A law is a function from a subject to the problems it finds; its docstring is what to say when there are none.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import re
import stat
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from .. import _cards, _libraries, _near, _paths, _sources
from .._modules import import_file, own_classes
from .._settings import LEAVE, Untouched

KINDS = ("models", "probes", "datasets")
BASES = {  # names a class may be made from, and what it then is
    "Model": "models",
    "Autoencoder": "models",
    "FromPythae": "models",
    "FromPixyz": "models",
    "Dataset": "datasets",
    "GroundTruth": "datasets",
    "SequenceGrid": "datasets",
    "Probe": "probes",
}
NEEDS = ("labels", "groups", "factors", "image", "sequence", "binary")  # what a data set can have and a model can need


class CheckError(ValueError):
    """A file cannot be examined at all; the message says why and what to do."""


class Finding(NamedTuple):
    """What became of one law, or one way in which it is broken."""

    ok: bool
    law: str
    words: str  # what holds, or what does not and how to mend it


Problems = Iterator[str]
Law = Callable[[Any], Problems]


def first_wrong(trials: Iterable[Problems]) -> Problems:
    """The problems of the first trial that has any, tried one after the other: what is wrong in all is said once."""
    for trial in trials:
        if wrong := [*trial]:
            yield from wrong
            return


class Source(NamedTuple):
    """A file and what is written in it."""

    path: Path
    text: str


class Subject:
    """A plug-in file under examination, built with the parameters `params`.  Raises `SyntaxError`."""

    folder = ""  # models, probes or datasets

    def __init__(self, source: Source, params: dict[str, Any]):
        self.source, self.path, self.text, self.params = source, source.path, source.text, params
        self.tree = parse(source)
        self.kind: Any = None

    @property
    def base(self) -> type:
        """What the one class of the file must be made from."""
        raise NotImplementedError

    def load(self) -> None:
        """Import the file as itself, wherever it lies, with the modules beside it, and find its one class.

        Raises what the file raises, and `CheckError` where there is not one class, or it lacks a method.
        """
        found = own_classes(import_file(self.path), self.base)
        if len(found) != 1:
            names = ", ".join(c.__name__ for c in found)
            said = f"{names}: put each other one in a file of its own" if found else "none: make its class from that"
            raise CheckError(f"the file must define exactly one subclass of {self.base.__name__}; it defines {said}")
        self.kind = found[0]
        for name in sorted(getattr(self.kind, "__abstractmethods__", ())):
            near = difflib.get_close_matches(name, vars(self.kind), 1, 0.7)
            hint = f": mend the name of {near[0]!r}" if near else f", which every {self.folder[:-1]} needs: write it"
            raise CheckError(f"{self.kind.__name__} has no method {name!r}{hint}")


def read(path: str | Path) -> Source:
    """A file as text.  Raises `CheckError` for what is no file of text: one sentence that says what it is."""
    path = Path(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise CheckError(f"{path} is a folder; give the file in it that is to be checked.")
        if not stat.S_ISREG(mode):
            raise CheckError(f"{path} is no regular file; give a Python file or a suite's TOML file.")
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise CheckError(f"there is no file {path}.{_near.of_all(str(path))}") from error
    except OSError as error:  # a loop of links, no permission
        raise CheckError(f"{path} cannot be read: {error.strerror}.") from error
    if not raw.strip():
        raise CheckError(f"{path} is empty; `rdu-bench new` writes a file to start from.")
    if b"\0" in raw:
        raise CheckError(f"{path} is a binary file; give a Python file or a suite's TOML file.")
    try:
        return Source(Path(path).resolve(), raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise CheckError(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8.") from error


def parse(source: Source) -> ast.Module:
    """The syntax tree.  Raises `SyntaxError`, and `CheckError` for what is too deep to parse."""
    try:
        return ast.parse(source.text, str(source.path))
    except (ValueError, RecursionError, MemoryError) as error:
        raise CheckError(f"{source.path} does not parse: {error or type(error).__name__}.") from error


def kind_of(source: Source) -> str:
    """models, probes, datasets or suites: by the end of the name, what its classes are made from, and its folder.

    Raises `CheckError` where none of them tells.
    """
    if source.path.suffix == ".toml":
        return "suites"
    with suppress(SyntaxError):
        for node in parse(source).body:
            bases = node.bases if isinstance(node, ast.ClassDef) else []
            for base in bases:
                name = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
                if name in BASES:
                    return BASES[name]
    if source.path.parent.name in KINDS:
        return source.path.parent.name
    raise CheckError(
        f"{source.path} has no class made from {', '.join(BASES)}, and lies in no folder {', '.join(KINDS)}: "
        "say what it is to be by either."
    )


def examine(stages: Sequence[Sequence[Law]], subject: Subject, only: Collection[str] | None = None) -> list[Finding]:
    """Findings of the laws, or of those that `only` names; a stage that breaks is the last, but for the first."""
    findings: list[Finding] = []
    for stage in stages:
        for law in stage:
            if only is None or law is one_class or law_name(law) in only:
                findings += _apply(law, subject)
        if stage is not stages[0] and not all(f.ok for f in findings if f.law in map(law_name, stage)):
            break  # what comes next would only repeat it
    return findings


def law_name(law: Law) -> str:
    """As it is printed."""
    return law.__name__.replace("_", " ")


def _apply(law: Law, subject: Subject) -> list[Finding]:
    problems: list[str] = []
    try:
        for problem in law(subject):
            problems.append(problem)
    except CheckError as error:
        problems.append(str(error))
    except (Exception, SystemExit) as error:
        problems.append(blame(error, subject))
    words = " ".join((law.__doc__ or "").split())
    return [Finding(False, law_name(law), p) for p in problems] or [Finding(True, law_name(law), words)]


def blame(error: BaseException, subject: Subject) -> str:
    """What was raised, the lines of the file that led there, and the part of the model that it was raised in."""
    where = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == subject.path]
    at = "".join(f"\n  line {f.lineno}: {f.line}" for f in where[-3:])
    said = str(error).strip().splitlines() or [""]
    return f"raised {type(error).__name__}: {said[0][:300]}{at}{_part(error)}"


def _part(error: BaseException) -> str:
    """The innermost module that raised, by its name in the model: of a layer that is not called by the file itself."""
    callers = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = [module for module in callers if isinstance(module, nn.Module)]
    names = [name for module in modules[:1] for name, part in module.named_modules() if part is modules[-1]]
    return f"\n  in self.{names[0]}: {str(modules[-1]).splitlines()[0]}" if names and names[0] else ""


# ---- laws of every kind --------------------------------------------------------------------------------------------


def file_name(subject: Subject) -> Problems:
    """The file's name can be the name of what it defines."""
    stem, kind = subject.path.stem, subject.folder[:-1]
    if not re.fullmatch(r"[a-z][a-z0-9_]*", stem):
        yield f"{subject.path.name}: the file's name is the {kind}'s name; use small letters, digits and underscores"
    ours = Path(_paths.builtin(subject.folder)) / subject.path.name
    if ours.is_file() and not ours.samefile(subject.path):
        yield f"{subject.path.name} is the name of a {kind} that is built in; rename yours, for example my_{stem}.py"


def _of_adapters(name: str) -> bool:
    return f"{name}.".startswith(f"{_libraries.PACKAGE}.")


def imports(subject: Subject) -> Problems:
    """Of ours the file imports rdu_bench.api alone, or the adapter of another library."""
    for node in ast.walk(subject.tree):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.level and not node.module:
            names = ["." * node.level + alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
            if names == ["rdu_bench"]:
                names = [f"rdu_bench.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            beside = name.startswith("._")  # a module of its own, which is no plug-in
            ours = name.split(".")[0] == "rdu_bench" and name != "rdu_bench.api" and not _of_adapters(name)
            if ours or (name.startswith(".") and not beside):
                yield f"line {node.lineno} imports {name}: {subject.folder} know rdu_bench.api alone, never each other"  # type: ignore[attr-defined]


def one_class(subject: Subject) -> Problems:
    """The file imports and defines one class of its kind, and changes nothing else."""
    before = Untouched()
    try:
        subject.load()
    finally:
        changed = before.put_back()
    yield from (f"importing it changes {words}: {LEAVE}" for words in changed)


def card_cells(subject: Subject, wanted: str, fields: Sequence[str]) -> tuple[dict[str, Any] | None, list[str]]:
    """The literals of `wanted = …(name=value)` in the file, None where there is none, and what is wrong with it."""
    given = [n for n in ast.walk(subject.tree) if isinstance(n, ast.Assign) and _targets(n) == [wanted]]
    if not given:
        return None, []
    call, wrong = given[0].value, []
    if not isinstance(call, ast.Call) or call.args:
        return None, [f"line {given[0].lineno}: write `{wanted} = …(name=value, …)` with keyword arguments"]
    cells: dict[str, Any] = {}
    for keyword in call.keywords:
        try:
            cells[str(keyword.arg)] = ast.literal_eval(keyword.value)
        except ValueError:
            wrong.append(
                f"line {given[0].lineno}: {keyword.arg} is not a literal; {wanted} is read without importing the file"
            )
            cells[str(keyword.arg)] = None
    wrong += [f"{wanted} has no cell {name!r}; it has {', '.join(fields)}" for name in set(cells) - set(fields)]
    if not wrong:
        try:
            _cards.card(subject.folder, subject.path)
        except _sources.PluginError as error:  # as a run would refuse it
            wrong.append(str(error).removeprefix(str(subject.path)).lstrip(", "))
    return cells, wrong


def _targets(node: ast.Assign) -> list[str]:
    return [t.id for t in node.targets if isinstance(t, ast.Name)]


def parameters_of(function: Any, given: int) -> Problems:
    """What is wrong with the parameters that suites may set, all but the first `given`: by position, or no default."""
    for p in list(inspect.signature(function).parameters.values())[given:]:
        if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
            continue
        if p.kind is not p.KEYWORD_ONLY:
            yield f"{function.__name__} takes {p.name!r} by position; put a `*` before it"
        elif p.default is p.empty:
            yield f"{function.__name__} gives {p.name!r} no default; suites name only what they change"
