"""What the strongest head finds of s: a lower bound on I(s; z)."""

from __future__ import annotations

from .. import registry
from ..scores import Undefined
from .found import Found
from .heads import Drawn, read
from .levels import useful
from .study import Study

ADVERSARIES = ("linear", "mlp", "knn")  # against s, those that there are


def leakage(study: Study) -> Found:
    """The head that finds most of s on validation; "null", which finds nothing, is one of them.

    Raises `Undefined` for data without a sensitive factor.
    """
    if study.data.sensitive is None:
        raise Undefined("no factor is sensitive")
    known = registry.files("probes")
    names = [n for n in dict.fromkeys([*ADVERSARIES, *study.heads]) if n.replace("-", "_") in known]
    s = study.labels[study.data.sensitive]
    [[found]] = read([Drawn.of(study.codes)], [s], study.readers(*names))
    about = useful(found.loss, found.nothing)
    table = {"s": s.factor.name, "head": found.head, "Ds": about["Dy"], "Ds_se": about["Dy_se"]}
    nulls = {f"structure.leakage.{head}": reason for head, reason in found.failed.items()}
    return Found(
        tables={"structure": {"leakage": {**table, "IV": about["IV"], "IV_se": about["IV_se"]}}},
        nulls=nulls,
    )
