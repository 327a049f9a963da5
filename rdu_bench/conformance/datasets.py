"""What is wrong with a data-set file, in words: every law that training, measuring and keys of records rely on."""

from __future__ import annotations

import ast
import inspect
import math
import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..data import Card, DataError, Dataset, Examples, Factor, GroundTruth
from .plugin import (
    NEEDS,
    Law,
    Problems,
    Subject,
    blame,
    card_cells,
    file_name,
    imports,
    law_name,
    one_class,
    parameters_of,
)

LOOKED_AT = 2000  # examples of a split that are compared one by one
ERRORS = 6.0  # standard errors a true equality may be off by
WRONG: dict[type, tuple[Any, ...]] = {int: (-1, "x"), float: (math.nan, "x"), str: ("no such thing",), tuple: ("x",)}


class DataSubject(Subject):
    """A data-set file under examination."""

    folder = "datasets"
    base = Dataset

    def new(self, **changed: Any) -> Dataset:
        """The data set loaded, with some of its parameters changed."""
        made: Dataset = self.kind()
        made.name = self.path.stem
        made.load(**{**self.params, **changed})
        return made

    @cached_property
    def data(self) -> Dataset:
        """The data set as it is loaded first."""
        return self.new()


# ---- the file ------------------------------------------------------------------------------------------------------


def card(subject: DataSubject) -> Problems:
    """The card is complete, and of literals."""
    cells, wrong = card_cells(subject, "card", Card._fields)
    yield from wrong
    if cells is None:
        if not wrong:
            yield 'the class has no card; add `card = Card(title="…", source="…", shape="…", task="…")`'
        return
    for cell in ("title", "source", "shape", "task"):
        if not cells.get(cell):
            yield f"card lacks {cell}: it is what the table of data sets shows"
    if (entropy := cells.get("entropy", "none")) not in ("exact", "differential", "none"):
        yield f"entropy = {entropy!r}: it is 'exact', 'differential' or 'none'"
    if not isinstance(provides := cells.get("provides", ()), tuple) or set(provides) - set(NEEDS):
        yield f"provides = {provides!r}: it is a tuple of {', '.join(map(repr, sorted(NEEDS)))}"


def docstring(subject: DataSubject) -> Problems:
    """The docstring says what the data are."""
    classes = [node for node in subject.tree.body if isinstance(node, ast.ClassDef)]
    if not any(map(ast.get_docstring, classes)):
        yield "the class has no docstring; say what the data are, how they were split, and what is known of H(x)"


def parameters(subject: DataSubject) -> Problems:
    """Parameters are keyword-only and have defaults."""
    yield from parameters_of(subject.kind.load, given=1)


# ---- what is loaded ------------------------------------------------------------------------------------------------


def loads(subject: DataSubject) -> Problems:
    """It loads."""
    try:
        assert subject.data
    except DataError as error:
        yield f"{error}"


def sound(subject: DataSubject) -> Problems:
    """Splits, shapes, ranges, factors, task and H(x) go together."""
    yield from subject.data.verify()


def the_same_every_time(subject: DataSubject) -> Problems:
    """Loading twice gives the same numbers, and draws nothing from the generators of others."""
    data = subject.data
    with _other_seeds():
        before = _generators()
        again = subject.new()
        after = _generators()
    for name, state in before.items():
        if state != after[name]:
            yield f"loading draws from {name}'s own generator; use numpy.random.default_rng(named_seed(…))"
    for part in sorted(set(data.splits) | set(again.splits)):
        if not _equal(data.splits.get(part), again.splits.get(part)):
            yield f"{part} differs between two loadings: draw from numpy.random.default_rng(named_seed(…)) alone"
    if data.hash != again.hash and data.hash == data.hash:
        yield f"its hash is {data.hash} and then {again.hash}"


@contextmanager
def _other_seeds() -> Iterator[None]:
    """Inside, the generators that are everybody's are in a state that no file has seen; afterwards as they were."""
    numbers, arrays = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed("other")
        np.random.seed(987654321)
        torch.manual_seed(987654321)
        try:
            yield
        finally:
            random.setstate(numbers)
            np.random.set_state(arrays)


def _generators() -> dict[str, bytes]:
    """Their states."""
    numbers, arrays, tensors = random.getstate(), np.random.get_state(), torch.get_rng_state().tolist()
    return {"random": pickle.dumps(numbers), "numpy.random": pickle.dumps(arrays), "torch": pickle.dumps(tensors)}


def _equal(a: Examples | None, b: Examples | None) -> bool:
    if a is None or b is None or len(a) != len(b) or set(a.factors) != set(b.factors):
        return False
    return all(torch.equal(a.factors[k], b.factors[k]) for k in a.factors) and all(
        torch.equal(one, other) for one, other in zip(a.chunks(), b.chunks(), strict=True)
    )


def splits_apart(subject: DataSubject) -> Problems:
    """What is tested on was not trained on, unless the splits are draws of one known population."""
    data = subject.data
    if data.population is not None:
        return
    parts = list(data.splits.items())
    for i, (name, a) in enumerate(parts):
        for other, b in parts[i + 1 :]:
            if a.source is b.source and a.rows is not None and b.rows is not None:
                shared = len(np.intersect1d(a.rows, b.rows))
                if shared:
                    yield f"{shared} rows are both in {name} and in {other}: make the splits a partition"
                    continue
            seen, asked = _keys(a), _keys(b)
            share = sum(key in seen for key in asked) / max(1, len(asked))
            if share > 0.5:
                yield f"{share:.0%} of {other} are in {name} too: make the splits a partition of what differs"


def _keys(split: Examples) -> set[bytes]:
    return {row.tobytes() for row in split.stored(slice(10 * LOOKED_AT))}


