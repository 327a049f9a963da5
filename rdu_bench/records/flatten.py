"""Records as one table, a row a point: the only place where a record becomes columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from .._hash import canonical
from .._text import library
from .laws import judged
from .schema import Damaged, misfits
from .store import Store

if TYPE_CHECKING:
    import pandas as pd

Source = Any  # a folder, a file of points, a Store, a frame, a record, or several of these but frames
CHUNK = 500  # records held as dictionaries at a time
SHOWN = ("name", "section", "measured", "autoregressive")  # columns that only `analysis.points` adds
IGNORED = 100  # files that are no records, told of by name

_ABOUT = ("title", "paper", "labels", "decoder", "objective", "channel", "side")
_TEXT = {
    *("key", "status", "reason", "suite", "dataset", "model", "variant", "params", "strategy", "path", "nulls"),
    *("folds", "structure", "title", "labels", "decoder", "D_source", "D_star_kind", "D_pred_source", "likelihood"),
    *("H_x_kind", "swept", "recipe", "differs", "data_differs"),
    *(f"model.{name}" for name in _ABOUT),
    *("data.hash", "data.likelihood", "data.sensitive", "data.H_x_kind", "data.task"),
    *(f"spec.{name}" for name in ("suite", "variant", "dataset_label", "dataset", "dataset_params", "network")),
    *(
        f"spec.{name}"
        for name in ("budget", "chain", "heads", "device", "plugins", "sweep", "model", "strategy", "params")
    ),
    *(f"provenance.{name}" for name in ("version", "python", "torch", "numpy", "sklearn", "git", "platform", "device")),
}
_NUMBERS = {
    *("schema", "sigma", "w", "beta_end", "R_train", "rate_err", "steps"),
    *("train_s", "train_cpu_s", "measure_s", "measure_cpu_s"),
    *("R_own", "R_own_se", "R_star", "R_star_se", "I_low", "log_N", "D", "D_se", "D_null", "D_null_se", "D_own"),
    *("D_star", "H_x", "gap_RD", "gap_RD_se", "Dy", "Dy_se", "Hy_V", "H_y", "IV", "IV_se", "Dy_sum", "U", "D_bits"),
    *("D_pred", "D_pred_se", "D_pred_null", "H_pred"),
    *("D_bits_per_dim", "spec.protocol", "spec.suite_version", "provenance.finished"),
}
_EXACT = ("key", "data.hash")  # digits of these that are taken for a number are lost
_FLAGS = {"asked", "literal_ok", "saturated", "capped", "current", "repeated", "published"}
_LEAD = (
    *("dataset", "model", "variant", "swept", "seed", "sigma", "status", "R_star", "R_star_se", "D", "D_se", "Dy"),
    *("Dy_se", "reason", "key", "recipe", "current"),
)
_ORDER = ["dataset", "model", "variant", "seed", "sigma", "params", "key"]
_SPEC = ("suite", "model", "variant", "seed", "sigma", "strategy")  # fields of the spec with a column of their own


def table(source: Source) -> pd.DataFrame:
    """All points of `source`, a row a point: the scalars of its records, and which row of a board each belongs to.

    `source` is the folder of a run, a Store, a record, several of these, a `.csv` or `.parquet` file of such a table,
    or a frame that already is one.  Columns are the scalars of values, control, scores and times by their names,
    `Dy[digit]` for what belongs to a factor, `data.`, `model.`, `spec.` and `provenance.` in front of what these say
    (`spec.` as JSON), `folds`, `structure` and `nulls` as JSON, `path` of the record's file, and those of
    `recipes.identified`.  Each key is there once, as it was made last.  `attrs["ignored"]` names the files that are no
    whole records.  Raises `FileNotFoundError` where there is no record, `ValueError` for a frame of another kind.
    """
    import pandas as pd

    from .recipes import identified

    ignored: list[str] = []
    if isinstance(source, pd.DataFrame):
        frame = source.drop(columns=[name for name in SHOWN if name in source])
        ignored = list(source.attrs.get("ignored", ()))
    elif isinstance(source, str | Path) and Path(source).suffix in (".csv", ".parquet"):
        frame = _read(Path(source))
    else:
        parts = list(_chunks(_records(source, ignored), ignored))
        if not parts:
            raise _nothing(source, ignored)
        frame = pd.concat(parts, ignore_index=True)
    if not {"key", "status", "spec.model", "spec.dataset_label", "spec.variant"} <= set(frame.columns):
        raise ValueError("this frame is no table of records; make one with `load_results`")
    frame = _typed(frame)
    last = frame.sort_values("provenance.finished", na_position="first", kind="stable").drop_duplicates(
        "key", keep="last"
    )
    frame = identified(frame.loc[last.index.sort_values()].reset_index(drop=True))
    frame = frame.sort_values(_ORDER, na_position="last", kind="stable", ignore_index=True)
    lead = [name for name in _LEAD if name in frame]
    frame = frame[[*lead, *sorted(set(map(str, frame.columns)) - {*lead})]]
    frame.attrs["ignored"] = ignored
    return frame


def load_results(*paths: Source) -> pd.DataFrame:
    """The points under one folder or several, or of a file of points, as `table` gives them."""
    return table(paths[0] if len(paths) == 1 else list(paths))


def records_of(source: Source) -> list[Mapping[str, Any]]:
    """Whole records of any source; those of a frame are read again from its column `path`, where it has one."""
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        source = [Path(path) for path in source["path"] if path] if "path" in source else []
    return list(_records(source, []))


def _nothing(source: Source, ignored: list[str]) -> Exception:
    parts = source if isinstance(source, list | tuple) else [source]
    places = [part for part in parts if isinstance(part, str | Path | Store)]
    damaged = f"; {len(ignored)} that were there are not whole, see `rdu-bench verify`" if ignored else ""
    if places:
        named = ", ".join(str(p.folder if isinstance(p, Store) else p) for p in places)
        return FileNotFoundError(f"no records in {named}{damaged}; `rdu-bench run` makes some")
    return ValueError(
        f"there are no records here{damaged}; run `rdu-bench run` first, or name the folder that holds records/."
    )


def _records(source: Source, ignored: list[str]) -> Iterator[Mapping[str, Any]]:
    """Whole records one after the other; a sentence for each that is not goes to `ignored`."""
    from .store import load_record

    if isinstance(source, Mapping):
        wrong = next(misfits(dict(source)), None)
        if wrong is None:
            yield source
        else:
            _ignore(ignored, f"record {source.get('key')}", wrong.words)
    elif isinstance(source, Store):
        for path, found in source.each():
            if isinstance(found, Damaged):
                _ignore(ignored, str(path), str(found))
            else:
                yield found
    elif isinstance(source, str | Path):
        path = Path(source)
        if path.suffix == ".json" and path.is_file():
            try:
                yield load_record(path) | {"path": str(path)}
            except Damaged as damaged:
                _ignore(ignored, str(path), str(damaged))
        else:
            yield from _records(Store(path), ignored)
    elif isinstance(source, Iterable):
        for part in source:
            yield from _records(part, ignored)
    else:
        raise TypeError(f"{type(source).__name__} holds no records; give a folder, records, or a table of them")


def _ignore(ignored: list[str], what: str, why: str) -> None:
    if len(ignored) < IGNORED:
        ignored.append(f"{what}: {why}")


def _chunks(records: Iterable[Mapping[str, Any]], ignored: list[str]) -> Iterator[pd.DataFrame]:
    """Frames of so many records, which take far less memory than their dictionaries."""
    import pandas as pd

    rows = _rows(records, ignored)
    while chunk := list(islice(rows, CHUNK)):
        names = dict.fromkeys(name for row in chunk for name in row)
        yield _typed(pd.DataFrame({name: pd.Series([r.get(name) for r in chunk], dtype=object) for name in names}))


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
    row["model.paper"] = _cited(model.get("paper"))
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


def _cited(paper: str | None) -> str | None:
    """An id with where it is from; alone, 1706.00400 is read as a number, without its last digits."""
    return paper and f"{library(paper)}:{paper}"


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not isinstance(value, dict | list)}


def _read(path: Path) -> pd.DataFrame:
    """A table from its file, every text as it was written."""
    import pandas as pd

    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is no table of records ({str(error).splitlines()[0]})") from error


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Every column as text ("" for none), number (NaN for none), count or flag, whatever file the table came from."""
    import pandas as pd

    columns: dict[str, Any] = {}
    for name in [*map(str, frame.columns), *(name for name in _KINDS if name not in frame.columns)]:
        column = frame[name] if name in frame.columns else None
        kind = _KINDS.get(name) or ("text" if name.startswith("Dy_head[") else None)
        if column is None:
            columns[name] = _column([None] * len(frame), kind, name)
        elif str(column.dtype) == _DTYPES.get(kind or "number", ""):
            columns[name] = column.array
        else:
            columns[name] = _column(column.tolist(), kind, name)
    return pd.DataFrame(columns, index=frame.index)


