"""Suites in, curves out: every model on every data set that has what it needs, narrowed by a selection."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import _adapters, _near, registry
from ..budget import Budget
from .named_files import as_found, with_files
from .parameters import checked
from .selection import STRATEGY, Selection, matches
from .sentences import close, place, shown
from .spec import Curve, hashed
from .suite import DataEntry, ModelEntry, Suite, SuiteError, names, read

if TYPE_CHECKING:
    from ..data import About

MOST = 100_000  # curves of one suite


class Expansion(NamedTuple):
    """What becomes of a suite."""

    curves: list[Curve]
    left_out: list[str]  # files of models/ that `*` would have meant and that cannot be used, a sentence each
    notes: list[str]  # what was done to what files hold that are data sets, a sentence each


@dataclass(frozen=True)
class Resolved:
    """A suite whose entries are known to be plug-ins that there are, under the names of their files."""

    suite: Suite
    models: list[ModelEntry]
    datasets: list[DataEntry]
    heads: tuple[str, ...]
    found: dict[str, About]  # label of each data set that is a file → what is known of it

    def lacks(self, model: ModelEntry, data: DataEntry) -> set[str]:
        """What a model needs of the data and a data set has not."""
        return self._needs[model.name] - self.provides(data)

    def provides(self, data: DataEntry) -> set[str]:
        """What a data set has that models may ask for: what its card promises, or what its file says."""
        known = self.found.get(data.label)
        return set(known.provides) if known else self._provides[data.name]

    @cached_property
    def _needs(self) -> dict[str, set[str]]:
        names = {entry.name for entry in self.models}
        return {name: set(registry.card("models", name).get("needs", ())) for name in names}

    @cached_property
    def _provides(self) -> dict[str, set[str]]:
        names = {entry.name for entry in self.datasets}
        return {name: set(registry.card("datasets", name).get("provides", ())) for name in names}


def curves(suite: Suite, selection: Selection | None = None) -> list[Curve]:
    """Every curve of a suite that `selection` keeps.

    Raises `SuiteError` for what no curve can be made of, and when none is left; `LookupError` for the name of a
    plug-in that there is not, `PluginError` for a plug-in that is named and cannot be used.
    """
    return expand(suite, selection).curves


def expand(suite: Suite, selection: Selection | None = None) -> Expansion:
    """As `curves`, and what was left out of `*` because it cannot be used.  Raises as `curves`."""
    asked = selection or Selection()
    suite, datasets = with_files(suite, asked.datasets)
    resolved = resolve(_with(suite, asked.models))
    found = list(itertools.islice(_expanded(resolved, asked), MOST + 1))
    if len(found) > MOST:
        raise SuiteError(f"suite {suite.name!r} has more than {MOST} curves; give fewer seeds, models or swept values")
    found = _narrowed(found, "model", asked.models, suite)
    _able(resolved, {curve.model for curve in found}, datasets)
    found = _narrowed(found, "dataset", datasets, suite)
    if asked.sigmas:  # which a sweep has not
        found = [c if c.sigmas == (None,) else replace(c, sigmas=asked.sigmas) for c in found]
    if not found:
        raise SuiteError(f"suite {suite.name!r} has no curve: none of its models can run on any of its data sets")
    if asked.shard:
        found = _part(found, asked.shard)
    hashed(found)
    starred = any(entry.name == "*" for entry in suite.models)
    labels = dict.fromkeys(curve.data_label for curve in found)
    notes = [f"{label}: {said}" for label in labels if label in resolved.found for said in resolved.found[label].notes]
    return Expansion(found, registry.trouble("models") if starred else [], notes)


def _able(resolved: Resolved, models: set[str], asked: Sequence[str]) -> None:
    """Raises `SuiteError` for the label of a file, named by itself, that has not what any of the models asked needs."""
    for at in (at for at in resolved.datasets if at.label in asked and at.label in resolved.found):
        given = [entry for entry in resolved.models if entry.name in models and on(entry, at)]
        lacks = [resolved.lacks(entry, at) for entry in given]
        if given and all(lacks):
            needs = ", ".join(sorted(set.union(*lacks)))
            notes = "".join(f" {note}." for note in resolved.found[at.label].notes)
            names = ", ".join(dict.fromkeys(entry.name for entry in given))
            raise SuiteError(f"{names} on {at.label}: it needs data with {needs}, which that file has not.{notes}")


def _part(found: list[Curve], shard: tuple[int, int]) -> list[Curve]:
    first, n = shard
    if first > len(found):
        raise SuiteError(f"--shard {first}/{n}: there are {len(found)} curves only; give fewer parts")
    return found[first - 1 :: n]


def _names(kind: str, curve: Curve) -> tuple[str, str]:
    return (curve.model, curve.row) if kind == "model" else (curve.dataset, curve.data_label)


def _narrowed(found: list[Curve], kind: str, globs: Sequence[str], suite: Suite) -> list[Curve]:
    """The curves whose model or data set matches one of the globs, if there are any globs.

    The label of a data set means that one alone, and no other label of the same data.
    """
    for glob in globs:
        if not any(matches(name, glob) for curve in found for name in _names(kind, curve)):
            there = sorted({_names(kind, curve)[1] for curve in found})
            hint = _near.several(f"--{kind}", glob, [*there, *registry.files(f"{kind}s")])
            hint = hint or _near.a_file(f"{kind}s", glob) or close(glob, there) or _elsewhere(kind, glob)
            raise SuiteError(
                f"--{kind} {shown(glob)[1:-1]} selects nothing: suite {suite.name!r} has {', '.join(there)}.{hint}"
            )
    if not globs:
        return found
    labels = {c.data_label for c in found} if kind == "dataset" else set()

    def meant(curve: Curve, glob: str) -> bool:
        return curve.data_label == glob if glob in labels else any(matches(n, glob) for n in _names(kind, curve))

    return [c for c in found if any(meant(c, glob) for glob in globs)]


def _elsewhere(kind: str, glob: str) -> str:
    """What a name may mean that is none of a suite's: a data set of other suites, a file, a title."""
    stem = glob.replace("-", "_")
    if kind == "dataset" and stem in registry.files("datasets"):
        having = [name for name in names() if any(stem == at.name.replace("-", "_") for at in read(name).datasets)]
        if having:
            return f" {stem} is in suite{'s' * (len(having) > 1)} {', '.join(having)}."
        return f" No suite has {stem}: `rdu-bench new suite NAME` writes one to put it into."
    return _near.near(f"{kind}s", glob)


