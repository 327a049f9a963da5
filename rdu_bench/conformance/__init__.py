"""What a plug-in file must be, in words, and files that are it to start from."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from .plugin import CheckError, Finding, examine, kind_of, read

__all__ = ["CheckError", "Finding", "check"]


def check(
    path: str | Path,
    params: dict[str, Any] | None = None,
    *,
    kind: str | None = None,
    only: Collection[str] | None = None,
) -> list[Finding]:
    """Findings about the file at `path`, built with the parameters `params`.

    `kind` is models, probes, datasets or suites, which is otherwise told from the file.  `only` names the laws to
    judge, of `LAWS` in the module of that kind.  Nothing that is in the file raises.  Raises `CheckError` for what is
    no file of text, or of no kind.
    """
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