def _column(values: list[Any], kind: str | None, name: str) -> Any:
    """One column as an array of its kind; where its name says nothing, of what all its values can be."""
    import numpy as np
    import pandas as pd

    given = [None if v is None or v is pd.NA or v != v or v == "" else v for v in values]
    there = [v for v in given if v is not None]
    if kind is None:
        kind = "flag" if there and all(v is True or v is False or v in ("True", "False") for v in there) else None
        kind = kind or ("number" if all(map(_numeric, there)) else "text")
    if kind == "number":
        return np.array([float(v) if v is not None and _numeric(v) else np.nan for v in given], dtype=float)
    if kind == "count":
        return np.array([int(v) for v in there], dtype="int64")
    if kind == "flag":
        known = {"True": True, "False": False, True: True, False: False}
        return pd.array([known.get(v) for v in given], dtype="boolean")
    if name in _EXACT and any(not isinstance(v, str) for v in there):
        raise ValueError(
            f"column {name!r} of this table was read as numbers, and what it said is lost; "
            "give `load_results` the CSV file itself"
        )
    return np.array(["" if v is None else _letters(str(v)) for v in given], dtype=object)


def _letters(text: str) -> str:
    """The text with escapes for what UTF-8 cannot say."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _numeric(value: Any) -> bool:
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return False
    return True


_KINDS = {**dict.fromkeys(sorted(_TEXT), "text"), **dict.fromkeys(sorted(_NUMBERS), "number")}
_KINDS |= {**dict.fromkeys(sorted(_FLAGS), "flag"), "seed": "count"}
_DTYPES = {"number": "float64", "count": "int64", "flag": "boolean"}
