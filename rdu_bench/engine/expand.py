"""Suites in, curves out: every model on every data set that has what it needs, narrowed by a selection."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from .. import budget as budgets
from .. import registry
from ..budget import Budget
from .sentences import close
from .spec import Curve
from .suite import HIGHEST, STRATEGIES, DataEntry, ModelEntry, Suite, SuiteError

STRATEGY = {"cpu": "independent", "cuda": "batched"}  # of "auto"; see README, how the numbers are made
Entry = TypeVar("Entry", ModelEntry, DataEntry)


@dataclass(frozen=True)
class Selection:
    """What is asked of a suite beyond what its file says; the defaults ask for all of it, as it is.

    Raises `SuiteError` for a value that no suite can serve.
    """

    models: tuple[str, ...] = ()  # globs of model or row names; none: all
    datasets: tuple[str, ...] = ()  # globs of data set names or labels; none: all
    sigmas: tuple[float, ...] = ()  # nats; none: the suite's
    seeds: int | None = None  # 0 to seeds − 1; None: the suite's
    budget: str | Budget | None = None  # None: the suite's
    strategy: str | None = None  # None: the suite's
    device: str = "cpu"
    threads: int = 1  # of one point
    shard: tuple[int, int] | None = None  # the i-th of n parts of the curves, i counting from 1; None: all of them

    def __post_init__(self) -> None:
        for field in ("models", "datasets"):
            given = getattr(self, field)
            object.__setattr__(self, field, (given,) if isinstance(given, str) else tuple(given))
        for sigma in self.sigmas:
            if not 0 < sigma < HIGHEST:
                raise SuiteError(f"--sigma {sigma:g}: a rate target is a positive number of nats below {HIGHEST:g}")
        object.__setattr__(self, "sigmas", tuple(dict.fromkeys(map(float, self.sigmas))))
        if isinstance(self.budget, str):
            try:
                object.__setattr__(self, "budget", budgets.find(self.budget))
            except ValueError as error:
                raise SuiteError(f"--budget {self.budget}: {error}") from error
        if self.strategy not in (None, "auto", *STRATEGIES):
            raise SuiteError(f"--strategy {self.strategy}: choose {', '.join(STRATEGIES)}")
        if self.device.split(":")[0] not in STRATEGY:
            raise SuiteError(f"--device {self.device}: choose cpu, cuda or cuda:N")
        if self.seeds is not None and self.seeds < 1:
            raise SuiteError(f"--seeds {self.seeds}: give a number of at least 1")
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            raise SuiteError(f"--shard {self.shard[0]}/{self.shard[1]}: give i/n with 1 ≤ i ≤ n, such as 1/4")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The fields, which are the keyword arguments of `rdu_bench.run` that select."""
        return tuple(field.name for field in fields(cls))


def curves(suite: Suite, selection: Selection | None = None) -> list[Curve]:
    """Every curve of a suite that `selection` keeps.

    Raises `SuiteError` when none is left, `LookupError` for the name of a plug-in that there is not.
    """
    asked = selection or Selection()
    suite = _with(suite, asked.models)
    found = list(_expand(suite, asked))
    found = _narrowed(found, "model", asked.models, suite)
    found = _narrowed(found, "dataset", asked.datasets, suite)
    if asked.sigmas:  # which a sweep has not
        found = [c if c.sigmas == (None,) else replace(c, sigmas=asked.sigmas) for c in found]
    if not found:
        raise SuiteError(f"suite {suite.name!r} has no curve for this selection")
    return _part(found, asked.shard) if asked.shard else found


def _part(found: list[Curve], shard: tuple[int, int]) -> list[Curve]:
    first, n = shard
    if first > len(found):
        raise SuiteError(f"--shard {first}/{n}: there are {len(found)} curves only; give fewer parts")
    return found[first - 1 :: n]


def _names(kind: str, curve: Curve) -> tuple[str, str]:
    return (curve.model, curve.row) if kind == "model" else (curve.dataset, curve.data_label)


def _narrowed(found: list[Curve], kind: str, globs: Sequence[str], suite: Suite) -> list[Curve]:
    """The curves whose model or data set matches one of the globs, if there are any globs."""
    for glob in globs:
        if not any(_matches(name, glob) for curve in found for name in _names(kind, curve)):
            there = sorted({_names(kind, curve)[1] for curve in found})
            raise SuiteError(f"--{kind} {glob} selects nothing: suite {suite.name!r} has {', '.join(there)}")
    if not globs:
        return found
    return [c for c in found if any(_matches(name, glob) for name in _names(kind, c) for glob in globs)]


