"""The form of a record: its fields and their types, its statuses, and the versions that numbers depend on.

A record is one JSON object.  What analysis reads is checked here, strictly: a string is never taken for a number, nor
true for 1.  Fields that nobody here knows may hold anything that JSON can say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json

from .._arrays import scalar

SCHEMA = 2  # of the records written; raised when a field changes its name or its meaning
READABLE = (1, 2)  # 1 lacks `spec.sweep` and is otherwise the same
PROTOCOL = 3  # raised whenever a number would come out differently; records of two protocols do not compare

MEASURED = ("ok", "rate_missed", "unreachable", "collapsed")  # the point has numbers, whatever rate it ended at
INVALID = "invalid"  # its numbers break a law, so that they are not what they are called; kept, shown, never ranked
FAILED = ("diverged", "error")  # it has none, and counts as the null point
BAD = (INVALID, *FAILED)  # what makes a run end with exit status 1, and counts as the null point on a board
STATUSES = (*MEASURED, *BAD)
WORST_FIRST = (INVALID, *reversed(FAILED), *reversed(MEASURED))  # numbers that are not what they are called lead

TABLES = ("spec", "model", "data", "control", "values", "factors", "times", "provenance")
REQUIRED = ("schema", "key", "status", *TABLES)
NAMED = ("suite", "model", "variant", "dataset_label", "seed", "sigma", "strategy")  # what every spec says
HEAD = ("schema", "key", "status", "reason", "spec")  # what is written first, because it is read most

HEX = re.compile(r"[0-9a-f]{16}")
NAME = re.compile(r"[^\W]([\w.-]*\w)?(:\w+)?")  # of a file, or library:model


class Damaged(ValueError):
    """This is not a whole record; the message says in one sentence why not."""


class Kind(NamedTuple):
    """What a field may hold, and how that is called."""

    words: str
    fits: Callable[[Any], bool]


class Misfit(NamedTuple):
    """A field that holds what it may not."""

    place: tuple[str, ...]
    words: str


Form = Kind | Mapping[str, Any]  # a table's forms by field; "*" is that of all other fields


def _number(value: Any) -> bool:
    kind = type(value)
    return value is None or (kind is float and value - value == 0) or (kind is int and -1e300 < value < 1e300)


def _list_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or (type(value) is list and all(map(fits, value)))


_numbers = _list_of(_number)

TEXT = Kind("a text", lambda v: type(v) is str)
MODEL = Kind("the name of a file", lambda v: type(v) is str and NAME.fullmatch(v) is not None)
TEXT_OR_NULL = Kind("a text or null", lambda v: v is None or type(v) is str)
NUMBER = Kind("a finite number or null", _number)
FLAG = Kind("true, false or null", lambda v: v is None or type(v) is bool)
COUNT = Kind("a whole number from 0 on", lambda v: type(v) is int and 0 <= v < 2**63)
TARGET = Kind("a positive number or null", lambda v: v is None or (_number(v) and 0 < v < 1e6))
TABLE = Kind("a table", lambda v: type(v) is dict)
NUMBERS = Kind("a list of finite numbers", _numbers)
MATRIX = Kind("a list of lists of finite numbers", _list_of(_numbers))
TEXTS = Kind("a list of texts", _list_of(TEXT.fits))
SHAPE = Kind("a list of sizes", lambda v: type(v) is list and all(type(n) is int and 0 < n < 2**31 for n in v))
KEY = Kind("16 hex digits", lambda v: type(v) is str and HEX.fullmatch(v) is not None)
STATUS = Kind(f"one of {', '.join(STATUSES)}", lambda v: type(v) is str and v in STATUSES)
VERSION = Kind(f"one of {', '.join(map(str, READABLE))}", lambda v: type(v) is int and v in READABLE)

_OF_HEAD = {"H_y": NUMBER, "Hy_V": NUMBER, "Dy": NUMBER, "Dy_se": NUMBER, "IV": NUMBER, "IV_se": NUMBER}
_VALUES = (
    *("R_own", "R_own_se", "R_own_mc", "R_own_mc_se", "R_own_train", "R_star", "R_star_se", "I_exact", "I_exact_se"),
    *("TC", "TC_se", "TC_low", "TC_low_se", "I_low", "I_low_se", "log_N"),
    *("D", "D_se", "D_null", "D_null_se", "D_own", "D_own_se"),
    *("D_pred", "D_pred_se", "D_pred_null", "D_pred_null_se", "H_pred"),
    *("D_train", "D_star", "D_star_se", "D_per_dim", "D_bits_per_dim", "H_x", "gap_RD", "gap_RD_se", "Dy", "Dy_se"),
    *("Hy_V", "H_y", "IV", "IV_se", "Dy_sum", "U", "Ds", "leakage_s", "elbo_gen_D", "elbo_gen_R", "D_own_lost"),
    *("Dy_linear", "Dy_linear_se", "Dy_mlp", "Dy_mlp_se"),
    *("replay_gap", "draws_z", "density_gap", "memory_gap", "pairs_gap"),
)
_FACTOR = (
    *("Dy", "Dy_se", "Dy_mean", "Dy_linear", "Dy_linear_se", "Dy_mlp", "Dy_mlp_se", "Dy_bins", "Dy_bins_se", "Hy_V"),
    *("H_y", "Hy_bins", "IV", "IV_se", "IV_bins", "IV_shuffled", "IV_shuffled_se", "acc", "bal_acc", "ece"),
)
_SPEC: Form = {
    **{name: TEXT for name in ("suite", "variant", "dataset_label", "strategy", "device")},
    **{name: MODEL for name in ("model", "dataset")},
    **{name: TABLE for name in ("params", "dataset_params", "network", "budget")},
    **{"seed": COUNT, "sigma": TARGET, "protocol": COUNT, "threads": COUNT, "heads": TEXTS, "sweep": TEXTS},
    **{"chain": NUMBERS, "plugins": {"*": TEXT}},
}
_STRUCTURE: Form = {
    "clusters": {
        "from": TEXT_OR_NULL,
        "*": Kind(
            "a number, a text, null or a table of these",
            lambda v: _number(v) or type(v) in (str, bool) or (type(v) is dict and all(map(_scalar, v.values()))),
        ),
    },
    "levels": {"*": {"R_star": NUMBER, "R_star_se": NUMBER, "factors": {"*": _OF_HEAD}}},
    "blocks": {"*": {"R": NUMBER, "R_se": NUMBER, "factors": {"*": _OF_HEAD}}},
    "leakage": {"s": TEXT, "head": TEXT_OR_NULL, **dict.fromkeys(("Ds", "Ds_se", "IV", "IV_se"), NUMBER)},
    "efficiency": {
        "*": {
            **dict.fromkeys(("n", "Dy", "Dy_se"), NUMBERS),
            **dict.fromkeys(("mdl", "mdl_ratio", "sdl", "sdl_eps"), NUMBER),
            "sdl_bound": TEXT_OR_NULL,
        }
    },
    "noise": {"kind": TEXT_OR_NULL, "levels": NUMBERS, "Dy": {"*": NUMBERS}, "Dy_se": {"*": NUMBERS}},
}
_ABOUT = {"size": NUMBER, "kind": TEXT_OR_NULL, "independent": FLAG, "H_y": NUMBER, "frames": NUMBER}
FORM: Mapping[str, Any] = {
    **{"schema": VERSION, "key": KEY, "status": STATUS, "reason": TEXT_OR_NULL, "traceback": TEXT_OR_NULL},
    "spec": _SPEC,
    "model": {
        **dict.fromkeys(("title", "paper", "labels", "decoder", "objective", "channel", "side"), TEXT_OR_NULL),
        **{"n_params": NUMBER, "blocks": {"*": {"kind": TEXT_OR_NULL, "dim": NUMBER, "side": FLAG}}},
    },
    "data": {
        **dict.fromkeys(("hash", "likelihood", "sensitive"), TEXT_OR_NULL),
        **{"shape": SHAPE, "task": TEXTS, "n_train": NUMBER, "n_val": NUMBER, "n_test": NUMBER},
        "factors": {"*": _ABOUT},
    },
    "control": {
        **dict.fromkeys(("sigma", "w", "price", "beta_end", "R_train", "rate_err", "steps"), NUMBER),
        **{"kept_at": NUMBER, "last_gain": NUMBER, "capped": FLAG},
        **{"status": TEXT_OR_NULL, "reason": TEXT_OR_NULL, "strategy": TEXT_OR_NULL, "literal_ok": FLAG},
    },
    "values": {
        **dict.fromkeys(_VALUES, NUMBER),
        **dict.fromkeys(("D_source", "D_star_kind", "D_pred_source", "likelihood", "H_x_kind"), TEXT_OR_NULL),
        **{"saturated": FLAG, **{name: {"*": NUMBER} for name in ("R_parts", "R_star_parts", "R_star_w")}},
    },
    "factors": {"*": {**dict.fromkeys(_FACTOR, NUMBER), "Dy_head": TEXT_OR_NULL}},
    "folds": {"*": NUMBERS},
    "scores": {"*": NUMBER},
    "nulls": {"*": TEXT},
    "structure": _STRUCTURE,
    "mi": {"latents": TEXTS, "factors": TEXTS, "H": NUMBERS, "mean": MATRIX, "sample": MATRIX},
    "pictures": {"latents": TEXTS, "at": NUMBERS},
    "times": {"*": NUMBER},
    "provenance": {"started": NUMBER, "finished": NUMBER, "git_dirty": FLAG},
}


def _scalar(value: Any) -> bool:
    return _number(value) or type(value) in (str, bool)


def parse(raw: bytes) -> dict[str, Any]:
    """The record that a file's bytes hold; infinite numbers pass in fields that nobody knows.  Raises `Damaged`."""
    try:
        record = from_json(raw, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise Damaged(_unreadable(raw, str(error))) from None
    for misfit in misfits(record):
        raise Damaged(misfit.words)
    return record  # type: ignore[no-any-return]


_HEAD_FORM = {name: FORM[name] for name in HEAD}


def parse_head(start: bytes, end: bytes) -> dict[str, Any] | None:
    """The fields of `HEAD` from the first bytes of a record and the last few; None where these do not tell.

    Says nothing of what is between: a record whose other parts are damaged has a head all the same.
    """
    try:
        head = from_json(start, allow_inf_nan=False, cache_strings="keys", allow_partial=True)
    except ValueError:
        return None
    if type(head) is not dict or not end.rstrip().endswith(b"}") or not set(HEAD) <= set(list(head)[:-1]):
        return None
    whole = {name: head[name] for name in HEAD}
    if any(True for _ in _misfits(whole, _HEAD_FORM, ())) or any(name not in whole["spec"] for name in NAMED):
        return None
    return whole | {"times": parse_times(end)}


def parse_times(end: bytes) -> dict[str, Any]:
    """The `times` of a record, from its last bytes; empty where these do not tell."""
    rest = end.rpartition(b'"times":')[2].decode("utf-8", "replace").lstrip()
    try:
        times, _ = json.JSONDecoder().raw_decode(rest)
    except (ValueError, RecursionError):
        return {}
    return times if type(times) is dict and not any(True for _ in _misfits(times, FORM["times"], ())) else {}


def _unreadable(raw: bytes, why: str) -> str:
    if not raw.strip():
        return "it is empty"
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or raw[:3] == b"\xef\xbb\xbf":
        return "it begins with a byte order mark; records are plain UTF-8"
    return f"it is not JSON ({why})"


def misfits(record: Any) -> Iterator[Misfit]:
    """Fields of a record that are missing or hold what they may not, most basic first."""
    if type(record) is not dict:
        yield Misfit((), f"it is {short(record)}, where a record belongs")
        return
    for name in REQUIRED:
        if name not in record:
            yield Misfit((name,), f"field {name!r} is missing")
            return
    if not VERSION.fits(record["schema"]):
        read = " and ".join(map(str, READABLE))
        yield Misfit(("schema",), f"schema is {short(record['schema'])}, this version reads {read}")
        return
    yield from _misfits(record, FORM, ())
    if type(record["spec"]) is dict:
        for name in NAMED:
            if name not in record["spec"]:
                yield Misfit(("spec", name), f"field 'spec.{name}' is missing")


def _misfits(table: Mapping[str, Any], forms: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[Misfit]:
    rest = forms.get("*")
    for name, value in table.items():
        form = forms.get(name, rest)
        if form is None:
            continue
        if form is NUMBER and type(value) is float:
            if value - value != 0:
                yield _misfit((*place, name), value, NUMBER)
        elif type(form) is Kind:
            if not form.fits(value):
                yield _misfit((*place, name), value, form)
        elif type(value) is dict:
            yield from _misfits(value, form, (*place, name))
        elif value is not None or len(place) < 1:
            yield _misfit((*place, name), value, TABLE)


def _misfit(place: tuple[str, ...], value: Any, kind: Kind) -> Misfit:
    return Misfit(place, f"{'.'.join(place)} is {short(value)}, where {kind.words} belongs")


def short(value: Any) -> str:
    """A value in at most 40 letters that any terminal can show."""
    value = scalar(value)
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) > 10**20:
        return "a very large number"
    text = repr(value).encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= 40 else f"{text[:37]}…"
