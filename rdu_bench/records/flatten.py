"""Records as one table, a row a point: the only place where a record becomes columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from .._hash import canonical
from .._text import cited
from .columns import TableError, given, meant, typed
from .laws import judged
from .parts import held_to_parts
from .schema import Damaged, misfits
from .store import Store, lacking, load_record, read_record
from .table_files import is_table, read

if TYPE_CHECKING:
    import pandas as pd

Source = Any  # a folder, a file of points, a Store, a frame, a record, or several of these
CHUNK = 500  # records held as dictionaries at a time
SHOWN = ("name", "section", "measured", "autoregressive")  # columns that only `analysis.points` adds
IGNORED = 100  # files that are no records, told of by name

_LEAD = (
    *("dataset", "model", "variant", "swept", "seed", "sigma", "status", "R_star", "R_star_se", "D", "D_se", "Dy"),
    *("Dy_se", "reason", "key", "recipe", "current"),
)
_ORDER = ["dataset", "model", "variant", "seed", "sigma", "params", "key"]
_SPEC = ("suite", "model", "variant", "seed", "sigma", "strategy")  # fields of the spec with a column of their own


def table(source: Source) -> pd.DataFrame:
    """All points of `source`, a row a point: the scalars of its records, and which row of a board each belongs to.

    `source` is the folder of a run or what was published of one, an archive of records, a Store, a record, a `.csv` or
    `.parquet` file of such a table, a frame that already is one, a row of it, or several of these; `published`, where
    there is no folder of that name, is what comes with the package.

    Columns are the scalars of values, control, scores and times by their names, `Dy[digit]` for what belongs to a
    factor, `data.`, `model.`, `spec.` and `provenance.` in front of what these say (`spec.` as JSON), `folds`,
    `structure` and `nulls` as JSON, `path` of the record's file, and those of `recipes.identified`.  Each key is there
    once, as it was made last.  `attrs["ignored"]` names the files that are no whole records, `attrs["told"]` says of
    how many keys the source has other numbers too.  Raises `FileNotFoundError` for a place without a record,
    `TableError` for a table of another kind.
    """
    import pandas as pd

    from .recipes import identified

    ignored: list[str] = []
    parts = [part for part in _parts(source, ignored) if len(part)]
    if not parts:
        raise _nothing(source, ignored)
    frame = typed(pd.concat(parts, ignore_index=True))
    told = [*(source.attrs.get("told", ()) if isinstance(source, pd.DataFrame) else ()), *_unlike(frame)]
    last = frame.sort_values("provenance.finished", na_position="first", kind="stable").drop_duplicates(
        "key", keep="last"
    )
    frame = identified(frame.loc[last.index.sort_values()].reset_index(drop=True))
    frame = frame.sort_values(_ORDER, na_position="last", kind="stable", ignore_index=True)
    lead = [name for name in _LEAD if name in frame]
    frame = frame[[*lead, *sorted(set(map(str, frame.columns)) - {*lead})]]
    frame.attrs |= {"ignored": ignored, "told": told}
    return frame


def _unlike(points: pd.DataFrame) -> list[str]:
    """A sentence where points of one key have several R*, D or D_y."""
    twice = points[points.duplicated("key", keep=False)]
    if twice.empty:
        return []
    numbers = [name for name in ("R_star", "D", "Dy", "status") if name in twice]
    apart = int((twice.groupby("key")[numbers].nunique(dropna=False) > 1).any(axis=1).sum())
    if not apart:
        return []
    many = "points are" if apart > 1 else "point is"
    return [f"{apart} {many} there twice, with other numbers: those made last are shown"]


def load_results(*paths: Source) -> pd.DataFrame:
    """The points under one folder or several, or of files of points, as `table` gives them."""
    return table(paths[0] if len(paths) == 1 else list(paths))


def records_of(source: Source, ignored: list[str] | None = None) -> list[Mapping[str, Any]]:
    """Whole records of any source; those of a table are read again from its column `path`, where they still are.

    A sentence for each that is not whole goes to `ignored`.
    """
    import pandas as pd

    found: list[Mapping[str, Any]] = []
    for leaf in _leaves(source):
        held = read(Path(leaf)) if is_table(leaf) else leaf
        if isinstance(held, pd.DataFrame):
            paths = [path for path in held["path"] if path] if "path" in held else []
            again = ((path, read_record(Path(path))) for path in paths)
            found += [record | {"path": path} for path, record in again if record is not None]
        else:
            found += _records([held], [] if ignored is None else ignored)
    return found


def _parts(source: Source, ignored: list[str]) -> Iterator[pd.DataFrame]:
    """Typed frames of all that a source holds: tables as they are, records in chunks."""
    import pandas as pd

    for kind, group in groupby(_leaves(source), lambda leaf: isinstance(leaf, pd.DataFrame) or is_table(leaf)):
        if not kind:
            yield from _chunks(_records(group, ignored), ignored)
            continue
        for leaf in group:
            if isinstance(leaf, pd.DataFrame):
                ignored += leaf.attrs.get("ignored", ())
                yield held_to_parts(given(leaf.drop(columns=[name for name in SHOWN if name in leaf])))
            else:
                yield held_to_parts(read(Path(leaf)))


def _leaves(source: Source) -> Iterator[Any]:
    """What a source is made of: frames, files, folders, stores and records, one after the other."""
    import pandas as pd

    if isinstance(source, pd.DataFrame | Mapping | Path | Store | Damaged):
        yield source
    elif isinstance(source, str):
        yield meant(source)
    elif isinstance(source, pd.Series) and "key" in source.index:
        yield source.to_frame().T  # a row of a table
    elif isinstance(source, Iterable) and not isinstance(source, bytes | bytearray):
        for part in source:
            yield from _leaves(part)
    else:
        raise TypeError(f"{type(source).__name__} holds no records; give a folder, records, or a table of them")


def _records(leaves: Iterable[Any], ignored: list[str]) -> Iterator[Mapping[str, Any]]:
    """Whole records one after the other; a sentence for each that is not goes to `ignored`.

    Raises `FileNotFoundError` for a place that holds none at all.
    """
    for leaf in leaves:
        if isinstance(leaf, Damaged):
            ignored += [str(leaf)] * (len(ignored) < IGNORED)
            continue
        if isinstance(leaf, Mapping):
            wrong = next(misfits(dict(leaf)), None)
            if wrong is None:
                yield leaf
            else:
                _ignore(ignored, f"record {leaf.get('key')}", wrong.words)
            continue
        empty = True
        for path, found in _at(leaf):
            empty = False
            if isinstance(found, Damaged):
                _ignore(ignored, str(path), str(found))
            else:
                yield found
        if empty:
            raise FileNotFoundError(lacking(leaf))


def _at(place: Any) -> Iterator[tuple[Path, dict[str, Any] | Damaged]]:
    """The records at a place, or what is wrong with their files."""
    if isinstance(place, Store):
        yield from place.each()
    elif (path := Path(place)).suffix == ".json" and path.is_file():
        try:
            yield path, load_record(path) | {"path": str(path)}
        except Damaged as damaged:
            yield path, damaged
    else:
        yield from Store(path).each()


def _nothing(source: Source, ignored: list[str]) -> Exception:
    damaged = f"; {len(ignored)} that were there are not whole, see `rdu-bench verify`" if ignored else ""
    parts = source if isinstance(source, list | tuple) else [source]
    places = [str(p.folder if isinstance(p, Store) else p) for p in parts if isinstance(p, str | Path | Store)]
    if places:
        return FileNotFoundError(f"no records in {', '.join(places)}{damaged}; `rdu-bench run` makes some")
    return TableError(
        f"there are no records here{damaged}; run `rdu-bench run` first, or name the folder that holds records/."
    )


def _ignore(ignored: list[str], what: str, why: str) -> None:
    if len(ignored) < IGNORED:
        ignored.append(f"{what}: {why}")


def _chunks(records: Iterable[Mapping[str, Any]], ignored: list[str]) -> Iterator[pd.DataFrame]:
    """Frames of so many records, which take far less memory than their dictionaries."""
    import pandas as pd

    rows = _rows(records, ignored)
    while chunk := list(islice(rows, CHUNK)):
        names = dict.fromkeys(name for row in chunk for name in row)
        yield typed(pd.DataFrame({name: pd.Series([r.get(name) for r in chunk], dtype=object) for name in names}))


def _rows(records: Iterable[Mapping[str, Any]], ignored: list[str]) -> Iterator[dict[str, Any]]:
    texts: dict[bytes, str] = {}
    for record in records:
        try:
            yield _flat(record, texts)
        except ValueError as error:  # an infinite number in a field that nobody knows
            _ignore(ignored, str(record.get("path") or f"record {record['key']}"), str(error))


def _flat(record: Mapping[str, Any], texts: dict[bytes, str]) -> dict[str, Any]:
    """One record as a row; what identifies it comes last, so that nothing measured can take its place."""

    def shared(value: Any) -> str:
        known = to_json(value)
        if known not in texts:
            texts[known] = canonical(value)
        return texts[known]

    def columns(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return {f"{prefix}{name}": shared(v) if isinstance(v, dict | list | str) else v for name, v in values.items()}

    spec, model, data, values = record["spec"], record["model"], record["data"], record["values"]
    row = (
        _scalars(record["control"]) | _scalars(record["times"]) | _scalars(values) | _scalars(record.get("scores", {}))
    )
    for factor, scores in record["factors"].items():
        row |= {f"{name}[{factor}]": value for name, value in _scalars(scores).items()}
    row |= columns("spec.", spec) | {f"model.{name}": value for name, value in _scalars(model).items()}
    row["model.paper"] = model.get("paper") and cited(model["paper"])
    row |= {f"data.{name}": value for name, value in _scalars(data).items()} | {"data.task": shared(data.get("task"))}
    row |= {f"provenance.{name}": value for name, value in _scalars(record["provenance"]).items()}
    row |= {name: model.get(name) for name in ("title", "labels", "decoder")}
    row |= {name: spec[name] for name in _SPEC} | {"dataset": spec["dataset_label"]}
    row["params"] = shared(spec.get("params") or {})
    row["spec.dataset"] = shared(spec.get("dataset", spec["dataset_label"]))
    row["spec.dataset_params"] = shared(spec.get("dataset_params") or {})
    row["H_x_kind"] = values.get("H_x_kind") or data.get("H_x_kind")
    row["D_bits"] = None if values.get("D") is None else values["D"] / math.log(2)
    for name in ("folds", "structure", "nulls"):
        row[name] = to_json(record[name]).decode("utf-8") if record.get(name) else None
    row |= {name: record.get(name) for name in ("key", "schema", "path", "asked")}
    row["status"], row["reason"] = judged(record)
    return row


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not isinstance(value, dict | list)}
