"""Published points beside those of a run: which of them compare, under which names, and what does not and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pandas as pd

from .._hash import canonical
from ..records.flatten import table
from ..records.recipes import BASE, TERMS, differences, parts, word
from .points import Results, named

SETS = BASE[:3]
SHARED = ["protocol", "data", "data file", *TERMS]  # that points must agree in
NAMED = 3  # rows that a sentence calls by name


class Beside(NamedTuple):
    """Points of a run with those that were put beside them, and what is to be known of these."""

    points: pd.DataFrame  # as `load_results` gives them; `published` is true for those that were put beside
    sentences: list[str]


def beside(mine: Results, theirs: Results) -> Beside:
    """Put those points of `theirs` that compare with `mine` beside these, as rows that are marked `published`.

    A point compares where `mine` has current points of the same data set with the same protocol, content of the data,
    budget, network, strategy, heads, and files of data set and heads, and a seed that is among theirs.  A row that
    `mine` has in the same recipe is taken from `mine` alone; one of another recipe, or with the name of another model
    of `mine`, is called `published` in its variant.  So no row holds points of both.  A sentence says of each kind of
    row that is not there why it is not, and where targets or seeds differ.  Raises as `table` does.
    """
    own, found = table(mine), table(theirs)
    fit = found[found["current"] & ~found["repeated"]]
    current = own[own["current"]]
    sentences: list[str] = []
    for choose in (_comparable, _of_seeds, _not_yours):
        kept, said = choose(current, fit)
        sentences += said
        fit = kept
    sentences += _other_recipes(current, fit)
    fit = _renamed(current, fit)
    sentences += [*_seeds_lacking(current, fit), *_other_targets(current, fit)]
    own = own[own["current"] | ~own["key"].isin(fit["key"])]  # an older recipe of one's own, which is the published one
    joined = table(pd.concat([own.assign(published=False), fit.assign(published=True, path="")], ignore_index=True))
    joined.attrs |= {name: own.attrs.get(name, []) for name in ("ignored", "told")} | {"beside": sentences}
    return Beside(joined, sentences)


def _sets(points: pd.DataFrame) -> pd.Series:
    """The data set of each point: label, name and parameters."""
    return _tuples(points, SETS)


def _tuples(points: pd.DataFrame, columns: list[str]) -> pd.Series:
    return pd.Series([*points[columns].itertuples(index=False, name=None)], points.index, dtype=object)


def _comparable(mine: pd.DataFrame, theirs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Points of recipes that share with some of `mine` all that they must, and why the others do not."""
    yours, facts = parts(mine)[SHARED], parts(theirs)[SHARED]
    known = {key: yours.loc[index].drop_duplicates() for key, index in _by_place(_sets(mine))}
    reasons: dict[tuple[str, ...], str] = {}
    rows = _tuples(theirs, [*BASE, "recipe"])
    for row, index in _by_place(rows):
        there = known.get(row[:3])
        reasons[row] = "your run has no points there" if there is None else _apart(facts.loc[index[0]], there)
    why = rows.map(reasons)
    return theirs[why == ""], _grouped(theirs[why != ""].assign(why=why))


def _apart(facts: pd.Series, yours: pd.DataFrame) -> str:
    """How a recipe differs from the nearest of yours in what both must share; "" where it does not."""
    nearest = yours.iloc[int((yours == facts).sum(axis=1).to_numpy().argmax())]
    differ = [part for part in SHARED if facts[part] != nearest[part]]
    if "heads" in differ and "head files" in differ:
        differ.remove("head files")  # which must differ then
    said = []
    for part in differ:
        here = word(part, nearest[part], facts[part]) if nearest[part] else "unknown"
        said.append(f"{word(part, facts[part], nearest[part])}, yours {here.removeprefix(f'{part} ')}")
    return "; ".join(said)


def _grouped(rows: pd.DataFrame) -> list[str]:
    """A sentence for each data set and reason, with the names of the rows where they are few."""
    said = []
    for (dataset, why), part in rows.groupby(["dataset", "why"], sort=True):
        names = [*dict.fromkeys(f"{model} {variant}".strip() for model, variant in part[["model", "variant"]].values)]
        who = ", ".join(names) if len(names) <= NAMED else f"{len(names)} rows"
        said.append(f"{who} on {dataset}: {why}")
    return said


