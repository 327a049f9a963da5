"""The files of data sets: `data get`, `data make`, `data verify` and `data ls`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import _paths
from .._text import aligned, megabytes, one_line, say
from .options import DataDir, Plugins, Settings, number, setting

if TYPE_CHECKING:
    from ..data import Dataset
    from ..data.downloads import Entry, Wanted


def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set.")],
    data_dir: DataDir = None,
    timeout: Annotated[
        float, typer.Option(parser=number, metavar="SECONDS", help="Give a place up that sends nothing for so long.")
    ] = 30.0,
) -> None:
    """Fetch the files of a data set into the data folder.  What was cut off goes on where it stopped."""
    from ..data import downloads
    from ..data.files import data_folder
    from ..engine.run import name_folders

    name_folders(data_dir, ())
    if not 0 < timeout < 1e6:
        raise typer.BadParameter(f"--timeout {timeout:g}: give a positive number of seconds")
    if not downloads.fetchable(name.replace("-", "_")):
        _nothing_to_get(name.replace("-", "_"))
    wanted = downloads.entries(name)
    folder = data_folder(str(_folder()), name, "the files that are fetched")
    for entry in wanted:
        _introduce(entry)
        for file in entry.files:
            _fetch(file, folder, timeout)


def _nothing_to_get(name: str) -> None:
    """Says what a data set needs of which nothing can be fetched.  Raises `typer.BadParameter` for such a one."""
    from .. import registry
    from ..data import Dataset

    if name not in registry.files("datasets"):
        return
    made = registry.empty_dataset(name)
    if type(made).make is not Dataset.make:
        raise typer.BadParameter(f"{name} is made, not fetched: `rdu-bench data make {name}` writes its files")
    needs = made.card.files
    raise typer.BadParameter(f"{name} has no files to fetch; it needs {needs or 'none, and comes with the package'}")


def _introduce(entry: Entry) -> None:
    say(f"{entry.title}: {megabytes(entry.size) if entry.size else 'of a size that is not published'}")
    say(f"  licence: {entry.licence}")
    say(f"  cite: {entry.cite}")


def _fetch(file: Wanted, folder: Path, timeout: float) -> None:
    from ..data import downloads
    from ..data.resuming import Net

    with _bar(Path(file.path).name) as progress:
        found = downloads.get(file, folder, Net(timeout, progress))
    hashed = file.hash.partition(":")[0].upper().replace("SHA256", "SHA-256")
    checked = f"its {hashed} is the published one" if file.hash else "no published hash is known"
    if file.hash and file.unpack:
        checked = f"the {hashed} of its archive is the published one" if found.new else "unpacked before"
    say(f"{'fetched' if found.new else 'there already'}: {found.path}; {checked}")
    if found.sha256:
        say(f"  compare its SHA-256 yourself: {found.sha256}")


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on the terminal; where there is none, nothing."""
    from ..progress import terminal

    console = terminal()
    if console is None:
        yield lambda done, total: None
        return
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
    )
    with bars.Progress(*columns, bars.TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(one_line(name, 40), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


NameOrFile = Annotated[str, typer.Argument(metavar="NAME", help="A data set, or a file of one: hdf5:FILE.")]


def make(name: NameOrFile, settings: Settings = None, data_dir: DataDir = None, plugins: Plugins = None) -> None:
    """Write the files of a generated data set into the data folder."""
    from .. import registry
    from ..data.files import data_folder
    from ..engine.run import name_folders

    name_folders(data_dir, plugins or ())
    name, params = _told(name, settings or (), making=True)
    print(registry.empty_dataset(name).make(data_folder(str(_folder()), name, "what is made"), **params))


def _told(text: str, settings: Sequence[str], *, making: bool = False) -> tuple[str, dict[str, Any]]:
    """The data set, and the parameters of `load`, or of `make`, that are told: as `hdf5:FILE`, and by `--set`.

    They are held against the signature, as those of a suite are.  Raises `LookupError`, `PluginError`, `SuiteError`,
    or `typer.BadParameter`.
    """
    from .. import registry
    from ..engine.parameters import check_names, check_values

    name, params = registry.named(text, {})
    stem = registry.find("datasets", name).stem
    known = registry.parameters("datasets", stem)
    for key, value in map(setting, settings):
        if key in params:
            raise typer.BadParameter(f"--set {key} is given twice; leave one out")
        plain = known and key in known and known[key].types == ("str",) and value.text[:1] not in ("'", '"')
        params[key] = value.text if plain else value.read()
    takes = (_keywords(registry.empty_dataset(stem).make) if making else []) or known
    if takes is not None:
        check_names(stem, "--set", params, takes)
    if known is not None:
        check_values(stem, lambda key: f"--set {key}", {k: v for k, v in params.items() if k in known}, known)
    return stem, params


def _keywords(function: Callable[..., object]) -> list[str]:
    """Names of its parameters that are keywords only."""
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]


def _folder() -> Path:
    """The data folder that is named, into which files are put."""
    named = _paths.data_folder()
    if named is None:
        raise typer.BadParameter(f"where to? Give --data-dir FOLDER, or set {' or '.join(_paths.DATA)}")
    return Path(named[1])


def verify(name: NameOrFile, settings: Settings = None, data_dir: DataDir = None, plugins: Plugins = None) -> None:
    """Load a data set, say what it is, and what is wrong with it."""
    from .. import registry
    from ..data import DataError
    from ..engine.run import name_folders

    name_folders(data_dir, plugins or ())
    name, params = _told(name, settings or ())
    try:
        made = registry.dataset(name, **params)
    except DataError as error:
        lost = registry.missing_files(name, **params)  # which also says how they are fetched
        raise DataError(lost) if lost.startswith(str(error)) else error from error.__cause__
    print(f"{made.name}: hash {made.hash}, shape {made.shape}, {made.likelihood}")
    for part, split in made.splits.items():
        print(f"  {part:6} {len(split)}")
    for factor in made.factors:
        print(f"  {factor.name}: {factor.kind} of {factor.size}")
    print(f"  task: {', '.join(made.task) or 'none'}" + (f"; sensitive: {made.sensitive}" if made.sensitive else ""))
    nats, kind = made.entropy
    print("  H(x): not known" if nats is None else f"  H(x): {nats:.6g} nats, {kind}")
    if registry.of_file(name):
        found = registry.about(name, params).params.items()
        said = ", ".join(f"{key}={value!r}" for key, value in found if key != "file")
        print(f"  {one_line(f'read as {said}')}")
    for sentence in (*made.notes, *_twice(made)):
        print(f"  note: {one_line(sentence)}")
    faults = [*made.verify(), *_published(made.name)]
    print("\n".join(f"wrong: {sentence}" for sentence in faults) or "nothing is wrong")
    if faults:
        raise typer.Exit(1)


def _twice(made: Dataset) -> Iterator[str]:
    """How many examples that judge are trained on too, where splits are no draws of one population."""
    from ..data.repeats import repeated

    for part, n in repeated(made.splits).items() if made.population is None else ():
        if n:
            yield f"{n:,} of the {len(made.splits[part]):,} examples of {part} are in train too, number for number"


def _published(name: str) -> Iterator[str]:
    """What differs from the published files among those that are there; says of each that is as published."""
    from ..data import downloads

    folder = (_paths.data_folder() or ("", ""))[1]
    for entry in downloads.entries(name) if folder and downloads.fetchable(name) else ():
        for file in entry.files:
            place = Path(folder) / file.path
            if not place.exists():
                continue
            faults = list(downloads.wrong(file, place))
            if not faults:
                known = (
                    "as published" if file.hash and not file.unpack else "no published hash is known of what is there"
                )
                print(f"  {file.path}: {known}")
            for sentence in faults:
                if entry.by_content:
                    print(f"  note: {one_line(sentence)}; what is in it was compared")
                else:
                    yield sentence


def ls(data_dir: DataDir = None, plugins: Plugins = None) -> None:
    """List the data sets and the files that they need.  Whether those are there, and how large they are to get."""
    from .. import registry
    from ..conformance.data_files import data_files
    from ..engine.run import name_folders

    name_folders(data_dir, plugins or ())
    rows = [("name", "there", "size", "licence", "needs")]
    told = []
    for name, needs, missing in data_files():
        there = "as named" if needs and registry.of_file(name) else "no" if missing else "yes"
        rows.append((name, there, *_to_get(name), one_line(needs) or "nothing"))
        if missing:
            told.append(f"{name}: {one_line(missing).removeprefix(f'{name}: ')}")
    print("\n".join([*aligned(rows), *told]))


def _to_get(name: str) -> tuple[str, str]:
    """Size and licence of what `data get` fetches for a data set."""
    from ..data import downloads

    found = downloads.entries(name) if downloads.fetchable(name) else []
    sizes = [entry.size for entry in found]
    size = megabytes(sum(s for s in sizes if s)) if found and all(sizes) else "?" if found else ""
    return size, "; ".join(dict.fromkeys(entry.licence for entry in found))
