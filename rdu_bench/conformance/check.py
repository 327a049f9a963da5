"""What is wrong with a model file, in words: every law that training, measuring and records rely on.

The laws run from the file to its class, from the class to one batch, and from there to a short training on digits.
Those of the file and of training are here, those of a batch in `laws`.
"""

from __future__ import annotations

import ast
import inspect
import re
import traceback
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .. import _paths, registry
from ..data import Dataset
from ..model import Model, Row, Terms
from ..nn.networks import Spec
from ..training import Trained, Training, fit
from ..training.fitting import put_at
from ..training.posthoc import comes_after
from . import laws
from .laws import CHANNELS, Law, Problems, Subject

PAPER = re.compile(r"\d{4}\.\d{4,5}|[A-Za-z0-9_-]{8,12}")  # arXiv id, or OpenReview id
CITED = re.compile(r"(?:arXiv:|openreview )([\w.-]*\w)", re.IGNORECASE)
NEEDS = {"labels", "groups", "factors", "image", "binary"}
LABELS = {"", "optional", "required"}
TRAINING = Training(steps=300, batch=100)
TWINS = replace(TRAINING, steps=5)


class Finding(NamedTuple):
    """What became of one law, or one way in which it is broken."""

    ok: bool
    law: str
    words: str  # what holds, or what does not and how to mend it


def check(
    path: str | Path, params: dict[str, Any] | None = None, *, only: Collection[str] | None = None
) -> list[Finding]:
    """Findings about the model file at `path`, built with hyper-parameters `params`; never raises for what is in it.

    `only` names the laws of `LAWS` to judge; the training of "learns" is most of the time.
    """
    path = Path(path).resolve()
    if not path.is_file():
        return [Finding(False, "file", f"there is no file {path}")]
    try:
        subject = Subject(path, params or {})
    except SyntaxError as error:
        return [Finding(False, "file", f"line {error.lineno} does not parse: {error.msg}")]
    findings: list[Finding] = []
    with torch.random.fork_rng(devices=[]):
        for stage in STAGES:
            for law in stage:
                if only is None or law is one_class or _name(law) in only:
                    findings += _apply(law, subject)
            if stage is not ON_PAPER and not all(f.ok for f in findings if f.law in map(_name, stage)):
                break  # what comes next would only repeat it
    return findings


def _name(law: Law) -> str:
    return law.__name__.replace("_", " ")


def _apply(law: Law, subject: Subject) -> list[Finding]:
    problems: list[str] = []
    try:
        for problem in law(subject):
            problems.append(problem)
    except (Exception, SystemExit) as error:
        where = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == subject.path]
        at = "".join(f"\n  line {f.lineno}: {f.line}" for f in where[-3:])
        said = str(error).strip().splitlines() or [""]
        problems.append(f"raised {type(error).__name__}: {said[0][:300]}{at}")
    words = " ".join((law.__doc__ or "").split())
    return [Finding(False, _name(law), p) for p in problems] or [Finding(True, _name(law), words)]


# ---- the file ------------------------------------------------------------------------------------------------------


def file_name(subject: Subject) -> Problems:
    """The file's name can be the model's name."""
    stem = subject.path.stem
    if not re.fullmatch(r"[a-z][a-z0-9_]*", stem):
        yield f"{subject.path.name}: the file's name is the model's name; use small letters, digits and underscores"
    ours = Path(_paths.builtin("models")) / subject.path.name
    if ours.is_file() and not ours.samefile(subject.path):
        yield f"{subject.path.name} is the name of a model that is built in; rename yours, for example my_{stem}.py"


def imports(subject: Subject) -> Problems:
    """Of ours the file imports rdu_bench.api alone."""
    for node in ast.walk(subject.tree):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.startswith(".") or (name.split(".")[0] == "rdu_bench" and name != "rdu_bench.api"):
                yield f"line {node.lineno} imports {name}: models know rdu_bench.api alone, never each other"  # type: ignore[attr-defined]


def row(subject: Subject) -> Problems:
    """The row is complete, and of literals."""
    given = [n for n in ast.walk(subject.tree) if isinstance(n, ast.Assign) and _targets(n) == ["row"]]
    if not given:
        yield 'the class has no row; add `row = Row(paper="1312.6114", title="VAE", objective="D + R")`'
        return
    call = given[0].value
    if not isinstance(call, ast.Call) or call.args:
        yield f"line {given[0].lineno}: write `row = Row(name=value, …)` with keyword arguments"
        return
    cells: dict[str, Any] = {}
    for keyword in call.keywords:
        try:
            cells[str(keyword.arg)] = ast.literal_eval(keyword.value)
        except ValueError:
            yield f"line {given[0].lineno}: {keyword.arg} is not a literal; row is read without importing the file"
            cells[str(keyword.arg)] = None
    for unknown in set(cells) - set(Row._fields):
        yield f"row has no cell {unknown!r}; it has {', '.join(Row._fields)}"
    paper = cells.get("paper") or ""
    if not PAPER.fullmatch(paper):
        yield f"paper = {paper!r}: give the arXiv id (1312.6114) or OpenReview id (Sy2fzU9gl) that defines the loss"
    for cell in ("title", "objective"):
        if not cells.get(cell):
            yield f"row lacks {cell}: it is what the table of models shows"
    if (labels := cells.get("labels", "")) not in LABELS:
        yield f"labels = {labels!r}: it is '', 'optional' or 'required'"
    if not isinstance(needs := cells.get("needs", ()), tuple) or set(needs) - NEEDS:
        yield f"needs = {needs!r}: it is a tuple of {', '.join(map(repr, sorted(NEEDS)))}"