def _with(suite: Suite, models: Sequence[str]) -> Suite:
    """The suite with models that are asked for by name and are not in it, so that a new file runs in any suite."""
    there = {entry.name.replace("-", "_") for entry in suite.models}
    known = registry.scan("models")
    new = []
    for name in dict.fromkeys(name.replace("-", "_") for name in models):
        adapted = _adapters.is_adapted(name) and not set(name) & set("*?[")
        there_is = adapted or name in known.files or name in known.trouble
        if name not in there and there_is:
            starred = "*" in there and name in _usable()
            new += [] if starred else [ModelEntry(name=registry.full_name("models", name))]
    return suite.model_copy(update={"models": (*suite.models, *new)})


def resolve(suite: Suite) -> Resolved:
    """Every plug-in of a suite looked up, its parameters checked, and every pattern seen to match something.

    Raises as `curves`.
    """
    heads = tuple(dict.fromkeys(registry.find("probes", head).stem for head in suite.heads))
    data, found = as_found([checked("datasets", entry, ("datasets", i)) for i, entry in enumerate(suite.datasets)])
    labels = [at.label or at.name for at in data]
    models: list[ModelEntry] = []
    for i, entry in enumerate(suite.models):
        for j, glob in enumerate(entry.datasets):
            if not any(matches(label, glob) for label in labels):
                where = place(("models", i, "datasets", j))
                hint = close(glob, labels)
                raise SuiteError(f"{where} = {shown(glob)}: no data set of the suite has that label.{hint}")
        models += _meant(entry, suite) if entry.name == "*" else [checked("models", entry, ("models", i))]
    resolved = Resolved(suite, models, data, heads, found)
    for i, at in enumerate(data):
        if at.family != "mlp" and not {"image", "sequence"} & resolved.provides(at):
            raise SuiteError(
                f"datasets[{i}].family = {at.family!r}: {at.name} provides neither 'image' nor 'sequence'; take "
                "family = 'mlp', or name it in the card of the data set"
            )
        shape = registry.card("datasets", at.name).get("shape", "")
        if at.family == "study" and not at.params and not re.search(r"(?<!\d)64\s*[x×]\s*64(?!\d)", shape):
            raise SuiteError(
                f"datasets[{i}].family = 'study': its networks are for images of 64×64, and {at.name} has {shape}; "
                "take family = 'conv'"
            )
    _runnable(resolved)
    return resolved


