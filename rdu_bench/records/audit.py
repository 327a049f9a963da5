"""What is wrong with records: their form, their keys, their vectors, and the laws their numbers must keep."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._hash import canonical, digest
from .laws import FINGERPRINT, check, missing, one_training
from .raw import read_file
from .schema import FAILED, Damaged, misfits
from .store import Store, load_record

if TYPE_CHECKING:
    import numpy as np

ARRAYS = ("pictures/", "latents/")  # what lies beside a record and is no number a test point


def audit(store: Store) -> Iterator[tuple[Path, list[str]]]:
    """Every record file with what is wrong with it, one sentence each."""
    hashes: dict[str, str] = {}
    seeds: dict[str, dict[int, list[list[float]]]] = {}
    bare = store.without_vectors
    for path in store.paths():
        try:
            record = load_record(path)
        except Damaged as damaged:
            yield path, [f"it is not a whole record and is ignored: {damaged}; delete it and run again"]
            continue
        found = faults(record)
        if store.path(record["spec"], record["key"]) != path:
            found.append("it does not lie where its spec belongs")
        try:
            found += [] if bare else vector_faults(record, store.vectors(record))
        except ValueError as error:
            found.append(str(error))
        lacking = missing(record)
        twice = _twice(path)
        yield path, [*found, *twice, *lacking, *check(record), *_data_faults(record, hashes), *_copied(record, seeds)]


def _twice(path: Path) -> list[str]:
    """A field that a record's file has twice, of which readers take the last."""
    found: list[str] = []

    def pairs(given: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(given)
        if len(made) < len(given):
            [(name, _)] = Counter(name for name, _ in given).most_common(1)
            found.append(name)
        return made

    json.loads(read_file(path), object_pairs_hook=pairs)
    return [f"field {found[0]!r} is there twice"] if found else []


def _data_faults(record: Mapping[str, Any], hashes: dict[str, str]) -> Iterator[str]:
    """The same data set with the same parameters must have been the same data."""
    spec, content = record["spec"], record["data"].get("hash")
    if content is None:
        return
    name = spec.get("dataset", spec["dataset_label"])
    made = canonical([name, spec.get("dataset_params"), spec.get("plugins", {}).get(f"datasets/{name}")])
    first = hashes.setdefault(made, content)
    if first != content:
        yield f"its data have the hash {content}, those of other records of {name} have {first}"


def _copied(record: Mapping[str, Any], seeds: dict[str, dict[int, list[list[float]]]]) -> Iterator[str]:
    """No two seeds have the same numbers, to six digits, unless one of them is the other under another name.

    `seeds` holds the numbers of the points of each seed of each row, and gets those of this record.
    """
    import numpy as np

    spec, values = record["spec"], record["values"]
    numbers = [values.get(name) for name in FINGERPRINT]
    if None in numbers:
        return
    row = seeds.setdefault(canonical([spec["dataset_label"], spec["model"], spec["variant"]]), {})
    for seed, points in row.items():
        if seed != spec["seed"] and one_training(np.array(numbers), np.array(points)).any():
            yield f"its R*, R_own and D are to six digits those of seed {seed}: one seed is no other"
            break
    row.setdefault(spec["seed"], []).append(numbers)


def faults(record: Mapping[str, Any]) -> list[str]:
    """What is wrong with the form of a record, one sentence each."""
    found = [misfit.words for misfit in misfits(record)]
    if found:
        return found
    try:
        canonical(record)
    except (TypeError, ValueError):
        return [*found, "it holds NaN or infinity"]
    if digest(record["spec"]) != record["key"]:
        found.append(f"key {record['key']} is not the hash of its spec, {digest(record['spec'])}")
    if record["status"] in FAILED and not record.get("reason"):
        found.append("it failed without a reason")
    return found


def vector_faults(record: Mapping[str, Any], vectors: Mapping[str, np.ndarray]) -> list[str]:
    """What is wrong with the vectors of a record, one sentence each: they must have the means that it gives."""
    import numpy as np

    values = record["values"]
    given = {"R_i": values.get("R_own"), "R_star_i": values.get("R_star"), "D_i": values.get("D")}
    given |= {f"Dy_i/{name}": factor.get("Dy") for name, factor in record["factors"].items()}
    found = []
    for name, mean in given.items():
        if mean is None:
            continue
        if name not in vectors:
            found.append(f"the vector {name} is missing")
        elif not np.isclose(vectors[name].astype(float).mean(), mean, rtol=1e-4, atol=1e-4):
            found.append(f"the mean of the vector {name} is {vectors[name].mean():.5f}, not {mean:.5f} nats")
    if len({len(vector) for name, vector in vectors.items() if not name.startswith(ARRAYS)}) > 1:
        found.append("its vectors differ in length")
    return found