def _with(suite: Suite, models: Sequence[str]) -> Suite:
    """The suite with models that are asked for by name and are not in it, so that a new file runs in any suite."""
    there = {entry.name for entry in _entries(suite)}
    wanted = dict.fromkeys(name.replace("-", "_") for name in models)
    new = [ModelEntry(name=name) for name in wanted if name in registry.files("models") and name not in there]
    return suite.model_copy(update={"models": (*suite.models, *new)})


def _matches(name: str, glob: str) -> bool:
    return fnmatch.fnmatchcase(name, glob.replace("-", "_")) or fnmatch.fnmatchcase(name, glob)


def _expand(suite: Suite, asked: Selection) -> Iterator[Curve]:
    strategy = asked.strategy or suite.strategy
    for head in suite.heads:
        registry.find("probes", head)
    data = [_checked("datasets", entry) for entry in suite.datasets]
    entries = [_checked("models", entry) for entry in _entries(suite)]
    _usable(suite, entries, data)
    for at in data:
        spent = asked.budget or at.budget or suite.budget
        assert isinstance(spent, Budget)  # a selection holds no name of one
        for entry in entries:
            if not any(fnmatch.fnmatchcase(at.label or at.name, glob) for glob in entry.datasets) or lacks(entry, at):
                continue
            for seed, params in itertools.product(range(asked.seeds or suite.seeds), _swept(entry)):
                yield Curve(
                    suite=suite.name,
                    suite_version=suite.version,
                    model=entry.name,
                    variant=entry.variant,
                    params=params,
                    sweep=tuple(entry.sweep),
                    dataset=at.name,
                    label=at.label,
                    dataset_params=at.params,
                    network={"family": at.family, "hidden": list(at.hidden), "latent": at.latent},
                    seed=seed,
                    sigmas=(None,) if entry.sweep else (*([None] if suite.elbo else []), *dict.fromkeys(at.sigmas)),
                    budget=spent,
                    strategy=STRATEGY[asked.device.split(":")[0]] if strategy == "auto" else strategy,
                    heads=suite.heads,
                    threads=asked.threads,
                    device=asked.device,
                )


def _swept(entry: ModelEntry) -> list[dict[str, Any]]:
    """The parameters of every curve of an entry."""
    for name, values in entry.sweep.items():
        return [{**entry.params, name: value} for value in values]
    return [entry.params]


def lacks(model: ModelEntry, data: DataEntry) -> set[str]:
    """What a model needs of the data and a data set has not."""
    provided = registry.card("datasets", data.name).get("provides", ())
    return set(registry.card("models", model.name).get("needs", ())) - set(provided)


def _usable(suite: Suite, entries: Iterable[ModelEntry], data: Sequence[DataEntry]) -> None:
    """A model that is named, not meant by `*`, must run on some data set of the suite."""
    named = {registry.find("models", m.name).stem for m in suite.models if m.name != "*"}
    for entry in entries:
        missing = [lacks(entry, at) for at in data]
        if entry.name in named and missing and all(missing):
            raise SuiteError(
                f"{entry.name} needs data with {', '.join(sorted(set.union(*missing)))}, "
                f"which no data set of suite {suite.name!r} has: add one that has, or leave {entry.name} out"
            )


def _checked(kind: str, entry: Entry) -> Entry:
    """`entry` under its file's name; raises `LookupError` for a name, `SuiteError` for a parameter there is not."""
    stem = registry.find(kind, entry.name).stem
    given = [*entry.params, *getattr(entry, "sweep", ())]  # data sets have none
    known = registry.parameters(kind, stem) if given else None
    for name in given:
        if known is not None and name not in known:
            takes = ", ".join(known) if known else "no parameters"
            raise SuiteError(f"{stem} takes no {name!r}.{close(name, known)} It takes {takes}.")
    return entry.model_copy(update={"name": stem})


def _entries(suite: Suite) -> Iterator[ModelEntry]:
    """Models in order; `*` stands for every model not named otherwise."""
    taken = {entry.name.replace("-", "_") for entry in suite.models}
    for entry in suite.models:
        if entry.name != "*":
            yield entry
            continue
        for name in registry.files("models"):
            if name not in taken:
                yield entry.model_copy(update={"name": name})