def _of_seeds(mine: pd.DataFrame, theirs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Points of seeds that `mine` has on their data set, so that nothing is missing for the seeds of others."""
    yours = set(zip(_sets(mine), mine["seed"], strict=True))
    paired = pd.Series([pair in yours for pair in zip(_sets(theirs), theirs["seed"], strict=True)], theirs.index)
    paired = paired.astype(bool)
    said = [
        f"{len(part)} point{'s' * (len(part) != 1)} on {dataset}: seed {_listed(part['seed'])}, which your run has not"
        for dataset, part in theirs[~paired].groupby("dataset", sort=True)
    ]
    return theirs[paired], said


def _not_yours(mine: pd.DataFrame, theirs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Rows that `mine` has not in the same recipe; of the others, its own points are used."""
    rows = _tuples(theirs, [*BASE, "recipe"])
    again = rows.isin({*_tuples(mine, [*BASE, "recipe"])}) | rows.isin({*rows[theirs["key"].isin(mine["key"])]})
    said = [
        f"{f'{model} {variant}'.strip()} on {dataset}: your own points are used, {len(part)} published left out"
        for (dataset, model, variant), part in theirs[again].groupby(["dataset", "model", "variant"], sort=True)
    ]
    return theirs[~again], said


def _other_recipes(mine: pd.DataFrame, theirs: pd.DataFrame) -> Iterator[str]:
    """Rows of both, each in a recipe of its own: of which one is compared with others, as a reference is."""
    both = _tuples(theirs, BASE).isin({*_tuples(mine, BASE)})
    for dataset, model, variant in theirs[both][["dataset", "model", "variant"]].drop_duplicates().values:
        row = f"{model} {variant}".strip()
        yield (
            f"{row} on {dataset}: yours is of another recipe than the published one, which has a row of its own; "
            f"what is compared with {row} is compared with yours"
        )


def _renamed(mine: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """The points, with another variant where `mine` has a row of that place, or another model of that name."""
    if theirs.empty:
        return theirs
    yours, facts = parts(mine), parts(theirs)
    places = {place: index[0] for place, index in _by_place(_tuples(mine, BASE))}
    held = {*places, *_tuples(theirs, BASE)}
    owners = {name: row for name, *row in named(mine)[["name", "model", "variant"]].values}
    names = named(theirs).set_index("key")["name"]
    out = theirs.copy()
    for place, index in _by_place(_tuples(theirs, BASE)):
        row = theirs.loc[index[0]]
        mixed = owners.get(names[row["key"]], [row["model"], row["variant"]]) != [row["model"], row["variant"]]
        if place not in places and not mixed:
            continue
        base = places.get(place)
        differ = differences(facts.loc[index[0]], yours.loc[base], [*map(str, facts)]) if base is not None else []
        variant, title = ", ".join(filter(None, [row["variant"], "published", *differ])), row["title"] or row["model"]
        while (*place[:4], canonical(variant)) in held or f"{title} ({variant})" in owners:  # as `mine` may claim
            variant += f", recipe {row['recipe']}"
        held.add((*place[:4], canonical(variant)))
        out.loc[index, "variant"], out.loc[index, "spec.variant"] = variant, canonical(variant)
    return out


def _by_place(places: pd.Series) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    """Each place with the labels of its points, in their order."""
    found: dict[tuple[str, ...], list[Any]] = {}
    for label, place in places.items():
        found.setdefault(place, []).append(label)
    yield from found.items()


def _seeds_lacking(mine: pd.DataFrame, theirs: pd.DataFrame) -> Iterator[str]:
    for dataset, yours, published in _each_set(mine, theirs):
        more = set(yours["seed"]) - set(published["seed"])
        if more:
            yield f"{dataset}: the published rows lack seed {_listed(more)}, so that yours compare by their other seeds"


def _other_targets(mine: pd.DataFrame, theirs: pd.DataFrame) -> Iterator[str]:
    for dataset, yours, published in _each_set(mine, theirs):
        here, there = (set(part["sigma"].dropna()) for part in (yours, published))
        if here != there:
            yield (
                f"{dataset}: your targets are {_listed(here)} nats and those of the published rows {_listed(there)}; "
                "hulls over other ranges are not like for like"
            )


def _each_set(mine: pd.DataFrame, theirs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Each data set of both: how it is shown, your points, and the published ones."""
    sets, others = _sets(mine), _sets(theirs)
    for key in dict.fromkeys(others):
        yours = mine[sets == key]
        yield str(yours["dataset"].iloc[0]), yours, theirs[others == key]


def _listed(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:g}" for number in sorted(set(numbers))) or "none"