def rows_are_rows(subject: DataSubject) -> Problems:
    """Rows are the same however they are asked for, and what is given out is a copy."""
    for part, split in subject.data.splits.items():
        n = min(len(split), LOOKED_AT)
        together = split.take(slice(n))
        pieces = torch.cat([split.take(slice(i, min(i + 7, n))) for i in range(0, n, 7)])
        if not torch.equal(together, pieces):
            yield f"{part}: examples taken seven at a time are not those taken at once"
        rows = np.random.default_rng(0).integers(0, n, 50)
        if not torch.equal(split.take(rows), together[rows]):
            yield f"{part}: rows {rows[:3].tolist()}… are not what they are among all: give rows in the order asked for"
        split.take(rows).fill_(-1.0)
        if not torch.equal(split.take(slice(n)), together):
            yield f"{part}: what is given out can be written to: return a copy"
        if split.stored(slice(1)).dtype != split.source.dtype:
            yield f"{part}: rows are {split.stored(slice(1)).dtype}, but its dtype says {split.source.dtype}"


def entropies(subject: DataSubject) -> Problems:
    """What is said of H(x), and of H(y) and independence of factors, is what the examples show."""
    data = subject.data
    nats, kind = data.entropy
    said = getattr(subject.kind, "card", Card("", "", "", "")).entropy
    if kind != said and not subject.params:
        yield f"card says entropy = {said!r}, but the data set says {kind!r}"
    if (nats is None) != (kind == "none") or (nats is not None and not math.isfinite(nats)):
        yield f"H(x) = {nats} of kind {kind!r}: it is a finite number of nats, or None of kind 'none'"
    train = data.splits["train"]
    for f in data.factors:
        if f.kind == "class" and not f.frames and f.entropy is not None:
            yield from _entropy_of(f, train.factors[f.name])
    classes = [f for f in data.factors if f.kind == "class" and not f.frames]
    for i, a in enumerate(classes):
        for b in classes[i + 1 :]:
            if (a.independent or b.independent) and _dependent(a, b, train):
                yield f"{a.name} and {b.name} are said to be independent, but are not in train"


def _entropy_of(f: Factor, y: torch.Tensor) -> Problems:
    p = torch.bincount(y, minlength=f.size).double() / len(y)
    cost = -p[y].log()
    found, error = float(cost.mean()), float(cost.std()) / math.sqrt(len(y)) + f.size / len(y)
    if abs(found - float(f.entropy or 0)) > ERRORS * error:
        yield f"H({f.name}) is given as {f.entropy:.4g} nats, but its values in train have {found:.4g}"


def _dependent(a: Factor, b: Factor, split: Examples) -> bool:
    """By the G statistic, whose mean is its degrees of freedom where they are independent."""
    joint = torch.bincount(split.factors[a.name] * b.size + split.factors[b.name], minlength=a.size * b.size)
    p = joint.double().reshape(a.size, b.size) / len(split)
    expected = p.sum(1, keepdim=True) * p.sum(0)
    g = 2 * len(split) * float((p[p > 0] * (p[p > 0] / expected[p > 0]).log()).sum())
    free = (a.size - 1) * (b.size - 1)
    return g > free + ERRORS * math.sqrt(2 * max(free, 1)) + ERRORS


def provides_what_it_says(subject: DataSubject) -> Problems:
    """The card promises what the data have."""
    data = subject.data
    said = set(getattr(subject.kind, "card", Card("", "", "", "")).provides)
    if not subject.params and said != data.provides:
        yield f"card says provides = {sorted(said)}, but the data set has {sorted(data.provides)}"


def factors_can_be_chosen(subject: DataSubject) -> Problems:
    """Examples that are drawn for factors have them."""
    data = subject.data
    if not isinstance(data, GroundTruth) or not data.num_factors:
        return
    pool = data.splits["test"] if data.pool is None else data.pool
    every = np.stack([pool.factors[name].numpy() for name in data.factor_names], 1)
    wanted = every[np.random.default_rng(0).integers(0, len(every), 20)]
    for factors, x in zip(wanted, data.sample_observations_from_factors(wanted, np.random.default_rng(1)), strict=True):
        alike = pool.take(np.flatnonzero((every == factors).all(1))[:LOOKED_AT])
        if not bool((alike == torch.from_numpy(x)).flatten(1).all(1).any()):
            yield f"an example drawn for {factors.tolist()} is none of those that have these factors"
            return


def bad_parameters(subject: DataSubject) -> Problems:
    """A parameter that cannot be is refused in one sentence, by a DataError."""
    for p in inspect.signature(subject.kind.load).parameters.values():
        default = p.default
        kind = tuple if isinstance(default, list | tuple) else type(default)
        for bad in WRONG.get(kind, ()) if not isinstance(default, bool) else ():
            try:
                subject.new(**{p.name: bad}).require_sound()
            except DataError as error:
                if "\n" in str(error).strip():
                    yield f"what is said of {p.name} = {bad!r} is not one sentence: {str(error)[:100]!r}"
            except (Exception, SystemExit) as error:
                yield f"{p.name} = {bad!r}: {blame(error, subject)}; raise DataError, as check_counts does"
            else:
                if isinstance(bad, str) and not isinstance(default, str):
                    yield f"{p.name} = {bad!r} is taken without a word; raise DataError"


STAGES: tuple[tuple[Law, ...], ...] = (
    (file_name, imports, card, docstring),
    (one_class,),
    (parameters,),
    (loads,),
    (sound,),
    (
        the_same_every_time,
        splits_apart,
        rows_are_rows,
        entropies,
        provides_what_it_says,
        factors_can_be_chosen,
        bad_parameters,
    ),
)
LAWS = tuple(law_name(law) for stage in STAGES for law in stage)
