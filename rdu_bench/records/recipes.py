"""Rows and their recipes: which records may share a number, which are current, and how the others are called.

A row is a data set, a model and a variant; its recipe is everything else that decides its numbers but the target, the
seed and what is swept.  Records of two recipes are two rows.  Names of suites, devices and machines are no recipe.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from .._hash import canonical, digest

if TYPE_CHECKING:
    import pandas as pd

    Parts = pd.Series | Mapping[str, Any]  # what a recipe is made of, by its name

FIELDS = ("params", "budget", "network", "strategy", "heads", "plugins", "protocol", "dataset_params")
BASE = [
    "spec.dataset_label",
    "spec.dataset",
    "spec.dataset_params",
    "spec.model",
    "spec.variant",
]  # JSON, as all of spec
SAME = ["seed", "sigma", "params"]  # of one recipe: one point, whichever suite asked for it


def recipe_of_spec(spec: Mapping[str, Any]) -> str:
    """Hash of what a spec says of its row's recipe."""
    swept = spec.get("sweep") or ()
    kept = {name: value for name, value in (spec.get("params") or {}).items() if name not in swept}
    return digest([kept, *(spec.get(field) for field in FIELDS[1:])], 12)


def identified(table: pd.DataFrame) -> pd.DataFrame:
    """The table with `dataset` as shown, `swept`, `recipe`, and what becomes of each point.

    `current`: the point is of the recipe that was asked for last, else of the newest of its row.  `repeated`: its
    recipe has the same point, asked for or newer, from another suite or device.  `differs` and `data_differs` are
    how its recipe and its data differ from the current ones, in words.
    """
    import pandas as pd

    table = table.assign(dataset=_shown(table), finished=table["provenance.finished"].fillna(float("-inf")))
    for name in ("model", "variant"):
        table[name] = table[f"spec.{name}"].map(_json)
    for name in ("title", "labels", "decoder"):
        table[name] = table[f"model.{name}"]
    sweeps = _sweeps(table)
    table["swept"] = _each_pair(table["params"], sweeps, lambda p, s: ", ".join(f"{n} = {p[n]}" for n in s if n in p))
    table["data.hash"] = _data(table)
    made_of = _parts(table, sweeps)
    table["recipe"] = [digest(list(row), 12) for row in made_of.itertuples(index=False, name=None)]
    asked = table["asked"].fillna(False).astype(bool)
    order = pd.DataFrame(
        {"asked": asked, "finished": table["finished"], "recipe": table["recipe"], "key": table["key"]}
    )
    best = order.groupby([table[c] for c in (*BASE, "recipe")], dropna=False)[["asked", "finished"]].transform("max")
    ranked = pd.concat([best, order[["recipe"]], table[BASE]], axis=1).sort_values(["asked", "finished", "recipe"])
    newest = ranked.groupby(BASE, dropna=False)["recipe"].transform("last").reindex(table.index)
    table["current"] = table["recipe"] == newest
    latest = order.sort_values(["asked", "finished", "key"]).index
    again = table.loc[latest].duplicated([*BASE, "recipe", *SAME], keep="last")
    table["repeated"] = again.reindex(table.index)
    return _in_words(table, made_of, best).drop(columns="finished")


def _shown(table: pd.DataFrame) -> pd.Series:
    """A data set's label, or its name with its parameters, as `sprites[side=16]`; no two share one."""
    import pandas as pd

    kinds = table[BASE[:3]].drop_duplicates()
    names = []
    for label, name, params in kinds.map(_json).itertuples(index=False, name=None):
        names.append(label if label not in ("", name) else _with(name, params))
    twice = pd.Series(names).duplicated(keep=False)
    shown = {
        tuple(kind): f"{name} = {_with(_json(kind[1]), _json(kind[2]))}" if double else name
        for kind, name, double in zip(kinds.itertuples(index=False, name=None), names, twice, strict=True)
    }
    return pd.Series([shown[k] for k in table[BASE[:3]].itertuples(index=False, name=None)], table.index, dtype=object)


def _with(name: str, params: Mapping[str, Any]) -> str:
    return f"{name}[{', '.join(f'{k}={v}' for k, v in sorted(params.items()))}]" if params else name


@cache
def _json(text: str) -> Any:
    return json.loads(text) if text else {}


def _sweeps(table: pd.DataFrame) -> pd.Series:
    """Names of the parameters that each point's row sweeps, as records say them or, in schema 1, as they must be meant.

    There a row without targets is a sweep of whatever its points differ in.
    """
    import pandas as pd

    names = table["spec.sweep"].map(lambda text: tuple(_json(text) or ()))
    unsaid = table["spec.sweep"] == ""
    if unsaid.any():
        columns = [*BASE, *(f"spec.{f}" for f in FIELDS[1:-1])]
        for _, rows in table[unsaid].groupby(columns, dropna=False):
            if rows["sigma"].isna().all() and rows["params"].nunique() > 1:
                each = [_json(text) for text in rows["params"].unique()]
                differ = tuple(n for n in sorted(set().union(*each)) if len({canonical(p.get(n)) for p in each}) > 1)
                names.loc[rows.index] = pd.Series([differ] * len(rows), rows.index)
    return names


def _each_pair(params: pd.Series, sweeps: pd.Series, of: Callable[[dict[str, Any], tuple[str, ...]], str]) -> list[str]:
    """`of(parameters, swept names)` for each point, computed once for each pair."""
    pairs = list(zip(params, sweeps, strict=True))
    known = {pair: of(_json(pair[0]), pair[1]) for pair in dict.fromkeys(pairs)}
    return [known[pair] for pair in pairs]


