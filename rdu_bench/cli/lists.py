"""What there is: `models`, `datasets`, `probes`, `suites` and `doctor`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Annotated

import typer

from .._text import aligned, one_line, say
from .options import Name, Plugins


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One of them, or of a library, such as pythae:BetaTCVAE.")
    ] = None,
    plugins: Plugins = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table of models/README.md.")] = False,
) -> None:
    """List the models, or show one.  With its citation, objective, labels and rate."""
    if markdown:
        from ..conformance.scaffold import survey

        print(survey(), end="")
        return
    _plugins("models", name, plugins, ("title", "paper", "labels", "objective"))


def datasets(name: Name = None, plugins: Plugins = None) -> None:
    """List the data sets, or show one."""
    _plugins("datasets", name, plugins, ("title", "shape", "task", "entropy"))


def probes(name: Name = None, plugins: Plugins = None) -> None:
    """List the heads, or show one."""
    _plugins("probes", name, plugins, ("title", "family"))


def suites(
    name: Annotated[str | None, typer.Argument(metavar="[NAME|FILE.toml]", help="One of them, or of your own.")] = None,
    plugins: Plugins = None,
    keys: Annotated[bool, typer.Option("--keys", help="Everything that the file of a suite may say.")] = False,
) -> None:
    """List the suites, or show one row by row."""
    from .. import _paths
    from ..engine import listing
    from ..engine.suite import read

    _paths.add_plugins(*(plugins or ()))
    if keys:
        lines = listing.key_lines()
    elif name is not None:
        lines = listing.description(read(name))
    else:
        lines = aligned(listing.overview())
    print("\n".join(lines))


def doctor() -> None:
    """Print what a bug report should hold.  Versions, machine, folders, and plug-ins with trouble."""
    from ..doctor import facts

    for name, value in facts():
        say(f"{name:16} {one_line(value)}")


def _plugins(kind: str, name: str | None, plugins: Sequence[Path] | None, columns: tuple[str, ...]) -> None:
    from .. import _paths, registry

    _paths.add_plugins(*(plugins or ()))
    if name is not None:
        _card(kind, name)
        return
    rows, broken = [("name", *columns)], registry.trouble(kind)
    for stem in registry.files(kind):
        try:
            card = registry.card(kind, stem)
        except registry.PluginError:  # among the broken
            continue
        rows.append((stem, *(one_line(card.get(column, "")) for column in columns)))
    print("\n".join(aligned(rows)))
    for sentence in broken:
        say(f"not usable: {one_line(sentence)}", sys.stderr)


def _card(kind: str, name: str) -> None:
    from .. import registry

    card = registry.card(kind, name)
    print(registry.full_name(kind, name))
    for field, value in card.items():
        if field not in ("doc", "path") and value not in ("", ()):
            print(f"  {field:10} {', '.join(map(str, value)) if isinstance(value, tuple) else value}")
    for i, line in enumerate(wrap(_parameters(kind, registry.full_name(kind, name)), 106)):
        print(f"  {'' if i else 'parameters':10} {line}")
    print(f"  {'file':10} {card['path']}\n\n{card['doc']}")


def _parameters(kind: str, name: str) -> str:
    """What a model or data set takes, with its defaults as written; "" where its file alone does not tell."""
    from .. import _cards, registry

    ours = kind in _cards.METHODS and name in registry.files(kind)
    told = _cards.parameters(kind, registry.find(kind, name)) if ours else None
    return ", ".join(f"{key}={parameter.default}" for key, parameter in (told or {}).items())