def _usable() -> list[str]:
    """Models whose files describe themselves as they should."""
    usable = []
    for name in registry.files("models"):
        try:
            registry.card("models", name)
        except registry.PluginError:
            continue
        usable.append(name)
    return usable


def _meant(star: ModelEntry, suite: Suite) -> list[ModelEntry]:
    """The models that `*` stands for: all that can be used and are not there by name."""
    taken = {entry.name.replace("-", "_") for entry in suite.models}
    names = [name for name in _usable() if name not in taken]
    if star.params or star.sweep:
        return [checked("models", star.model_copy(update={"name": name}), (name,)) for name in names]
    return [star.model_copy(update={"name": name}) for name in names]


def _expanded(resolved: Resolved, asked: Selection) -> Iterator[Curve]:
    suite = resolved.suite
    strategy = asked.strategy or suite.strategy
    for at in resolved.datasets:
        spent = asked.budget or at.budget or suite.budget
        assert isinstance(spent, Budget)  # a selection holds no name of one
        for entry in resolved.models:
            if not on(entry, at) or resolved.lacks(entry, at):
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
                    sigmas=_targets(entry, at, suite),
                    budget=spent,
                    strategy=STRATEGY[asked.device.split(":")[0]] if strategy == "auto" else strategy,
                    heads=resolved.heads,
                    threads=asked.threads,
                    device=asked.device,
                )


def _swept(entry: ModelEntry) -> list[dict[str, Any]]:
    """The parameters of every curve of an entry."""
    for name, values in entry.sweep.items():
        return [{**entry.params, name: value} for value in dict.fromkeys(values)]
    return [entry.params]


def _targets(entry: ModelEntry, at: DataEntry, suite: Suite) -> tuple[float | None, ...]:
    """Target rates of a model on a data set, in nats; None is the ELBO, the one point of each value of a sweep."""
    free = suite.elbo if entry.elbo is None else entry.elbo
    found = (None,) if entry.sweep else (*([None] if free else []), *dict.fromkeys(at.sigmas))
    if not found:
        raise SuiteError(
            f"{at.label or at.name} has sigmas = [] and {entry.name} has elbo = false, which leaves nothing to do: "
            "give target rates, or leave elbo out"
        )
    return found


def on(model: ModelEntry, data: DataEntry) -> bool:
    """Whether a suite gives the model that data set."""
    return any(matches(data.label or data.name, glob) for glob in model.datasets)


def _runnable(resolved: Resolved) -> None:
    """A model that is named, not meant by `*`, must run on some of the data sets that it is given."""
    named = {m.name.replace("-", "_") for m in resolved.suite.models if m.name != "*"}
    for entry in resolved.models:
        missing = [resolved.lacks(entry, at) for at in resolved.datasets if on(entry, at)]
        if entry.name in named and all(missing):
            raise SuiteError(
                f"{entry.name} needs data with {', '.join(sorted(set.union(*missing)))}, which no data set that suite "
                f"{resolved.suite.name!r} gives it has: add one that has, or leave {entry.name} out"
            )