def _targets(node: ast.Assign) -> list[str]:
    return [t.id for t in node.targets if isinstance(t, ast.Name)]


def docstring(subject: Subject) -> Problems:
    """The docstring states the loss and cites the row's paper."""
    classes = [n for n in subject.tree.body if isinstance(n, ast.ClassDef)]
    doc = next((d for d in map(ast.get_docstring, classes) if d), "") or ""
    if not re.search(r"\S +(=|∝|≥) +\S|min_", doc):
        yield "the class's docstring states no equation; write the loss, `L = D + R + …`, in an indented line"
    cited = CITED.findall(doc)
    found = re.search(r"paper=['\"]([^'\"]+)", subject.text)
    if found and found[1] not in cited:
        said = ", ".join(cited) or "nothing"
        yield f"row says paper {found[1]}, the docstring cites {said}: make them agree, as in (arXiv:{found[1]})"


def one_class(subject: Subject) -> Problems:
    """The file imports and defines one model."""
    subject.load()
    yield from ()


def parameters(subject: Subject) -> Problems:
    """Hyper-parameters are keyword-only and have defaults, and it is built in both families of networks."""
    _, *given = inspect.signature(subject.kind.__init__).parameters.values()
    for i, p in enumerate(given):
        if i == 0 and p.kind is not p.KEYWORD_ONLY:
            continue
        if p.kind is not p.KEYWORD_ONLY:
            yield f"__init__ takes {p.name!r} by position; put a `*` after `data: Spec`"
        elif p.default is p.empty:
            yield f"__init__ gives {p.name!r} no default; suites name only what they change"
    for spec in laws.specs(subject):
        try:
            model = subject.new(spec)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            yield f"cannot be built for {spec.family} networks and {spec.likelihood} data: {said}"
        else:
            if model.channel not in CHANNELS:
                yield f"channel = {model.channel!r}: it is one of {', '.join(sorted(CHANNELS))}"


# ---- training ------------------------------------------------------------------------------------------------------


def _practice(row: Row) -> str:
    """The smallest data set that has what a model needs."""
    return "sprites" if "factors" in row.needs else "coloured" if "groups" in row.needs else "digits"


def learns(subject: Subject) -> Problems:
    """Training on digits lowers its loss, the same way every time, and a rate target is met."""
    data = registry.dataset(_practice(subject.row))
    spec = data.spec(hidden=(64,), latent=10)
    model = subject.new(spec)
    before = _score(model, data)
    free = fit(model, data, None, TRAINING)
    if free.control.status == "diverged":
        yield f"training diverged: {free.control.reason}"
        return
    after = _score(model, data)
    if not after < before - 1e-3 * abs(before):
        yield f"the loss does not fall in {TRAINING.steps} steps on digits: {before:.4g} nats before, {after:.4g} after"
    twins = [fit(subject.new(spec), data, None, TWINS).model for _ in range(2)]
    if not all(torch.equal(a, b) for a, b in zip(*(t.parameters() for t in twins), strict=True)):
        yield "two trainings with one seed give different weights: draw noise from torch.rand* alone"
    yield from _reaches(subject, free, data, spec)


def _reaches(subject: Subject, free: Trained, data: Dataset, spec: Spec) -> Problems:
    """Half the rate it takes by itself, which any price on R must lead to; of no rate there is no half."""
    if comes_after(free.model):
        sigma, found = 4.0, put_at(free, data, 4.0, TRAINING).control
    elif free.control.R_train >= 1:
        sigma = free.control.R_train / 2
        found = fit(subject.new(spec), data, sigma, TRAINING).control
    else:
        return
    if found.rate_err is None or abs(found.rate_err) > 0.2:
        yield (
            f"asked for {sigma:.3g} nats it gives {found.R_train:.3g} ({found.status}): its rate must follow a "
            "price on R, so let R's gradient reach the encoder and keep the regularizer from setting R"
        )


@torch.no_grad()
def _score(model: Model, data: Dataset) -> float:
    """D + R + regulariser of the validation set, in nats, at the end of training."""
    split = data.splits["val"]
    y = split.factors[data.label.name] if data.label else torch.full((len(split),), -1)
    torch.manual_seed(5)
    terms: Terms = model(data.seen("val", model.row)._replace(y=y))
    return float(terms.distortion.mean() + terms.rate.mean() + terms.regularizer)


ON_PAPER: tuple[Law, ...] = (file_name, imports, row, docstring)
STAGES: tuple[tuple[Law, ...], ...] = (
    ON_PAPER,
    (one_class,),
    (parameters,),
    (laws.per_example,),
    (
        laws.pure,
        laws.examples_apart,
        laws.players_apart,
        laws.no_branches,
        laws.stack,
        laws.rate_is_paid,
        laws.rate_can_be_priced,
        laws.terms_are_the_codes,
        laws.decoder_is_normalised,
        laws.labels_are_declared,
        laws.measured_without_labels,
        learns,
    ),
)
LAWS = tuple(_name(law) for stage in STAGES for law in stage)
