"""What pydantic finds wrong with a suite file, as sentences that name the key, the value and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

MOST = 60  # characters of a value that a sentence shows


def sentence(error: Any, known: Sequence[str]) -> str:
    """One entry of `ValidationError.errors()` in words; `known` are the keys of the table that it is in."""
    where = place(error["loc"])
    if error["type"] == "extra_forbidden":
        name = str(error["loc"][-1])
        return f"{where}: there is no such key.{close(name, known)} There are {', '.join(known)}."
    if error["type"] == "missing":
        return f"{where} is missing"
    said = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    said = {
        "tuple_type": "must be a list",
        "dict_type": "must be a table",
        "model_type": "must be a table",
        "string_type": "must be a string",
        "bool_type": "must be true or false",
        "int_type": "must be a valid integer",
        "float_type": "must be a number",
        "finite_number": "must be a finite number",
    }.get(error["type"], said)
    if error["type"] in ("too_short", "too_long"):
        few = error["type"] == "too_short"
        bound = error["ctx"]["min_length" if few else "max_length"]
        said = f"must have at {'least' if few else 'most'} {bound} {'entry' if bound == 1 else 'entries'}"
    if error["type"] == "value_error" and isinstance(error["input"], dict):
        return f"{where}: {said}" if where else said  # of a whole table, which is too much to show
    return f"{where} = {shown(error['input'])}: {said}"


def first_causes(errors: Sequence[Any]) -> list[Any]:
    """Errors without those that only follow from one further inside: a list whose entries are bad is also too short."""
    places = {error["loc"][:n] for error in errors for n in range(len(error["loc"]))}
    return [error for error in errors if error["loc"] not in places or error["type"] == "extra_forbidden"]


def place(parts: Iterable[str | int]) -> str:
    """("models", 0, "name") → `models[0].name`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{shortened(part)}" for part in parts).lstrip(".")


def shown(value: Any) -> str:
    """A value as a sentence shows it: on one line, shortened, whatever it is."""
    try:
        return shortened(repr(value))
    except (ValueError, RecursionError):  # an integer of thousands of digits, a table in a table in a table …
        return f"a very large {type(value).__name__}"


def shortened(text: str) -> str:
    """`text` on one line and of at most `MOST` characters."""
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return line if len(line) <= MOST else f"{line[: MOST - 1]}…"


def close(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'vae'?`, or nothing when no name is near."""
    near = difflib.get_close_matches(name[:100], list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
