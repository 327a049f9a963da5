"""Content hashes and named seeds: the same input gives the same value on every machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def canonical(value: Any) -> str:
    """`value` as JSON with sorted keys and no spaces; raises `TypeError` or `ValueError` for what JSON cannot say."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any, length: int = 16) -> str:
    """The first `length` hex digits of SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:length]


def file_hash(path: Path, kind: str) -> str:
    """`sha256:…` or `md5:…` of a file's bytes."""
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"


def file_digest(path: Path, length: int = 16) -> str:
    """The first `length` hex digits of SHA-256 of a file's bytes."""
    return file_hash(path, "sha256").removeprefix("sha256:")[:length]


def named_seed(*parts: object) -> int:
    """A seed in [0, 2^63) for the purpose that `parts` name, such as `named_seed("split", "digits", 0)`."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
