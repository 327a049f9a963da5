"""What is left to do of curves: their points that have no record that counts.

A folder is looked at once where a run begins, and what was seen is handed on; that of a single curve is looked at again
by those who hold its lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from .._hash import digest
from ..records.laws import judged
from ..records.schema import BAD, Damaged
from ..records.store import Store, load_head
from .spec import Curve

Targets = tuple[float | None, ...]


class Seen(NamedTuple):
    """What a folder held when it was looked at."""

    store: Store  # in which points that are made again count as missing
    left: list[Targets]  # the targets without a record, a curve each


def look(curves: Iterable[Curve], store: Store, *, retry_failed: bool = False) -> Seen:
    """Read the records of all points of `curves`, each once and no others.

    With `retry_failed` those that failed or break a law are left to do, too.
    """
    left, again = list[Targets](), list[dict[str, Any]]()
    for curve in curves:
        mine = []
        for sigma in curve.sigmas:
            spec = curve.spec(sigma)
            record = store.of(spec)
            bad = retry_failed and record is not None and judged(record)[0] in BAD
            if bad:
                again.append(spec)
            if bad or record is None:
                mine.append(sigma)
        left.append(tuple(mine))
    return Seen(store.retrying(again) if again else store, left)


def missing(curve: Curve, store: Store) -> Targets:
    """The targets of a curve that have no record, or an outdated one, as it is now."""
    return tuple(sigma for sigma in curve.sigmas if not store.has(curve.spec(sigma)))


def shares(curves: Iterable[Curve], left: Iterable[Targets]) -> int:
    """Parts of what is left to do of curves that can be done side by side."""
    return sum(len(targets) if curve.divisible else bool(targets) for curve, targets in zip(curves, left, strict=True))


def heads(curves: Sequence[Curve], store: Store) -> Iterator[Mapping[str, Any]]:
    """The heads of the records that points of `curves` have, see `Store.heads`; no file is read as a whole."""
    for curve in curves:
        for sigma in curve.sigmas:
            spec = curve.spec(sigma)
            with suppress(Damaged):
                yield load_head(store.path(spec, digest(spec)))
