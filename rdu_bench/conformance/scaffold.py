"""`rdu-bench new model NAME`: a file that runs, to be changed."""

from __future__ import annotations

import keyword
from pathlib import Path

from .. import _paths, registry


class ScaffoldError(ValueError):
    """A name cannot be had; the message says why and what to do."""


MODEL = '''\
from torch import Tensor

from rdu_bench.api import Autoencoder, Batch, Code, Row, Spec


class {title}(Autoencoder):
    """One line: what sets this model apart.

        L = D + R + penalty · E ‖μ(x)‖²        replace this by your objective

    Authors year (arXiv:0000.00000), eq. 1.
    """

    row = Row(
        paper="0000.00000",
        title="{title}",
        objective="D + R + penalty · E ‖μ(x)‖²",
        R1="penalty · E ‖μ(x)‖²",
    )

    def __init__(self, data: Spec, *, penalty: float = 0.01):
        super().__init__(data)
        self.penalty = penalty

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        return self.penalty * code["z"].q.mean.square().sum(-1).mean()
'''


SURVEY = """\
# Models

One file a model.  A row says in which cells it differs from the VAE: the loss it starts from, its regularisers of
q(z|x) and of q(z), the structure of encoder, decoder and prior (H hierarchical, A autoregressive, N Gaussian,
C categorical, M mixture, G graphical model, L learned), and whether it is trained on labels.  D, R and all else are
in nats.  Made from the files by `rdu-bench models --markdown`.

| model | objective | base | R1: q(z\\|x) | R2: q(z) | encoder | decoder | prior | labels | rate | paper |
|---|---|---|---|---|---|---|---|---|---|---|"""


def new_model(name: str, folder: Path) -> Path:
    """Write `folder`/NAME.py and return it.  Raises `ScaffoldError` for a name that is none or is taken."""
    stem = name.replace("-", "_")
    if not stem.isidentifier() or keyword.iskeyword(stem) or stem.startswith("_") or stem != stem.lower():
        raise ScaffoldError(f"{name!r} cannot be a model's name: use lower-case letters, digits and _, such as my_vae")
    known = registry.files("models")
    if stem in known:
        raise ScaffoldError(f"there is a model {stem!r} already, {known[stem]}: choose another name")
    path = folder / f"{stem}.py"
    if path.exists():
        raise ScaffoldError(f"{path} exists already: choose another name, or delete it")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(MODEL.format(title="".join(part.capitalize() for part in stem.split("_"))))
    return path


def survey() -> str:
    """The rows of all models as the survey's table, in Markdown: the front page of models/."""
    lines = [SURVEY]
    for stem, path in registry.files("models").items():
        if path.parent != _paths.builtin("models"):
            continue
        card = registry.card("models", stem)
        paper = card["paper"]
        home = f"https://arxiv.org/abs/{paper}" if paper[:4].isdigit() else f"https://openreview.net/forum?id={paper}"
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
