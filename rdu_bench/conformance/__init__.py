"""What a plug-in file must be, in words, and files that are it to start from."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _adapters
from .plugin import CheckError, Finding, examine, kind_of, read

if TYPE_CHECKING:
    from ..model import Model

__all__ = ["CheckError", "Finding", "check"]


def check(
    path: str | Path | type[Model],
    params: dict[str, Any] | None = None,
    *,
    kind: str | None = None,
    only: Collection[str] | None = None,
) -> list[Finding]:
    """Findings about the file at `path`, or a model's class or name in a library, built with the parameters `params`.

    `kind` is models, probes, datasets or suites, which is otherwise told from the file.  `only` names the laws to
    judge, of `LAWS` in the module of that kind.  Nothing that is in the file raises.  Raises `CheckError` for what is
    no file of text, or of no kind; `LookupError` or `PluginError` for a name as `pythae:CLASS` that is none.
    """
    if isinstance(path, type) or _adapters.is_adapted(str(path)):
        return _of_class(path, params or {}, only)
    source = read(path)
    kind = kind or kind_of(source)
    if kind == "suites":
        from .suites import findings

        return findings(source)
    import torch  # after what costs nothing has been looked at

    from . import datasets, models, probes

    of: dict[str, Any] = {
        "models": (models.ModelSubject, models.STAGES),
        "datasets": (datasets.DataSubject, datasets.STAGES),
        "probes": (probes.ProbeSubject, probes.STAGES),
    }
    subject, stages = of[kind]
    try:
        made = subject(source, params or {})
    except SyntaxError as error:
        return [Finding(False, "file", f"line {error.lineno} does not parse: {error.msg}")]
    with torch.random.fork_rng(devices=[]):
        return examine(stages, made, only)


def _of_class(model: Any, params: dict[str, Any], only: Collection[str] | None) -> list[Finding]:
    """Findings about a class, or what a name in a library stands for."""
    import torch

    from ..training.keep import kind_of as class_of
    from . import model_subject, models

    kind = class_of(model if isinstance(model, type) else str(model))
    with torch.random.fork_rng(devices=[]):
        return examine(models.OF_A_CLASS, model_subject.ClassSubject(kind, params), only)
