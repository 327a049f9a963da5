"""The verbs of the command line.  Nothing heavy is imported before a command needs it."""

from __future__ import annotations

from typing import Annotated

import typer

from . import authors, claims, data, join, lists, publish, results, run
from .options import no_verb, overview

app = typer.Typer(
    name="rdu-bench",
    help="Rate, distortion and usefulness of autoencoders: train at target rates, freeze, probe, compare.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Get, make, verify or list the files of data sets.", rich_markup_mode=None)
new_app = typer.Typer(help="Write a file that runs, to be changed.", rich_markup_mode=None)
for group in (data_app, new_app):
    overview(group)


def _version(asked: bool) -> None:
    if asked:
        from .. import __version__

        print(f"rdu-bench {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    no_verb(context)


app.command()(run.run)
for listed in (lists.models, lists.datasets, lists.probes, lists.suites):
    app.command()(listed)
for read in (results.status, results.report, results.leaderboard, results.sensitivity, results.verify):
    app.command()(read)
app.command()(publish.publish)
app.command()(claims.claims)
for joined in (join.submit, join.reproduce):
    app.command()(joined)
app.command()(authors.check)
for kind in authors.KINDS:
    new_app.command(kind)(authors.new(kind))
app.add_typer(new_app, name="new")
data_app.command("get")(data.get)
data_app.command("make")(data.make)
data_app.command("ls")(data.ls)
data_app.command("verify")(data.verify)
app.add_typer(data_app, name="data")
app.command()(lists.doctor)
