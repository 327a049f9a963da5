"""`rdu-bench run`."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._paths import plugin_roots
from .._text import lasting, one_line, say
from .options import DataDir, Out, Plugins, shard, target, whole
from .options import seeds as numbered

if TYPE_CHECKING:
    from ..engine.expand import Selection
    from ..engine.run import How


def run(
    suite: Annotated[str, typer.Option(help="Name of a suite, or a TOML file.")] = "quick",
    model: Annotated[
        list[str] | None, typer.Option(help="Only models that match, or any other by name; may be given again.")
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Only data sets that match, or a file: hdf5:FILE; may be given again.")
    ] = None,
    sigma: Annotated[
        list[float] | None,
        typer.Option(
            parser=target, metavar="NATS", help="A target rate in the place of the suite's; may be given again."
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(parser=numbered, metavar="N", help="Seeds 0 to N − 1.")] = None,
    jobs: Annotated[
        int | None,
        typer.Option("-j", "--jobs", parser=whole, metavar="N", help="Worker processes [one a core]; 0 is this one."),
    ] = None,
    out: Out = None,
    budget: Annotated[
        str | None, typer.Option(help="smoke, laptop, trained, paper, sequence or analytic [the suite's].")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="auto, independent, continuation or batched [the suite's].")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    data_dir: DataDir = None,
    plugins: Plugins = None,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Address of a dask scheduler.")] = None,
    shard: Annotated[
        Any, typer.Option(parser=shard, metavar="I/N", help="The i-th of n parts of the suite, for job arrays.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Compute failed points again.")] = False,
    keep_models: Annotated[
        bool, typer.Option("--keep-models", help="Keep the weights of what is trained now, for load_model.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run and how long it would take.")] = False,
) -> None:
    """Train, freeze, measure, record and report.  Does only what is not there yet."""
    from ..engine import run as engine
    from ..engine.expand import Selection

    engine.name_folders(data_dir, plugins or ())
    selection = Selection(
        tuple(model or ()), tuple(dataset or ()), tuple(sigma or ()), seeds, budget, strategy, device, shard=shard
    )
    how = engine.How(jobs, out, scheduler, retry_failed, keep_models)
    if dry_run:
        _dry_run(suite, selection, how)
        return
    outcome = engine.complete(suite, selection, how)
    unmade = f", {outcome.unmade} not begun" if outcome.unmade else ""
    invalid = f", {outcome.invalid} invalid" if outcome.invalid else ""
    print(f"{outcome.done} point{'s' * (outcome.done != 1)}, {outcome.failed} failed{invalid}{unmade}")
    if outcome.report:
        print(f"report: {outcome.report}")
    else:
        print(f"records: {outcome.folder / 'records'}")
    if plugin_roots():
        from ..conformance.of_records import own_files
        from ..records.store import Store

        for file in own_files(head["spec"] for _, head in Store(outcome.folder).heads() if isinstance(head, dict)):
            print(f"its numbers are bounds if this finds nothing wrong: rdu-bench check {shlex.quote(str(file))}")
    for sentence in filter(None, (outcome.trouble, engine.lost(outcome))):
        say(f"rdu-bench: {one_line(sentence)}", sys.stderr)
    if outcome.failed or outcome.invalid or outcome.missing or outcome.trouble or outcome.unmade:
        raise typer.Exit(1)


def _dry_run(suite: str, selection: Selection, how: How) -> None:
    from ..engine import plan
    from ..engine import run as engine

    ready = engine.prepared(suite, selection, how)
    planned = plan.plan(ready.curves, ready.seen)
    engine.tell(ready)
    for one in planned:
        curve = one.curve
        marks = zip(curve.sigmas, one.done, strict=True)
        targets = " ".join(f"{'ELBO' if s is None else f'{s:g}'}{' ✓' * done}" for s, done in marks)
        params = " ".join(f"{name}={value}" for name, value in curve.params.items())
        print(f"{curve.data_label:16} {curve.row:20} {params:16} seed {curve.seed}  {targets}")
    jobs = max(how.workers(sum(len(one.parts) for one in planned)), 1)
    points, kept = (sum(map(count, planned)) for count in (lambda p: len(p.done), lambda p: sum(p.done)))
    time = f"about {lasting(plan.wall_seconds(planned, jobs))} with {jobs} worker{'s' * (jobs > 1)}"
    print(
        f"{len(planned)} curves, {points} points, {kept} done ✓; {time if points > kept else 'nothing is left to do'}"
    )
    print(f"records go to {ready.folder / 'records'}")
