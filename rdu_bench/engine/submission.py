"""A run as one file that others can check: its records, the plug-in files that made them, and a manifest of hashes."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .. import _files, _paths, _sources, registry
from ..records import archive, packs, raw
from ..records.audit import audit
from ..records.flatten import table
from ..records.schema import Damaged
from ..records.store import Store

FOLDER = "plugins"  # of a submission, which is laid out as a folder of plug-ins


class SubmissionError(ValueError):
    """A run cannot be submitted, or a submission not be used; the message says why, in a line each."""


class Packed(NamedTuple):
    """What went into a submission."""

    path: Path
    records: int
    vectors: int  # records whose vectors are there
    files: list[str]  # of plug-ins
    older: int  # points of recipes that are not current, which stay out


def submit(run: str | Path, out: str | Path, examine: Callable[[list[dict[str, Any]]], list[str]]) -> Packed:
    """Pack the current records of a run, their vectors, and the files of their plug-ins into `out`, a `.zip` file.

    Of models all files go along, of heads and data sets those that are not the package's own; files that a plug-in
    imports from its folder go with it.  `examine` says of the specs of records what is wrong with their plug-ins, a
    line each.  Raises `FileNotFoundError` where there is no whole record, `FileExistsError` where `out` is there, and
    `SubmissionError` where records have faults, a plug-in is at fault, gone or not the one that made them, or `out` is
    no `.zip`.
    """
    out = Path(out)
    if out.suffix != ".zip":
        raise SubmissionError(f"--out {out}: the name of a submission ends in .zip")
    if out.exists() or out.is_symlink():
        raise FileExistsError(f"{out} is there already: remove it, or give another name with --out")
    store = Store(run)
    points = table(store)
    current = points[points["current"]]
    keys = set(current["key"])
    specs = [record["spec"] for record in store.records() if record["key"] in keys]
    wrong = [f"{path.relative_to(store.root)}: {words}" for path, said in audit(store) for words in said]
    files, lost = sources(specs)
    if refused := [*wrong, *lost] or examine(specs):
        raise SubmissionError("\n".join([*refused, f"{run} is not packed: mend the above first"]))
    made_by = {name: known for spec in specs for name, known in spec.get("plugins", {}).items()}

    def about(hashes: Mapping[str, str]) -> dict[str, Any]:
        count = sum(name.startswith("records/") and name.endswith(".json") for name in hashes)
        return {**archive.described(current, count), "plugins": made_by}

    def contents() -> Iterator[tuple[str, bytes]]:
        yield from archive.members(store, vectors=True, keys=keys)
        for name, path in files.items():
            yield name, raw.read_file(path, limit=_sources.MOST)

    hashes = archive.write_archive(out, contents(), about)
    ends = [Path(name).suffix for name in hashes if name.startswith("records/")]
    return Packed(out, ends.count(".json"), ends.count(".safetensors"), [*files], len(points) - len(current))


def sources(specs: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Path], list[str]]:
    """The plug-in files that made records, by their names in a submission; and why some cannot go along."""
    files: dict[str, Path] = {}
    wrong: list[str] = []
    known = {(name, hash_) for spec in specs for name, hash_ in spec.get("plugins", {}).items()}
    for plugin, then in sorted(known):
        kind, _, name = plugin.partition("/")
        if trouble := changed(plugin, then):
            wrong.append(trouble)
            continue
        path = registry.find(kind, name)
        if path.parent.name != kind or (kind != "models" and path.parent == _paths.builtin(kind)):
            continue  # of a library, or what comes with the package
        for file in (path, *_sources.imported(path)):
            place = _place(file)
            if place is None:
                wrong.append(
                    f"{path} imports {file}, which lies outside {kind}/: move it beside the plug-in, as _{file.name}"
                )
            elif files.setdefault(place, file) != file and files[place].read_bytes() != file.read_bytes():
                wrong.append(f"{file} and {files[place]} would both be {place}: rename one of the two, and run again")
    return dict(sorted(files.items())), wrong


def changed(plugin: str, then: str) -> str:
    """Why a plug-in, such as `models/vae`, is not here as it was when it had the hash `then`; "" where it is."""
    kind, _, name = plugin.partition("/")
    if kind not in _paths.KINDS:
        return f"{plugin} is no plug-in"
    try:
        now = registry.plugin_hash(kind, name)
        path = registry.find(kind, name)
    except LookupError:
        return f"{plugin} made records and is gone: put its file back, or name its folder with {_paths.PLUGINS}"
    except registry.PluginError as error:
        return f"{plugin} cannot be used: {error}"
    if now == then:
        return ""
    return (
        f"{path} is not the file of the records (its hash is {now}, was {then}): take it back as it was, or run again"
    )


def _place(file: Path) -> str | None:
    """The name of a plug-in's file in a submission; None for one that lies in no folder of plug-ins."""
    kind = next((folder for folder in file.parents if folder.name in _paths.KINDS), None)
    return None if kind is None else f"{FOLDER}/{file.relative_to(kind.parent).as_posix()}"


