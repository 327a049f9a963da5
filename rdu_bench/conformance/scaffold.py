"""`rdu-bench new KIND NAME`: a file that runs, to be changed."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from .. import _files, _paths, registry
from .._text import page_of
from ..budget import SUITES
from .templates import TEXTS


class ScaffoldError(ValueError):
    """A name cannot be had; the message says why and what to do."""


SURVEY = """\
# Models

One file a model.  A row says in which cells it differs from the VAE: the loss it starts from, its regularisers of
q(z|x) and of q(z), the structure of encoder, decoder and prior (H hierarchical, A autoregressive, T sequential,
N Gaussian, C categorical, M mixture, G graphical model, L learned), and whether it is trained on labels.  D, R and all
else are in nats.  Made from the files by `rdu-bench models --markdown`.

| model | objective | base | R1: q(z\\|x) | R2: q(z) | encoder | decoder | prior | labels | rate | paper |
|---|---|---|---|---|---|---|---|---|---|---|"""


def new(kind: str, name: str, folder: Path) -> Path:
    """Write a file of a kind (model, probe, dataset or suite) called `name` into `folder`, and return it.

    Raises `ScaffoldError` for a name that cannot be one or is taken and for a folder that is none, `WriteError` where
    nothing can be written.
    """
    stem = name.replace("-", "_")
    if not re.fullmatch("[a-z][a-z0-9_]{0,63}", stem) or keyword.iskeyword(stem):
        example = {"model": "my_vae", "probe": "my_head", "dataset": "my_data", "suite": "my_suite"}[kind]
        raise ScaffoldError(
            f"{_shown(name)} cannot be a {kind}'s name: use at most 64 small letters, digits and _, such as {example}."
        )
    known = _taken(kind)
    if stem in known:
        raise ScaffoldError(f"there is a {kind} {stem!r} already, {known[stem]}: choose another name.")
    if folder.exists() and not folder.is_dir():
        raise ScaffoldError(f"--dir {folder} is a file; give a folder.")
    path = folder / f"{stem}.{'toml' if kind == 'suite' else 'py'}"
    if path.exists() or path.is_symlink():
        raise ScaffoldError(f"{path} exists already: choose another name, or delete it.")
    title = "".join(part.capitalize() for part in stem.split("_"))
    _files.write(path, TEXTS[kind].format(title=title, stem=stem))
    return path


def _taken(kind: str) -> dict[str, Path]:
    """Names that there are of a kind, and their files."""
    if kind == "suite":
        return {path.stem: path for path in SUITES.glob("*.toml")}
    return dict(registry.files(f"{kind}s"))


def _shown(name: str) -> str:
    return repr(name if len(name) <= 40 else name[:40] + "…")


def survey() -> str:
    """The rows of all models as the survey's table, in Markdown: the front page of models/."""
    lines = [SURVEY]
    for stem, path in registry.files("models").items():
        if path.parent != _paths.builtin("models"):
            continue
        card = registry.card("models", stem)
        paper = card["paper"]
        home = page_of(paper)
        cells = [f"[{card.get('title') or stem}]({stem}.py)", card.get("objective", ""), card.get("base", "VAE")]
        cells += [card.get(field, "") for field in ("R1", "R2", "encoder", "decoder")]
        cells += [
            card.get("prior", "N"),
            card.get("labels", ""),
            card.get("rate", "closed-form KL"),
            f"[{paper}]({home})",
        ]
        escaped = [cells[0], *(cell.replace("|", "\\|") for cell in cells[1:])]
        lines.append("| " + " | ".join(escaped) + " |")
    return "\n".join(lines) + "\n"