def _data(table: pd.DataFrame) -> pd.Series:
    """Hash of the data; points that failed before they saw any take that of their row, else of their data set."""
    known = table["data.hash"].where(table["data.hash"] != "")
    if known.isna().any():
        inorder = known.loc[table.sort_values("finished").index]
        for columns in ([*BASE, "spec.plugins"], BASE, BASE[:3]):
            keys = [table.loc[inorder.index, c] for c in columns]
            known = known.fillna(inorder.groupby(keys, dropna=False).transform("last").reindex(table.index))
    return known.fillna("")


def parts(table: pd.DataFrame) -> pd.DataFrame:
    """What the recipes of an identified table's points are made of, one column each, as texts."""
    return _parts(table, _sweeps(table))


def _parts(table: pd.DataFrame, sweeps: pd.Series) -> pd.DataFrame:
    import pandas as pd

    plugins = table["spec.plugins"].map(_json)
    model = "models/" + table["model"]
    files = [p.get(name, "") for p, name in zip(plugins, model, strict=True)]
    data = [canonical({k: v for k, v in p.items() if k.startswith("datasets/")}) for p in plugins]
    fixed = _each_pair(table["params"], sweeps, lambda p, s: canonical({k: v for k, v in p.items() if k not in s}))
    return pd.DataFrame(
        {
            "file": files,
            "params": fixed,
            **terms(table),
            "data file": data,
            "schema": table["schema"].map("{:g}".format),
            "protocol": table["spec.protocol"].map("{:g}".format),
            "data": table["data.hash"],
        },
        index=table.index,
    )


TERMS = ("budget", "network", "strategy", "heads", "head files")  # what models that are compared have in common


def terms(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Each of `TERMS` as texts, a value a point."""
    heads = table["spec.plugins"].map(_heads).astype(object)
    return {name: table[f"spec.{name}"] for name in TERMS[:-1]} | {TERMS[-1]: heads}


def made_on(row: pd.DataFrame) -> dict[str, str]:
    """The terms of all points of a row, by their names."""
    return {name: str(each.iloc[0]) for name, each in terms(row[:1]).items()}


@cache
def _heads(plugins: str) -> str:
    return canonical({name: file for name, file in _json(plugins).items() if name.startswith("probes/")})


def other_terms(points: pd.DataFrame, others: pd.DataFrame) -> str:
    """How the points of one row were made on other terms than those of another, in words; "" where they were not."""
    return ", ".join(differences(made_on(points), made_on(others), TERMS))


OF_DATA = ("protocol", "data")  # numbers that differ in these never stand side by side


def _in_words(table: pd.DataFrame, made_of: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    """Adds `differs` and `data_differs`; `best` is whether a recipe was asked for, and when it was last worked on."""
    one = table[[*BASE, "recipe", "current"]].join(best).drop_duplicates([*BASE, "recipe"])
    current = one[one["current"]]
    of_row = {tuple(row[:5]): index for index, row in zip(current.index, current[BASE].values, strict=True)}
    lead = current.sort_values(["asked", "finished", "recipe"]).drop_duplicates(BASE[:3], keep="last")
    of_data = {tuple(row[:3]): index for index, row in zip(lead.index, lead[BASE].values, strict=True)}
    words: dict[tuple[Any, ...], tuple[str, str]] = {}
    taken: set[tuple[Any, ...]] = set()
    for index, row in zip(one.index, one[[*BASE, "recipe"]].values, strict=True):
        place, recipe = tuple(row[:5]), row[5]
        base, panel, finished = of_row[place], of_data[place[:3]], one["finished"]
        columns = [c for c in map(str, made_of) if c not in OF_DATA]
        differs = differences(made_of.loc[index], made_of.loc[base], columns)
        apart = differences(made_of.loc[index], made_of.loc[panel], OF_DATA)
        if index != base:
            differs.append("newer" if finished[index] > finished[base] else "older")
        if apart:
            apart.append("newer" if finished[index] > finished[panel] else "older")
        said = ", ".join(differs), ", ".join(apart)
        if (*place, *said) in taken:
            said = f"{said[0]}, recipe {recipe}", said[1]
        taken.add((*place, *said))
        words[(*place, recipe)] = said
    found = [words[key] for key in table[[*BASE, "recipe"]].itertuples(index=False, name=None)]
    return table.assign(differs=[w for w, _ in found], data_differs=[w for _, w in found])


def differences(mine: Parts, other: Parts, columns: Sequence[str]) -> list[str]:
    """How the parts of one recipe differ from those of another, in words; of the columns given."""
    return [word(c, mine[c], other[c]) for c in columns if mine[c] != other[c]]


def word(part: str, mine: str, current: str) -> str:
    """How a part of a recipe differs from that of the current one."""
    if part == "file":
        return f"file {mine[:4]}…" if mine else "file unknown"
    if part == "budget":
        return _budgets().get(mine) or _fields(mine, current)
    if part in ("params", "network"):
        return _fields(mine, current)
    if part == "heads":
        return f"heads {' '.join(_json(mine)) or 'unknown'}"
    if part in ("head files", "data file"):
        return f"{part} {digest(mine, 4)}…"
    if part == "strategy":
        return str(_json(mine))
    return f"data {mine[:4]}…" if part == "data" else f"{part} {mine}"


@cache
def _budgets() -> dict[str, str]:
    from .. import budget

    return {canonical(spent.spec()): f"budget {name}" for name, spent in budget.named().items()}


def _fields(mine: str, current: str) -> str:
    """The fields in which one table differs from another, with the values of the first."""
    a, b = _json(mine), _json(current)
    differ = [n for n in sorted({**a, **b}) if n not in a or n not in b or canonical(a[n]) != canonical(b[n])]
    return ", ".join(f"{n} {_value(a[n])}" if n in a else f"no {n}" for n in differ)


def _value(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