def unpacked(place: Path, folder: Path) -> list[str]:
    """Write the plug-in files of a submission, a folder or an archive, into a folder of plug-ins; gives their names.

    What comes with the package, or lies in a folder of plug-ins here, stays out, for that is used.  Raises
    `SubmissionError` for a name that is no Python file of a plug-in folder, and `WriteError`.
    """
    written = []
    for name in packed_files(place):
        parts = name.split("/")[1:]
        homes = [home for root in _paths.search_path(parts[0]) if (home := Path(root)) != folder / parts[0]]
        if not any((home / Path(*parts[1:])).exists() for home in homes):
            _files.write(folder / Path(*parts), _source(place, name))
            written.append("/".join(parts))
    return written


def packed_files(place: Path) -> list[str]:
    """Names of the plug-in files in a submission, a folder or an archive.

    Raises `SubmissionError` for a name that is no Python file of a plug-in folder.
    """
    if place.is_file():
        names = [name for name in packs.names(place) if name.startswith(f"{FOLDER}/") and not name.endswith("/")]
    else:
        names = [path.relative_to(place).as_posix() for path in (place / FOLDER).rglob("*.py")]
    for name in names:
        parts = name.split("/")[1:]
        if len(parts) < 2 or parts[0] not in _paths.KINDS or ".." in parts or not name.endswith(".py"):
            raise SubmissionError(f"{place} holds {name!r}, which is no file of a plug-in: it cannot be used")
    return sorted(names)


def _source(place: Path, name: str) -> bytes:
    """The bytes of a plug-in's file in a submission.  Raises `SubmissionError` where they cannot be had."""
    try:
        return raw.read_file(place / name, limit=_sources.MOST)
    except Damaged as error:
        raise SubmissionError(f"{place} holds {name}, which cannot be used: {error}") from None


def plugin_faults(place: Path) -> Iterator[str]:
    """Which plug-ins of a submission are not the ones that made its records, one sentence each.

    Nothing for what was not submitted, as what `publish` writes.
    """
    try:
        names = packed_files(place)
        if names or "plugins" in archive.manifest(place):
            yield from _other_plugins(place, names)
    except SubmissionError as error:
        yield str(error)


def _other_plugins(place: Path, names: Iterable[str]) -> Iterator[str]:
    made = Counter(item for record in Store(place).records() for item in record["spec"].get("plugins", {}).items())
    with tempfile.TemporaryDirectory() as made_here, _paths.only_plugins(made_here):
        folder = Path(made_here)
        for name in names:
            _files.write(folder / Path(*name.split("/")[1:]), _source(place, name))
        for (plugin, then), count in sorted(made.items()):
            kind, _, name = plugin.partition("/")
            file = folder / kind / f"{name}.py"
            whose = f"{count} record{'s' * (count != 1)}"
            if not file.is_file():
                if ":" not in name and (kind == "models" or not (_paths.builtin(kind) / file.name).is_file()):
                    yield f"{FOLDER}/{plugin}.py is not there, which made {whose}"
            elif (now := _sources.source_digest(file, folder)) != then:
                yield f"{FOLDER}/{plugin}.py is not the file that made {whose} (its hash is {now}, theirs {then})"
