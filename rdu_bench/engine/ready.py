"""Are the files there that curves read?  Asked before anything is computed; nothing of them is read."""

from __future__ import annotations

from collections.abc import Iterable

from .. import registry
from .._hash import canonical
from .spec import Curve
from .suite import SuiteError


def missing_data(curves: Iterable[Curve]) -> None:
    """Raises `SuiteError` with a sentence for every data set of `curves` whose files are not on this machine.

    Data sets whose card names no files are not asked, so that no plug-in is imported for them.  Raises `DataError`
    for a parameter that a data set refuses.
    """
    asked: dict[str, Curve] = {}
    labels: dict[str, None] = {}
    for curve in curves:
        asked.setdefault(canonical([curve.dataset, curve.dataset_params]), curve)
        labels[curve.data_label] = None
    lost: dict[str, str] = {}
    for curve in asked.values():
        needs = registry.card("datasets", curve.dataset).get("files", "")
        if needs and (sentence := registry.missing_files(curve.dataset, **curve.dataset_params)):
            lost[curve.data_label] = sentence
    if lost:
        rest = [label for label in labels if label not in lost]
        others = f"Or leave it out: {' '.join(f'--dataset {label}' for label in rest)}." if rest else ""
        raise SuiteError("\n".join([*lost.values(), *filter(None, [others])]).replace("\n", " "))
