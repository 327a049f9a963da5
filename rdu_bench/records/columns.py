"""What the columns of the table hold: texts, numbers, counts and flags, whatever file or frame they came in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic_core import from_json

from .. import _paths
from .._arrays import scalar
from .schema import HEX, STATUSES, short

if TYPE_CHECKING:
    import pandas as pd

WORD = "published"  # names the points that come with the package
POINTS = "points.parquet"  # of a published folder
P = TypeVar("P", str, Path)
FIX = "make one with `load_results`, and write it with `to_csv(file, index=False)` or `to_parquet(file)`"


class TableError(ValueError):
    """A file or a frame is no table of records; the message names it, what is wrong with it, and what to do."""


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
    *("schema", "sigma", "w", "beta_end", "R_train", "rate_err", "steps", "last_gain"),
    *("train_s", "train_cpu_s", "measure_s", "measure_cpu_s"),
    *("R_own", "R_own_se", "R_star", "R_star_se", "I_low", "log_N", "D", "D_se", "D_null", "D_null_se", "D_own"),
    *("D_star", "H_x", "gap_RD", "gap_RD_se", "Dy", "Dy_se", "Hy_V", "H_y", "IV", "IV_se", "Dy_sum", "U", "D_bits"),
    *("D_pred", "D_pred_se", "D_pred_null", "H_pred"),
    *("D_bits_per_dim", "spec.protocol", "spec.suite_version", "provenance.finished"),
}
_EXACT = ("key", "data.hash")  # digits of these that are taken for a number are lost
_JSON = ("params", "nulls", "folds", "structure", "data.task")  # as are all texts of `spec.`
NEEDED = ("key", "status", "seed", "spec.model", "spec.dataset_label", "spec.variant", "sigma", "R_star", "D", "Dy")
_TWICE = ("seed", "sigma", "params")  # of the specification, which these columns repeat
_FLAGS = {"asked", "literal_ok", "saturated", "capped", "current", "repeated", "published"}


def shipped() -> Path:
    """The file of the points that come with the package, those of suite `all`, in a checkout as in the wheel."""
    return _paths.builtin("results") / "all" / POINTS


def meant(place: P) -> P | Path:
    """The place, or the file of points that `published` means where nothing here is called so."""
    return shipped() if str(place) == WORD and not Path(place).exists() and shipped().is_file() else place


def given(frame: pd.DataFrame, what: str = "this frame") -> pd.DataFrame:
    """The table in a frame that came from elsewhere, typed, without the column that pandas makes of an index.

    Columns of ours that are its index are columns again, and what pandas takes for nothing, though it was a text, is
    put back where that can be told.  Raises `TableError` that names `what`, the column and the value, for what is no
    table of records and for what does not fit its column.
    """
    import pandas as pd

    frame = frame.set_axis(list(map(str, frame.columns)), axis=1)
    if index := [name for name in frame.index.names if name in COLUMNS and name not in frame.columns]:
        frame = pd.concat([frame.index.to_frame()[index], frame], axis=1)
    wrong = next(_wrong(frame), "")
    if wrong:
        raise TableError(f"{what} is no table of records: {wrong}; {FIX}")
    found = typed(frame.drop(columns=[name for name in frame.columns if name.startswith("Unnamed: ")]))
    if wrong := next(_unlike_spec(found), ""):
        raise TableError(f"{what} is no table of records: {wrong}; {FIX}")
    for name in ("D", "D_pred"):  # "null" of their sources is what pandas reads as nothing
        lost = (found[f"{name}_source"] == "") & (found[name] == found[f"{name}_null"])
        found.loc[lost, f"{name}_source"] = "null"
    return found


def _wrong(frame: pd.DataFrame) -> Iterator[str]:
    """What keeps a frame from being a table of records, in words."""
    from pandas.api.types import is_scalar

    names = list(frame.columns)
    if twice := next((name for name in names if names.count(name) > 1), None):
        yield f"its column {twice!r} is there twice"
    if lost := [name for name in NEEDED if name not in names]:
        yield f"it has no column {lost[0]!r}"
    if renamed := [name for name in names if name.startswith("Dy") and name.endswith(".")]:
        yield f"its column {renamed[0]!r} had brackets, which R keeps by read.csv(file, check.names = FALSE)"
    for name in names:
        kind, column = COLUMNS.get(name), frame[name]
        if str(column.dtype) == _DTYPES.get(kind or "", ""):
            if kind == "number" and column.abs().max() == math.inf:
                yield f"its column {name!r} holds an infinite number"
            continue
        if column.dtype == object and not all(map(is_scalar, column)):
            yield f"its column {name!r} holds lists or tables, where single values belong"
        values = column.dropna().drop_duplicates().tolist() if kind else ()
        said = kind == "text" and (name in _JSON or name.startswith("spec."))
        fits = _FITS["json" if said else kind or "text"]
        bad = next((value for value in values if value != "" and not fits(value)), None)
        if bad is not None:
            yield f"its column {name!r} holds {short(bad)}"
        if kind == "count" and (column.isna() | (column == "")).any():
            yield f"its column {name!r} has no value in some rows"
    if (odd := next((v for v in frame["key"] if isinstance(v, str) and not HEX.fullmatch(v)), None)) is not None:
        yield f"its column 'key' holds {short(odd)} where 16 hex digits belong, of which sheets may make a number"
    if not set(frame["status"]) <= set(STATUSES):
        yield f"its column 'status' holds {short(next(s for s in frame['status'] if s not in STATUSES))}"


def _unlike_spec(found: pd.DataFrame) -> Iterator[str]:
    """Columns that say something else than the specifications of their points, which they repeat, in words."""
    import pandas as pd

    for name in _TWICE:
        if (said := f"spec.{name}") not in found or name not in found:
            continue
        mine, its = found[name], found[said]
        if name == "params":
            apart = (its != "") & (mine != "") & (mine != its)
        else:
            its = pd.to_numeric(its, errors="coerce")
            apart = (mine != its) & (mine.notna() | its.notna())
        if apart.any():
            i = int(apart.to_numpy().argmax())
            yield f"its column {name!r} holds {short(mine.iloc[i])} where {said!r} holds {short(its.iloc[i])}"


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Every column as text ("" for none), number (NaN for none), count or flag, whatever file the table came from."""
    import pandas as pd

    columns: dict[str, Any] = {}
    for name in [*map(str, frame.columns), *(name for name in COLUMNS if name not in frame.columns)]:
        column = frame[name] if name in frame.columns else None
        kind = COLUMNS.get(name) or ("text" if name.startswith("Dy_head[") else None)
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

    known = [None if v is None or v is pd.NA or v != v or v == "" else v for v in values]
    there = [v for v in known if v is not None]
    if kind is None:
        kind = "flag" if there and all(map(_is_flag, there)) else None
        kind = kind or ("number" if all(map(_numeric, there)) else "text")
    if kind == "number":
        return np.array([float(v) if v is not None and _numeric(v) else np.nan for v in known], dtype=float)
    if kind == "count":
        return np.array([int(float(v)) for v in there], dtype="int64")
    if kind == "flag":
        return pd.array([_FLAG.get(v) for v in known], dtype="boolean")
    if name in _EXACT and any(not isinstance(v, str) for v in there):
        raise TableError(
            f"column {name!r} of this table was read as numbers, and what it said is lost; "
            "give `load_results` the CSV file itself"
        )
    return np.array(["" if v is None else _letters(str(v)) for v in known], dtype=object)


def _letters(text: str) -> str:
    """The text with escapes for what UTF-8 cannot say."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _numeric(value: Any) -> bool:
    try:
        return not math.isinf(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


COLUMNS = {**dict.fromkeys(sorted(_TEXT), "text"), **dict.fromkeys(sorted(_NUMBERS), "number")}
COLUMNS |= {**dict.fromkeys(sorted(_FLAGS), "flag"), "seed": "count"}
_DTYPES = {"number": "float64", "count": "int64", "flag": "boolean"}
_FLAG: dict[Any, bool] = {True: True, False: False}  # and as Python, sheets and R write them
_FLAG |= dict.fromkeys(("True", "TRUE", "true"), True) | dict.fromkeys(("False", "FALSE", "false"), False)


def _is_flag(value: Any) -> bool:
    return value in _FLAG if isinstance(value, str) else isinstance(scalar(value), bool)


def _is_json(value: Any) -> bool:
    try:
        from_json(value)
    except (ValueError, TypeError):
        return False
    return True


_FITS: dict[str, Callable[[Any], bool]] = {
    "json": _is_json,
    "text": lambda value: True,
    "number": _numeric,
    "count": lambda value: _numeric(value) and float(value).is_integer(),
    "flag": _is_flag,
}
