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


def main() -> NoReturn:
    """Entry point: 0 all fine, 1 some points failed, 2 usage or nothing selected, 130 interrupted."""
    try:
        app(standalone_mode=False)
        code = 0
    except KeyboardInterrupt:
        print("interrupted; every finished point is kept, and the same command goes on from here", file=sys.stderr)
        code = 130
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 2
    except Exception as error:
        code = _explain(error)
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


def _explain(error: Exception) -> int:
    """Print the errors that users can mend as one sentence; pass on the others."""
    kind = type(error).__name__
    if hasattr(error, "format_message"):  # typer's own: a wrong option or argument
        print(f"rdu-bench: {error.format_message()}", file=sys.stderr)
        return 2
    if kind == "Abort":
        return 130
    if kind == "Exit":
        return int(getattr(error, "exit_code", 0))
    if kind in (
        "SuiteError",
        "PluginError",
        "DataError",
        "LookupError",
        "FileNotFoundError",
        "ValueError",
        "TypeError",
    ):
        if os.environ.get("RDU_BENCH_DEBUG"):
            raise error
        print(f"rdu-bench: {error}", file=sys.stderr)
        return 2
    if kind == "StoreError":
        print(f"rdu-bench: {error}", file=sys.stderr)
        return 1
    raise error


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
    from . import execute, suite as suites

    if strategy not in (None, "independent", "continuation", "batched"):
        raise ValueError(f"--strategy {strategy}: choose independent, continuation or batched")
    chosen: dict[str, Any] = {
        "models": model or (),
        "datasets": dataset or (),
        "sigmas": sigma or (),
        "seeds": seeds,
        "strategy": strategy,
        "device": device,
    }
    execute.prepare(data_dir, plugins or ())
    cores = jobs if jobs is not None else os.cpu_count() or 1
    if dry_run:
        read = suites.read(suite)
        _dry_run(
            suites.curves(read, budget_name=budget, **chosen), out or Path("results/runs") / read.name, max(cores, 1)
        )
        return
    outcome = execute.run(
        suite,
        budget=budget,
        jobs=cores,
        out=out,
        scheduler=scheduler,
        shard=_shard(shard),
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
        raise ValueError(f"--shard {text}: give i/n with 1 ≤ i ≤ n, such as 1/4")
    return int(first), int(n)


def _dry_run(curves: list[Any], folder: Path, jobs: int) -> None:
    from .execute import estimate
    from .progress import clock
    from .store import Store

    there = Store(folder).keys()
    seconds, points, kept = 0.0, 0, 0
    for curve in curves:
        done = sum(curve.key(sigma) in there for sigma in curve.sigmas)
        left = estimate(curve) * (1 - done / len(curve.sigmas))
        seconds, points, kept = seconds + left, points + len(curve.sigmas), kept + done
        targets = " ".join("ELBO" if s is None else f"{s:g}" for s in curve.sigmas)
        print(
            f"{curve.data_label:16} {curve.row:24} seed {curve.seed}  {targets}" + (f"  ({done} done)" if done else "")
        )
    print(f"{len(curves)} curves, {points} points, {kept} done; about {clock(seconds / jobs)} with {jobs} workers")


@app.command()
def models(name: Annotated[str | None, typer.Argument()] = None, plugins: Plugins = None) -> None:
    """List the models, or show one with its citation, objective, labels and rate."""
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
    rows, broken = [("name", *columns)], []
    for stem in registry.files(kind):
        try:
            card = registry.card(kind, stem)
        except registry.PluginError as error:
            broken.append(str(error))
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

    from .store import Store

    store = Store(_folder(folder))
    records = store.records()
    print(f"{store.folder}: {len(records)} points")
    for name, count in Counter(record["status"] for record in records).most_common():
        print(f"  {count:5} {name}")
    for record in records:
        if record["status"] not in ("ok",):
            at = "ELBO" if record["spec"]["sigma"] is None else f"σ={record['spec']['sigma']:g}"
            row = "-".join(filter(None, (record["spec"]["model"], record["spec"]["variant"])))
            print(
                f"  {record['spec']['dataset_label']} {row} seed {record['spec']['seed']} {at}: {record['status']}: {record['reason']}"
            )
    for path in store.broken():
        print(f"  not a whole record, and ignored: {path}")


@app.command()
def report(folder: Folder = None, title: Annotated[str | None, typer.Option()] = None) -> None:
    """Draw the report of what is there, also of an unfinished run."""
    from .report import render
    from .store import Store

    where = _folder(folder)
    records = Store(where).records()
    if not records:
        raise FileNotFoundError(f"no records in {where}; `rdu-bench run` makes some")
    print(f"report: {render(records, where, title=title)}")


@app.command()
def leaderboard(folder: Folder = None, csv: Annotated[bool, typer.Option("--csv")] = False) -> None:
    """Print the leaderboard as Markdown, or as CSV."""
    from . import analysis
    from .store import Store

    where = _folder(folder)
    records = Store(where).records()
    if not records:
        raise FileNotFoundError(f"no records in {where}; `rdu-bench run` makes some")
    board = analysis.leaderboard(records)
    print(board.to_csv(index=False) if csv else analysis.to_markdown(board))


@app.command()
def verify(folder: Folder = None) -> None:
    """Check every record: its form, its key, and the laws its numbers must keep."""
    from .measure.invariants import check as laws
    from .store import Store, faults

    store = Store(_folder(folder))
    broken = [f"{path}: not a whole record" for path in store.broken()]
    for path, record in zip(store.paths(), store.records(), strict=False):
        broken += [f"{path.name}: {sentence}" for sentence in (*faults(record), *laws(record))]
    for sentence in broken:
        print(sentence)
    print(f"{len(store.records())} records, {len(broken)} broken laws")
    if broken:
        raise typer.Exit(1)


@app.command()
def check(file: Path, plugins: Plugins = None) -> None:
    """Say in words what is wrong with a model file."""
    from . import _paths
    from .check import check as findings

    _paths.add_plugins(*(plugins or ()))
    if not file.is_file():
        raise FileNotFoundError(f"{file} is not a file")
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
    from .scaffold import new_model as write

    path = write(name, folder)
    print(f"wrote {path}; next: rdu-bench check {path}")


@data_app.command("make")
def data_make(name: str, data_dir: DataDir = None) -> None:
    """Write the files of a generated data set into the data folder."""
    from . import execute, registry

    execute.prepare(data_dir, ())
    made = registry.load("datasets", name)()
    if not hasattr(made, "make"):
        raise ValueError(f"{name} needs no file: it is made or read when it is used")
    print(made.make(Path(os.environ.get("RDU_BENCH_DATA", "."))))


@data_app.command("verify")
def data_verify(name: str, data_dir: DataDir = None) -> None:
    """Load a data set and print what it is."""
    from . import execute, registry

    execute.prepare(data_dir, ())
    made = registry.dataset(name)
    print(f"{made.name}: hash {made.hash}, shape {made.shape}, {made.likelihood}")
    for part, split in made.splits.items():
        print(f"  {part:6} {len(split)}")
    for factor in made.factors:
        print(f"  {factor.name}: {factor.kind} of {factor.size}")


@app.command()
def doctor() -> None:
    """Print versions and machine, for bug reports."""
    from .provenance import doctor as facts

    for name, value in facts().items():
        print(f"{name:10} {value}")


if __name__ == "__main__":
    main()
