"""Points of a run, a published folder or a submission, trained and measured again from their specs, and compared."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .. import _files, _paths, registry
from .._hash import named_seed
from ..budget import Budget
from ..progress import watch, where
from ..records.audit import faults
from ..records.laws import judged
from ..records.schema import MEASURED, PROTOCOL
from ..records.store import Store
from .left import look, shares
from .pace import spent
from .ready import without_files
from .run import RUNS, How, check_device, name_folders, terminable
from .scheduler import execute
from .spec import Curve
from .submission import FOLDER, SubmissionError, changed, unpacked

NUMBERS = {"R*": "R_star", "D": "D", "D_y": "Dy"}  # nats
ERRORS, SHARE = 3.0, 0.02  # standard errors, and share of a number, by which it may differ


class Draw(NamedTuple):
    """Which points to make again, and where."""

    place: Path  # folder or archive that holds the records
    sample: int = 5
    seed: int = 0
    out: Path | None = None  # None: results/runs/reproduced-NAME


class Planned(NamedTuple):
    """Points that were drawn, before any is made."""

    folder: Path
    records: list[dict[str, Any]]
    of: int  # points that they were drawn from
    curves: dict[str, Curve]  # by the key of the record
    refused: dict[str, str]  # key of a record → why its point is not made again
    files: list[str]  # of the submission, which run here


class Again(NamedTuple):
    """A point, and what came of making it again."""

    where: str
    outcome: str  # same, differs, or not made
    words: str


def plan(draw: Draw, data_dir: str | Path | None = None) -> Planned:
    """Draw points by a named seed, and lay the plug-in files of a submission beside where they will be made.

    Raises `FileNotFoundError` where there is no point to draw, `SubmissionError` for a folder inside the submission.
    """
    name_folders(data_dir, ())
    records = sorted((r for r in Store(draw.place).records() if judged(r)[0] in MEASURED), key=lambda r: str(r["key"]))
    if not records:
        raise FileNotFoundError(
            f"{draw.place} holds no point with status {' or '.join(MEASURED)}, so none can be drawn"
        )
    folder = draw.out or RUNS / f"reproduced-{draw.place.resolve().stem}"
    if draw.place.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise SubmissionError(f"--out {folder} lies in {draw.place}, which stays as it is: give another folder")
    _files.check_folder(folder, make=True)
    drawn = random.Random(named_seed("reproduce", draw.seed)).sample(records, min(draw.sample, len(records)))
    files = unpacked(draw.place, folder / FOLDER)
    if files:
        _paths.add_plugins(folder / FOLDER)
    curves, refused = dict[str, Curve](), dict[str, str]()
    for record in drawn:
        try:
            curves[record["key"]] = curve_of(record)
        except (LookupError, ValueError, TypeError, registry.PluginError) as error:
            refused[record["key"]] = str(error)
    return Planned(folder, drawn, len(records), curves, refused, files)


def curve_of(record: Mapping[str, Any]) -> Curve:
    """The curve that holds the point of a record, and those above it that a `continuation` starts from.

    Raises `SubmissionError` for a point that cannot be made again here.
    """
    spec = record["spec"]
    if wrong := faults(record):
        raise SubmissionError(f"its record is at fault: {wrong[0]}")
    if spec.get("protocol") != PROTOCOL:
        raise SubmissionError(f"it was made under protocol {spec.get('protocol')}, and this version has {PROTOCOL}")
    for plugin, then in spec.get("plugins", {}).items():
        if trouble := changed(plugin, then):
            raise SubmissionError(trouble)
    try:
        curve = _curve(spec)
        same = curve.key(spec["sigma"]) == record["key"]
    except (KeyError, TypeError, ValueError) as error:
        raise SubmissionError(f"its spec is none of this version ({error})") from error
    if not same:
        here = curve.spec(spec["sigma"])
        differ = ", ".join(name for name in sorted({*here, *spec}) if here.get(name) != spec.get(name))
        raise SubmissionError(f"this version would make it with another {differ}")
    check_device(curve.device)
    if lost := without_files([curve]):
        raise SubmissionError(" ".join(lost.values()))
    return curve


def _curve(spec: Mapping[str, Any]) -> Curve:
    return Curve(
        suite=spec["suite"],
        suite_version=spec["suite_version"],
        model=spec["model"],
        variant=spec["variant"],
        params=spec["params"],
        sweep=tuple(spec["sweep"]),
        dataset=spec["dataset"],
        label="" if spec["dataset_label"] == spec["dataset"] else spec["dataset_label"],
        dataset_params=spec["dataset_params"],
        network=spec["network"],
        seed=spec["seed"],
        sigmas=(*spec["chain"], spec["sigma"]),
        budget=Budget.model_validate(spec["budget"]),
        strategy=spec["strategy"],
        heads=tuple(spec["heads"]),
        threads=spec["threads"],
        device=spec["device"],
    )


def outline(planned: Planned) -> list[str]:
    """What is about to be done, a sentence each."""
    took = sum(spent(record["times"]) for record in planned.records if record["key"] in planned.curves)
    said = [f"{len(planned.records)} of {planned.of} points drawn; those made again took {took:.0f} s of CPU before"]
    said += [f"code of the submission runs here, as you do: {planned.folder / FOLDER / name}" for name in planned.files]
    for record in planned.records:
        if chain := record["spec"].get("chain") if record["key"] in planned.curves else None:
            above = ", ".join(f"{sigma:g}" for sigma in chain)
            said.append(
                f"{where(record['spec'])} cannot be had alone: it continues from {above} nats, which are made first"
            )
    return said


def reproduce(planned: Planned, jobs: int | None = None, *, quiet: bool = False) -> list[Again]:
    """Make the points that were planned, in their own folder, and compare; points that are there are not made twice.

    `jobs` as in `run`.  Raises `WriteError` and `EngineError`.
    """
    store, curves = Store(planned.folder), [*planned.curves.values()]
    if curves:
        left = look(curves, store).left
        workers = How(jobs, planned.folder, quiet=quiet).workers(shares(curves, left))
        with terminable(), watch(curves, left, quiet=quiet) as progress:
            execute(curves, store, progress, jobs=workers)
    out = []
    for record in planned.records:
        if why := planned.refused.get(record["key"]):
            out.append(Again(where(record["spec"]), "not made", why))
            continue
        try:
            again = store.read(record["key"])
            outcome, words = (
                compared(record, again) if again["provenance"] != record["provenance"] else _itself(planned)
            )
        except KeyError:
            outcome, words = "not made", f"its record is not in {planned.folder}"
        out.append(Again(where(record["spec"]), outcome, words))
    return out


def _itself(planned: Planned) -> tuple[str, str]:
    """Of a record that was not made again, for it lay where it would be made."""
    return "not made", f"{planned.folder} holds this very record: give a folder of its own with --out"


def compared(record: Mapping[str, Any], again: Mapping[str, Any]) -> tuple[str, str]:
    """`same`, `differs` or `not made`, with R*, D and D_y as they are here and in the record, in nats, and the status
    where that is another.

    A number is the same when it is off by no more than three standard errors or 2 % of it, whichever is larger, both of
    the number that was made here.
    """
    status, reason = judged(again)
    if status not in MEASURED:
        return "not made", f"it ended as {status}: {reason}"
    said, same = [], True
    for name, field in NUMBERS.items():
        here, there = again["values"].get(field), record["values"].get(field)
        if here is None and there is None:
            continue
        if here is None or there is None:
            same = False
            said.append(f"{name} {_number(here)} here, {_number(there)} in the record")
            continue
        most = max(ERRORS * (again["values"].get(f"{field}_se") or 0.0), SHARE * abs(here))
        same = same and abs(here - there) <= most
        said.append(f"{name} {_number(here)} here, {_number(there)} in the record (within {most:.2g})")
    if (there := judged(record)[0]) != status:
        said.append(f"{status} here, {there} in the record")
    return "same" if same else "differs", "; ".join(said)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
