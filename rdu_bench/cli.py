"""The command line.  Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

app = typer.Typer(
    name="rdu-bench",
    help="Rate, distortion and usefulness of autoencoders: train at target rates, freeze, probe, compare.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Make or verify the files of a data set.", no_args_is_help=True, rich_markup_mode=None)
new_app = typer.Typer(help="Write a file that runs, to be changed.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")
app.add_typer(new_app, name="new")

Plugins = Annotated[list[Path] | None, typer.Option("--plugins", help="Folder with models/, probes/ or datasets/.")]
Folder = Annotated[Path | None, typer.Argument(help="Folder of a run; by default the one written last.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder with data files, as RDU_BENCH_DATA.")]


# errors that users can mend, by name: importing the classes would import torch
MENDABLE = ("SuiteError", "PluginError", "DataError", "ScaffoldError", "CheckError", "LookupError", "FileNotFoundError")
MACHINE = ("WriteError", "EngineError")  # exit code 1: what is finished is kept


def main() -> NoReturn:
    """Entry point: 0 all fine, 1 some points failed, 2 usage or nothing selected, 130 interrupted."""
    try:
        code = app(standalone_mode=False) or 0  # typer gives back the code of an Exit, and 130 for Ctrl-C
        sys.stdout.flush()
        if code == 130:
            _interrupted()
    except BrokenPipeError:  # `rdu-bench models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except KeyboardInterrupt:
        code = _interrupted()
    except Exception as error:
        code = _explain(error)
    sys.exit(code)


def _interrupted() -> int:
    print("interrupted; every finished point is kept, and the same command goes on from here", file=sys.stderr)
    return 130


def _explain(error: Exception) -> int:
    """Print the errors that users can mend as one sentence; pass on the others, with their traceback."""
    kind = type(error).__name__
    if kind == "Abort":
        return _interrupted()
    if hasattr(error, "format_message"):  # typer's own: a wrong option or argument
        text = error.format_message()
        print(text if text.startswith("Usage") else f"rdu-bench: {text}", file=sys.stderr)
        return 2
    if kind not in (*MENDABLE, *MACHINE) or os.environ.get("RDU_BENCH_DEBUG"):
        raise error
    said = error.strerror if kind == "WriteError" else error  # type: ignore[attr-defined]
    print(f"rdu-bench: {said}", file=sys.stderr)
    return 1 if kind in MACHINE else 2


@app.command()
def run(
    suite: Annotated[str, typer.Option(help="Name of a suite, or a TOML file.")] = "quick",
    model: Annotated[list[str] | None, typer.Option(help="Only models that match; may be given again.")] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="Only data sets that match.")] = None,
    sigma: Annotated[list[float] | None, typer.Option(help="These target rates, in nats, not the suite's.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds 0 to N − 1.")] = None,
    jobs: Annotated[int | None, typer.Option("-j", "--jobs", min=0, help="Worker processes; 0 is this one.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of records and report [results/runs/SUITE].")] = None,
    budget: Annotated[str | None, typer.Option(help="smoke, laptop or paper.")] = None,
    strategy: Annotated[str | None, typer.Option(help="independent, continuation or batched.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    data_dir: DataDir = None,
    plugins: Plugins = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a dask scheduler.")] = None,
    shard: Annotated[str | None, typer.Option(help="i/n: the i-th of n parts of the suite, for job arrays.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Compute failed points again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run and how long it would take.")] = False,
) -> None:
    """Train, freeze, measure, record and report; does only what is not there yet."""
    from .engine import expand
    from .engine import scheduler as execute
    from .engine import suite as suites

    chosen: dict[str, Any] = {
        "models": model or (),
        "datasets": dataset or (),
        "sigmas": sigma or (),
        "seeds": seeds,
        "strategy": strategy,
        "device": device,
    }
    part = _shard(shard)
    execute.prepare(data_dir, plugins or ())
    cores = jobs if jobs is not None else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if dry_run:
        read = suites.read(suite)
        curves = expand.curves(read, expand.Selection(budget=budget, shard=part, **chosen))
        _dry_run(curves, out or Path("results/runs") / read.name, max(cores, 1))
        return
    outcome = execute.run(
        suite,
        budget=budget,
        jobs=cores,
        out=out,
        scheduler=scheduler,
        shard=part,
        retry_failed=retry_failed,
        **chosen,
    )
    print(f"{outcome.done} points, {outcome.failed} failed")
    print(f"report: {outcome.report}")
    if outcome.failed:
        raise typer.Exit(1)


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, n = text.partition("/")
    if not (first.isdigit() and n.isdigit() and 1 <= int(first) <= int(n)):
        raise typer.BadParameter(f"--shard {text}: give i/n with 1 ≤ i ≤ n, such as 1/4")
    return int(first), int(n)


def _dry_run(curves: list[Any], folder: Path, jobs: int) -> None:
    from .engine.scheduler import estimate
    from .progress import clock
    from .records.store import Store

    records = Store(folder).records()
    there = {record["key"] for record in records}
    seconds, points, kept = [], 0, 0
    for curve in curves:
        done = [curve.key(sigma) in there for sigma in curve.sigmas]
        seconds.append(estimate(curve, records))
        points, kept = points + len(done), kept + sum(done)
        targets = " ".join(f"{_target(s)}{' ✓' * d}" for s, d in zip(curve.sigmas, done, strict=True))
        params = " ".join(f"{name}={value}" for name, value in curve.params.items())
        print(f"{curve.data_label:16} {curve.row:20} {params:16} seed {curve.seed}  {targets}")
    time = clock(max(sum(seconds) / jobs, max(seconds)))  # a curve is not divided
    print(f"{len(curves)} curves, {points} points, {kept} done ✓; about {time} with {jobs} worker{'s' * (jobs > 1)}")


def _target(sigma: float | None) -> str:
    return "ELBO" if sigma is None else f"{sigma:g}"


@app.command()
def models(
    name: Annotated[str | None, typer.Argument()] = None,
    plugins: Plugins = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table of models/README.md.")] = False,
) -> None:
    """List the models, or show one with its citation, objective, labels and rate."""
    if markdown:
        from .conformance.scaffold import survey

        print(survey(), end="")
        return
    _plugins("models", name, plugins, ("title", "paper", "labels", "objective"))


@app.command()
def datasets(name: Annotated[str | None, typer.Argument()] = None, plugins: Plugins = None) -> None:
    """List the data sets, or show one."""
    _plugins("datasets", name, plugins, ("title", "shape", "task", "entropy"))


@app.command()
def probes(name: Annotated[str | None, typer.Argument()] = None, plugins: Plugins = None) -> None:
    """List the heads, or show one."""
    _plugins("probes", name, plugins, ("title", "family"))


def _plugins(kind: str, name: str | None, plugins: list[Path] | None, columns: tuple[str, ...]) -> None:
    from . import _paths, registry

    _paths.add_plugins(*(plugins or ()))
    if name:
        card = registry.card(kind, name)
        print(registry.find(kind, name).stem)
        for field, value in card.items():
            if field not in ("doc", "path") and value not in ("", ()):
                print(f"  {field:10} {', '.join(value) if isinstance(value, tuple) else value}")
        print(f"  {'file':10} {card['path']}\n\n{card['doc']}")
        return
    rows, broken = [("name", *columns)], registry.trouble(kind)
    for stem in registry.files(kind):
        try:
            card = registry.card(kind, stem)
        except registry.PluginError:  # among the broken
            continue
        rows.append((stem, *(str(card.get(column, "")) for column in columns)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for sentence in broken:
        print(f"not usable: {sentence}", file=sys.stderr)


def _folder(given: Path | None) -> Path:
    if given:
        if not given.is_dir():
            raise FileNotFoundError(f"{given} is not a folder of records")
        return given
    runs = [p for p in Path("results/runs").glob("*") if (p / "records").is_dir()]
    if not runs:
        raise FileNotFoundError("no run in results/runs; give the folder of one, or start one with `rdu-bench run`")
    return max(runs, key=lambda p: (p / "records").stat().st_mtime)


@app.command()
def status(folder: Folder = None) -> None:
    """Count the points of a run by what became of them, and say why some failed."""
    from collections import Counter

    from .records.store import Store

    store = Store(_folder(folder))
    records = store.records()
    print(f"{store.folder}: {len(records)} points")
    for name, count in Counter(record["status"] for record in records).most_common():
        print(f"  {count:5} {name}")
    for record in records:
        spec = record["spec"]
        if record["status"] != "ok":
            row = "-".join(filter(None, (spec["model"], spec["variant"])))
            at = f"{spec['dataset_label']} {row} seed {spec['seed']} {_target(spec['sigma'])}"
            print(f"  {at}: {record['status']}: {record['reason']}")
    for path in store.broken():
        print(f"  not a whole record, and ignored: {path}")


def _records(folder: Path) -> list[dict[str, Any]]:
    from .records.store import Store

    found = Store(folder).records()
    if not found:
        raise FileNotFoundError(f"no records in {folder}; `rdu-bench run` makes some")
    return found


@app.command()
def report(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders of runs; by default the one last written.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to, if not beside the records of the first.")] = None,
    title: Annotated[str | None, typer.Option()] = None,
) -> None:
    """Draw the report of what is there, also of an unfinished run, or one page of several runs."""
    from .records.store import Store

    places = [_folder(folder) for folder in folders] if folders else [_folder(None)]
    home = {record["key"]: (record, Store(place)) for place in reversed(places) for record in _records(place)}
    from .report import render

    drawn = render(
        [record for record, _ in home.values()],
        out or places[0],
        title=title,
        vectors=lambda record: home[record["key"]][1].vectors(record),
    )
    print(f"report: {drawn}")


@app.command()
def leaderboard(folder: Folder = None, csv: Annotated[bool, typer.Option("--csv")] = False) -> None:
    """Print the leaderboard as Markdown, or as CSV."""
    records = _records(_folder(folder))
    from . import analysis

    board = analysis.leaderboard(records)
    print(board.to_csv(index=False) if csv else analysis.to_markdown(board))


@app.command()
def verify(folder: Folder = None) -> None:
    """Check every record: its form, its key, its vectors, and the laws its numbers must keep."""
    from .records.audit import audit
    from .records.store import Store

    store = Store(_folder(folder))
    count, broken = 0, 0
    for path, sentences in audit(store):
        count += 1
        broken += len(sentences)
        for sentence in sentences:
            print(f"{path.relative_to(store.root)}: {sentence}")
    print(f"{count} records, {broken} faults")
    if broken:
        raise typer.Exit(1)


@app.command()
def check(file: Path, plugins: Plugins = None) -> None:
    """Say in words what is wrong with the file of a model, probe, data set or suite."""
    from . import _paths
    from .conformance import check as findings

    _paths.add_plugins(*(plugins or ()))
    wrong = 0
    for finding in findings(file):
        wrong += not finding.ok
        print(f"{'ok   ' if finding.ok else 'WRONG'} {finding.law}" + (f": {finding.words}" if finding.words else ""))
    print("nothing is wrong" if not wrong else f"{wrong} of these must be mended")
    if wrong:
        raise typer.Exit(1)


@new_app.command("model")
def new_model(name: str, folder: Annotated[Path, typer.Option("--dir", help="Where to.")] = Path("models")) -> None:
    """Write models/NAME.py."""
    from . import registry
    from .conformance.scaffold import new

    path = new("model", name, folder)
    print(f"wrote {path}\nnext: rdu-bench check {path}")
    if path.stem not in registry.files("models"):
        root = path.parent.parent if path.parent.name == "models" else "FOLDER, with it in FOLDER/models/,"
        print(f"then: rdu-bench run --suite smoke --model {path.stem} --plugins {root}")


@data_app.command("make")
def data_make(name: str, data_dir: DataDir = None, plugins: Plugins = None) -> None:
    """Write the files of a generated data set into the data folder."""
    from . import registry
    from .engine import scheduler as execute

    execute.prepare(data_dir, plugins or ())
    if "RDU_BENCH_DATA" not in os.environ:
        raise typer.BadParameter("where to? Give --data-dir FOLDER, or set RDU_BENCH_DATA")
    path = registry.find("datasets", name)
    made = registry.load("datasets", name)()
    made.name = path.stem
    print(made.make(Path(os.environ["RDU_BENCH_DATA"])))


@data_app.command("verify")
def data_verify(name: str, data_dir: DataDir = None, plugins: Plugins = None) -> None:
    """Load a data set, say what it is, and what is wrong with it."""
    from . import registry
    from .engine import scheduler as execute

    execute.prepare(data_dir, plugins or ())
    made = registry.dataset(name)
    print(f"{made.name}: hash {made.hash}, shape {made.shape}, {made.likelihood}")
    for part, split in made.splits.items():
        print(f"  {part:6} {len(split)}")
    for factor in made.factors:
        print(f"  {factor.name}: {factor.kind} of {factor.size}")
    faults = made.verify()
    print("\n".join(f"wrong: {sentence}" for sentence in faults) or "nothing is wrong")
    if faults:
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Print versions and machine, for bug reports."""
    from .engine.provenance import doctor as facts

    for name, value in facts().items():
        print(f"{name:10} {value}")


if __name__ == "__main__":
    main()
