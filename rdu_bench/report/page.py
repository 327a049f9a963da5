"""The page: one file that opens offline, with plotly and everything it shows inside."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, select_autoescape

from .. import __version__, _paths, analysis
from ..analysis.points import Shown, published
from ..analysis.tables import number
from . import claims, codes, sections
from .answer import Answer
from .board import board, columns, failed
from .context import Context
from .pictures import BUDGET
from .plots import chart, frontier
from .structure import structure
from .text import listed, plain

LARGEST = 4_900_000  # bytes of a page; pictures make room
EXTRAS = ("scores", "codes", "learning", "useful", "structure")  # of a data set, where they are there
SCRIPTS = ("report.js", "chart.js", "sections.js", "codes.js", "start.js")
BREACHES = 50  # points that break a law, told one by one
WORDS = {
    "ok": "the rate asked for was reached (within 2 %, 1 % from 2 nats on)",
    "rate_missed": "training ended at another rate; the point is drawn where it is, which is a valid point",
    "unreachable": "no rate that high lowers the loss, or none that low is worth its price at w",
    "collapsed": "the code says next to nothing although more was asked for",
    "diverged": "the loss stopped being finite; counts as a code that says nothing",
    "error": "an exception; counts as a code that says nothing",
    "invalid": "breaks a law that every record keeps; never ranked and never on a frontier",
}


def build(context: Context, drawn: Mapping[tuple[str, str], str], formats: tuple[str, ...], answer: Answer) -> str:
    """The whole page as text, of at most `LARGEST` bytes as far as fewer pictures can make it so."""
    text = ""
    for budget in (BUDGET, BUDGET // 3, 0):
        sets = [_dataset(context, name, drawn, budget // len(context.datasets)) for name in context.datasets]
        text = _page(context, sets, formats, answer)
        if len(text.encode("utf-8", "replace")) <= LARGEST:
            break
    return text


def _page(context: Context, sets: list[dict[str, Any]], formats: tuple[str, ...], answer: Answer) -> str:
    home = _paths.builtin("report")
    templates = FileSystemLoader(home / "templates", encoding="utf-8")
    env = Environment(loader=templates, autoescape=select_autoescape(default=True))
    env.filters["number"] = lambda value, digits=3: number(math.nan if value is None else float(value), digits)
    env.globals["formats"] = formats
    payload = {
        "plots": {f"{s['id']}-{p}": {**plot, "set": s["id"]} for s in sets for p, plot in s["plots"].items()},
        "maps": {s["id"]: s["map"] for s in sets if s["map"]},
        "sets": {s["id"]: {name: _scripted(s[name]) for name in ("looks", "dims", *EXTRAS) if s[name]} for s in sets},
    }
    lines, more = failed(context.table)
    broken = context.attempt("", "laws", lambda: analysis.impossible(Shown(context.table)))
    return env.get_template("index.html.j2").render(
        title=context.title,
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        answer=answer,
        claims=context.attempt("", "claims' table", lambda: claims.claims(context)),
        columns=columns(context),
        words=WORDS,
        sets=sets,
        counts=context.table["status"].value_counts().to_dict(),
        failures=lines,
        failures_more=more,
        impossible=[] if broken is None else broken.head(BREACHES).to_dict("records"),
        impossible_many=0 if broken is None else len(broken),
        across=context.attempt("", "across", lambda: analysis.across(context.board).to_dict("records")) or [],
        provenance=context.attempt("", "provenance", lambda: _provenance(context.table)) or [],
        troubles=context.troubles,
        notes=context.found,
        css=(home / "assets" / "report.css").read_text("utf-8"),
        js="\n".join((home / "assets" / name).read_text("utf-8") for name in SCRIPTS),
        plotly=(home / "vendor" / "plotly-basic.min.js").read_text("utf-8"),
        payload=_packed(payload),
    )


def _packed(payload: Mapping[str, Any]) -> str:
    """JSON deflated, in base64: a third of its size, and nothing in it ends a script."""
    text = json.dumps(payload, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _scripted(part: Any) -> Any:
    """What the script draws of a part of a data set: its tables are written by the templates."""
    return {name: value for name, value in part.items() if name != "tables"} if isinstance(part, dict) else part


def _dataset(context: Context, name: str, drawn: Mapping[tuple[str, str], str], budget: int) -> dict[str, Any]:
    """All that the page says of one data set; parts that no record has, or that failed, are None."""
    mine, lineup = context.of(name), context.lineups[name]
    data = context.attempt(name, "data", lambda: _data(context, mine)) or {"factors": {}}
    scored = context.tidy[context.tidy["dataset"] == name]
    agreeing = None if context.agreed is None else context.agreed[context.agreed["dataset"] == name]
    frames = {kind: frame[frame["dataset"] == name] for kind, frame in context.structure.items()}
    factors = context.useful[context.useful["dataset"] == name]

    def tried(part: str, make: Any) -> Any:
        return context.attempt(name, part, make)

    useful = tried("useful", lambda: sections.useful(factors, data, lineup)) or (None, None)
    looked = tried("codes", lambda: codes.codes(context, name, budget)) or (None, None)
    plots = {p: tried(f"plot {p}", partial(frontier, context, name, p)) for p in context.planes}
    return {
        "id": context.ids[name],
        "name": name,
        "data": data,
        "dims": math.prod(data.get("shape") or [0]),
        "factors": [_factor(k, f) for k, f in data["factors"].items()],
        "plots": {plane: plot for plane, plot in plots.items() if plot},
        "map": tried("map", lambda: chart(context, name)),
        "figures": {kind: stem for (of, kind), stem in drawn.items() if of == name},
        "board": tried("board", lambda: board(context, name)) or [],
        "looks": lineup.looks,
        "scores": tried("scores", lambda: sections.scores(scored, agreeing, lineup)),
        "codes": looked[0],
        "learning": looked[1],
        "useful": useful[0],
        "best": useful[1],
        "structure": tried("structure", lambda: structure(frames, mine, data, lineup)),
        "lost": {part: said for (of, part), said in context.troubles.items() if of == name},
    }


def _data(context: Context, table: pd.DataFrame) -> dict[str, Any]:
    """What a record says of its data, of the first point that saw any."""
    table = table[~published(table)]  # whose records are elsewhere
    seen = table[table["data.hash"] != ""] if "data.hash" in table else table
    for key in seen["key"].head(20):
        data = context.whole(key).get("data")
        if isinstance(data, Mapping) and isinstance(data.get("factors"), Mapping):
            return dict(data)
    return {"factors": {}}


def _factor(name: str, about: Mapping[str, Any]) -> str:
    return f"{plain(name, 60)} ({about.get('size')} {'values' if about.get('kind') == 'class' else 'reals'})"


FACTS = ("version", "python", "torch", "numpy", "sklearn", "git", "git_dirty", "platform", "device", "threads")


def _provenance(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Facts of provenance and the values they took over the run."""
    out = []
    for fact in FACTS:
        column = f"provenance.{fact}"
        values = table[column].dropna() if column in table else pd.Series(dtype=object)
        values = values.map(lambda v: f"{v:g}" if isinstance(v, float) else v)  # whole numbers, where some lack theirs
        counted = [plain(v, 120) for v in values[values.astype(str) != ""].astype(str).value_counts().index]
        if counted:
            out.append((fact, listed(counted)))
    seconds = sum(float(pd.to_numeric(table[c], errors="coerce").sum()) for c in ("train_s", "measure_s") if c in table)
    return [*out, ("seconds by the clock", f"{seconds:.0f}, all points one after the other")]
